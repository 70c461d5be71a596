"""Where two maps differ, by their edges: loops against the overlay, and when they do not do."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from grounds import boxes
from helpers import cuts, edges
from helpers.projection import area_km2


@pytest.fixture
def overlaid(monkeypatch):
    """The windows in which maps were overlaid."""
    seen, to_boxes = [], cuts.to_boxes

    def counted(ground, windows):
        seen.extend(map(tuple, windows))
        return to_boxes(ground, windows)

    monkeypatch.setattr(cuts, "to_boxes", counted)
    return seen


def sizes(found):
    return area_km2(found.gained).sum(), area_km2(found.lost).sum()


def direct(before, after):
    return area_km2(after - before), area_km2(before - after)


def front(*offsets):
    """Ground east of a line with a vertex every tenth of a degree from south to north."""
    line = [(37 + offset, 48 + number / 10) for number, offset in enumerate(offsets)]
    return shapely.Polygon([*line, (39, 48 + (len(offsets) - 1) / 10), (39, 48)])


def test_a_bulge_is_a_loop(overlaid):
    before, after = front(0, 0, 0, 0, 0), front(0, 0, -0.05, 0, 0)
    found = edges.faces(before, after)
    assert overlaid == []
    assert len(found.gained) == 1
    assert len(found.lost) == 0
    assert found.gained[0].equals(after - before)
    back = edges.faces(after, before)
    assert len(back.lost) == 1
    assert back.lost[0].equals(after - before)
    assert overlaid == []


def test_gain_and_loss_that_do_not_meet_are_loops(overlaid):
    before, after = front(*[0] * 9), front(0, -0.03, 0, 0, 0, 0, 0, 0.04, 0)
    found = edges.faces(before, after)
    assert overlaid == []
    assert [len(found.gained), len(found.lost)] == [1, 1]
    assert sizes(found) == pytest.approx(direct(before, after), abs=1e-9)


def test_a_line_that_crosses_the_old_one_is_overlaid_there_alone(overlaid):
    before = front(*[0] * 9)
    after = front(0, -0.03, 0.04, 0, 0, 0, 0, -0.02, 0)
    found = edges.faces(before, after)
    assert len(overlaid) == 2  # one window, in both maps
    assert all(north < 48.4 for _, _, _, north in overlaid)
    assert sizes(found) == pytest.approx(direct(before, after), abs=1e-9)


def test_loops_within_each_other_are_overlaid(overlaid):
    # A ring of ground: what is inside the inner loop was not gained.
    ring = shapely.box(37, 48, 38, 49) - shapely.box(37.3, 48.3, 37.6, 48.6)
    assert sizes(edges.faces(shapely.Polygon(), ring)) == pytest.approx((area_km2(ring), 0))
    assert overlaid
    # Of another the hole is filled, and nothing else.
    overlaid.clear()
    filled = edges.faces(ring, shapely.Polygon(ring.exterior))
    assert overlaid == []
    assert sizes(filled) == pytest.approx((area_km2(shapely.box(37.3, 48.3, 37.6, 48.6)), 0))


def test_loops_that_meet_in_a_point_are_overlaid(overlaid):
    before, after = boxes((37, 48, 38, 49)), boxes((37, 48, 38, 49), (38, 49, 38.5, 49.5))
    both = boxes((37, 48, 38, 49), (38, 49, 38.5, 49.5), (38.5, 48.5, 39, 49))
    found = edges.faces(before, both)
    assert sizes(found) == pytest.approx(direct(before, both), abs=1e-6)
    assert sizes(edges.faces(after, both)) == pytest.approx(direct(after, both), abs=1e-6)
    assert edges._joined([np.array([[0, 0], [1, 0], [0, 0]]), np.array([[0, 0], [0, 1.0]])]) is None


def test_a_line_that_ends_nowhere_is_no_ring():
    open_line = np.array([[0.0, 0.0], [1.0, 0.0]])
    assert edges._joined([open_line]) is None
    gained, lost, windows = edges._enclosed([open_line])
    assert len(gained) == len(lost) == 0
    assert len(windows) == 1


def test_ground_that_is_taken_along_a_shared_edge_keeps_its_side():
    west, east = shapely.box(37, 48, 38, 49), shapely.box(38, 48, 39, 49)
    assert sizes(edges.faces(west, east)) == pytest.approx(direct(west, east))


OFFSETS = st.lists(
    st.sampled_from([0.0, 0.0, 0.0, 0.02, -0.02, 0.05, -0.05, 1e-5]), min_size=6, max_size=30
)


@given(OFFSETS, st.data())
@settings(max_examples=150, deadline=None)
def test_loops_equal_the_overlay(old, data):
    """Fronts that advance, withdraw, cross each other and lie on each other."""
    new = data.draw(
        st.lists(
            st.sampled_from([0.0, 0.02, -0.02, 0.05, -0.05, 1e-5]),
            min_size=len(old),
            max_size=len(old),
        )
    )
    keep = data.draw(st.lists(st.booleans(), min_size=len(old), max_size=len(old)))
    new = [a if same else b for a, b, same in zip(old, new, keep, strict=True)]
    before, after = front(*old), front(*new)
    found = edges.faces(before, after)
    assert not found.requantised
    assert sizes(found) == pytest.approx(direct(before, after), abs=1e-6)
    assert shapely.is_valid(found.gained).all()
    assert shapely.is_valid(found.lost).all()
    again = shapely.union_all([before.difference(shapely.union_all(found.lost)), *found.gained])
    assert area_km2(again.symmetric_difference(after)) == pytest.approx(0, abs=1e-6)


@given(st.lists(st.integers(0, 60), unique=True), st.lists(st.integers(0, 60), unique=True))
def test_edges_of_one_map_alone_are_found(one, other):
    """As by looking each of them up."""

    def ranked(numbers):
        hashes = np.array(numbers, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        return edges.Edges(shapely.Polygon(), None, None, hashes, np.sort(hashes))

    mine, theirs = edges._only(ranked(one), ranked(other))
    assert mine.tolist() == [number not in other for number in one]
    assert theirs.tolist() == [number not in one for number in other]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=2, max_size=12))
def test_an_edge_has_the_same_hash_in_a_map_and_alone(points):
    ring = shapely.convex_hull(shapely.MultiPoint(points)).buffer(0.5, quad_segs=2)
    found = edges.of(ring)
    ends = found.ends(np.ones(len(found.start), dtype=bool))
    assert edges.hashes_of(ends).tolist() == found.hashes.tolist()
    assert not set(edges.hashes_of(ends[:, ::-1]).tolist()) & set(found.hashes.tolist())
