import numpy as np
import pandas as pd
import pytest
import shapely

from grounds import boxes, marked, real_map, snapshot
from helpers import settlements
from helpers.projection import area_km2


def places(*rows):
    """Rows of id, longitude, latitude, population and, if not A, quality."""
    return pd.DataFrame(
        [(f"p{i}", f"Place {i}", *row, *["A"] * (4 - len(row))) for i, row in rows],
        columns=["id", "name", "lon", "lat", "population", "quality"],
    )


PLACES = places(
    (1, (37.10, 48.05, 100)),
    (2, (37.20, 48.05, 100)),
    (3, (37.30, 48.05, 1_000_000)),
)
JANUARY = pd.date_range("2024-12-31", periods=32)
WEST = boxes((36.0, 47.0, 37.2, 49.0))


def test_discs_are_as_large_as_the_population_wants():
    radius = settlements.disc_radius_km(np.array([0, np.nan, 100, 3141.6, 20_000, 5_000_000]))
    assert radius == pytest.approx([0.5, 0.5, 0.5, 1.0, np.sqrt(20 / np.pi), 4.0], rel=1e-4)


def test_discs_are_round_on_the_ground():
    discs = settlements.discs(PLACES, 2.0)
    assert area_km2(discs) == pytest.approx([np.pi * 4] * 3, rel=3e-3)
    by_population = settlements.discs(PLACES, None)
    assert area_km2(by_population)[[0, 2]] == pytest.approx(np.pi * np.array([0.25, 16]), rel=3e-3)


def test_status_is_by_the_share_of_the_disc():
    table = settlements.status(WEST, PLACES)
    assert table["status"].tolist() == ["inside", "on the line", "outside"]
    assert table["share"].tolist() == pytest.approx([1, 0.5, 0], abs=1e-6)
    assert list(table.columns) == ["id", "name", "population", "share", "status"]
    # With discs of 20 km all are on the line.
    wide = settlements.status(WEST, PLACES, radius_km=20)
    assert set(wide["status"]) == {"on the line"}
    assert wide["share"].is_monotonic_decreasing


@pytest.mark.parametrize("ground", [shapely.MultiPolygon(), boxes((0, 0, 1, 1))])
def test_without_ground_near_all_are_outside(ground):
    table = settlements.status(ground, PLACES)
    assert set(table["status"]) == {"outside"}
    assert (table["share"] == 0).all()


def test_status_keeps_the_order_and_index_of_the_places():
    shuffled = PLACES.sample(frac=1, random_state=1)
    table = settlements.status(WEST, shuffled)
    assert table.index.equals(shuffled.index)
    assert table["id"].equals(shuffled["id"])
    assert settlements.status(WEST, PLACES.iloc[:0]).empty


def test_settlements_that_came_under_and_left():
    before, after = boxes((37.0, 48.0, 37.15, 48.1)), boxes((37.15, 48.0, 37.4, 48.1))
    table = settlements.changed(before, after, PLACES)
    # The largest first; all of each came or went.
    assert table["id"].tolist() == ["p3", "p1", "p2"]
    assert table["change"].tolist() == ["came under", "left", "came under"]
    assert table["share_before"].tolist() == pytest.approx([0, 1, 0])
    assert table["share_after"].tolist() == pytest.approx([1, 0, 1], abs=0.01)
    back = settlements.changed(after, before, PLACES)
    assert back["change"].tolist() == ["left", "came under", "left"]
    assert settlements.changed(before, before, PLACES).empty
    assert list(settlements.changed(before, before, PLACES).columns) == list(table.columns)


def test_half_is_not_enough_and_a_little_more_is():
    line = 37.2
    nothing = shapely.MultiPolygon()
    came = settlements.changed(nothing, boxes((36, 47, line - 1e-4, 49)), PLACES)
    assert came["id"].tolist() == ["p1"]
    came = settlements.changed(nothing, boxes((36, 47, line + 1e-4, 49)), PLACES)
    assert sorted(came["id"]) == ["p1", "p2"]


def test_only_those_within_a_sector():
    sector = shapely.box(37.15, 48.0, 37.25, 48.1)
    table = settlements.changed(
        shapely.MultiPolygon(), boxes((36, 47, 38, 49)), PLACES, within=sector
    )
    assert table["id"].tolist() == ["p2"]


def test_confidence_is_of_coordinates_and_of_the_distance_to_the_line():
    ground = boxes((37.0, 47.0, 38.0, 49.0))
    near = 0.1 / 74.6  # 100 m of longitude
    spots = places(
        (1, (37.5, 48, 100)),  # far inside
        (2, (37.5, 48, 100, "B")),
        (3, (37.5, 48, 100, "C")),
        (4, (37 + near, 48, 100)),  # within 200 m of the line
        (5, (37 + 2.5 * near, 48, 100)),  # 250 m, so that part of its disc is outside
    )
    table = settlements.changed(shapely.MultiPolygon(), ground, spots).set_index("id")
    assert table["confidence"].to_dict() == {
        "p1": "high",
        "p2": "medium",
        "p3": "low",
        "p4": "low",
        "p5": "medium",
    }
    assert table["distance_km"]["p4"] == pytest.approx(0.1, rel=0.01)
    # A source that may be off by more knows less.
    rough = settlements.changed(
        shapely.MultiPolygon(), ground, spots, positional_error_m=1500
    ).set_index("id")
    assert rough["confidence"]["p5"] == "low"
    gone = settlements.changed(ground, shapely.MultiPolygon(), spots).set_index("id")
    assert gone["distance_km"].isna().all()
    assert gone["confidence"]["p1"] == "high"


def test_history_tells_the_first_and_the_last_change_of_each():
    lines = {1: 37.0, 2: 37.15, 3: 37.15, 4: 37.4, 6: 37.15}
    days = [snapshot(boxes((36, 47, east, 49)), day) for day, east in lines.items()]
    followed = settlements.history(days, PLACES, tier="presence")
    assert list(followed.columns) == list(settlements.HISTORY_COLUMNS)
    assert len(followed) == len(days) * len(PLACES)
    for day, rows in zip(days, [rows for _, rows in followed.groupby("day")], strict=True):
        now = settlements.status(day.tier("presence"), PLACES)
        assert rows["status"].tolist() == now["status"].tolist()
        assert rows["share"].tolist() == pytest.approx(now["share"].tolist())
        assert set(rows["day"]) == {pd.Timestamp(day.day)}
    turned = settlements.turning_days(followed).set_index("id")
    first, last, often = (turned[c] for c in ("first_change", "last_change", "changes"))
    assert turned.loc["p1", ["before", "after"]].tolist() == ["outside", "inside"]
    assert (first["p1"], last["p1"], often["p1"]) == (JANUARY[2], JANUARY[2], 1)
    assert turned.loc["p3", ["before", "after"]].tolist() == ["outside", "outside"]
    assert (first["p3"], last["p3"], often["p3"]) == (JANUARY[4], JANUARY[6], 2)
    # What another was before is no change of its own, nor is the order of the rows.
    assert often["p2"] == 2
    mixed = followed.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(settlements.turning_days(mixed).set_index("id"), turned)
    within = settlements.history(
        days, PLACES, tier="presence", within=shapely.box(37, 47, 37.16, 49)
    )
    assert set(within["id"]) == {"p1"}


def test_a_map_is_measured_once_for_the_same_disc(monkeypatch):
    def followed(days, some, **options):
        return settlements.history(days, some, tier="presence", **options)

    days = [snapshot(boxes((36, 47, east, 49)), day) for day, east in ((1, 37.0), (2, 37.15))]
    usual = followed(days, PLACES)
    measured = []
    plain = settlements._shares

    def counted(grounds, discs):
        measured.append((len(grounds), len(discs)))
        return plain(grounds, discs)

    monkeypatch.setattr(settlements, "_shares", counted)
    pd.testing.assert_frame_equal(followed(days, PLACES), usual)
    assert (
        followed(days, PLACES[1:])["share"].tolist() == usual.iloc[[1, 2, 4, 5]]["share"].tolist()
    )
    assert not measured
    # Another day, other discs, another tier.
    followed([*days, snapshot(boxes((36, 47, 37.2, 49)), 3)], PLACES)
    assert measured.pop()[0] == 1
    wide = followed(days, PLACES, margin_km=1.0)
    pd.testing.assert_series_equal(wide["share"], usual["share"])
    assert measured.pop() == (2, 3)
    settlements.history(days, PLACES, tier="control")
    assert measured.pop() == (2, 3)
    moved = PLACES.assign(lon=[*PLACES["lon"][:2], 38.0])
    fresh = [snapshot(day.tier("presence"), day.day.day) for day in days]
    pd.testing.assert_frame_equal(followed(days, moved), followed(fresh, moved))
    assert measured == [(2, 1), (2, 3)]


def test_a_history_of_days_that_do_not_tell_the_tier_is_empty():
    days = [snapshot(boxes((36, 47, 37, 49)), 1)]
    empty = settlements.history(days, PLACES, tier="ukrainian_held")
    assert empty.empty
    assert settlements.turning_days(empty).empty


@marked
def test_real_settlements():
    spots = places(
        (1, (37.2826, 47.9853, 18_000)),  # Kurakhove
        (2, (37.1097, 48.1528, 500)),  # Novoielyzavetivka
        (3, (37.8, 48.0, 900_000)),  # Donetsk
        (4, (37.55, 48.72, 147_000)),  # Kramatorsk
    )
    before, after = (real_map(f).tier("presence") for f in ("20241101", "20250131"))
    assert settlements.status(before, spots)["status"].tolist() == [
        "outside",
        "outside",
        "inside",
        "outside",
    ]
    table = settlements.changed(before, after, spots)
    assert table["id"].tolist() == ["p1", "p2"]
    assert set(table["change"]) == {"came under"}
