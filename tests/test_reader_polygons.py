from datetime import date

import geopandas as gpd
import pandas as pd
import pytest
import shapely

from helpers import ingest, publishers, snapshots
from helpers.errors import SnapshotError, SourceError
from helpers.projection import STORAGE_CRS, area_km2
from helpers.readers import polygons

BOX = shapely.box(37.0, 48.0, 37.2, 48.2)
EAST = shapely.box(37.2, 48.0, 37.3, 48.2)
ABOUT = """
[source]
publisher = "Example Desk"
title = "Example map"
attribution = "Example Desk"
licence = "CC BY 4.0"
covers = "Donetsk Oblast"
caveat = "Assessed control, not verified on the ground."
positional_error_m = 300
"""
BY_COLUMN = """
[read]
layer_column = "status"
[read.layers]
occupied = "assessed_control"
advance = "assessed_advance"
note = ""
"""


@pytest.fixture
def folder(workspace):
    found = workspace.raw / "desk"
    found.mkdir()
    return found


def describe(folder, reading=BY_COLUMN, about=ABOUT):
    (folder / "source.toml").write_text(about + reading)
    return polygons.load_mapping(folder / "source.toml")


def table(**columns):
    columns = columns or {"status": ["occupied", "advance", "note"]}
    return gpd.GeoDataFrame(columns, geometry=[BOX, EAST, shapely.Point(1, 1)], crs=STORAGE_CRS)


@pytest.mark.parametrize("suffix", [".geojson", ".gpkg", ".fgb", ".parquet", ".shp"])
def test_every_format_is_read_without_code(workspace, folder, suffix):
    describe(folder)
    found = table().iloc[:2].to_crs("EPSG:32637")
    path = folder / f"desk_20250108{suffix}"
    if suffix == ".parquet":
        found.to_parquet(path)
    else:
        found = found.to_crs(STORAGE_CRS) if suffix == ".geojson" else found
        found.to_file(path)
    (done,) = ingest.run(workspace, "desk")
    assert (done.new, done.failed) == (1, [])
    snapshot = snapshots.load(workspace, "desk", date(2025, 1, 8))
    assert snapshot.tiers == ("control", "presence", "claimed")
    both = area_km2(snapshot.tier("presence"))
    assert both == pytest.approx(area_km2(BOX) + area_km2(EAST), rel=1e-5)
    source = publishers.source(workspace, "desk")
    assert (source.attribution, source.positional_error_m) == ("Example Desk", 300)
    assert "desk" in publishers.present(workspace)


def test_another_description_is_looked_into(workspace, folder, monkeypatch):
    monkeypatch.setattr(ingest, "_SETTLED_NS", -1)
    describe(folder)
    table().iloc[:2].to_file(folder / "desk_20250108.geojson")
    runs, run = [], ingest.run
    monkeypatch.setattr(ingest, "run", lambda *asked: runs.append(asked) or run(*asked))
    for about, times in ((ABOUT, 1), (ABOUT, 1), (ABOUT + "# seen\n", 2)):
        if times > len(runs):
            describe(folder, about=about)
        snapshots.ensure(workspace, "desk")
        assert len(runs) == times


def test_days_may_stand_in_a_column_and_be_those_of_the_morning_after(folder):
    mapping = describe(
        folder, '[read]\nlayer = "assessed_control"\nday_column = "when"\nday_offset = -1\n'
    )
    when = pd.to_datetime(["2025-01-08", "2025-01-09", "2025-01-09"])
    table(when=when).iloc[:2].to_file(folder / "all.gpkg")
    found = polygons.read(folder / "all.gpkg", mapping)
    assert [m.day for m in found] == [date(2025, 1, 7), date(2025, 1, 8)]


def test_a_layer_without_features_is_empty_not_missing(folder):
    mapping = describe(folder)
    table().iloc[:1].to_file(folder / "2025-01-08.geojson")
    found = {m.layer: m.geometry for m in polygons.read(folder / "2025-01-08.geojson", mapping)}
    assert found["assessed_advance"].is_empty


@pytest.mark.parametrize(
    ("about", "reading", "message"),
    [
        (ABOUT.replace("publisher", "publsher"), BY_COLUMN, r"no publisher; .*'publsher'"),
        (ABOUT.replace("300", '"300 m"'), BY_COLUMN, "positional_error_m must be metres"),
        (ABOUT.replace("300", "-1"), BY_COLUMN, "positional_error_m must be metres"),
        (ABOUT, '[read]\nlayer = "control"\n', "unknown layer 'control'; known: assessed_control"),
        (ABOUT, "[read]\n", "needs either layer, or layer_column with layers"),
        (ABOUT, '[read]\nlayer = "assessed_control"\nday_offset = "1"\n', "whole number"),
        (ABOUT, '[read]\nlayr = "assessed_control"\n', "unknown key 'layr'"),
        (ABOUT, "[read\n", "cannot be read"),
    ],
)
def test_a_fault_in_the_description_is_named(folder, about, reading, message):
    with pytest.raises(SourceError, match=message):
        describe(folder, reading, about)


def test_a_fault_in_the_file_is_named(folder):
    mapping = describe(folder)
    path = folder / "2025-01-08.geojson"
    table(status=["occupied", "liberated", "note"]).iloc[:2].to_file(path)
    with pytest.raises(
        SnapshotError, match=r"status holds 'liberated', which source.toml does not"
    ):
        polygons.read(path, mapping)
    table(kind=["a", "b", "c"]).iloc[:2].to_file(path)
    with pytest.raises(SnapshotError, match="no column 'status'; there are kind"):
        polygons.read(path, mapping)
    path.write_text("{")
    with pytest.raises(SnapshotError, match="cannot be read"):
        polygons.read(path, mapping)
    table().iloc[:2].to_file(folder / "map.geojson")
    with pytest.raises(SnapshotError, match="the name gives no day"):
        polygons.read(folder / "map.geojson", mapping)


def test_wrong_axis_order_is_refused(folder):
    mapping = describe(folder, '[read]\nlayer = "assessed_control"\n')
    swapped = shapely.transform(BOX, lambda xy: xy[:, ::-1])
    gpd.GeoDataFrame(geometry=[swapped], crs=STORAGE_CRS).to_file(folder / "2025-01-08.geojson")
    with pytest.raises(SnapshotError, match="latitude seems to stand before longitude"):
        polygons.read(folder / "2025-01-08.geojson", mapping)
