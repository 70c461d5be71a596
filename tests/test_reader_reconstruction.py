import json
from pathlib import Path

import pandas as pd
import pytest

from helpers.errors import SchemaError, SnapshotError
from helpers.readers import reconstruction
from helpers.schema import as_table

SAMPLE = Path(__file__).parents[1] / "data" / "raw" / "reconstruction"
SQUARE = [[[37.0, 48.0], [37.1, 48.0], [37.1, 48.1], [37.0, 48.1], [37.0, 48.0]]]
BOW_TIE = [[[37.0, 48.0], [37.1, 48.1], [37.1, 48.0], [37.0, 48.1], [37.0, 48.0]]]


def feature(layer="assessed_control", day="2025-01-08", rings=SQUARE, **more):
    geometry = None if rings is None else {"type": "Polygon", "coordinates": rings}
    properties = {"layer": layer, "day": day, **more}
    return {"type": "Feature", "properties": properties, "geometry": geometry}


def write(folder, *features, name="2025-01-08.geojson"):
    path = folder / name
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def test_a_committed_day():
    table = as_table(reconstruction.read(SAMPLE / "2025-01-08.geojson"))
    assert table["layer"].tolist() == [
        "assessed_control",
        "assessed_advance",
        "claimed_control",
        "ukrainian_held",
        "regained",
    ]
    assert (table["day"] == pd.Timestamp("2025-01-08")).all()
    assert table["published"].isna().all()
    assert table.crs.to_string() == "OGC:CRS84"


def test_a_layer_that_is_not_there_is_empty(tmp_path):
    maps = reconstruction.read(write(tmp_path, feature()))
    assert len(maps) == 5
    assert [found.layer for found in maps if not found.geometry.is_empty] == ["assessed_control"]


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ([feature("other")], "feature 0 has the layer 'other', which is none of assessed_control"),
        ([feature(), feature("reported_partisan_warfare")], "feature 1 has the layer"),
        ([feature(day="2025-01-07")], "of the day '2025-01-07', but the file name says 2025-01-08"),
        ([feature(source="x")], r"feature 0 has the properties \['day', 'layer', 'source'\]"),
        ([{"type": "Feature", "geometry": feature()["geometry"]}], r"the properties \[\]"),
        ([feature(), feature("regained", rings=None)], "1 features have no geometry"),
        ([feature("regained")], "the layer 'assessed_control' is not there"),
        ([], "the layer 'assessed_control' is not there"),
        ([feature(rings=[[["a", 1]]])], "feature 0 has no readable geometry"),
    ],
)
def test_what_is_not_a_day_of_the_sample_says_why_and_what_next(tmp_path, features, message):
    path = write(tmp_path, *features)
    with pytest.raises(SnapshotError, match=message) as caught:
        reconstruction.read(path)
    assert str(path) in str(caught.value)
    assert str(caught.value).endswith((".", "affected."))


@pytest.mark.parametrize(
    "name", ["20250108.geojson", "2025-02-30.geojson", "2025-01-08.json", "map.geojson"]
)
def test_a_name_without_a_day_is_an_error(tmp_path, name):
    with pytest.raises(SnapshotError, match=r"the name gives no day.*YYYY-MM-DD\.geojson"):
        reconstruction.read(write(tmp_path, feature(), name=name))


def test_a_truncated_day_says_at_which_byte(tmp_path):
    path = tmp_path / "2025-01-08.geojson"
    path.write_bytes((SAMPLE / path.name).read_bytes()[:9000])
    with pytest.raises(SnapshotError, match=r"not JSON at byte \d+ of 9000: .*cut off"):
        reconstruction.read(path)


def test_json_that_is_not_geojson(tmp_path):
    path = tmp_path / "2025-01-08.geojson"
    path.write_text("[]")
    with pytest.raises(SnapshotError, match="not GeoJSON"):
        reconstruction.read(path)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ([feature(), feature()], "repeat a day and layer"),
        ([feature(rings=BOW_TIE)], r"assessed_control is invalid \(Self-intersection"),
    ],
)
def test_a_fault_of_the_table_is_named(tmp_path, features, message):
    with pytest.raises(SchemaError, match=message):
        reconstruction.read(write(tmp_path, *features))
