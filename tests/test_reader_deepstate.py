import json
from datetime import date

import pytest

from helpers.errors import SnapshotError
from helpers.projection import area_km2
from helpers.readers import deepstate

CLOCKWISE = [[[37.0, 48.0], [37.0, 48.1], [37.1, 48.1], [37.1, 48.0], [37.0, 48.0]]]


def write(folder, name, coordinates=CLOCKWISE):
    path = folder / name
    geometry = {"type": "MultiPolygon", "coordinates": [coordinates] if coordinates else []}
    feature = {"type": "Feature", "properties": {}, "geometry": geometry}
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    return path


def test_the_assessed_day_is_the_one_before_the_file(tmp_path):
    (found,) = deepstate.read(write(tmp_path, "deepstatemap_data_20250101.geojson"))
    assert found.day == date(2024, 12, 31)
    assert (found.published, found.retrieved) == (None, date(2025, 1, 1))
    assert found.layer == "assessed_control"
    assert area_km2(found.geometry) > 0  # clockwise rings are this source's habit


@pytest.mark.parametrize("name", ["20250108.geojson", "deepstatemap_data_20250231.geojson"])
def test_a_name_without_a_day_is_an_error(tmp_path, name):
    with pytest.raises(SnapshotError, match="the name gives no day"):
        deepstate.read(write(tmp_path, name))


def test_an_empty_map_is_an_error(tmp_path):
    with pytest.raises(SnapshotError, match="the map is empty"):
        deepstate.read(write(tmp_path, "deepstatemap_data_20250101.geojson", None))


@pytest.mark.real
def test_a_truncated_real_file_says_at_which_byte(shared_data, tmp_path):
    whole = (shared_data / "deepstate" / "deepstatemap_data_20250108.geojson").read_bytes()
    path = tmp_path / "deepstatemap_data_20250108.geojson"
    path.write_bytes(whole[:40_000])
    with pytest.raises(SnapshotError, match=r"not JSON at byte \d+ of 40000: .*cut off"):
        deepstate.read(path)


@pytest.mark.real
def test_the_first_real_day_has_the_published_area(shared_data):
    (found,) = deepstate.read(shared_data / "deepstate" / "deepstatemap_data_20240708.geojson")
    # 109,360.87 by geodesics between the vertices, which bow 4.5 ppm off the straight edges.
    assert area_km2(found.geometry) == pytest.approx(109_360.87, rel=1e-5)


def answer(*features, **members):
    about = {"id": 1736380800, "datetime": "2025-01-08T22:10:00.000Z"} | members
    return about | {"map": {"type": "FeatureCollection", "features": features}}


def named(name, east=37.1, kind="Polygon"):
    ring = [[37.0, 48.0], [37.0, 48.1], [east, 48.1], [east, 48.0], [37.0, 48.0]]
    place = {"Polygon": [ring], "Point": [37.0, 48.0]}[kind]
    geometry = {"type": kind, "coordinates": place}
    return {"type": "Feature", "properties": {"name": name}, "geometry": geometry}


def write_answer(folder, content):
    path = folder / "deepstatemap_data_20250109.json"
    path.write_text(json.dumps(content))
    return path


def test_an_answer_of_the_history_endpoint(tmp_path):
    path = write_answer(
        tmp_path,
        answer(
            named("Окуповано /// Occupied /// geoJSON.status.occupied"),
            named("Крим /// Crimea /// geoJSON.territories.crimea", east=37.2),
            named("Звільнено /// Liberated /// geoJSON.status.dismissed", east=38.0),
            named("Калінінград /// Kaliningrad /// geoJSON.territories.kaliningrad", east=39.0),
            named("Direction of attack", kind="Point"),
        ),
    )
    (found,) = deepstate.read(path)
    assert found.day == found.published == date(2025, 1, 8)
    assert found.retrieved == date(2025, 1, 9)
    assert found.geometry.bounds == (37.0, 48.0, 37.2, 48.1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (answer(named("geoJSON.status.occupied"), datetime=None), "has no datetime"),
        (answer(named("a /// b /// geoJSON.newkind.x")), "a kind that is not known here"),
        (answer(named("geoJSON.status.unknown")), "no polygon is named as occupied"),
        ([], "has no datetime"),
    ],
)
def test_an_answer_that_has_changed_is_an_error(tmp_path, content, message):
    with pytest.raises(SnapshotError, match=message):
        deepstate.read(write_answer(tmp_path, content))
