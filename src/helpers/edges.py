"""Two maps -> where they differ, by the edges that only one of them has.

From one day to the next nearly all edges of a map are the same, bit for bit. The directed edges
that only the later map has, and those that only the earlier has turned round, make closed loops:
what they go round has been gained, or lost. No map is overlaid with another, but in the small
windows in which a new line crosses the old one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from helpers import cuts
from helpers.projection import metres_per_degree

# Above this share of changed edges a map may have been exported anew, every second vertex off by
# centimetres. Its vertices are then put back on those of the day before, where one is this near.
_REQUANTISED_SHARE = 0.05
_SNAP_M = 0.1

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]
Geometries = npt.NDArray[np.object_]
_NONE: Geometries = np.empty(0, dtype=object)


class Faces(NamedTuple):
    """Where two maps differ, as small polygons: everywhere else they are equal.

    Attributes
    ----------
    gained, lost
        Polygons of the later map that the earlier lacks, and the other way round. OGC:CRS84.
    requantised
        Whether the later map was exported anew, its vertices off by centimetres. They were put
        back before comparing: the faces then lack slivers of some hundredths of a km² in all.
    appeared, vanished
        The edges that only the later, only the earlier map has: longitude and latitude of both
        ends, shape ``(n, 2, 2)``.
    """

    gained: Geometries
    lost: Geometries
    requantised: bool
    appeared: FloatArray
    vanished: FloatArray

    @property
    def empty(self) -> bool:
        """Whether nothing changed."""
        return not (len(self.appeared) or len(self.vanished))


_NO_ENDS = np.empty((0, 2, 2))
NO_CHANGE = Faces(_NONE, _NONE, requantised=False, appeared=_NO_ENDS, vanished=_NO_ENDS)


class Edges(NamedTuple):
    """The directed edges of one map: ground to the left of each.

    Attributes
    ----------
    ground
        The map, its rings in one direction.
    xy
        Its coordinates, shape ``(n, 2)``.
    start
        The vertex that each edge begins at; it ends at the next. Shape ``(m,)``.
    hashes
        64 bits for each edge, equal for bit-identical edges. Shape ``(m,)``.
    ranked
        The same, sorted.
    """

    ground: BaseGeometry
    xy: FloatArray
    start: IntArray
    hashes: Hashes
    ranked: Hashes

    def ends(self, which: Mask) -> FloatArray:
        """Both ends of some of the edges, shape ``(k, 2, 2)``."""
        at = self.start[which]
        return np.stack([self.xy[at], self.xy[at + 1]], axis=1)

    def runs(self, which: Mask) -> list[FloatArray]:
        """Lines that some of the edges make, each as long as edges follow each other."""
        at = self.start[which]
        if not len(at):
            return []
        breaks = (np.flatnonzero(at[1:] != at[:-1] + 1) + 1).tolist()
        begin, end = at[[0, *breaks]].tolist(), (at[[*(b - 1 for b in breaks), -1]] + 2).tolist()
        return [self.xy[b:e] for b, e in zip(begin, end, strict=True)]


def of(ground: BaseGeometry) -> Edges:
    """Take a map apart into its edges.

    Parameters
    ----------
    ground
        Valid (multi)polygon in OGC:CRS84.

    Returns
    -------
    Edges
        In the order of its rings.
    """
    ground = shapely.orient_polygons(ground)
    rings = shapely.get_rings(shapely.get_parts(ground))
    xy, ring = shapely.get_coordinates(rings, return_index=True)
    start = np.flatnonzero(ring[1:] == ring[:-1])
    vertex = _vertex_hashes(xy)
    hashes = _edge_hashes(vertex[start], vertex[start + 1])
    return Edges(ground, xy, start, hashes, np.sort(hashes))


def hashes_of(ends: FloatArray) -> Hashes:
    """Hash edges as `of` does.

    Parameters
    ----------
    ends
        Longitude and latitude of both ends, in their direction. Shape ``(n, 2, 2)``.

    Returns
    -------
    numpy.ndarray
        64 bits each, shape ``(n,)``.
    """
    vertex = _vertex_hashes(ends.reshape(-1, 2))
    return _edge_hashes(vertex[::2], vertex[1::2])


def _vertex_hashes(xy: FloatArray) -> Hashes:
    bits = (xy + 0.0).view(np.uint64)  # + 0.0 makes one zero of the two
    # Odd multipliers with well mixed bits, from splitmix64 (Steele et al. 2014) and xxHash.
    vertex: Hashes = bits[:, 0] * np.uint64(0x9E3779B97F4A7C15)
    vertex ^= vertex >> np.uint64(29)
    vertex = (vertex + bits[:, 1]) * np.uint64(0xBF58476D1CE4E5B9)
    vertex ^= vertex >> np.uint64(32)
    return vertex


def _edge_hashes(begin: Hashes, end: Hashes) -> Hashes:
    hashes = begin * np.uint64(0x94D049BB133111EB)
    hashes ^= hashes >> np.uint64(31)
    hashes = (hashes + end) * np.uint64(0xC2B2AE3D27D4EB4F)
    hashes ^= hashes >> np.uint64(30)
    return hashes


def faces(before: BaseGeometry | Edges, after: BaseGeometry | Edges) -> Faces:
    """Find where two maps differ, by the edges that only one of them has.

    Parameters
    ----------
    before, after
        Valid (multi)polygons in OGC:CRS84, or their `of`.

    Returns
    -------
    Faces
        Equal to the two whole differences, at a fraction of their cost.

    Notes
    -----
    Whether a point is inside a map follows from its directed edges alone. So what is inside one and
    outside the other follows from the loops that the appeared and the turned vanished edges make:
    as often as they go round a point to the left, so much more is it in the later map, and that is
    once, not at all, or once to the right. A loop that meets neither itself nor another is
    therefore a face. Rectangles are put round the loops and merged until none touch. In a rectangle
    whose loops do meet, both maps are cut to it and overlaid; outside of all the maps are equal.
    """
    old = before if isinstance(before, Edges) else of(before)
    new = after if isinstance(after, Edges) else of(after)
    (vanished, appeared), requantised = _only(old, new), False
    if appeared.sum() > _REQUANTISED_SHARE * len(appeared):
        snapped = _put_back(new, appeared, old)
        gone, still = _only(old, snapped)
        requantised = bool(still.sum() < appeared.sum() / 2)
        if requantised:
            new, vanished, appeared = snapped, gone, still
    lines = [*new.runs(appeared), *(line[::-1] for line in old.runs(vanished))]
    gained, lost, windows = _enclosed(lines)
    if len(windows):
        a, b = cuts.to_boxes(old.ground, windows), cuts.to_boxes(new.ground, windows)
        gained = np.concatenate([gained, cuts.difference(b, a)])
        lost = np.concatenate([lost, cuts.difference(a, b)])
    return Faces(gained, lost, requantised, new.ends(appeared), old.ends(vanished))


def between(one: Edges, other: Edges) -> tuple[FloatArray, FloatArray]:
    """Find the edges of either map that the other lacks.

    Parameters
    ----------
    one, other
        From `of`.

    Returns
    -------
    tuple of numpy.ndarray
        Both ends of each edge, of the one and of the other map: shape ``(n, 2, 2)``.
    """
    mine, theirs = _only(one, other)
    return one.ends(mine), other.ends(theirs)


def _only(one: Edges, other: Edges) -> tuple[Mask, Mask]:
    """Which edges of either map the other lacks. No edge is twice in a valid map."""
    both = np.concatenate([one.ranked, other.ranked])
    both.sort(kind="stable")  # which merges what is sorted: quicker than any look-up
    same = np.zeros(len(both) + 1, dtype=bool)
    same[1:-1] = both[1:] == both[:-1]
    single = both[~(same[1:] | same[:-1])]
    return _among(one.hashes, single), _among(other.hashes, single)


def _among(hashes: Hashes, known: Hashes) -> Mask:
    """Which hashes are among a few, which are sorted."""
    found = np.zeros(len(hashes), dtype=bool)
    if len(known):
        # The last bits of a hash rule nearly all of them out.
        last = np.uint64(0xFFFF)
        ending = np.zeros(0x10000, dtype=bool)
        ending[(known & last).astype(np.intp)] = True
        maybe = np.flatnonzero(ending[(hashes & last).astype(np.intp)])
        at = np.minimum(np.searchsorted(known, hashes[maybe]), len(known) - 1)
        found[maybe] = known[at] == hashes[maybe]
    return found


def _enclosed(lines: Sequence[FloatArray]) -> tuple[Geometries, Geometries, FloatArray]:
    """What lines enclose to their left, what to their right, and boxes where that is not plain."""
    none = _NONE, _NONE, np.empty((0, 4))
    if not lines:
        return none
    rings = _joined(lines)
    if rings is None:
        return _NONE, _NONE, merge(_boxes(lines))
    boxes = _boxes(rings)
    plain = np.array([len(ring) > 3 for ring in rings])
    xy = np.concatenate([ring if len(ring) > 3 else _DUMMY for ring in rings])
    count = [max(len(ring), len(_DUMMY)) for ring in rings]
    outlines = shapely.linearrings(xy, indices=np.repeat(np.arange(len(rings)), count))
    polygons = shapely.polygons(outlines)
    plain &= shapely.is_valid(polygons)
    windows = merge(boxes)
    if len(windows) < len(rings):  # some are near each other
        at = _window_of(boxes, windows)
        one, other = shapely.STRtree(polygons).query(polygons, predicate="intersects")
        meet = one[one != other]
        plain[meet] = False
        odd = np.bincount(at, weights=~plain, minlength=len(windows)) > 0
        plain, windows = ~odd[at], windows[odd]
    else:
        windows = boxes[~plain]
    left = shapely.is_ccw(outlines)
    return polygons[plain & left], polygons[plain & ~left], windows


# Stands for a ring that is none.
_DUMMY = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])


def _joined(lines: Sequence[FloatArray]) -> list[FloatArray] | None:
    """Join lines to closed rings, each end to a beginning; None where that can be done in two ways.

    Of as many lines begin at a point as end there: both maps are closed.
    """
    begins = {(line[0, 0], line[0, 1]): number for number, line in enumerate(lines)}
    if len(begins) < len(lines):
        return None
    rings = []
    while begins:
        first, number = begins.popitem()
        ring, point = [], None
        while point != first:
            line = lines[number]
            ring.append(line[:-1])
            point = line[-1, 0], line[-1, 1]
            if point != first:
                following = begins.pop(point, None)
                if following is None:
                    return None
                number = following
        rings.append(np.concatenate([*ring, ring[0][:1]]))
    return rings


def _boxes(lines: Sequence[FloatArray]) -> FloatArray:
    """Bounding boxes of lines, with a margin: west, south, east, north."""
    xy = np.concatenate(lines)
    first = np.cumsum([0, *(len(line) for line in lines[:-1])])
    low, high = np.minimum.reduceat(xy, first), np.maximum.reduceat(xy, first)
    return np.hstack([low - cuts.MARGIN_DEG, high + cuts.MARGIN_DEG])


def _window_of(boxes: FloatArray, windows: FloatArray) -> IntArray:
    """Which of the merged boxes each box is in."""
    west, south, east, north = boxes.T[:, :, None]
    inside = (windows[:, 0] <= west) & (windows[:, 1] <= south)
    inside &= (windows[:, 2] >= east) & (windows[:, 3] >= north)
    at: IntArray = inside.argmax(axis=1)
    return at


def merge(boxes: FloatArray) -> FloatArray:
    """Merge rectangles that touch into the one round them, until none touch.

    Parameters
    ----------
    boxes
        West, south, east, north, shape ``(n, 4)``.

    Returns
    -------
    numpy.ndarray
        Shape ``(m, 4)``, m ≤ n.
    """
    while len(boxes) > 1:
        west, south, east, north = boxes.T[:, :, None]
        touch = (west <= east.T) & (south <= north.T)
        touch &= touch.T
        first = touch.argmax(axis=1)  # the first rectangle that each touches: at the latest itself
        while (first != first[first]).any():
            first = first[first]
        leaders, group = np.unique(first, return_inverse=True)
        if len(leaders) == len(boxes):
            break
        merged = boxes[leaders]
        np.minimum.at(merged[:, :2], group, boxes[:, :2])
        np.maximum.at(merged[:, 2:], group, boxes[:, 2:])
        boxes = merged
    return boxes


def _put_back(new: Edges, changed: Mask, old: Edges) -> Edges:
    """Move the vertices of changed edges onto the old map's, where one is within `_SNAP_M`."""
    at = np.concatenate([new.start[changed], new.start[changed] + 1])
    # A ring's first and last vertex are one: both go, or none.
    first = new.start[np.diff(new.start, prepend=-2) != 1]
    last = new.start[np.diff(new.start, append=len(new.xy) + 1) != 1] + 1
    closing = np.isin(first, at) | np.isin(last, at)
    at = np.unique(np.concatenate([at, first[closing], last[closing]]))
    scale = metres_per_degree(np.array([old.xy[:, 1].mean()]))[0] if len(old.xy) else np.ones(2)
    mine, theirs = new.xy[at] * scale, old.xy * scale
    target = _nearest(mine, theirs)
    found = target >= 0
    xy = new.xy.copy()
    xy[at[found]] = old.xy[target[found]]
    ground = shapely.set_coordinates(new.ground, xy)
    if not ground.is_valid:
        repaired = shapely.make_valid(ground, method="structure", keep_collapsed=False)
        ground = shapely.multipolygons(cuts.polygons(repaired))
    return of(ground)


def _nearest(points: FloatArray, known: FloatArray) -> IntArray:
    """Index of a known point within `_SNAP_M` of each point, or -1. Metres.

    Two points as near as that share a cell, of twice the size, in at least one of four grids that
    are shifted against each other by half a cell.
    """
    best = np.full(len(points), -1)
    distance = np.full(len(points), _SNAP_M)
    if not len(known):
        return best
    for shift in ((0, 0), (0, 1), (1, 0), (1, 1)):
        keys, cells = (_cells(xy, np.array(shift) / 2) for xy in (points, known))
        order = np.argsort(cells, kind="stable")
        place = np.minimum(np.searchsorted(cells[order], keys), len(known) - 1)
        candidate = order[place]
        apart = np.hypot(*(points - known[candidate]).T)
        nearer = (cells[candidate] == keys) & (apart <= distance)
        best[nearer], distance[nearer] = candidate[nearer], apart[nearer]
    return best


def _cells(xy: FloatArray, shift: FloatArray) -> IntArray:
    cell = np.floor(xy / (2 * _SNAP_M) + shift).astype(np.int64)
    return cell[:, 0] * np.int64(1 << 32) + cell[:, 1]


def steps(maps: Sequence[BaseGeometry]) -> Iterator[Faces]:
    """Compare each map of a sequence with the one before.

    Parameters
    ----------
    maps
        Valid (multi)polygons in OGC:CRS84, in order of time, shape ``(n,)``. The same object
        twice is not looked at again.

    Yields
    ------
    Faces
        n - 1 of them.
    """
    old = of(maps[0]) if len(maps) else None
    for before, after in pairwise(maps):
        new = old if after is before else of(after)
        assert old is not None
        assert new is not None
        yield NO_CHANGE if new is old else faces(old, new)
        old = new
