"""What a report is made of, and whether it is there already."""

import json
import shutil
from datetime import date

import pytest

from helpers import plans, provenance, snapshots
from helpers.workspace import PROJECT, Workspace

DAYS = ("2024-12-08", "2025-01-01", "2025-01-07", "2025-01-08")
SAMPLE = PROJECT / "data" / "raw" / "reconstruction"


@pytest.fixture
def ws(tmp_path) -> Workspace:
    """Four days of the sample, with notebooks of its own."""
    raw = tmp_path / "data" / "raw" / "reconstruction"
    raw.mkdir(parents=True)
    for day in DAYS:
        shutil.copy(SAMPLE / f"{day}.geojson", raw)
    shutil.copytree(PROJECT / "notebooks", tmp_path / "notebooks")
    return Workspace.at(tmp_path)


def ask(ws, **options):
    return plans.request(ws, date(2025, 1, 8), **options)


def pretend(ws, asked):
    """Put a report there as `reports.make` would leave it."""
    folder = plans.folder_of(ws, asked)
    folder.mkdir(parents=True)
    (folder / "index.html").write_text("made")
    manifest = {"made_from": plans.made_from(ws, asked, plans.plan(ws, asked))}
    manifest["files"] = provenance.tree_sha256(folder)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_what_was_made_of_the_same_is_not_stale(ws):
    assert plans.stale(ws, ask(ws)) == ["there is none"]
    pretend(ws, ask(ws))
    assert plans.stale(ws, ask(ws)) == []
    # A later day and a file that is written again with the same bytes change nothing before them.
    shutil.copy(SAMPLE / "2025-01-16.geojson", ws.raw / "reconstruction")
    shutil.copy(SAMPLE / "2025-01-07.geojson", ws.raw / "reconstruction")
    snapshots.ensure(ws, "reconstruction")
    assert plans.stale(ws, ask(ws)) == []


def _earlier_map(ws):
    shutil.copy(SAMPLE / "2024-12-26.geojson", ws.raw / "reconstruction")


def _other_notebook(ws):
    path = ws.notebooks / "05-briefing.ipynb"
    path.write_text(path.read_text().replace("\n", " \n", 1))


def _other_sectors(ws):
    (ws.root / "data" / "sectors.geojson").write_text(
        '{"type": "FeatureCollection", "features": []}'
    )


def _other_claims(ws):
    folder = ws.raw / "claims"
    folder.mkdir()
    text = (PROJECT / "data" / "raw" / "claims" / "claims.csv").read_text()
    (folder / "claims.csv").write_text("\n".join(text.splitlines()[:-1]) + "\n")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (_earlier_map, {"other snapshots"}),
        (_other_notebook, {"other notebooks"}),
        (_other_sectors, {"other files"}),
        (_other_claims, {"other files"}),
    ],
)
def test_what_changed_is_named(ws, change, why):
    pretend(ws, ask(ws))
    change(ws)
    snapshots.ensure(ws, "reconstruction")
    assert set(plans.stale(ws, ask(ws))) == why


def test_a_map_that_was_published_again_otherwise_is_seen(ws):
    pretend(ws, ask(ws))
    path = ws.raw / "reconstruction" / "2025-01-01.geojson"
    later = json.loads((SAMPLE / "2025-01-07.geojson").read_text())
    text = json.loads(path.read_text())
    text["features"][0]["geometry"] = later["features"][0]["geometry"]
    path.write_text(json.dumps(text))
    snapshots.ensure(ws, "reconstruction")
    assert "other snapshots" in plans.stale(ws, ask(ws))


def test_another_comparison_or_another_software_is_another_report(ws, monkeypatch):
    pretend(ws, ask(ws))
    assert plans.stale(ws, ask(ws, compare_to="2025-01-07")) == ["other parameters"]
    monkeypatch.setattr(provenance, "software", lambda: {"geopandas": "0.0"})
    assert plans.stale(ws, ask(ws)) == ["other software"]


def test_another_helper_makes_it_stale(ws, tmp_path, monkeypatch):
    package = tmp_path / "package"
    shutil.copytree(provenance._PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(provenance, "_PACKAGE", package)
    # Another process asks for the first time.
    monkeypatch.setattr(provenance, "helpers_digest", provenance.helpers_digest.__wrapped__)
    pretend(ws, ask(ws))
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "x.pyc").write_bytes(b"1")
    assert plans.stale(ws, ask(ws)) == []
    words = package / "texts" / "en.toml"
    words.write_text(words.read_text() + "\n")
    assert plans.stale(ws, ask(ws)) == ["other helpers"]


def test_a_file_that_is_gone_makes_it_stale(ws):
    folder = pretend(ws, ask(ws))
    (folder / "index.html").unlink()
    assert plans.stale(ws, ask(ws)) == ["index.html is missing"]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"made_from": {}}'])
def test_a_manifest_that_cannot_be_read_is_none(ws, text):
    folder = pretend(ws, ask(ws))
    (folder / "manifest.json").write_text(text)
    assert plans.stale(ws, ask(ws)) == ["there is none"]


def test_a_missing_notebook_is_told_of_plainly(ws):
    from click.testing import CliRunner

    from helpers.cli import main

    (ws.notebooks / "03-claims.ipynb").unlink()
    done = CliRunner().invoke(main, ["--root", str(ws.root), "report", "2025-01-08"])
    assert done.exit_code == 1
    assert f"Error: There is no notebook {ws.notebooks / '03-claims.ipynb'}." in done.output
