import dataclasses
import math
from datetime import date
from itertools import pairwise

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod

from grounds import (
    DEEPSTATE,
    KURAKHOVE,
    TORETSK,
    area,
    boxes,
    marked,
    real_map,
    real_maps,
    snapshot,
)
from helpers import changes, cuts, edges, sources
from helpers.errors import ParameterError, SnapshotError
from helpers.projection import area_km2, length_km, metres_per_degree

SOUTH, NORTH = 48.0, 48.1
SECTOR = area("box", shapely.box(37.0, SOUTH, 37.2, NORTH))
GEOD = Geod(ellps="WGS84")


def strip(west, east):
    """Ground across the sector, and beyond it to the north and south."""
    return shapely.box(west, SOUTH - 0.1, east, NORTH + 0.1)


def strip_km2(degrees):
    """Area of so many degrees of longitude inside the sector."""
    return degrees * area_km2(SECTOR.polygon) / 0.2


def meridian_km(south=SOUTH, north=NORTH):
    return GEOD.inv(37.0, south, 37.0, north)[2] / 1000


def parallel_km(west, east, lat=SOUTH):
    """Length of an edge that is straight in longitude and latitude, as short chords."""
    lons = np.linspace(west, east, 200)
    return GEOD.line_length(lons, np.full(200, lat)) / 1000


def between(before, after, sector=SECTOR, **more):
    return changes.in_sector(
        sector, snapshot(before, 1), snapshot(after, 11), source=DEEPSTATE, **more
    )


# One sector ---------------------------------------------------------------------------------


def test_an_advance_of_a_straight_line():
    change = between(strip(37.1, 38.0), strip(37.05, 38.0))
    assert change.area_before_km2 == pytest.approx(strip_km2(0.1))
    assert change.area_after_km2 == pytest.approx(strip_km2(0.15))
    assert change.gained_km2 == pytest.approx(strip_km2(0.05))
    assert (change.lost_km2, change.sliver_km2) == (0, 0)
    assert change.net_km2 == change.gained_km2
    assert change.elapsed_days == 10
    assert (change.tier, change.before_day, change.after_day) == (
        "presence",
        date(2025, 1, 1),
        date(2025, 1, 11),
    )
    assert change.gained.equals(shapely.box(37.05, SOUTH, 37.1, NORTH))
    assert change.lost.is_empty
    # Old and new line are as long; the sector's own edge is neither.
    assert change.moved_line_km == pytest.approx(meridian_km())
    assert change.contact_line_km == pytest.approx(meridian_km())
    assert change.change_error_km2 == pytest.approx(0.2 * meridian_km())
    assert change.area_error_km2 == pytest.approx(0.2 * meridian_km())


def test_gain_and_loss_are_kept_apart():
    change = between(boxes((37.0, 48.0, 37.05, 48.1)), boxes((37.1, 48.0, 37.15, 48.1)))
    assert change.gained_km2 == pytest.approx(strip_km2(0.05))
    assert change.lost_km2 == pytest.approx(strip_km2(0.05))
    assert change.net_km2 == pytest.approx(0, abs=1e-9)
    assert list(change.pieces["kind"]) == ["gained", "lost"]


def test_ukrainian_held_ground_that_shrinks_is_an_advance():
    before, after = strip(37.1, 38.0), strip(37.15, 38.0)
    change = changes.in_sector(
        dataclasses.replace(SECTOR, measure="ukrainian_held"),
        snapshot(before, 1, "ukrainian_held"),
        snapshot(after, 2, "ukrainian_held"),
        source=DEEPSTATE,
    )
    assert change.tier == "ukrainian_held"
    assert change.gained_km2 == pytest.approx(strip_km2(0.05))
    assert change.lost_km2 == 0
    assert change.net_km2 == pytest.approx(change.area_before_km2 - change.area_after_km2)


def test_no_change_is_nothing_at_all():
    change = between(strip(37.1, 38), strip(37.1, 38))
    assert (change.gained_km2, change.lost_km2, change.sliver_km2) == (0, 0, 0)
    assert (change.moved_line_km, change.change_error_km2) == (0, 0)
    assert change.pieces.empty
    assert list(change.pieces.columns) == [
        "kind",
        "area_km2",
        "lon",
        "lat",
        "bearing_deg",
        "depth_km",
        "geometry",
    ]


@pytest.mark.parametrize("ground", [shapely.MultiPolygon(), strip(10, 11)])
def test_a_sector_without_ground(ground):
    change = between(ground, ground)
    assert (change.area_before_km2, change.area_after_km2, change.contact_line_km) == (0, 0, 0)
    first = between(ground, strip(37.1, 38.0))
    assert first.gained_km2 == pytest.approx(strip_km2(0.1))
    assert first.moved_line_km == pytest.approx(meridian_km())  # the new line alone
    back = between(strip(37.1, 38.0), ground)
    assert back.lost_km2 == pytest.approx(strip_km2(0.1))
    assert back.moved_line_km == pytest.approx(meridian_km())  # the old line alone


def test_the_line_that_moved_is_the_mean_of_old_and_new():
    after = shapely.union(strip(37.1, 38.0), shapely.box(37.05, 48.04, 37.1, 48.06))
    change = between(strip(37.1, 38.0), after)
    old = meridian_km(48.04, 48.06)
    new = (
        old
        + length_km(shapely.LineString([(37.05, 48.04), (37.1, 48.04)]))
        + length_km(shapely.LineString([(37.05, 48.06), (37.1, 48.06)]))
    )
    assert change.moved_line_km == pytest.approx((old + new) / 2, rel=1e-6)


def test_the_state_border_is_no_line_of_contact():
    border = shapely.LineString([(37.15, 47), (37.15, 49)])
    before, after = boxes((37.0, 47.5, 37.15, 48.5)), boxes((37.1, 47.5, 37.15, 48.5))
    change = between(before, after, border=border)
    assert change.contact_line_km == pytest.approx(meridian_km())
    assert between(before, after).contact_line_km == pytest.approx(2 * meridian_km())
    # All that is left of a pocket on the border falls: the old line moved, the border did not.
    fall = between(after, shapely.MultiPolygon(), border=border)
    assert fall.moved_line_km == pytest.approx(meridian_km())
    assert fall.contact_line_km == 0
    # How deep: from the old line, not from the border that is nearer.
    assert fall.pieces["depth_km"][0] == pytest.approx(parallel_km(37.1, 37.15, 48.05), rel=0.01)


def test_the_border_strip_is_as_wide_on_the_ground_in_every_direction():
    border = shapely.LineString([(37.1, 47), (37.1, 49)])
    band = changes.border_band(border, SECTOR.polygon.bounds, SECTOR.crs)
    across = band.intersection(shapely.LineString([(37.0, 48.05), (37.2, 48.05)]))
    assert length_km(across) == pytest.approx(2 * changes.BORDER_MARGIN_M / 1000, rel=1e-3)
    assert changes.border_band(border, (30, 40, 31, 41), SECTOR.crs) is None
    assert changes.border_band(None, SECTOR.polygon.bounds, SECTOR.crs) is None


def test_pieces_say_where_how_large_and_how_deep():
    before = strip(37.1, 38.0)
    after = shapely.union_all(
        [before, boxes((37.06, 48.08, 37.1, 48.1)), boxes((37.08, 48.02, 37.1, 48.04))]
    )
    pieces = between(before, after).pieces
    assert list(pieces["kind"]) == ["gained", "gained"]
    assert pieces["area_km2"].is_monotonic_decreasing
    assert pieces["area_km2"].sum() == pytest.approx(between(before, after).gained_km2)
    assert pieces["depth_km"][0] == pytest.approx(parallel_km(37.06, 37.1, 48.09), rel=2e-3)
    assert pieces["depth_km"][1] == pytest.approx(parallel_km(37.08, 37.1, 48.03), rel=2e-3)
    assert 270 < pieces["bearing_deg"][0] < 360  # north-west of the centre
    assert 180 < pieces["bearing_deg"][1] < 270  # south-west
    middle = np.array([[37.08, 48.09], [37.09, 48.03]])
    assert pieces[["lon", "lat"]].to_numpy() == pytest.approx(middle, abs=1e-5)
    assert pieces.crs.to_string() == "OGC:CRS84"


def test_a_closed_pocket_is_as_deep_as_its_middle():
    pocket = shapely.box(37.08, 48.04, 37.12, 48.06)
    pieces = between(strip(36, 38).difference(pocket), strip(36, 38)).pieces
    assert pieces["depth_km"][0] == pytest.approx(meridian_km(48.04, 48.05), rel=0.02)


def test_new_ground_far_from_any_has_no_depth():
    pieces = between(shapely.MultiPolygon(), boxes((37.05, 48.04, 37.1, 48.06))).pieces
    assert math.isnan(pieces["depth_km"][0])


def test_a_tier_that_the_source_does_not_draw_is_an_error():
    with pytest.raises(SnapshotError, match="does not tell the tier 'claimed'"):
        between(strip(37.1, 38), strip(37.1, 38), tier="claimed")
    with pytest.raises(ParameterError, match="Unknown tier"):
        between(strip(37.1, 38), strip(37.1, 38), tier="contrl")


def test_the_error_is_that_of_the_source():
    source = dataclasses.replace(sources.get("deepstate"), positional_error_m=1500.0)
    change = changes.in_sector(
        SECTOR, snapshot(strip(37.1, 38)), snapshot(strip(37.05, 38), 2), source=source
    )
    assert change.change_error_km2 == pytest.approx(1.5 * change.moved_line_km)
    assert change.area_error_km2 == pytest.approx(1.5 * change.contact_line_km)


# Slivers ------------------------------------------------------------------------------------


def degrees(metres, lat=48.05):
    """Degrees of longitude and latitude."""
    return metres / metres_per_degree(np.array([lat]))[0]


@pytest.mark.parametrize(
    ("width_m", "height_m", "thin"),
    [
        (50, 5000, True),  # 0.25 km², but nowhere 60 m wide
        (55, 20_000, True),
        (65, 20_000, False),
        (100, 1000, False),  # 0.1 km²
        (90, 90, True),  # 0.008 km²
        (110, 110, False),
    ],
)
def test_slivers_are_thin_or_tiny(width_m, height_m, thin):
    d_lon, d_lat = degrees(width_m)[0], degrees(height_m)[1]
    piece = shapely.box(37.1 - d_lon / 2, 48.05 - d_lat / 2, 37.1 + d_lon / 2, 48.05 + d_lat / 2)
    assert changes.slivers(np.array([piece])).tolist() == [thin]


def test_slivers_are_counted_and_not_drawn():
    d_lon = degrees(40)[0]
    before = strip(37.1, 38.0)
    after = shapely.union_all([strip(37.1 - d_lon, 38.0), boxes((37.02, 48.04, 37.04, 48.06))])
    change = between(before, after)
    island = area_km2(boxes((37.02, 48.04, 37.04, 48.06)))
    assert change.sliver_km2 == pytest.approx(0.04 * meridian_km(), rel=1e-3)
    assert change.gained_km2 == pytest.approx(island + change.sliver_km2)
    assert area_km2(change.gained) == pytest.approx(island)
    assert len(change.pieces) == 1


@marked
@pytest.mark.parametrize(
    ("before", "after"),
    [("20240913", "20240914"), ("20240929", "20240930"), ("20241228", "20241229")],
)
@pytest.mark.parametrize("sector", [TORETSK, KURAKHOVE])
def test_the_noise_of_a_new_export_is_sliver(sector, before, after):
    a, b = real_map(before), real_map(after)
    change = changes.in_sector(sector, a, b, source=DEEPSTATE)
    raw = len(shapely.get_parts(shapely.difference(change.after, change.before)))
    assert len(change.pieces) <= 6 < raw
    assert (change.pieces["area_km2"] > 0.03).all()
    assert 0 < change.sliver_km2 < 0.01
    if before == "20240913":  # nothing but noise, on the whole map
        assert change.pieces.empty


# The published figures ----------------------------------------------------------------------


@marked
def test_the_kurakhove_frame_over_a_month():
    by_file = changes.in_sector(
        KURAKHOVE, real_map("20241208"), real_map("20250108"), source=DEEPSTATE
    )
    assert by_file.net_km2 == pytest.approx(238, abs=2)
    assessed = changes.in_sector(
        KURAKHOVE, real_map("20241209"), real_map("20250109"), source=DEEPSTATE
    )
    assert (assessed.before_day, assessed.after_day) == (date(2024, 12, 8), date(2025, 1, 8))
    assert assessed.net_km2 == pytest.approx(245, abs=2)
    assert assessed.elapsed_days == 31


# Faces --------------------------------------------------------------------------------------


def sizes(faces):
    return area_km2(faces.gained).sum(), area_km2(faces.lost).sum()


def direct(before, after):
    return area_km2(shapely.difference(after, before)), area_km2(shapely.difference(before, after))


def test_faces_of_a_straight_advance():
    found = edges.faces(strip(37.1, 38.0), strip(37.05, 38.0))
    assert sizes(found) == pytest.approx(direct(strip(37.1, 38.0), strip(37.05, 38.0)))
    assert not found.requantised
    assert len(found.appeared) == len(found.vanished) == 3
    assert not found.empty


@pytest.mark.parametrize("ground", [strip(37, 38), shapely.MultiPolygon(), shapely.Polygon()])
def test_a_map_has_no_faces_against_itself(ground):
    found = edges.faces(ground, ground)
    assert found.empty
    assert len(found.gained) == len(found.lost) == 0
    assert not found.requantised


def test_ground_from_nothing_and_back():
    ground, nothing = boxes((0, 0, 1, 1), (2, 2, 3, 3)), shapely.MultiPolygon()
    assert sizes(edges.faces(nothing, ground)) == pytest.approx((area_km2(ground), 0))
    assert sizes(edges.faces(ground, nothing)) == pytest.approx((0, area_km2(ground)))


def test_rings_of_any_direction_or_start_are_the_same_map():
    square = shapely.box(0, 0, 1, 1)
    turned = shapely.Polygon(np.roll(np.array(square.exterior.coords[:-1])[::-1], 1, axis=0))
    assert turned.equals(square)
    assert edges.faces(square, turned).empty


def test_ground_that_changes_sides_of_an_edge_is_seen():
    # The undirected edge at x = 1 is in both maps.
    west, east = shapely.box(0, 0, 1, 1), shapely.box(1, 0, 2, 1)
    assert sizes(edges.faces(west, east)) == pytest.approx((area_km2(east), area_km2(west)))


def rounded(n, x=37.0, y=48.0, radius=0.5):
    angle = np.linspace(0, 2 * np.pi, n, endpoint=False)
    return np.column_stack([x + radius * np.cos(angle), y + radius * np.sin(angle)])


def test_a_new_export_is_put_back_on_the_day_before():
    corners = rounded(400)
    again = corners.copy()
    again[::2] += degrees(0.05)  # 5 cm east and north
    before, after = shapely.Polygon(corners), shapely.Polygon(again)
    found = edges.faces(before, after)
    assert found.requantised
    assert found.empty
    # With a real advance in it, only the advance is left.
    bite = shapely.box(37.4, 47.95, 37.7, 48.05)
    found = edges.faces(before, after.union(bite))
    assert found.requantised
    assert sizes(found) == pytest.approx(direct(before, before.union(bite)), abs=1e-4)
    assert len(found.gained) < 5


def test_a_map_that_really_moved_is_not_put_back():
    corners = rounded(400)
    again = corners.copy()
    again[::2] += degrees(30)
    before, after = shapely.Polygon(corners), shapely.Polygon(again)
    found = edges.faces(before, after)
    assert not found.requantised
    assert sizes(found) == pytest.approx(direct(before, after), abs=1e-9)


def test_a_ring_stays_closed_when_its_first_vertex_has_two_places_to_go():
    # 37.1 + 0.2 is not 37.3 but next to it. Of the later map's second ring the last edge is new,
    # and ends where the first, which is old, begins.
    near = shapely.box(37.2, 48.6, 37.1 + 0.2, 48.7)
    before = shapely.MultiPolygon([near, shapely.box(37.3, 48.5, 37.4, 48.6)])
    ring = [(37.3, 48.6), (37.3, 48.5), (37.4, 48.5), (37.4, 48.65)]
    after = shapely.MultiPolygon([shapely.box(37.0, 48.0, 37.1, 48.2), shapely.Polygon(ring)])
    assert sizes(edges.faces(before, after)) == pytest.approx(direct(before, after), abs=1e-6)


def test_a_map_that_snapping_would_break_is_repaired():
    # Two corners of a thin spike fall onto one old corner: the spike collapses.
    corners = rounded(40)
    spike = np.insert(corners, 1, [corners[1] + [1e-7, 1e-7], corners[1] - [1e-7, 1e-7]], axis=0)
    before, after = shapely.Polygon(corners), shapely.make_valid(shapely.Polygon(spike))
    gained, lost = sizes(edges.faces(before, after))
    assert gained < 1e-3
    assert lost < 1e-3


def test_a_point_finds_the_old_point_across_a_cell_edge():
    known = np.array([[0.2, 0.2], [10.0, 10.0]])
    points = np.array([[0.19, 0.21], [0.26, 0.26], [0.4, 0.4], [10.05, 9.96]])
    assert edges._nearest(points, known).tolist() == [0, 0, -1, 1]
    assert edges._nearest(points, np.empty((0, 2))).tolist() == [-1] * 4


def test_rectangles_that_touch_are_merged_through_chains():
    rectangles = np.array([[0, 0, 1, 1], [1, 1, 2, 2], [5, 5, 6, 6], [1.5, 0, 5, 0.5]], float)
    # The first, second and fourth make 0-5 x 0-2, which no longer touches 5-6 x 5-6.
    merged = edges.merge(rectangles)
    assert sorted(map(tuple, merged)) == [(0, 0, 5, 2), (5, 5, 6, 6)]
    assert len(edges.merge(np.empty((0, 4)))) == 0


def test_a_clip_that_fails_is_done_by_intersection(monkeypatch):
    ground, box = strip(37.1, 38.0), SECTOR.polygon
    expected = cuts.clip(ground, box)

    def fail(*args, **kwargs):
        raise shapely.GEOSException("Invalid number of points in LinearRing found 3")

    monkeypatch.setattr(cuts.shapely, "clip_by_rect", fail)
    assert cuts.clip(ground, box).equals(expected)
    bow_tie = shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)])
    monkeypatch.setattr(cuts.shapely, "clip_by_rect", lambda *args: bow_tie)
    assert cuts.clip(ground, box).equals(expected)


CELL = st.tuples(st.integers(0, 7), st.integers(0, 7))


def grid(cells, dx=0.0):
    """Cells of a tenth of a degree: many shared edges and corners, where algorithms fail."""
    return boxes(*[(37 + x / 10 + dx, 48 + y / 10, 37.1 + x / 10 + dx, 48.1 + y / 10)
                   for x, y in cells])  # fmt: skip


@given(st.sets(CELL, max_size=30), st.sets(CELL, max_size=30), st.sampled_from([0.0, 0.013]))
@settings(max_examples=200, deadline=None)
def test_faces_equal_the_whole_difference(one, other, dx):
    before, after = grid(one), grid(other, dx)
    found = edges.faces(before, after)
    assert sizes(found) == pytest.approx(direct(before, after), abs=1e-6)
    rebuilt = shapely.union_all([before.difference(shapely.union_all(found.lost)), *found.gained])
    assert area_km2(rebuilt.symmetric_difference(after)) == pytest.approx(0, abs=1e-6)


@given(st.sets(CELL, max_size=25), st.sets(CELL, max_size=25))
@settings(max_examples=60, deadline=None)
def test_laws_of_change(one, other):
    sector = area("s", shapely.box(37.15, 48.12, 37.63, 48.58))
    before, after = grid(one), grid(other)
    there, back = between(before, after, sector), between(after, before, sector)
    # Gained minus lost is the change of area.
    scale = max(there.area_before_km2, there.area_after_km2, 1)
    assert there.net_km2 == pytest.approx(
        there.area_after_km2 - there.area_before_km2, abs=1e-9 * scale
    )
    # Backward, gained is lost.
    assert (back.gained_km2, back.lost_km2) == pytest.approx((there.lost_km2, there.gained_km2))
    assert back.gained.equals(there.lost)
    assert back.moved_line_km == pytest.approx(there.moved_line_km)
    # What is drawn and what is not make the whole.
    drawn = area_km2(there.gained) + area_km2(there.lost)
    assert drawn + there.sliver_km2 == pytest.approx(there.gained_km2 + there.lost_km2)
    # What was gained was not held, what was lost was.
    assert there.gained.intersection(before).area == pytest.approx(0, abs=1e-12)
    assert there.lost.intersection(after).area == pytest.approx(0, abs=1e-12)


# The log ------------------------------------------------------------------------------------


def days(*grounds, layer="assessed_control"):
    return [snapshot(ground, i + 1, layer) for i, ground in enumerate(grounds)]


def test_the_log_grows_by_a_day_from_two_maps_alone():
    maps = days(strip(37.1, 38), strip(37.05, 38), strip(37.05, 38), strip(37.08, 37.9))
    whole = changes.log(maps, "presence")
    assert list(whole.columns) == list(changes.LOG_COLUMNS)
    assert list(whole["kind"]) == ["gained", "lost", "lost"]
    assert [day.day for day in whole["day"]] == [2, 4, 4]
    assert (whole["area_km2"] > 0).all()
    assert whole.crs.to_string() == "OGC:CRS84"
    grown = changes.log(maps[:1], "presence")
    for before, after in pairwise(maps):
        grown = changes.append(grown, before, after, "presence")
    assert grown.drop(columns="geometry").equals(whole.drop(columns="geometry"))
    assert grown.geometry.geom_equals(whole.geometry).all()


def test_the_log_of_ukrainian_held_ground_has_the_same_sign():
    maps = days(strip(37.1, 38), strip(37.2, 38), layer="ukrainian_held")
    assert list(changes.log(maps, "ukrainian_held")["kind"]) == ["gained"]


def test_unchanged_layers_are_one_object():
    a, b, c = strip(37.1, 38), shapely.from_wkb(strip(37.1, 38).wkb), strip(37, 38)
    found = changes.grounds(days(a, b, c), "presence")
    assert found[0] is found[1]
    assert found[1] is not found[2]
    assert next(edges.steps(found)) is edges.NO_CHANGE


@marked
def test_every_real_map_follows_from_the_first_and_the_log():
    maps = real_maps()
    grounds = changes.grounds(maps, "presence")
    level = area_km2(np.array(grounds))
    steps = list(edges.steps(grounds))
    net = np.array([np.subtract(*sizes(step)) for step in steps])
    again = np.array([step.requantised for step in steps])
    exact = np.abs(np.diff(level) - net)
    assert exact[~again].max() < 1e-6
    assert exact[again].max() < 0.02  # the noise that was taken out
    assert {maps[i + 1].day.isoformat() for i in np.flatnonzero(again)} >= {
        "2024-09-13",
        "2024-09-14",
        "2024-09-29",
        "2024-09-30",
        "2024-12-28",
        "2024-12-29",
    }


@marked
def test_real_faces_equal_the_whole_difference():
    maps = real_maps()
    for i in range(1, len(maps), 20):
        before, after = maps[i - 1].tier("presence"), maps[i].tier("presence")
        found = edges.faces(before, after)
        assert not found.requantised
        assert sizes(found) == pytest.approx(direct(before, after), abs=1e-6)
    # Months apart, when most of the front has moved.
    before, after = maps[0].tier("presence"), maps[-1].tier("presence")
    assert sizes(edges.faces(before, after)) == pytest.approx(direct(before, after), abs=0.05)


# To the last digit --------------------------------------------------------------------------


@pytest.mark.parametrize("lat", [0.0, 44.5, 48.0, 52.0, 60.0])
def test_metres_of_a_degree_are_those_of_the_ellipsoid(lat):
    step = 1e-4
    east = GEOD.inv(37.0, lat, 37.0 + step, lat)[2] / step
    north = GEOD.inv(37.0, lat - step / 2, 37.0, lat + step / 2)[2] / step
    assert metres_per_degree(np.array([lat]))[0] == pytest.approx((east, north), rel=1e-7)


def test_a_change_keeps_both_maps_of_its_sector():
    change = between(strip(37.1, 38.0), strip(37.05, 38.0))
    assert change.before.equals(shapely.box(37.1, SOUTH, 37.2, NORTH))
    assert change.after.equals(shapely.box(37.05, SOUTH, 37.2, NORTH))


def test_depth_and_bearing_are_exact():
    change = between(strip(37.15, 38.0), strip(37.05, 38.0))
    (piece,) = change.pieces.itertuples()
    # It is deepest where the parallel is longest.
    deep = parallel_km(37.05, 37.15)
    assert piece.depth_km == pytest.approx(deep, rel=3e-4)
    assert 0 <= piece.bearing_deg < 360
    small = between(
        strip(37.1, 38.0), shapely.union(strip(37.1, 38.0), shapely.box(37.05, SOUTH, 37.06, 48.02))
    )
    (piece,) = small.pieces.itertuples()
    azimuth = GEOD.inv(37.1, 48.05, piece.lon, piece.lat)[0] % 360
    assert piece.bearing_deg == pytest.approx(azimuth, abs=0.1)
    assert small.pieces.index.tolist() == [0]


def test_reach_is_exact():
    old, new = strip(37.15, 38.0), strip(37.05, 38.0)
    (step,) = edges.steps([old, new])
    moved = changes._changed(old, new)
    edge = changes.sides(np.asarray(step.gained), np.zeros(len(step.gained)), moved, None)
    reach = changes.reach_km(np.asarray(step.gained), edge)
    assert reach.max() == pytest.approx(parallel_km(37.05, 37.15, (SOUTH + NORTH) / 2), rel=3e-4)


@given(
    st.lists(st.tuples(st.integers(-400, 400), st.integers(-400, 400)), min_size=3, max_size=9),
    st.integers(0, 150),
)
@settings(max_examples=200, deadline=None)
def test_slivers_are_those_that_erosion_leaves_nothing_of(points, width):
    """Whatever the short cuts say."""
    hull = shapely.convex_hull(shapely.MultiPoint(points))
    shapes = [hull.buffer(1), hull.buffer(width + 1).difference(hull.buffer(1))]
    shapes.append(shapely.LineString(points).buffer(width / 2 + 1))
    pieces = shapely.get_parts([shapely.transform(shape, degrees_of) for shape in shapes])
    core = shapely.buffer(changes._own_plane(pieces), -changes.SLIVER_WIDTH_M / 2)
    expected = (area_km2(pieces) < changes.SLIVER_AREA_KM2) | shapely.is_empty(core)
    assert changes.slivers(pieces).tolist() == expected.tolist()


def degrees_of(xy):
    """Metres around a place as degrees."""
    return xy / metres_per_degree(np.array([48.0])) + [37.0, 48.0]


@given(st.lists(st.sampled_from([-0.02, 0.0, 0.01, 0.03]), min_size=3, max_size=12))
@settings(max_examples=60, deadline=None)
def test_reach_is_the_farthest_point_from_the_old_line(offsets):
    new = [(37.1 + x, 48 + n / 50) for n, x in enumerate(offsets)]
    east = [(38.0, new[-1][1]), (38.0, 48.0)]
    before = shapely.Polygon([(37.1, 48.0), (37.1, new[-1][1]), *east])
    after = shapely.Polygon([*new, *east]).buffer(0)
    found = edges.faces(before, after)
    pieces = np.concatenate([found.gained, found.lost])
    edge = changes.sides(pieces, np.zeros(len(pieces)), changes._changed(before, after), None)
    reach = changes.reach_km(pieces, edge)
    for number, piece in enumerate(pieces):
        own = edge.ends[(edge.owner == number) & edge.old]
        if not len(own):
            assert np.isnan(reach[number])
            continue
        scale = metres_per_degree(np.array([np.mean(piece.bounds[1::2])]))
        corners = shapely.get_coordinates(piece) * scale
        fine = shapely.segmentize(shapely.set_coordinates(shapely.Polygon(piece), corners), 250.0)
        line = shapely.multilinestrings(shapely.linestrings(own * scale))
        expected = shapely.hausdorff_distance(fine, line) / 1000
        assert reach[number] == pytest.approx(expected, abs=1e-6)


def test_an_edge_on_an_edge_of_the_other_map_is_of_both():
    # One more vertex on a straight edge: the line has not moved, but both maps have edges there.
    old = shapely.Polygon([(37, 48), (38, 48), (38, 49), (37, 49)])
    new = shapely.Polygon([(37, 48), (37.5, 48), (38, 48), (38, 49), (37.2, 49.1), (37, 49)])
    moved = changes._changed(old, new)
    ends = shapely.get_coordinates(moved.lines).reshape(-1, 2, 2)
    south = (ends[:, :, 1] == 48).all(axis=1)
    assert south.sum() == 3
    assert moved.both.tolist() == south.tolist()


def test_along_a_spike_of_a_piece_nothing_moved():
    # The line from (37.1, 48.05) to the west is drawn twice, a tenth of a millimetre apart.
    old = shapely.Polygon([(37, 48), (37.1, 48), (37.1, 48.05), (37, 48.05)])
    spike = [(37.1, 48.05 + 8e-10), (37.05, 48.05)]
    gained = shapely.Polygon([(37.1, 48), (37.2, 48), (37.2, 48.05), *spike, (37.1, 48.05)])
    new = shapely.Polygon(
        [(37, 48), (37.2, 48), (37.2, 48.05), (37.1, 48.05 + 8e-10), (37.05, 48.05), (37, 48.05)]
    )
    edge = changes.sides(np.array([gained]), np.zeros(1), changes._changed(old, new), None)
    assert (edge.old & edge.new).sum() == 2
    east = parallel_km(37.1, 37.2) + parallel_km(37.1, 37.2, 48.05) + meridian_km(48.0, 48.05)
    expected = (meridian_km(48.0, 48.05) + east) / 2
    assert changes.moved_km(edge, 1) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_edges_on_each_other_are_found_among_those_of_one_step_alone(seed):
    # Parts of a few long lines, in three steps that lie over each other.
    rng = np.random.default_rng(seed)
    line = shapely.linestrings(rng.integers(0, 6, (5, 2, 2)) / 10 + [36, 48])
    line = line[shapely.length(line) > 0]
    owner = rng.integers(0, len(line), 300)
    parts = np.sort(rng.integers(0, 9, (300, 2)) / 8, axis=1)
    parts = parts[parts[:, 0] < parts[:, 1]]
    owner = owner[: len(parts)]
    ends = np.stack(
        [
            shapely.get_coordinates(
                shapely.line_interpolate_point(line[owner], at, normalized=True)
            )
            for at in parts.T
        ],
        axis=1,
    )
    step, new = rng.integers(0, 3, len(ends)), rng.random(len(ends)) < 0.5
    middle = shapely.points(ends.mean(axis=1))
    on = shapely.distance(middle[:, None], shapely.linestrings(ends)[None, :]) <= 1e-9
    on &= (step[:, None] == step[None, :]) & (new[:, None] != new[None, :])
    expected = on.any(axis=1)
    assert 0 < expected.sum() < len(expected)
    assert changes.lines_of(ends, step, new).both.tolist() == expected.tolist()


def test_a_line_that_ground_changes_sides_of_is_the_old_and_the_new_line_of_both_pieces():
    change = between(strip(36.9, 37.1), strip(37.1, 37.3))
    assert len(change.pieces) == 2
    assert change.moved_line_km == pytest.approx(2 * meridian_km())
