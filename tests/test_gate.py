"""Each rule seen firing, on a case as published or faithfully made, and seen quiet beside it."""

from datetime import date, timedelta

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from helpers import gate
from helpers.gate import ACCEPTED, NOTED, QUARANTINED, Day, Layer, Override, Strays, clean, judge

TODAY = date(2026, 6, 1)
CONTROL, ADVANCE = "assessed_control", "assessed_advance"


def days(*areas, start=date(2025, 1, 1), step=1, advance=None):
    """A day each, with that much control; the same area is the same map."""
    found = []
    for number, area in enumerate(areas):
        layers = {CONTROL: Layer(area, f"c{area}")}
        if advance is not None:
            layers[ADVANCE] = Layer(advance[number], f"a{advance[number]}")
        found.append(Day(start + timedelta(days=step * number), layers))
    return found


def statuses(entries, **options):
    return [v.status for v in judge(entries, today=TODAY, **options)]


def said(entries, number, **options):
    verdict = judge(entries, today=TODAY, **options)[number]
    return "; ".join([*verdict.reasons, *verdict.notes])


def test_a_quiet_series_is_accepted():
    # DeepState's largest real steps: +92 and -120 km² in a day.
    assert statuses(days(111_000, 111_010, 111_102, 110_982)) == [ACCEPTED] * 4


@pytest.mark.parametrize(
    ("day", "message"),
    [
        (date(2202, 2, 2), "impossible date: 2202-02-02 is after 2026-06-01"),
        (date(2021, 12, 31), "impossible date: 2021-12-31 is before 2022-02-24"),
        (TODAY + timedelta(days=1), "is after 2026-06-01"),
    ],
)
def test_an_impossible_date_is_quarantined_and_its_neighbours_are_not(day, message):
    entries = [*days(107_025, 107_030), Day(day, {CONTROL: Layer(107_025.7, "x")})]
    found = {v.day: v for v in judge(entries, today=TODAY)}
    assert found[day].status == QUARANTINED
    assert message in found[day].reasons[0]
    assert found[date(2025, 1, 2)].status == ACCEPTED


def test_a_day_cannot_be_fetched_before_it_was():
    first, second = days(100_000, 100_001)
    late = second._replace(retrieved=date(2025, 1, 1))
    assert "fetched on 2025-01-01, a day that was yet to come" in said([first, late], 1)
    assert statuses([first, second._replace(retrieved=date(2025, 1, 2))]) == [ACCEPTED] * 2


def test_a_missing_layer_is_quarantined_and_a_layer_of_its_own_is_not():
    lone = Day(date(2025, 1, 2), {ADVANCE: Layer(1_400, "a")})
    assert "the layer assessed_control is missing" in said([*days(110_000), lone], 1)
    # What was regained in Kursk is published alone, and says nothing of Donetsk.
    kursk = Day(date(2025, 1, 2), {"regained": Layer(600, "r")})
    assert statuses([*days(110_000), kursk]) == [ACCEPTED] * 2


def test_crimea_gone_for_a_day_is_quarantined_alone():
    # ISW, 29 September 2022: -26,931 km², and back the next day.
    entries = days(111_721, 84_790, 111_721, 111_700)
    assert statuses(entries) == [ACCEPTED, QUARANTINED, NOTED, ACCEPTED]
    assert "fell by 26,931 km² since 2025-01-01 and was back by 2025-01-03" in said(entries, 1)


def test_a_map_gone_for_three_days_is_quarantined_for_three():
    # NZZ, 9 to 11 December 2023: only the ground held before 2022 was left.
    entries = days(80_738, 16_619, 16_619, 16_619, 80_740)
    assert statuses(entries) == [ACCEPTED, QUARANTINED, QUARANTINED, QUARANTINED, NOTED]
    assert said(entries, 4) == "after a gap of 3 days"


@pytest.mark.parametrize(
    "areas",
    [
        (122_622, 119_631, 115_725, 116_526, 116_500),  # September 2022
        (160_834, 148_708, 145_000, 144_500),  # April 2022: -12,126 in a day
        (107_701, 91_082, 91_090, 91_100),  # 14 March 2024: the publisher left a region out
    ],
)
def test_a_fall_that_stays_is_asked_about_not_thrown_away(areas):
    entries = days(*areas)
    assert QUARANTINED not in statuses(entries)
    assert "a collapse, a change of definition or a fault? Ask" in said(entries, 1)


def test_the_newest_map_cannot_vouch_for_itself():
    assert "no later map confirms it" in said(days(111_721, 84_790), 1)
    # September 2022 stays below what is doubted.
    assert statuses(days(118_000, 114_094)) == [ACCEPTED, NOTED]


def test_a_long_gap_cannot_be_judged():
    entries = days(120_000, 107_000, step=500, start=date(2022, 9, 12))
    assert "too long a gap to judge" in said(entries, 1)
    assert statuses(entries) == [ACCEPTED, NOTED]


def test_an_old_map_under_a_new_date_is_quarantined():
    # ISW's "2026-01-25": to 0.01 km² the map of 2024-09-13, 4,864 km² less than the day before.
    entries = [
        *days(108_486.16, start=date(2024, 9, 13)),
        *days(110_000, 113_350, start=date(2025, 6, 1), step=200),
        Day(date(2026, 1, 25), {CONTROL: Layer(108_486.161, "other")}),
    ]
    assert "stale: the map of 2024-09-13 again, 4,864 km²" in said(entries, 3)
    assert statuses(entries)[:3] == [ACCEPTED, NOTED, NOTED]


def test_a_flip_flop_is_noted():
    # ISW, April 2024: A, B, A, B, 24 km² apart.
    entries = days(107_880.9, 107_904.3, 107_880.9, 107_904.3, start=date(2024, 4, 2), step=3)
    assert "the map of 2024-04-02 again" in said(entries, 2)
    assert QUARANTINED not in statuses(entries)


def test_a_copy_is_told_from_a_map_without_change():
    entries = days(100_000, 100_000)
    assert said(entries, 1) == "no update since 2025-01-01"
    other = entries[1]._replace(layers={CONTROL: Layer(100_000.001, "redrawn by a hair")})
    assert statuses([entries[0], other]) == [ACCEPTED, ACCEPTED]
    assert said(days(100_000, 100_010, step=3), 1) == "after a gap of 2 days"


@pytest.mark.parametrize(
    ("control", "advance", "moved"),
    [
        ((112_000, 113_103), (1_500, 501), "control +1,103 km², advance -999 km²"),  # 2025-08-11
        ((108_486, 109_389), (1_300, 472), "control +903 km², advance -828 km²"),  # 2024-11-03
        ((105_000, 101_543), (500, 3_913), "control -3,457 km², advance +3,413 km²"),  # Kherson
    ],
)
def test_ground_that_moves_between_tiers_is_reclassified(control, advance, moved):
    entries = days(*control, advance=advance)
    assert f"reclassified: {moved}" in said(entries, 1)
    assert QUARANTINED not in statuses(entries)


def test_an_advance_into_control_is_not_reclassified():
    assert statuses(days(112_000, 112_090, advance=(1_500, 1_420))) == [ACCEPTED] * 2
    # 12 April 2022: control grew by far more than advance lost.
    entries = days(100_000, 106_191, 106_191, advance=(9_000, 5_775, 5_775))
    assert "reclassified" not in said(entries, 1)


@pytest.mark.parametrize(
    ("gained", "lost", "redrawn"),
    [(194, 89, True), (53.2, 53.3, True), (158, 55, True), (15, 0, False), (91.7, 3, False)],
)
def test_a_redraw_is_noted(gained, lost, redrawn):
    first, second = days(68_516, 68_516 + gained - lost)
    layer = second.layers[CONTROL]._replace(gained_km2=gained, lost_km2=lost)
    assert ("redrawn" in said([first, second._replace(layers={CONTROL: layer})], 1)) == redrawn


def test_a_wrong_country_is_quarantined():
    # NZZ, 24 October 2023: 643,859 km² between Iran and India.
    ground = shapely.union_all([shapely.box(37, 47, 38, 48), shapely.box(60.5, 29.4, 74.9, 38.5)])
    kept, strays = clean(ground, CONTROL)
    assert kept.equals(shapely.box(37, 47, 38, 48))
    assert strays.outside_km2 > 500_000
    day = Day(date(2023, 10, 24), {CONTROL: Layer(16_619, "x", strays=strays)})
    (verdict,) = judge([day], today=TODAY)
    assert verdict.status == QUARANTINED
    assert "outside the theatre (60.5, 29.4, 74.9, 38.5)" in verdict.reasons[0]


def specks(count, size=0.01):
    """As in July 2026: crumbs over western Ukraine, Crimea and Russia."""
    return [shapely.box(24 + 0.1 * n, 50, 24 + 0.1 * n + size, 50 + size) for n in range(count)]


def test_specks_are_left_out_and_counted():
    main = shapely.box(37, 47, 38, 48)
    crumb_outside = shapely.box(65.2, 55.0, 65.21, 55.01)
    kept, strays = clean(shapely.union_all([main, *specks(85), crumb_outside]), CONTROL)
    assert kept.equals(main)
    assert (strays.specks, strays.specks_km2 > 0, 0 < strays.outside_km2 < 2) == (85, True, True)
    day = Day(date(2026, 5, 1), {CONTROL: Layer(8_000, "x", strays=strays)})
    (verdict,) = judge([day], today=TODAY)
    assert verdict.status == NOTED
    assert "85 specks of assessed_control far from any other" in verdict.notes[0]


def test_a_bridgehead_and_a_lone_pocket_are_no_specks():
    main = shapely.box(37, 47, 38, 48)
    bridgehead = [shapely.box(36.9 - 0.02 * n, 47.5, 36.91 - 0.02 * n, 47.51) for n in range(12)]
    for ground in (shapely.union_all([main, *bridgehead]), shapely.union_all([main, *specks(2)])):
        assert clean(ground, CONTROL) == (ground, Strays())
    # Claims and partisans are reported far from the line.
    ground = shapely.union_all([main, *specks(85)])
    assert clean(ground, "reported_partisan_warfare")[0] is ground


def test_an_unreadable_day_is_quarantined_and_cannot_be_admitted():
    entry = Day(date(2025, 1, 2), {}, None, ("unreadable: cut off",))
    admit = {entry.day: Override(True, "looks fine")}
    for overrides in ({}, admit):
        verdict = judge([*days(100), entry], today=TODAY, overrides=overrides)[1]
        assert (verdict.status, verdict.reasons) == (QUARANTINED, ("unreadable: cut off",))


def test_a_person_admits_a_day_and_the_next_are_measured_from_it():
    entries = days(111_721, 84_790, 111_721)
    admit = {date(2025, 1, 2): Override(True, "confirmed by the publisher")}
    found = judge(entries, today=TODAY, overrides=admit)
    assert found[1].status == NOTED
    assert found[1].notes[0] == "admitted by hand: confirmed by the publisher"
    assert "rose by 26,931 km² since 2025-01-02" in "; ".join(found[2].notes + found[2].reasons)


def test_a_person_takes_a_day_out():
    out = {date(2025, 1, 2): Override(False, "drawn from a false report")}
    found = judge(days(100_000, 100_010, 100_020), today=TODAY, overrides=out)
    assert [v.status for v in found] == [ACCEPTED, QUARANTINED, NOTED]
    assert found[1].reasons == ("quarantined by hand: drawn from a false report",)
    # The day after it follows the last day that counts.
    assert found[2].notes == ("after a gap of 1 day",)


def test_the_order_of_arrival_does_not_matter():
    entries = days(111_721, 84_790, 111_721, 111_700)
    assert judge(entries[::-1], today=TODAY) == judge(entries, today=TODAY)


def test_thresholds_leave_the_real_steps_of_a_month_alone():
    assert gate.ASK_KM2 > 10 * 120
    assert gate.UNCONFIRMED_KM2 > 3_906


# At the limits ------------------------------------------------------------------------------


def test_the_first_day_and_today_are_possible():
    first = Day(gate.FIRST_DAY, {CONTROL: Layer(100_000, "a")})
    last = Day(TODAY, {CONTROL: Layer(100_001, "b")})
    assert QUARANTINED not in statuses([first]) + statuses([last])


def test_an_override_that_refuses_does_not_let_an_impossible_day_judge_others():
    impossible = Day(TODAY + timedelta(days=1), {CONTROL: Layer(1.0, "x")})
    refused = {impossible.day: Override(accept=False, reason="no")}
    entries = [*days(100_000, 100_001, start=TODAY - timedelta(days=1)), impossible]
    verdicts = judge(entries, today=TODAY, overrides=refused)
    assert [v.status for v in verdicts] == [ACCEPTED, ACCEPTED, QUARANTINED]
    assert verdicts[2].reasons[0] == "quarantined by hand: no"
    without_maps = Day(TODAY + timedelta(days=1), {})
    accepted = {without_maps.day: Override(accept=True, reason="yes")}
    assert judge([without_maps], today=TODAY, overrides=accepted)[0].status == QUARANTINED


def test_a_quarantined_day_keeps_its_notes():
    noted = Layer(1_000, "x", strays=Strays(specks=12, specks_km2=3.0), note="repaired by 4 km²")
    other = Layer(10, "y", note="repaired by 4 km²")
    entries = days(111_000, 0, 111_000)
    entries[1] = entries[1]._replace(layers={CONTROL: noted, ADVANCE: other})
    verdict = judge(entries, today=TODAY)[1]
    assert verdict.status == QUARANTINED
    assert verdict.notes == (
        "12 specks of assessed_control far from any other, 3.0 km² in all, left out",
        "repaired by 4 km²",
    )


@pytest.mark.parametrize(
    ("gained", "lost", "redrawn"),
    [
        (60, 20, True),  # at both limits
        (60, 19.9, False),
        (60.1, 20, False),  # less than a third
        (30, 90, True),
        (None, 90, False),
        (30, None, False),
    ],
)
def test_a_redraw_is_large_and_alike(gained, lost, redrawn):
    before = Day(
        date(2025, 1, 1), {CONTROL: Layer(111_000, "a"), ADVANCE: Layer(500, "b", None, None)}
    )
    first = Layer(111_000.5, "c", None, None)
    after = Day(date(2025, 1, 2), {CONTROL: first, ADVANCE: Layer(500.5, "d", gained, lost)})
    assert ("assessed_advance redrawn" in said([before, after], 1)) is redrawn


def test_only_layers_that_both_days_have_are_compared():
    whole = Day(date(2025, 1, 1), {CONTROL: Layer(111_000, "a"), ADVANCE: Layer(2_000, "b")})
    part = Day(date(2025, 1, 2), {CONTROL: Layer(111_005, "c", 30, 25)})
    # Advance that is gone is not ground that fell; advance that comes is not ground that rose.
    assert "held ground" not in said([whole, part], 1)
    assert "held ground" not in said([part._replace(day=date(2024, 12, 31)), whole], 1)
    third = Day(date(2025, 1, 3), {CONTROL: Layer(111_000, "d"), ADVANCE: Layer(2_000, "e")})
    fell = Day(date(2025, 1, 2), {CONTROL: Layer(101_000, "f"), ADVANCE: Layer(2_000, "g")})
    bare = third._replace(layers={CONTROL: Layer(111_000, "d")})
    assert "was back by 2025-01-03" in said([whole, fell, bare], 1)


@pytest.mark.parametrize(
    ("control", "advance", "found"),
    [
        (100, -100, True),
        (99.9, -100, False),
        (160, -120, True),  # their sum is a quarter of the larger
        (160.1, -120, False),
        (120, 160, False),
        (0, 150, False),
        (0.5, 150, False),
    ],
)
def test_a_reclassification_at_its_limits(control, advance, found):
    assert gate.is_reclassified(control, advance) is found
    assert gate.is_reclassified(-control, -advance) is found


def scattered(size_km, n, lat=60.0):
    """A mainland and small squares far from it, as the crow flies, at a high latitude."""
    side = size_km / 111.2
    wide = side / 0.5  # cos(60°)
    squares = [shapely.box(30 + k, lat, 30 + k + wide, lat + side) for k in range(n)]
    return shapely.multipolygons([shapely.box(22, 50, 26, 54), *squares])


def test_specks_are_small_and_many(monkeypatch):
    monkeypatch.setattr(gate, "THEATRE", (20, 40, 60, 70))
    for size, n, found in ((1.3, 10, 10), (1.3, 9, 0), (1.6, 10, 0)):
        _, strays = clean(scattered(size, n), CONTROL)
        assert strays.specks == found, (size, n)
    near = shapely.box(26.1, 53, 26.11, 53.01)
    ground = shapely.union_all([scattered(1.3, 11), near])
    kept, strays = clean(ground, CONTROL)
    assert strays.specks == 11
    assert kept.intersects(near)
    assert strays.outside_bounds == ""


@pytest.mark.parametrize("bounds", [(42, 48, 43, 49), (20, 48, 21, 49), (30, 42, 31, 43)])
def test_ground_at_the_edge_of_the_theatre_stays(bounds):
    ground = shapely.MultiPolygon([shapely.box(*bounds), shapely.box(30, 48, 31, 49)])
    kept, strays = clean(ground, "claimed_control")
    assert (kept, strays) == (ground, Strays())
    west, south, east, north = bounds
    away = shapely.box(west + 40, south, east + 40, north)
    _, strays = clean(shapely.MultiPolygon([away, shapely.box(30, 48, 31, 49)]), "claimed_control")
    assert strays.outside_km2 > 1000
    assert strays.outside_bounds == f"{west + 40:.1f}, {south:.1f}, {east + 40:.1f}, {north:.1f}"
    only_south = shapely.box(30, 10, 31, 11)
    _, strays = clean(shapely.MultiPolygon([only_south, shapely.box(30, 48, 31, 49)]), "x")
    assert strays.outside_bounds == "30.0, 10.0, 31.0, 11.0"


def test_specks_are_told_by_distance_on_the_ground():
    """At 60° a degree of longitude is half as long: what is near must not be taken for far."""
    mainland_and_far = scattered(1.3, 11, lat=54.9)
    east, north = shapely.box(26.6, 52, 26.61, 52.01), shapely.box(24, 54.3, 24.01, 54.31)
    ground = shapely.union_all([mainland_and_far, east, north])
    kept, strays = clean(ground, CONTROL)
    assert strays.specks == 11
    assert kept.intersects(east)
    assert kept.intersects(north)


def test_an_impossible_day_is_told_of_that_alone():
    future = Day(TODAY + timedelta(days=1), {CONTROL: Layer(5_000, "x")})
    entries = [*days(111_000, 111_001, start=TODAY - timedelta(days=1)), future]
    assert judge(entries, today=TODAY)[2].reasons == (
        "impossible date: 2026-06-02 is after 2026-06-01",
    )


def test_only_a_day_that_counts_can_bear_witness():
    fell = days(111_000, 109_000, start=date(2025, 1, 1))
    late = Day(date(2025, 1, 3), {CONTROL: Layer(111_000, "c111000")}, date(2025, 1, 1))
    refused = {late.day: Override(accept=False, reason="no")}
    assert statuses([*fell, late])[1] != QUARANTINED
    assert statuses([*fell, late], overrides=refused)[1] != QUARANTINED
    accepted = {late.day: Override(accept=True, reason="yes")}
    assert "was back by 2025-01-03" in said([*fell, late], 1, overrides=accepted)


def test_no_update_means_every_layer():
    one, other = days(111_000, 111_000, advance=(500, 501))
    assert "no update" not in said([one, other], 1)
    same = other._replace(layers=one.layers)
    assert "no update since 2025-01-01" in said([one, same], 1)


def test_a_layer_that_one_of_three_days_lacks_is_no_witness():
    before, fell, after = days(111_000, 109_000, 109_000, advance=(500, 500, 2_500))
    bare = before._replace(layers={CONTROL: before.layers[CONTROL]})
    assert "and stayed so" in said([bare, fell, after], 1)
    lacking = fell._replace(layers={CONTROL: fell.layers[CONTROL]})
    assert "and stayed so" in said([before, lacking, after], 1)


def test_a_layer_that_was_not_there_is_not_redrawn():
    before, after = days(111_000, 111_001)
    new = after._replace(layers=after.layers | {ADVANCE: Layer(500, "n", 60, 60)})
    assert "redrawn" not in said([before, new], 1)


def test_a_small_archive_is_asked_about_a_quarter_of_its_ground():
    assert "held ground" not in said(days(1_000, 1_250), 1)
    assert "held ground rose by 251 km²" in said(days(1_000, 1_251), 1)
    assert "held ground" not in said(days(100, 220), 1)
    assert "held ground rose by 121 km²" in said(days(100, 221), 1)


@pytest.mark.parametrize("away", [(10, 48, 11, 49), (30, 60, 31, 61), (44, 48, 45, 49)])
def test_ground_off_the_theatre_in_any_direction_is_taken_out(away):
    _, strays = clean(shapely.MultiPolygon([shapely.box(*away), shapely.box(30, 48, 31, 49)]), "x")
    assert strays.outside_km2 > 1000


@pytest.mark.parametrize("parts", [1, 2])
def test_one_part_alone_is_no_speck(parts):
    boxes = [shapely.box(30 + k, 48, 30.001 + k, 48.001) for k in range(parts)]
    kept, strays = clean(shapely.MultiPolygon(boxes), CONTROL)
    assert (len(kept.geoms), strays) == (parts, Strays())


@given(
    st.lists(st.tuples(st.sampled_from("abcde"), st.integers(0, 6)), min_size=1, max_size=30),
    st.tuples(st.sampled_from("abcde"), st.integers(0, 6)),
)
def test_the_map_of_an_earlier_day_is_found(known, asked):
    """As by looking at one day after another, the last first."""
    layers = [gate.Layer(100 + step * 0.004, map_id) for map_id, step in (*known, asked)]
    days = [
        gate.Day(date(2025, 1, 1) + timedelta(days=n), {gate.CONTROL: layer})
        for n, layer in enumerate(layers)
    ]
    history = gate._History()
    for day in days[:-1]:
        history.add(day)

    def equal(one, other):
        return one.map_id == other.map_id or abs(one.area_km2 - other.area_km2) < gate.SAME_KM2

    same = [day for day in days[:-1] if equal(day.layers[gate.CONTROL], layers[-1])]
    expected = None if not same or same[-1] is days[-2] else same[-1]
    assert history.twin(layers[-1]) is expected
