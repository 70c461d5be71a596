import dataclasses
import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import example, given, settings
from hypothesis import strategies as st

from grounds import (
    DEEPSTATE,
    KURAKHOVE,
    TORETSK,
    area,
    boxes,
    marked,
    oblasts,
    real_map,
    real_maps,
    snapshot,
)
from helpers import changes, cuts, measures, reference
from helpers.errors import ParameterError, SnapshotError
from helpers.projection import area_km2, length_km
from helpers.schema import DAY_LABELS, MEASURE_COLUMNS

SECTOR = area("box", shapely.box(37.0, 48.0, 37.2, 48.1))
CHANGES = ["gained_km2", "lost_km2", "net_km2", "sliver_km2", "change_error_km2"]


def strip(west, east):
    return shapely.box(west, 47.9, east, 48.2)


def strip_km2(degrees):
    return degrees * area_km2(SECTOR.polygon) / 0.2


def daily(maps, sectors=(SECTOR,), **more):
    return measures.daily(maps, sectors, source=DEEPSTATE, **more)


# By hand ------------------------------------------------------------------------------------


def test_a_line_that_advances_and_withdraws():
    table = daily(
        [
            snapshot(strip(37.1, 38), 1),
            snapshot(strip(37.05, 38), 2),
            snapshot(strip(37.05, 38), 3),
            snapshot(strip(37.08, 38), 7),
        ]
    )
    assert list(table.columns) == list(MEASURE_COLUMNS)
    assert table["area_km2"].tolist() == pytest.approx(
        [strip_km2(d) for d in (0.1, 0.15, 0.15, 0.12)]
    )
    assert table["gained_km2"].tolist()[1:] == pytest.approx([strip_km2(0.05), 0, 0])
    assert table["lost_km2"].tolist()[1:] == pytest.approx([0, 0, strip_km2(0.03)])
    assert table["net_km2"].tolist()[1:] == pytest.approx([strip_km2(0.05), 0, -strip_km2(0.03)])
    assert table["note"].tolist() == ["first day", "", "no update", "after a gap of 3 days"]
    assert table["elapsed_days"].tolist()[1:] == [1, 1, 4]
    assert pd.isna(table["elapsed_days"][0])
    assert table.loc[0, CHANGES].isna().all()
    line = length_km(shapely.LineString([(37.1, 48.0), (37.1, 48.1)]))
    assert table["area_error_km2"].tolist() == pytest.approx([0.2 * line] * 4)
    assert table["change_error_km2"].tolist()[1:] == pytest.approx([0.2 * line, 0, 0.2 * line])
    assert (table["source"] + table["sector"] + table["tier"]).unique() == "deepstateboxpresence"
    assert table["day"].tolist() == [pd.Timestamp(2025, 1, d) for d in (1, 2, 3, 7)]


def test_dtypes_do_not_depend_on_the_data():
    one = daily([snapshot(strip(37.1, 38))])
    two = daily([snapshot(strip(37.1, 38)), snapshot(strip(37, 38), 2)])
    none = daily([])
    assert one.dtypes.equals(two.dtypes)
    assert none.empty
    assert list(none.columns) == list(MEASURE_COLUMNS)
    assert str(two["day"].dtype) == "datetime64[s]"
    assert str(two["elapsed_days"].dtype) == "Int64"


def test_a_gap_of_one_day_is_singular():
    table = daily([snapshot(strip(37.1, 38)), snapshot(strip(37.1, 38), 3)])
    assert table["note"][1] == "no update; after a gap of 1 day"


def test_a_copy_of_one_layer_is_an_update_where_another_layer_changed():
    one = dataclasses.replace(
        snapshot(strip(37.1, 38)),
        layers={"assessed_control": strip(37.1, 38), "assessed_advance": strip(37.0, 37.1)},
    )
    two = dataclasses.replace(
        snapshot(strip(37.1, 38), 2),
        layers={"assessed_control": strip(37.1, 38), "assessed_advance": strip(37.05, 37.1)},
    )
    table = daily([one, two], tier="control")
    assert table["note"][1] == ""
    assert table["net_km2"][1] == 0
    assert daily([one, two])["net_km2"][1] == pytest.approx(-strip_km2(0.05))


def test_gains_and_losses_that_are_both_large_are_a_redraw():
    one = boxes((37.0, 48.0, 37.05, 48.1))  # 41 km²
    assert daily([snapshot(one), snapshot(boxes((37.1, 48.0, 37.13, 48.1)), 2)])["note"][1] == (
        "redrawn"
    )
    for other in (
        boxes((37.1, 48.0, 37.11, 48.1)),  # a fifth of the loss
        boxes((37.0, 48.0, 37.1, 48.1)),  # no loss
    ):
        assert daily([snapshot(one), snapshot(other, 2)])["note"][1] == ""
    small = [boxes((37.0, 48.0, 37.02, 48.1)), boxes((37.1, 48.0, 37.12, 48.1))]  # 17 km² each
    assert daily([snapshot(small[0]), snapshot(small[1], 2)])["note"][1] == ""


def test_depth_is_how_far_the_advance_reaches_beyond_the_old_line():
    kilometres = [
        length_km(shapely.LineString([(west, 48.05), (37.1, 48.05)])) for west in (37.04, 37.08)
    ]
    deep = shapely.union_all(
        [strip(37.1, 38), *boxes((37.04, 48.04, 37.1, 48.06), (37.08, 48.01, 37.1, 48.02)).geoms]
    )
    table = daily([snapshot(strip(37.1, 38)), snapshot(deep, 2), snapshot(strip(37.1, 38), 3)])
    assert table["depth_km"][1] == pytest.approx(kilometres[0], rel=2e-3)
    assert table["depth_km"].isna().tolist() == [True, False, True]  # a withdrawal has none
    shallow = shapely.union(strip(37.1, 38), shapely.box(37.08, 48.01, 37.1, 48.02))
    table = daily([snapshot(strip(37.1, 38)), snapshot(shallow, 2)])
    assert table["depth_km"][1] == pytest.approx(kilometres[1], rel=2e-3)
    island = shapely.union(strip(37.1, 38), shapely.box(37.02, 48.04, 37.04, 48.06))
    table = daily([snapshot(strip(37.1, 38)), snapshot(island, 2)])
    assert math.isnan(table["depth_km"][1])  # it reaches beyond no line of its own
    assert table["gained_km2"][1] > 1


def test_the_depth_of_a_retreat_of_ukrainian_held_ground_is_the_advance():
    sector = dataclasses.replace(SECTOR, measure="ukrainian_held")
    maps = [snapshot(strip(w, 38), d, "ukrainian_held") for w, d in ((37.1, 1), (37.15, 2))]
    expected = length_km(shapely.LineString([(37.1, 48.05), (37.15, 48.05)]))
    table = daily(maps, [sector])
    assert table["depth_km"][1] == pytest.approx(expected, rel=1e-2)
    assert table["label"][1] == "advanced"


def test_rate_and_line_of_contact():
    table = daily([snapshot(strip(37.1, 38)), snapshot(strip(37.05, 38), 6)])
    assert table["rate_km2_day"][1] == pytest.approx(strip_km2(0.05) / 5)
    assert math.isnan(table["rate_km2_day"][0])
    line = length_km(shapely.LineString([(37.1, 48.0), (37.1, 48.1)]))
    assert table["contact_km"].tolist() == pytest.approx([line] * 2)
    assert table["area_error_km2"].tolist() == pytest.approx([0.2 * line] * 2)


def both(control, advance, day):
    layers = {"assessed_control": control, "assessed_advance": advance}
    return dataclasses.replace(snapshot(control, day), layers=layers)


def test_each_day_has_one_label():
    redrawn = boxes((37.0, 48.0, 37.05, 48.1))
    table = daily(
        [
            snapshot(strip(37.1, 38), 1),
            snapshot(strip(37.05, 38), 2),
            snapshot(strip(37.05, 38), 3),
            snapshot(strip(37.06, 38), 5),
            snapshot(redrawn, 6),
        ]
    )
    assert table["label"].tolist() == [
        "first day",
        "advanced",
        "no update",
        "withdrawn",
        "redrawn",
    ]
    assert table["note"][3] == "after a gap of 1 day"
    assert set(table["label"]) <= set(DAY_LABELS)


def test_a_change_elsewhere_is_no_change_here():
    north = shapely.union(strip(37.1, 38), shapely.box(37.0, 48.3, 37.2, 48.4))
    table = daily([snapshot(strip(37.1, 38)), snapshot(north, 2)])
    assert table["label"].tolist() == ["first day", "no change"]


def test_ground_that_moves_between_tiers_is_reclassified_and_only_where_it_does():
    west, east = strip(37.0, 37.5), strip(37.5, 39.5)
    maps = [both(east, west, 1), both(shapely.union(east, west), boxes(), 2)]
    elsewhere = dataclasses.replace(area("far", shapely.box(39, 48, 39.2, 48.1)))
    table = daily(maps, [SECTOR, elsewhere], tier="control").set_index("sector")["label"]
    assert table["box"].tolist() == ["first day", "reclassified"]
    assert table["far"].tolist() == ["first day", "no change"]
    assert daily(maps, tier="presence")["label"][1] == "reclassified"
    assert daily(maps, tier="presence")["net_km2"][1] == 0
    plain = [both(east, west, 1), both(shapely.union(east, strip(37.4, 37.5)), west, 2)]
    assert daily(plain, [area("both", shapely.box(37.0, 48.0, 37.6, 48.1))], tier="control")[
        "label"
    ][1] == ("advanced")


def test_ukrainian_held_ground_has_the_same_sign():
    sector = dataclasses.replace(SECTOR, measure="ukrainian_held")
    table = daily(
        [
            snapshot(strip(37.1, 38), 1, "ukrainian_held"),
            snapshot(strip(37.15, 38), 2, "ukrainian_held"),
        ],
        [sector],
    )
    assert table["net_km2"][1] == pytest.approx(strip_km2(0.05))
    assert table["area_km2"].diff()[1] == pytest.approx(-strip_km2(0.05))
    assert table["gained_km2"][1] > 0
    assert table["lost_km2"][1] == 0
    assert set(table["tier"]) == {"ukrainian_held"}


def test_the_whole_map_is_the_sector_all():
    maps = [snapshot(strip(37.1, 38), 1), snapshot(strip(37.05, 38), 2)]
    table = daily(maps, whole=True)
    assert table["sector"].tolist() == ["box", "box", "all", "all"]
    alone = daily(maps, None, whole=True)
    assert alone.equals(table[table["sector"] == "all"].reset_index(drop=True))
    assert alone["area_km2"].tolist() == pytest.approx(
        [area_km2(strip(37.1, 38)), area_km2(strip(37.05, 38))]
    )
    assert alone["area_error_km2"][1] == pytest.approx(0.2 * length_km(strip(37.05, 38)))


def test_the_state_border_is_no_line_of_contact():
    border = shapely.LineString([(37.15, 47), (37.15, 49)])
    maps = [
        snapshot(boxes((37.0, 47.5, 37.15, 48.5)), 1),
        snapshot(boxes((37.05, 47.5, 37.15, 48.5)), 2),
    ]
    line = length_km(shapely.LineString([(37.1, 48.0), (37.1, 48.1)]))
    table = daily(maps, border=border, whole=True)
    assert table["area_error_km2"].tolist()[:2] == pytest.approx([0, 0.2 * line], abs=1e-9)
    assert daily(maps)["area_error_km2"].tolist() == pytest.approx([0.2 * line, 0.4 * line])
    west, sides = (
        0.2 * length_km(shapely.LineString([(37.05, 47.5), (37.05, 48.5)])),
        0.2
        * (
            length_km(shapely.LineString([(37.05, 47.5), (37.15, 47.5)]))
            + length_km(shapely.LineString([(37.05, 48.5), (37.15, 48.5)]))
        ),
    )
    assert table["area_error_km2"][3] == pytest.approx(west + sides, rel=0.01)


@pytest.mark.parametrize(
    ("maps", "options", "message"),
    [
        ([snapshot(strip(37, 38), source="reconstruction")], {}, "cannot be measured as deepstate"),
        ([snapshot(strip(37, 38), 2), snapshot(strip(37, 38), 1)], {}, "01-01 follows 2025-01-02"),
        ([snapshot(strip(37, 38), 2), snapshot(strip(37, 38), 2)], {}, "not in order"),
        ([], {"tier": "contrl"}, "Did you mean 'control'"),
        ([], {"sectors": None}, "Nothing to measure"),
    ],
)
def test_what_cannot_be_measured_is_an_error(maps, options, message):
    with pytest.raises(ParameterError, match=message):
        daily(maps, **options)


def test_a_tier_that_the_source_does_not_draw_is_an_error():
    with pytest.raises(SnapshotError, match="does not tell the tier 'claimed'"):
        daily([snapshot(strip(37, 38))], tier="claimed")


def test_a_new_export_is_marked_and_its_level_is_exact():
    angle = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    corners = np.column_stack([37.1 + 0.06 * np.cos(angle), 48.05 + 0.06 * np.sin(angle)])
    noise = np.zeros_like(corners)
    noise[::2] = 4e-7
    maps = [snapshot(shapely.Polygon(corners + noise * k), k + 1) for k in (0, 1, 0)]
    maps[2] = dataclasses.replace(maps[2], day=maps[2].day.replace(day=3))
    table = daily(maps)
    assert table["note"].tolist() == ["first day", "re-quantised", "re-quantised"]
    exact = [area_km2(cuts.clip(m.tier("presence"), SECTOR.polygon)) for m in maps]
    assert table["area_km2"].tolist() == pytest.approx(exact, abs=1e-9)
    assert table["net_km2"].tolist()[1:] == pytest.approx(np.diff(exact), abs=1e-9)
    assert (table["gained_km2"] + table["lost_km2"]).tolist()[1:] == pytest.approx(
        table["sliver_km2"].tolist()[1:]
    )
    assert table["sliver_km2"][1] < 0.01


# Since the first day ------------------------------------------------------------------------


def test_ground_that_was_lost_and_came_back_is_no_change_since_the_first_day():
    grounds = [strip(37.1, 38), strip(37.15, 38), strip(37.05, 38), strip(37.1, 38)]
    maps = [snapshot(ground, i + 1) for i, ground in enumerate(grounds)]
    table = measures.since(maps, [SECTOR], source=DEEPSTATE)
    assert list(table.columns) == list(measures.SINCE_COLUMNS)
    assert table["gained_km2"].tolist() == pytest.approx([0, 0, strip_km2(0.05), 0], abs=1e-9)
    assert table["lost_km2"].tolist() == pytest.approx([0, strip_km2(0.05), 0, 0], abs=1e-9)
    assert table["net_km2"].equals(table["gained_km2"] - table["lost_km2"])
    held = [dataclasses.replace(m, tiers=("ukrainian_held",), layers={"ukrainian_held": g})
            for m, g in zip(maps, grounds, strict=True)]  # fmt: skip
    falls = measures.since(held, [SECTOR], source=DEEPSTATE, tier="ukrainian_held")
    assert falls["gained_km2"].equals(table["lost_km2"])
    assert falls["lost_km2"].equals(table["gained_km2"])
    assert measures.since([], [SECTOR], source=DEEPSTATE).empty


# Laws ---------------------------------------------------------------------------------------

CELL = st.tuples(st.integers(0, 5), st.integers(0, 5))
GROUND = st.sets(CELL, max_size=20).map(
    lambda cells: boxes(
        *[(37 + x / 10, 48 + y / 10, 37.1 + x / 10, 48.1 + y / 10) for x, y in cells]
    )
)
# Four quarters of all the ground there is, their edges off those of the grid.
QUARTERS = [
    area(f"{west}{south}", shapely.box(west, south, west + 1, south + 1))
    for west in (36.333, 37.333)
    for south in (47.222, 48.222)
]


@given(st.lists(GROUND, min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_laws_of_measures(grounds):
    table = daily([snapshot(g, i + 1) for i, g in enumerate(grounds)], QUARTERS, whole=True)
    table["step"] = table.groupby("sector")["area_km2"].diff()
    later = table[table["step"].notna()]
    # Gained minus lost is the change of area, for each sector and day.
    assert later["net_km2"].tolist() == pytest.approx(later["step"].tolist(), abs=1e-7)
    assert later["net_km2"].equals(later["gained_km2"] - later["lost_km2"])
    # The sectors and the rest are all: here there is no rest.
    by_day = table.groupby(["day", table["sector"] == "all"])
    for column in ("area_km2", "gained_km2", "lost_km2"):
        parts, whole = by_day[column].sum().unstack().to_numpy().T
        assert parts.tolist() == pytest.approx(whole.tolist(), abs=1e-6)


@given(GROUND, GROUND)
@settings(max_examples=40, deadline=None)
def test_presence_is_control_with_advance(control, more):
    advance = shapely.difference(more, control)
    day = both(control, advance, 1)
    presence, *parts = (
        daily([day], [*QUARTERS], tier=tier)["area_km2"].to_numpy()
        for tier in ("presence", "control")
    )
    alone = [area_km2(cuts.clip(advance, q.polygon)) for q in QUARTERS]
    assert presence.tolist() == pytest.approx((parts[0] + alone).tolist(), abs=1e-6)


@given(st.lists(GROUND, min_size=2, max_size=4))
@settings(max_examples=40, deadline=None)
def test_labels_follow_from_the_numbers(grounds):
    table = daily([snapshot(g, i + 1) for i, g in enumerate(grounds)], QUARTERS)
    for row in table.itertuples():
        sign = {"advanced": 1, "withdrawn": -1, "no change": 0, "no update": 0}.get(row.label)
        if sign is not None:
            assert np.sign(round(row.net_km2, 6)) == sign
        assert not row.depth_km < 0
        assert row.label != "advanced" or not row.depth_km > 200


@given(st.lists(GROUND, min_size=1, max_size=5))
@settings(max_examples=40, deadline=None)
def test_since_the_first_day_is_the_difference_from_it(grounds):
    maps = [snapshot(g, i + 1) for i, g in enumerate(grounds)]
    table = measures.since(maps, QUARTERS, source=DEEPSTATE)
    for sector in QUARTERS:
        rows = table[table["sector"] == sector.key]
        cut = [cuts.clip(g, sector.polygon) for g in grounds]
        gained = [area_km2(shapely.difference(c, cut[0])) for c in cut]
        lost = [area_km2(shapely.difference(cut[0], c)) for c in cut]
        assert rows["gained_km2"].tolist() == pytest.approx(gained, abs=1e-6)
        assert rows["lost_km2"].tolist() == pytest.approx(lost, abs=1e-6)


# In the second map a line is drawn 10^-15 degrees from where the first has it.
@example(
    boxes(*[(37.1, 48.3, 37.2, 48.4), (37.2, 48.2, 37.3, 48.3 + 7e-15), (37.3, 48.3, 37.4, 48.4)]),
    boxes((37.2, 48.2, 37.3 + 7e-15, 48.3 + 7e-15)),
)
@given(GROUND, GROUND)
@settings(max_examples=60, deadline=None)
def test_a_day_is_measured_like_two_maps_compared(before, after):
    maps = [snapshot(before, 1), snapshot(after, 2)]
    border = shapely.LineString([(37.25, 47), (37.25, 49)])
    for sector in QUARTERS[:2]:
        row = daily(maps, [sector], border=border).iloc[1]
        change = changes.in_sector(sector, *maps, source=DEEPSTATE, border=border)
        for ours, theirs in {
            "area_km2": change.area_after_km2,
            "gained_km2": change.gained_km2,
            "lost_km2": change.lost_km2,
            "sliver_km2": change.sliver_km2,
            "area_error_km2": change.area_error_km2,
            "change_error_km2": change.change_error_km2,
        }.items():
            assert row[ours] == pytest.approx(theirs, abs=1e-6), ours


# Real days ----------------------------------------------------------------------------------

EXACT_KM2 = 1e-6


def check_against_direct_intersection(table, sector, maps):
    rows = table[table["sector"] == sector.key].reset_index(drop=True)
    again = rows["note"].str.contains("re-quantised").to_numpy()
    cut = [shapely.intersection(m.tier("presence"), sector.polygon) for m in maps]
    assert np.abs(area_km2(np.array(cut)) - rows["area_km2"]).max() < EXACT_KM2
    gained = [area_km2(shapely.difference(b, a)) for a, b in pairwise(cut)]
    lost = [area_km2(shapely.difference(a, b)) for a, b in pairwise(cut)]
    off = np.maximum(np.abs(gained - rows["gained_km2"][1:]), np.abs(lost - rows["lost_km2"][1:]))
    assert off[~again[1:]].max() < EXACT_KM2
    assert off.max() < 0.02  # the noise of a new export


@marked
def test_every_real_day_equals_the_direct_intersection():
    maps = real_maps()
    table = daily(maps, [TORETSK, KURAKHOVE])
    for sector in (TORETSK, KURAKHOVE):
        check_against_direct_intersection(table, sector, maps)


@marked
@pytest.mark.slow
def test_every_real_day_equals_the_direct_intersection_in_every_oblast():
    maps = real_maps()
    sectors = oblasts()
    assert len(sectors) == 27
    table = daily(maps, sectors)
    for sector in sectors:
        check_against_direct_intersection(table, sector, maps)


@marked
def test_the_coast_is_no_line_of_contact():
    crimea, kherson = (reference.sector(key) for key in ("UKR-283", "UKR-4827"))
    lines = [
        daily([real_map("20250109")], [crimea, kherson], border=border)["contact_km"].to_numpy()
        for border in (reference.border(), reference.outer_edges())
    ]
    assert lines[0][0] > 100
    assert lines[1][0] < 1
    assert lines[1][1] < 0.6 * lines[0][1]
    assert lines[1][1] > 150  # the Dnipro is a line, as drawn


@marked
def test_real_notes():
    table = daily(real_maps(), [KURAKHOVE]).set_index("day")["note"]
    assert table["2024-08-19"] == "after a gap of 2 days"
    assert table["2025-01-01"] == "after a gap of 1 day"
    for day in ("2024-09-13", "2024-09-14", "2024-09-29", "2024-09-30", "2024-12-28"):
        assert "re-quantised" in table[day]
    assert "no update" in set(table)
    assert not table.str.contains("redrawn").any()


@marked
@pytest.mark.parametrize(
    ("first_file", "last_file", "published"),
    [
        # Assessed days: the end of the month before, and that of the month; files are a day later.
        ("20240801", "20240901", 363),
        ("20241101", "20241201", 730),
        # No file shows 31 December or 31 January: 30 December to 30 January.
        ("20241231", "20250131", 325),
    ],
)
def test_published_months_of_deepstate(first_file, last_file, published):
    maps = [m for m in real_maps() if real_map(first_file).day <= m.day <= real_map(last_file).day]
    table = daily(maps, None, whole=True)
    assert table["net_km2"].sum() == pytest.approx(published, rel=0.03)
    level = [area_km2(real_map(f).tier("presence")) for f in (first_file, last_file)]
    assert table["net_km2"].sum() == pytest.approx(level[1] - level[0], abs=1e-6)


@marked
def test_real_days_since_the_first():
    maps = real_maps()
    table = measures.since(maps, [KURAKHOVE], source=DEEPSTATE, whole=True)
    for key, polygon, days in (("kurakhove", KURAKHOVE.polygon, (1, 90, -1)), ("all", None, (-1,))):
        rows = table[table["sector"] == key]
        for day in days:
            ends = [maps[i].tier("presence") for i in (0, day)]
            if polygon is not None:
                ends = [cuts.clip(ground, polygon) for ground in ends]
            gained, lost = shapely.difference(ends[1], ends[0]), shapely.difference(*ends)
            assert rows["gained_km2"].iloc[day] == pytest.approx(area_km2(gained), abs=0.02)
            assert rows["lost_km2"].iloc[day] == pytest.approx(area_km2(lost), abs=0.02)


@marked
def test_a_new_day_is_the_same_alone_or_with_the_archive():
    maps = real_maps()[-20:]
    whole = daily(maps, [TORETSK, KURAKHOVE]).groupby("sector").tail(1).reset_index(drop=True)
    alone = daily(maps[-2:], [TORETSK, KURAKHOVE]).groupby("sector").tail(1).reset_index(drop=True)
    columns = list(whole.select_dtypes("float64"))
    assert {"net_km2", "depth_km", "contact_km", "rate_km2_day"} <= set(columns)
    assert np.abs(whole[columns] - alone[columns]).max().max() < 1e-6
    assert math.isfinite(alone["net_km2"].sum())
    others = [column for column in MEASURE_COLUMNS if column not in columns]
    assert whole[others].equals(alone[others])
