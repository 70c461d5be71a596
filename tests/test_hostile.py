"""Files made to do harm: each is refused with its name and a reason, or read and harmless.

Whatever the file, the day beside it is read. `docs/reliability.md` counts the cases.
"""

import csv
import io
import json
import os
import resource
import stat
import zipfile

import numpy as np
import pandas as pd
import pytest

from helpers import ingest, ledger, limits, outputs, runner, snapshots
from helpers.errors import ParameterError, SchemaError
from helpers.jobs import Job
from helpers.workspace import PROJECT
from test_runner import write as small_notebook

SQUARE = [[37.0, 48.0], [37.1, 48.0], [37.1, 48.1], [37.0, 48.1], [37.0, 48.0]]
NAME = "2025-01-08_RussianAssessedCoTinUkraine.geojson"
ZIP = "UkraineControlMapAO08JAN2025.zip"


def feature(coordinates='"C"', properties="{}", kind="Polygon"):
    geometry = f'{{"type": "{kind}", "coordinates": {coordinates}}}'
    return f'{{"type": "Feature", "properties": {properties}, "geometry": {geometry}}}'


def collection(*features):
    return f'{{"type": "FeatureCollection", "features": [{", ".join(features)}]}}'.encode()


def nested(levels, kind="["):
    return kind * levels + ("]" if kind == "[" else "]}") * levels


def star(points):
    xy = np.random.default_rng(7).uniform((36, 47), (38, 49), (points, 2)).tolist()
    return json.dumps([[*xy, xy[0]]])


def zipped(*entries, link=False):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            entry = zipfile.ZipInfo(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            if link:
                entry.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(entry, content)
    return out.getvalue()


ring = json.dumps([SQUARE])
REFUSED = {
    "levels of the file": (NAME, collection(nested(10_000)), "depth limit"),
    "levels of a geometry": (NAME, collection(feature(nested(10_000))), "depth limit"),
    "levels of a property": (
        NAME,
        collection(feature(ring, f'{{"a": {nested(10_000)}}}')),
        "depth limit",
    ),
    "levels of objects": (NAME, nested(10_000, '{"geometries": [').encode(), "depth limit"),
    "a thousand levels": (NAME, collection(feature(nested(1_000))), "nested too deeply"),
    "not a number": (
        NAME,
        collection(feature("[[[37, 48], [NaN, 48], [37, 49], [37, 48]]]")),
        "not JSON",
    ),
    "infinity": (
        NAME,
        collection(feature("[[[37, 48], [1e999, 48], [37, 49], [37, 48]]]")),
        "infin",
    ),
    "text as a number": (NAME, collection(feature('[[["37", "48"]]]')), "no readable geometry"),
    "not on earth": (
        NAME,
        collection(feature("[[[1e300, 48], [37, 48], [37, 49], [1e300, 48]]]")),
        "bounds",
    ),
    "elsewhere": (
        NAME,
        collection(feature("[[[-70, 10], [-71, 10], [-71, 11], [-70, 10]]]")),
        "bounds",
    ),
    "a key twice": (
        NAME,
        b'{"type": "FeatureCollection", "features": [], "features": []}',
        "'features' twice",
    ),
    "a key twice inside": (NAME, collection(feature(ring, '{"a": 1, "a": 2}')), "'a' twice"),
    "a polygon that crosses itself": (
        NAME,
        collection(feature(star(5_000))),
        "FRONTLINE_MAX_CROSSINGS",
    ),
    "one polygon 20,000 times": (
        NAME,
        collection(*[feature(ring)] * 20_000),
        "FRONTLINE_MAX_CROSSINGS",
    ),
    "three million vertices": (
        NAME,
        collection(feature(f"[[{', '.join(['[37, 48], [37.1, 48], [37.1, 48.1]'] * 1_000_000)}]]")),
        "FRONTLINE_MAX_VERTICES",
    ),
    "not UTF-8": (
        NAME,
        collection(feature(ring, '{"a": "')).replace(b'"a"', b'"\xff\xfe"'),
        "not JSON",
    ),
    "a picture": (NAME, b"\x89PNG\r\n\x1a\n" + bytes(200), "not JSON"),
    "a program": (NAME, b"#!/bin/sh\ntouch owned\n", "not JSON"),
    "a page": (NAME, b"<html><script>alert(1)</script></html>", "not JSON"),
    "zeros": (NAME, bytes(1_000_000), "not JSON"),
    "an archive that leaves": (ZIP, zipped(("../../owned.shp", b"x")), "leaves the archive"),
    "an archive of the root": (ZIP, zipped(("/etc/owned.shp", b"x")), "leaves the archive"),
    "an archive of Windows": (ZIP, zipped(("..\\owned.shp", b"x")), "leaves the archive"),
    "a link in an archive": (ZIP, zipped(("map.shp", "/etc/passwd"), link=True), "is a link"),
    "a bomb": (ZIP, zipped(("map.shp", bytes(300_000_000))), "FRONTLINE_MAX_UNPACKED_MB"),
    "a bomb of many": (
        ZIP,
        zipped(*((f"{n}.shp", bytes(3_000_000)) for n in range(100))),
        "UNPACKED",
    ),
    "an archive in an archive": (ZIP, zipped(("a.zip", zipped(("map.shp", b"x")))), "0 shapefiles"),
    "two maps": (ZIP, zipped(("a.shp", b"x"), ("b.shp", b"x")), "2 shapefiles"),
    "no map": (ZIP, zipped(("map.shp", b"x" * 200)), "cannot be read"),
    "no archive": (ZIP, b"PK\x03\x04" + bytes(100), "not a zip archive"),
}
HARMLESS = {
    "a million vertices": collection(
        feature(
            json.dumps(
                [
                    [
                        [37 + np.cos(a) / 9, 48 + np.sin(a) / 9]
                        for a in np.linspace(0, 6.28, 1_000_000)
                    ]
                ]
            )[:-2]
            + ", [37.11111111111111, 48.0]]]"
        )
    ),
    "a formula": collection(feature(ring, '{"name": "=HYPERLINK(1)"}')),
    "a script": collection(feature(ring, '{"name": "<script>alert(1)</script>"}')),
    "a name of 100,000 letters": collection(feature(ring, json.dumps({"name": "Ж" * 100_000}))),
    "no text": collection(feature(ring, '{"name": "\\u0000"}')),
    "heights": collection(feature(json.dumps([[[*xy, 1e300] for xy in SQUARE]]))),
}


@pytest.fixture
def beside(workspace):
    """A workspace with one good day of ISW."""
    folder = workspace.raw / "isw"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / NAME.replace("08", "07")).write_bytes(collection(feature(ring)))
    return workspace


@pytest.mark.parametrize("case", REFUSED)
def test_a_hostile_file_is_refused_with_its_name_and_a_reason(beside, case):
    name, content, reason = REFUSED[case]
    (beside.raw / "isw" / name).write_bytes(content)
    before = {p for p in beside.root.rglob("*") if "processed" not in p.parts}
    spent, memory = resource.getrusage(resource.RUSAGE_SELF)[0], _memory_mb()
    (done,) = ingest.run(beside, "isw")
    ((path, fault),) = done.failed
    assert name in path
    assert pd.Series([fault]).str.contains(reason).all(), fault
    assert len(fault) < 600
    assert [day.isoformat() for day in snapshots.days(beside, "isw")] == ["2025-01-07"]
    assert {p for p in beside.root.rglob("*") if "processed" not in p.parts} == before
    assert resource.getrusage(resource.RUSAGE_SELF)[0] - spent < 20
    assert _memory_mb() - memory < 1500


@pytest.mark.parametrize("case", HARMLESS)
def test_an_odd_file_is_read_and_does_nothing(beside, case):
    (beside.raw / "isw" / NAME).write_bytes(HARMLESS[case])
    (done,) = ingest.run(beside, "isw")
    assert done.failed == []


@pytest.mark.parametrize(
    "value",
    [
        "'; open('owned', 'w').close(); '",
        '"""\nopen("owned", "w").close()\n"""',
        "\\'; open('owned', 'w').close() #",
        "__import__('os').system('touch owned')",
        "{open('owned', 'w')}",
        "$(touch owned)`touch owned`",
        "\n%%bash\ntouch owned",
        "!touch owned",
    ],
)
def test_a_parameter_that_tries_to_be_code_is_a_text(tmp_path, monkeypatch, value):
    monkeypatch.chdir(tmp_path)
    path = small_notebook(tmp_path / "a.ipynb", "said = sector")
    run = runner.run_all([Job(path, "a", {"sector": value})], tmp_path / "out", dict(os.environ))
    injected = run["a"].cells[1]
    assert "injected-parameters" in injected.metadata.tags
    names = {}
    exec(compile(injected.source, "injected", "exec"), {"__builtins__": {}}, names)
    assert names == {"sector": value}
    assert not list(tmp_path.rglob("owned"))


def _memory_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def test_every_limit_is_documented_and_can_be_moved(beside, monkeypatch):
    text = (PROJECT / "docs" / "reliability.md").read_text()
    for name, value in limits.DEFAULTS.items():
        assert f"| `{name}` | {value:,} |" in text
    monkeypatch.setenv("FRONTLINE_MAX_VERTICES", "4")
    (done,) = ingest.run(beside, "isw")
    assert "5 vertices; FRONTLINE_MAX_VERTICES allows 4" in done.failed[0][1]


@pytest.mark.parametrize("value", ["0x10", "-1", "many", "1.5", "١"])
def test_a_limit_that_is_no_number_is_said(monkeypatch, value):
    monkeypatch.setenv("FRONTLINE_MAX_VERTICES", value)
    with pytest.raises(ParameterError, match=r"FRONTLINE_MAX_VERTICES is .*whole number"):
        limits.limit("FRONTLINE_MAX_VERTICES")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n="])
def test_no_cell_of_a_table_is_a_formula(start):
    text = outputs.table_text(pd.DataFrame({"name": [f"{start}cmd|' /C calc'!A0"], "km2": [-1.5]}))
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert row["name"][0] == "'"
    assert row["km2"] == "-1.500000"


def test_a_ledger_without_end_is_refused(workspace, monkeypatch):
    monkeypatch.setenv("FRONTLINE_MAX_LEDGER_MB", "1")
    workspace.claims_file.parent.mkdir(parents=True, exist_ok=True)
    workspace.claims_file.write_bytes(bytes(1_000_001))
    with pytest.raises(SchemaError, match="FRONTLINE_MAX_LEDGER_MB"):
        ledger.read(workspace)
