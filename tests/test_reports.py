import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import geopandas as gpd
import nbformat
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from click.testing import CliRunner

import installs
from chromium import browser
from fakereports import EVIL
from helpers import plans, reports, sources
from helpers.cli import main
from helpers.errors import ReportError, SnapshotError, WorkspaceError
from helpers.files import recover
from helpers.provenance import tree_sha256
from helpers.schema import parse_day
from helpers.workspace import PROJECT, Workspace
from test_cluster import notebooks as small_notebooks
from webpages import VALID, html_faults

DAYS = ("2024-12-08", "2025-01-01", "2025-01-07", "2025-01-08")
RUNS = (
    "claims",
    "advance-series",
    "briefing",
    "sector-map-kurakhove",
    "sector-map-kursk",
    "sector-map-toretsk",
)
PAGES = ("index.html", *(f"{name}.html" for name in RUNS if name != "briefing"))


def sample(root: Path) -> Workspace:
    folder = root / "data" / "raw" / "reconstruction"
    folder.mkdir(parents=True)
    for day in DAYS:
        shutil.copy(PROJECT / "data" / "raw" / "reconstruction" / f"{day}.geojson", folder)
    return Workspace.at(root)


def run(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A report on four days of the sample, made by the command."""
    ws = sample(tmp_path_factory.mktemp("made"))
    done = run("--root", ws.root, "report", "2025-01-08", "--compare-to", "2024-12-08")
    assert done.exit_code == 0, done.output
    index = Path(done.output.strip().splitlines()[-1])
    assert index == ws.reports / "2025-01-08" / "index.html"
    return index.parent


def test_everything_is_there(made):
    names = {p.relative_to(made).as_posix() for p in made.rglob("*") if p.is_file()}
    assert set(PAGES) <= names
    assert {f"notebooks/{name}.ipynb" for name in RUNS} <= names
    for sector in ("toretsk", "kurakhove", "kursk"):
        for rendition in ("wide.png", "wide.svg", "phone.png", "phone.svg"):
            assert f"figures/sector-map-{sector}-{rendition}" in names
        assert f"data/change-{sector}.geojson" in names
    assert {"data/measures.csv", "data/changes.csv", "data/briefing.json"} <= names
    assert not any(name.startswith(("results", ".")) for name in names)


def test_the_manifest_names_inputs_files_and_numbers(made):
    manifest = json.loads((made / "manifest.json").read_text())
    assert (manifest["day"], manifest["compare_to"]) == ("2025-01-08", "2024-12-08")
    assert manifest["source"]["id"] == "reconstruction"
    assert {item["assessed_day"] for item in manifest["inputs"]} == set(DAYS)
    raw = PROJECT / "data" / "raw" / "reconstruction"
    hashes = tree_sha256(raw)
    for item in manifest["inputs"]:
        assert item["sha256"] == hashes[Path(item["path"]).name]
    assert manifest["files"] == tree_sha256(made, skip={"manifest.json"})
    net = manifest["runs"]["sector-map-kurakhove"]["numbers"]["net_km2"]
    table = pd.read_csv(made / "data" / "change-kurakhove.csv")
    assert net == pytest.approx(table["net_km2"].iloc[0], abs=1e-5)
    assert str(made.parents[1]) not in (made / "manifest.json").read_text()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_asks_no_other_host_and_has_its_words(made, name):
    text = (made / name).read_text()
    page = BeautifulSoup(text, "html.parser")
    links = [
        element[key]
        for element in page.find_all(True)
        for key in ("src", "srcset", "href", "action", "data")
        if element.has_attr(key)
    ]
    assert not [link for link in links if re.match(r"(https?:)?//", link)]
    assert not page.find_all(["script", "iframe", "object"])
    assert [link["href"] for link in page.find_all("link")] == ["data:,"]
    assert "url(" not in text
    assert len(page.find_all("h1")) == 1
    assert page.html["lang"] == "en"
    assert "Not data of ISW or of any map project." in page.main.get_text()
    for image in page.find_all("img"):
        assert len(image["alt"]) > 40
    for link in (a["href"] for a in page.select("a[href]") if not a["href"].startswith("#")):
        assert (made / link).is_file(), link


def test_change_polygons_open_elsewhere_and_add_up(made):
    table = gpd.read_file(made / "data" / "change-kurakhove.geojson")
    assert set(table["kind"]) <= {"gained", "lost"}
    assert table.is_valid.all()
    row = pd.read_csv(made / "data" / "change-kurakhove.csv").iloc[0]
    drawn = table.loc[table["kind"] == "gained", "area_km2"].sum()
    assert drawn == pytest.approx(row["gained_km2"], rel=0.01)
    assert table.to_crs("ESRI:54034").area.sum() / 1e6 == pytest.approx(
        table["area_km2"].sum(), rel=1e-4
    )


def test_every_column_of_every_table_is_described(made):
    text = (PROJECT / "docs" / "tables.md").read_text()
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    tables = sorted((made / "data").glob("*.csv"))
    assert len(tables) > 10
    for path in tables:
        name = re.sub(r"-(toretsk|kurakhove|kursk)\.csv$", "-SECTOR.csv", path.name)
        (section,) = (text for text in sections if f"data/{name}" in text.splitlines()[0])
        described = set(re.findall(r"`(\w+)`", section))
        assert set(pd.read_csv(path, nrows=0).columns) - described == set(), path.name


def test_elsewhere_on_another_day_in_a_minimal_install_without_forks_the_bytes_are_the_same(
    made, tmp_path
):
    ws = sample(tmp_path / "a longer name")
    # Python reads this file whenever it starts: the kernels' clocks are wrong, too.
    (tmp_path / "sitecustomize.py").write_text(
        "import time_machine\ntime_machine.travel('2031-02-03 04:05', tick=True).start()\n"
        + installs.blocking()
    )
    command = [sys.executable, "-m", "helpers.cli", "--root", str(ws.root), "report", "2025-01-08"]
    elsewhere = {"PYTHONPATH": str(tmp_path), "TZ": "Asia/Tokyo", "FRONTLINE_FORK": "0"}
    done = subprocess.run(
        [*command, "--compare-to", "2024-12-08", "--jobs", "1"],
        env=os.environ | elsewhere,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert tree_sha256(ws.reports / "2025-01-08") == tree_sha256(made)


def test_what_is_there_is_not_made_again(made):
    before = {path: path.stat().st_mtime_ns for path in made.rglob("*")}
    words = ("--root", made.parents[1], "report", "2025-01-08", "--compare-to", "2024-12-08")
    done = run(*words)
    assert done.output.strip() == str(made / "index.html")
    assert {path: path.stat().st_mtime_ns for path in made.rglob("*")} == before
    done = run(*words, "--dry-run")
    assert done.output.strip().endswith("index.html: nothing has changed")
    done = run(*words, "--dry-run", "--force")
    lines = done.output.strip().splitlines()
    assert lines[0].endswith("index.html: asked for")
    assert lines[1].startswith("  05-briefing.ipynb (report_date 2025-01-08, compare_to 2024-12-08")
    assert len(lines) == 1 + len(RUNS)
    assert {path: path.stat().st_mtime_ns for path in made.rglob("*")} == before


def test_a_failing_notebook_is_named_kept_and_leaves_the_earlier_report(tmp_path):
    ws = sample(tmp_path)
    small_notebooks(ws.root / "notebooks")
    broken = ws.root / "notebooks" / "02-advance-series.ipynb"
    notebook = nbformat.read(broken, as_version=4)
    notebook.cells[-1].source = 'raise OSError("no such thing")'
    nbformat.write(notebook, broken)
    earlier = ws.reports / "2025-01-08"
    earlier.mkdir(parents=True)
    (earlier / "index.html").write_text("earlier")
    done = run("--root", ws.root, "report", "2025-01-08")
    assert done.exit_code == 1
    assert "02-advance-series.ipynb (advance-series) failed in code cell" in done.output
    assert "OSError: no such thing" in done.output
    assert "is as it was" in done.output
    assert (earlier / "index.html").read_text() == "earlier"
    kept = ws.reports / "failed" / "2025-01-08" / "notebooks" / "advance-series.ipynb"
    assert "no such thing" in kept.read_text()


def test_what_cannot_be_asked_for_is_said_before_anything_starts(tmp_path):
    ws = sample(tmp_path)
    cases = {
        ("2025-01-05",): "Nearest: 2025-01-01 and 2025-01-07",
        ("2025-01-08", "--source", "deepstat"): "Known: deepstate, isw, liveuamap, reconstruction",
        ("2025-01-08", "--source", "deepstate"): "There are no files of deepstate",
        ("2025-01-08", "--compare-to", "2025-01-09"): "no reconstruction snapshot for 2025-01-09",
        ("8.1.2025",): "'8.1.2025' is not a day",
        ("2024-12-08",): "not earlier",
    }
    for words, message in cases.items():
        done = run("--root", ws.root, "report", *words)
        assert done.exit_code == 1, words
        assert message in done.output, words
    assert not ws.reports.exists()


def test_a_run_that_died_between_two_renames_is_mended(tmp_path):
    target, retired = tmp_path / "r", tmp_path / ".r.retired"
    retired.mkdir()
    (retired / "index.html").write_text("old")
    recover(target, retired)
    assert (target / "index.html").read_text() == "old"
    retired.mkdir()
    recover(target, retired)
    assert not retired.exists()


def test_the_lane_that_is_free_first_makes_the_pages_ready(tmp_path, monkeypatch):
    told = {}

    def run_all(*_, **options):
        told.update(options)
        raise ReportError("enough")

    monkeypatch.setattr(reports.runner, "run_all", run_all)
    ws = sample(tmp_path)
    with pytest.raises(ReportError, match="enough"):
        reports.make(ws, plans.request(ws, parse_day("2025-01-08")))
    assert told["at_last"] is reports.pages.prepare


def test_two_runs_of_one_report_do_not_mix(tmp_path, monkeypatch):
    from filelock import FileLock

    monkeypatch.setattr(reports, "_LOCK_WAIT_S", 0.1)
    ws = sample(tmp_path)
    asked = plans.request(ws, parse_day("2025-01-08"))
    ws.reports.mkdir()
    with (
        FileLock(ws.reports / ".2025-01-08.lock"),
        pytest.raises(WorkspaceError, match="Another run has been making"),
    ):
        reports.make(ws, asked)


def test_other_sources_get_a_folder_of_their_own(tmp_path):
    ws = sample(tmp_path)
    (ws.raw / "deepstate").mkdir()
    (ws.raw / "deepstate" / "deepstatemap_data_20250109.geojson").write_text("{}")
    asked = plans.request(ws, parse_day("2025-01-08"))
    assert plans.folder_of(ws, asked).name == "2025-01-08"
    other = plans.Request(asked.day, asked.compare_to, sources.get("deepstate"))
    assert plans.folder_of(ws, other).name == "2025-01-08-deepstate"
    assert next(job.name for job in plans.plan(ws, asked)) == "briefing"


def test_a_report_error_is_a_value_error():
    assert issubclass(ReportError, ValueError)
    assert issubclass(SnapshotError, ValueError)


@pytest.mark.real
@pytest.mark.slow
def test_a_report_from_deepstate(deepstate, tmp_path):
    raw = tmp_path / "data" / "raw"
    raw.mkdir(parents=True)
    (raw / "deepstate").symlink_to(deepstate.raw / "deepstate")
    done = run(
        *("--root", tmp_path, "report", "2025-01-08"),
        *("--source", "deepstate", "--compare-to", "2024-12-08"),
    )
    assert done.exit_code == 0, done.output
    folder = tmp_path / "reports" / "2025-01-08"
    numbers = json.loads((folder / "manifest.json").read_text())["runs"]
    # 238 between the files of these names; a day later each, as the maps show the day before.
    assert numbers["sector-map-kurakhove"]["numbers"]["net_km2"] == pytest.approx(245.6, abs=1)
    assert "sector-map-kursk" not in numbers
    text = BeautifulSoup((folder / "index.html").read_text(), "html.parser").get_text()
    assert "Kursk" in text
    assert "could not be assessed" in text


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.mark.browser
@pytest.mark.parametrize("name", PAGES)
def test_chromium_asks_nobody_for_a_page(tab, made, name):
    tab.open((made / name).as_uri(), 390)
    assert tab.requests == [(made / name).as_uri()]
    assert tab.errors == []


@pytest.mark.browser
def test_a_request_to_another_host_would_be_seen(tab, tmp_path):
    page = tmp_path / "page.html"
    page.write_text('<p>Text</p><img src="http://127.0.0.1:9/x.png">')
    tab.open(page.as_uri(), 390)
    assert tab.requests == [page.as_uri(), "http://127.0.0.1:9/x.png"]


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 768, 1280, 1600])
def test_no_page_is_wider_than_the_window(tab, made, width):
    for name in PAGES:
        tab.open((made / name).as_uri(), width)
        assert tab.run("document.documentElement.scrollWidth") == width, name
        shown = tab.run("document.querySelector('figure img').currentSrc.length")
        source = "source" if width <= 700 else "img"
        key = "srcset" if width <= 700 else "src"
        assert shown == tab.run(f"document.querySelector('figure {source}').{key}.length")


@pytest.mark.browser
def test_paper_cuts_no_figure(tab, made, tmp_path):
    # Letter is the shorter of the two papers: 27.9 cm, less two margins of 1.6 cm.
    room_px = (27.94 - 3.2) / 2.54 * 96
    for name in PAGES:
        tab.open((made / name).as_uri(), 700)
        tab.call("Emulation.setEmulatedMedia", media="print")
        heights = tab.run("[...document.querySelectorAll('figure')].map(f => f.offsetHeight)")
        kept = tab.run(
            "[...document.querySelectorAll('figure')].map(f => getComputedStyle(f).breakInside)"
        )
        tab.call("Emulation.setEmulatedMedia", media="")
        assert heights
        assert max(heights) < room_px, name
        assert set(kept) == {"avoid"}
    assert tab.pdf(tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")


def test_the_first_page_weighs_less_than_a_megabyte(made):
    assert (made / "index.html").stat().st_size < 1_000_000


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_valid_html(made, name):
    assert html_faults((made / name).read_text()) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("<!DOCTYPE html><html lang=en><title>T</title><p><b>x</p>", "unexpected"),
        (VALID.format('<p id="a">x</p><p id="a">y</p>'), "id twice: a"),
        (VALID.format("<h1>A</h1><h3>B</h3>"), "h3 after h1"),
        (VALID.format('<a href="#b">B</a>'), "no place for #b"),
        (VALID.format("<table><tr><th>x</th></tr></table>"), "th without scope"),
    ],
)
def test_a_fault_of_html_is_seen(text, fault):
    assert any(fault in found for found in html_faults(text))


def test_a_report_is_made_again_as_the_maps_were_known(tmp_path):
    ws = sample(tmp_path).known_by(parse_day("2025-01-31"))
    asked = plans.request(ws, parse_day("2025-01-08"))
    assert plans.folder_of(ws, asked).name == "2025-01-08-as-of-2025-01-31"
    assert plans.command(asked).endswith("--as-of 2025-01-31")
    assert {job.parameters.get("as_of") for job in plans.plan(ws, asked)} == {"2025-01-31"}
    with pytest.raises(SnapshotError, match="as of 2025-01-07"):
        plans.request(ws.known_by(parse_day("2025-01-07")), parse_day("2025-01-08"))


@pytest.fixture(scope="module")
def evil(tmp_path_factory) -> Path:
    """A report on data of somebody who wants to run a script in the reader's browser."""
    ws = sample(tmp_path_factory.mktemp("evil"))
    frame = {
        "type": "Polygon",
        "coordinates": [[[37, 47.8], [37.4, 47.8], [37.4, 48.1], [37, 47.8]]],
    }
    properties = {"key": "kurakhove", "name": f"K{EVIL}", "measure": "presence", "note": EVIL}
    feature = {"type": "Feature", "properties": properties, "geometry": frame}
    (ws.root / "data" / "sectors.geojson").write_text(
        json.dumps({"type": "FeatureCollection", "features": [feature]})
    )
    (ws.raw / "claims").mkdir()
    rows = (PROJECT / "data" / "raw" / "claims" / "claims.csv").read_text().splitlines()
    said = [row.replace("Russia: Ministry of Defence", f'"{EVIL}"', 1) for row in rows]
    said = [row.replace("Russia says", f"{EVIL} Russia says") for row in said]
    (ws.raw / "claims" / "claims.csv").write_text("\n".join(said) + "\n")
    name = ws.raw / "reconstruction" / "<script>globalThis.evil=1<script>.geojson"
    name.write_text("{")
    done = run("--root", ws.root, "report", "2025-01-08", "--compare-to", "2024-12-08")
    assert done.exit_code == 0, done.output
    return ws.reports / "2025-01-08"


def test_a_script_in_a_sector_a_claim_and_a_file_name_is_text(evil):
    pages = sorted(evil.glob("*.html"))
    assert len(pages) == len(RUNS)
    for path in pages:
        assert "<script" not in path.read_text(), path.name
    claims = (evil / "claims.html").read_text()
    assert "onerror=globalThis.evil=1&gt; Russia says it has fully taken Kurakhove" in claims
    for svg in (evil / "figures").glob("*.svg"):
        assert "<script" not in svg.read_text(), svg.name


@pytest.mark.browser
def test_chromium_runs_no_script_of_a_claim(tab, evil):
    for path in sorted(evil.glob("*.html")):
        tab.open(path.as_uri(), 1280)
        assert tab.run("typeof globalThis.evil") == "undefined", path.name


@pytest.mark.parametrize("option", ["--source", "--compare-to", "--as-of"])
def test_a_script_or_a_path_in_a_parameter_is_an_error(tmp_path, option):
    ws = sample(tmp_path)
    for value in (EVIL, "../../etc", "__import__('os').system('id')"):
        done = run("--root", ws.root, "report", "2025-01-08", option, value)
        assert done.exit_code == 1
        assert done.output.startswith("Error: ")
    assert not ws.reports.exists()
