import json
from datetime import date

import pytest
import shapely

from helpers.errors import SnapshotError
from helpers.projection import area_km2
from helpers.readers import liveuamap

HELD = shapely.box(37.0, 48.0, 37.2, 48.2)
GAINED = shapely.box(37.2, 48.0, 37.3, 48.2)
LOST = shapely.box(36.9, 48.0, 37.0, 48.2)
IN_KURSK = shapely.box(35.2, 51.2, 35.35, 51.3)


def feature(kind, ground, start="2025-01-04", end="2025-01-07"):
    window = {"date": end, "view": "daily", "_datefrom": start, "_dateto": end}
    if start is None:
        window = {}
    geometry = json.loads(shapely.to_geojson(ground))
    return {"type": "Feature", "properties": {"type": kind} | window, "geometry": geometry}


def write(tmp_path, *features, name="2025-01-08.json"):
    path = tmp_path / name
    content = {"type": "FeatureCollection", "features": features}
    path.write_text(json.dumps({"value": content}))
    return path


def read(path):
    return {m.layer: m for m in liveuamap.read(path)}


def test_the_state_is_nochange_with_gains_at_the_end_of_the_window(tmp_path):
    path = write(
        tmp_path, feature("nochange", HELD), feature("gains", GAINED), feature("losses", LOST)
    )
    found = read(path)
    held = found["assessed_control"]
    assert (held.day, held.retrieved) == (date(2025, 1, 7), date(2025, 1, 8))
    # What was lost is not held, and lies in Ukraine: it is nobody's layer.
    assert area_km2(held.geometry) == pytest.approx(area_km2(HELD) + area_km2(GAINED), rel=1e-9)
    assert found["ukrainian_held"].geometry.is_empty


def test_ground_in_russia_among_the_losses_is_held_by_ukraine(tmp_path):
    found = read(write(tmp_path, feature("nochange", HELD), feature("losses", LOST | IN_KURSK)))
    held = found["ukrainian_held"].geometry
    assert area_km2(held) == pytest.approx(area_km2(IN_KURSK), rel=1e-9)


def test_crumbs_at_the_border_are_no_ground_in_russia(tmp_path):
    # A loss in Sumy Oblast, drawn up to a border that is not quite ours.
    lost = shapely.box(35.0, 50.9, 35.05, 51.21)
    found = read(write(tmp_path, feature("nochange", HELD), feature("losses", lost)))
    assert found["ukrainian_held"].geometry.is_empty


def test_the_first_days_have_no_window(tmp_path):
    path = write(tmp_path, feature("nochange", HELD, start=None), name="2022-02-24.json")
    assert read(path)["assessed_control"].day == date(2022, 2, 24)


def test_a_window_that_runs_backwards_is_told(tmp_path):
    window = {"start": "2026-04-09", "end": "2026-04-08"}
    path = write(tmp_path, feature("nochange", HELD, **window), name="2026-04-11.json")
    assert "runs backwards" in read(path)["assessed_control"].note


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ([feature("gains", GAINED)], "no ground of the type nochange"),
        ([feature("nochange", HELD), feature("contested", GAINED)], "unknown types contested"),
        (
            [feature("nochange", HELD), feature("gains", GAINED, end="2025-01-06")],
            "not of one window",
        ),
    ],
)
def test_what_it_cannot_be_is_an_error(tmp_path, features, message):
    with pytest.raises(SnapshotError, match=message):
        read(write(tmp_path, *features))


def test_a_file_without_the_wrapper_is_named(tmp_path):
    path = tmp_path / "2025-01-08.json"
    path.write_text('{"error": {"code": 500}}')
    with pytest.raises(SnapshotError, match="not GeoJSON"):
        read(path)


@pytest.mark.real
def test_ukraine_held_about_500_km2_in_kursk(shared_data):
    found = read(shared_data / "liveuamap" / "2025-01-08.json")
    kursk = shapely.intersection(
        found["ukrainian_held"].geometry, shapely.box(34.0, 50.9, 35.7, 51.6)
    )
    assert area_km2(kursk) == pytest.approx(500, abs=30)
    assert found["assessed_control"].day == date(2025, 1, 7)


@pytest.mark.real
@pytest.mark.parametrize(("asked", "km2"), [("2024-12-01", 111_360), ("2025-01-08", 111_932)])
def test_the_level_is_that_of_the_other_publishers(shared_data, asked, km2):
    held = read(shared_data / "liveuamap" / f"{asked}.json")["assessed_control"].geometry
    # Crimea, and ground held before 2022, are not in it.
    assert area_km2(held) + 26_689 + 16_619 == pytest.approx(km2, rel=1e-4)
