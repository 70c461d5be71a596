"""Two snapshots -> what was gained and what was lost, kept apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely
from pyproj import Geod
from shapely.geometry.base import BaseGeometry

from helpers import cuts, edges
from helpers.projection import STORAGE_CRS, area_km2, metres_per_degree, transform
from helpers.schema import INVERTED_TIERS, TIERS, check_tier
from helpers.tables import Table

if TYPE_CHECKING:
    from helpers.reference import Sector
    from helpers.schema import Snapshot
    from helpers.sources import Source

# A piece of gain or loss is a sliver, the redrawing of the same line, where it is nowhere this
# wide or not this large. On DeepState's re-exported days (2024-09-13/14, 09-29/30, 12-28/29) some
# 900 slivers a day are centimetres wide and hold 0.04 km² in all; real pieces of 0.02 km² are over
# 100 m wide. Both limits lie far below the 200 m by which a drawn line may be off.
SLIVER_WIDTH_M = 60.0
SLIVER_AREA_KM2 = 0.01

# Ground that ends at the state border has no line of contact there. DeepState's edge lies within
# 100 m of OpenStreetMap's border; the rest is for how coarsely either is drawn.
BORDER_MARGIN_M = 350.0

# How near a line a point must be to lie on it: 0.1 mm, for the rounding of intersection points.
_ON_LINE_DEG = 1e-9
# A line that a piece of change shares so little of only touches it: 1 mm, for the same reason.
_TOUCH_KM = 1e-6
_DEPTH_STEP_M = 250.0

_GEOD = Geod(ellps="WGS84")

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Geometries = npt.NDArray[np.object_]
_NONE: Geometries = np.empty(0, dtype=object)


@dataclass(frozen=True, repr=False)
class SectorChange:
    """What changed in one sector between two assessed days of one source.

    Positive is a Russian advance everywhere: where the tier is Ukrainian-held ground (Kursk),
    `gained` is ground that is no longer Ukrainian-held.

    Attributes
    ----------
    sector, source, tier
        What was measured, by whose map, in which tier.
    before_day, after_day
        The two assessed days.
    before, after
        The tier's ground inside the sector on those days, (multi)polygons in OGC:CRS84.
    gained, lost
        Ground of Russian advance and of withdrawal, slivers removed, (multi)polygons, OGC:CRS84.
    area_before_km2, area_after_km2
        Level of the tier inside the sector.
    gained_km2, lost_km2
        Area of all gain and loss, slivers included, so that the identity
        ``gained - lost = ±(area_after - area_before)`` holds exactly (minus for inverted tiers).
    sliver_km2
        How much of `gained_km2 + lost_km2` lies in slivers, which are never drawn or counted.
    moved_line_km
        Geodesic length of the line that moved: for each piece the mean of its old and new line (the
        one it has, where it has but one), without the state border and the sector's own edge.
    contact_line_km
        Geodesic length of the line on `after_day` inside the sector, without the state border and
        without the sector's own edge.
    change_error_km2, area_error_km2
        The source's positional error times the length of the line that moved, and of the whole
        line.
    pieces
        One row a piece of `gained` or `lost`: kind ("gained" / "lost"), area_km2, lon, lat (of the
        centroid), bearing_deg (of the centroid from the sector's centre), depth_km (how far it
        reaches beyond the old line), geometry.
    """

    sector: Sector
    source: Source
    tier: str
    before_day: date
    after_day: date
    before: BaseGeometry
    after: BaseGeometry
    gained: BaseGeometry
    lost: BaseGeometry
    area_before_km2: float
    area_after_km2: float
    gained_km2: float
    lost_km2: float
    sliver_km2: float
    moved_line_km: float
    contact_line_km: float
    change_error_km2: float
    area_error_km2: float
    pieces: pd.DataFrame

    @property
    def net_km2(self) -> float:
        """Net Russian advance, km²."""
        return self.gained_km2 - self.lost_km2

    @property
    def elapsed_days(self) -> int:
        """Days between the two maps."""
        return (self.after_day - self.before_day).days

    def _shown(self) -> Table:
        numbers = {
            "area_before_km2": self.area_before_km2,
            "area_after_km2": self.area_after_km2,
            "area_error_km2": self.area_error_km2,
            "gained_km2": self.gained_km2,
            "lost_km2": self.lost_km2,
            "net_km2": self.net_km2,
            "change_error_km2": self.change_error_km2,
            "pieces": len(self.pieces),
        }
        return Table(
            pd.DataFrame([numbers]),
            f"{self.sector.name}, {self.tier.replace('_', ' ')}, {self.before_day} to "
            f"{self.after_day} ({self.elapsed_days} days). {self.source.title}.",
            {"area_error_km2": "± area", "change_error_km2": "± change"},
            signed=("net_km2",),
        )

    def _repr_html_(self) -> str:
        """In a notebook: the numbers, each change beside its error."""
        return self._shown()._repr_html_()

    def __repr__(self) -> str:
        return repr(self._shown())


def in_sector(
    sector: Sector,
    before: Snapshot,
    after: Snapshot,
    *,
    source: Source,
    tier: str = "",
    border: BaseGeometry | None = None,
) -> SectorChange:
    """Measure the change of one sector between two snapshots.

    Parameters
    ----------
    sector
        Where; the maps are cut to its polygon before they are compared.
    before, after
        Two snapshots of one source.
    source
        Its record, for the positional error.
    tier
        What to measure; empty for the sector's own measure, or what stands in for it in this
        source (`Source.tier_for`).
    border
        State border and coast (`reference.outer_edges`), lines in OGC:CRS84: ground that ends
        there has no line of contact.

    Returns
    -------
    SectorChange
        Areas in km², lengths in km, geometry in OGC:CRS84.

    Raises
    ------
    SnapshotError
        If a snapshot's source does not draw the tier.
    """
    tier = check_tier(tier or source.tier_for(sector.measure))
    old_map, new_map = before.tier(tier), after.tier(tier)
    old, new = cuts.clip(old_map, sector.polygon), cuts.clip(new_map, sector.polygon)
    added, removed = cuts.difference(new, old), cuts.difference(old, new)
    gained, lost = (removed, added) if tier in INVERTED_TIERS else (added, removed)
    thin_gain, thin_loss = slivers(gained), slivers(lost)
    kept = np.concatenate([gained[~thin_gain], lost[~thin_loss]])
    thin = np.concatenate([gained[thin_gain], lost[thin_loss]])

    band = border_band(border, sector.polygon.bounds, sector.crs)
    edge = sides(kept, np.zeros(len(kept)), _changed(old_map, new_map), band)
    moved = float(moved_km(edge, len(kept)).sum())
    contact = lengths_km(np.array([contact_line(new_map.boundary, sector.polygon, band)]))[0]
    error_km = source.positional_error_m / 1000
    return SectorChange(
        sector=sector,
        source=source,
        tier=tier,
        before_day=before.day,
        after_day=after.day,
        before=old,
        after=new,
        gained=shapely.multipolygons(gained[~thin_gain]),
        lost=shapely.multipolygons(lost[~thin_loss]),
        area_before_km2=area_km2(old),
        area_after_km2=area_km2(new),
        gained_km2=float(area_km2(gained).sum()),
        lost_km2=float(area_km2(lost).sum()),
        sliver_km2=float(area_km2(thin).sum()),
        moved_line_km=moved,
        contact_line_km=float(contact),
        change_error_km2=error_km * moved,
        area_error_km2=error_km * float(contact),
        pieces=_pieces(sector, kept, int((~thin_gain).sum()), _without(old_map.boundary, band)),
    )


def _changed(before: BaseGeometry, after: BaseGeometry) -> Lines:
    found = edges.between(edges.of(before), edges.of(after))
    new = np.arange(sum(map(len, found))) >= len(found[0])
    return lines_of(np.concatenate(found), np.zeros(len(new)), new)


def _pieces(
    sector: Sector, kept: Geometries, n_gained: int, old_line: BaseGeometry
) -> gpd.GeoDataFrame:
    """Describe the pieces, the first `n_gained` of them gained, the largest of each kind first."""
    gained, area = np.arange(len(kept)) < n_gained, area_km2(kept)
    order = np.lexsort((-area, ~gained))
    local = transform(kept[order], sector.crs)
    middle = shapely.centroid(local)
    x, y = shapely.get_x(middle), shapely.get_y(middle)
    centroid = transform(middle, STORAGE_CRS, source=sector.crs)
    return gpd.GeoDataFrame(
        {
            "kind": np.where(gained[order], "gained", "lost"),
            "area_km2": area[order],
            "lon": shapely.get_x(centroid),
            "lat": shapely.get_y(centroid),
            "bearing_deg": np.degrees(np.arctan2(x, y)) % 360,
            "depth_km": _depth_km(local, transform(old_line, sector.crs)),
        },
        geometry=kept[order],
        crs=STORAGE_CRS,
    )


def _depth_km(local: Geometries, old_line: BaseGeometry) -> FloatArray:
    """Greatest distance of each piece from the old line; NaN where there was none. Metres in."""
    if old_line.is_empty or not len(local):
        return np.full(len(local), np.nan)
    # The deepest point of a pocket that is closed from all sides is not on its edge.
    middle = shapely.get_point(shapely.maximum_inscribed_circle(local, tolerance=10.0), 0)
    points = shapely.extract_unique_points(shapely.segmentize(local, _DEPTH_STEP_M))
    spots, owner = shapely.get_parts(points, return_index=True)
    shapely.prepare(old_line)
    depth: FloatArray = shapely.distance(middle, old_line)
    np.maximum.at(depth, owner, shapely.distance(spots, old_line))
    return depth / 1000


# Cutting and measuring ----------------------------------------------------------------------


def slivers(pieces: Geometries) -> Mask:
    """Tell which pieces are slivers (`SLIVER_WIDTH_M`, `SLIVER_AREA_KM2`).

    Parameters
    ----------
    pieces
        Polygons in OGC:CRS84, shape ``(n,)``.

    Returns
    -------
    numpy.ndarray
        True where a piece is nowhere as wide, or not as large. Shape ``(n,)``.

    Notes
    -----
    Nowhere as wide: nothing is left when it is eroded by half the width (a morphological opening),
    in metres on the plane that touches the ellipsoid at the piece's own latitude, which is true to
    0.1 % over the tens of kilometres of a piece.
    """
    thin: Mask = area_km2(pieces) < SLIVER_AREA_KM2
    rest = np.flatnonzero(~thin)
    plane = _own_plane(pieces[rest])
    # Most pieces tell it by their sizes. None is wider than its bounding box; and without a hole,
    # the strip along its edge that is as wide as its largest circle's radius covers all of it.
    bounds = shapely.bounds(plane)
    narrow = np.min(bounds[:, 2:] - bounds[:, :2], axis=1, initial=np.inf) < SLIVER_WIDTH_M * 0.95
    radius = shapely.area(plane) / shapely.length(plane)
    wide = (radius > SLIVER_WIDTH_M / 2 * 1.05) & (shapely.get_num_interior_rings(plane) == 0)
    thin[rest[narrow]] = True
    unsure = ~narrow & ~wide
    core = shapely.buffer(plane[unsure], -SLIVER_WIDTH_M / 2)
    thin[rest[unsure][shapely.is_empty(core)]] = True
    return thin


def _own_plane(pieces: Geometries) -> Geometries:
    """Scale each piece from degrees to metres at its own latitude."""
    return _scaled(pieces, metres_per_degree(_middle_lat(pieces)))


def _middle_lat(pieces: Geometries) -> FloatArray:
    bounds = shapely.bounds(pieces)
    middle: FloatArray = (bounds[:, 1] + bounds[:, 3]) / 2
    return middle


def _scaled(geometries: Geometries, scale: FloatArray) -> Geometries:
    xy, owner = shapely.get_coordinates(geometries, return_index=True)
    scaled: Geometries = shapely.set_coordinates(geometries.copy(), xy * scale[owner])
    return scaled


def lengths_km(lines: Geometries) -> FloatArray:
    """Geodesic length of each line (or of a polygon's rings).

    Parameters
    ----------
    lines
        Geometries in OGC:CRS84, shape ``(n,)``.

    Returns
    -------
    numpy.ndarray
        Length in km on WGS 84, shape ``(n,)``.
    """
    ends, owner = _segments(lines)
    return sums(owner, _lengths_km(ends), len(lines))


def sums(owner: npt.NDArray[Any], values: FloatArray, n: int) -> FloatArray:
    """Add up values by owner, 0 to n - 1.

    Parameters
    ----------
    owner, values
        Shape ``(m,)``.
    n
        How many owners there are.

    Returns
    -------
    numpy.ndarray
        Shape ``(n,)``.
    """
    # Of no values at all numpy makes integers.
    return np.bincount(owner, weights=values, minlength=n).astype(np.float64)


def _segments(lines: Geometries) -> tuple[FloatArray, IntArray]:
    """Both ends, and line, of every segment."""
    parts, owner = shapely.get_parts(lines, return_index=True)
    xy, part = shapely.get_coordinates(parts, return_index=True)
    same = part[1:] == part[:-1]
    return np.stack([xy[:-1][same], xy[1:][same]], axis=1), owner[part[:-1][same]]


def _lengths_km(ends: FloatArray) -> FloatArray:
    """Geodesic length between two ends, shape ``(n, 2, 2)``."""
    (lon, lat), (other_lon, other_lat) = ends[:, 0].T, ends[:, 1].T
    _, _, metres = _GEOD.inv(lon, lat, other_lon, other_lat)
    return np.asarray(metres, dtype=np.float64) / 1000


@lru_cache(maxsize=64)
def border_band(
    border: BaseGeometry | None, bounds: tuple[float, float, float, float], crs: str
) -> BaseGeometry | None:
    """Find the strip along the state border where an edge is not a line of contact.

    Parameters
    ----------
    border
        Lines in OGC:CRS84, or None.
    bounds
        West, south, east, north of the ground looked at, degrees.
    crs
        Its local projection, in metres: the strip is `BORDER_MARGIN_M` wide on the ground.

    Returns
    -------
    shapely geometry or None
        (Multi)polygon in OGC:CRS84; None where there is no border.
    """
    if border is None:
        return None
    west, south, east, north = bounds
    margin = 0.02  # degrees: more than the strip is wide
    near = shapely.clip_by_rect(
        border, west - margin, south - margin, east + margin, north + margin
    )
    if near.is_empty:
        return None
    band = shapely.buffer(transform(near, crs), BORDER_MARGIN_M)
    return transform(band, STORAGE_CRS, source=crs)


def _without(lines: Any, band: BaseGeometry | None) -> Any:
    return lines if band is None else shapely.difference(lines, band)


def contact_line(lines: Any, polygon: BaseGeometry | None, band: BaseGeometry | None) -> Any:
    """Cut the edge of a map to what is a line of contact inside a sector.

    Parameters
    ----------
    lines
        The boundary of the whole map, or an array of its parts, OGC:CRS84.
    polygon
        The sector; its own edge is no line of contact. None for the whole map.
    band
        From `border_band`.

    Returns
    -------
    shapely geometry or numpy.ndarray
        Lines in OGC:CRS84, shaped as `lines`.
    """
    if polygon is None:
        return _without(lines, band)
    near = shapely.clip_by_rect(lines, *polygon.bounds)
    if np.all(shapely.is_empty(near)):
        return near
    inside = _without(shapely.intersection(near, polygon), band)
    return shapely.difference(inside, polygon.boundary)


class Lines(NamedTuple):
    """Edges that only one of two maps has, to be found by place or by their two ends.

    Attributes
    ----------
    lines
        The edges, lines of two points in OGC:CRS84.
    tree
        The same, by place.
    km
        Their geodesic length. Shape ``(n,)``.
    step
        Which pair of maps each is of. Shape ``(n,)``.
    new
        Whether it is the later map that has it. Shape ``(n,)``.
    both
        Whether it lies on an edge of the other map, too: a vertex more makes another edge of the
        same line. Shape ``(n,)``.
    keys, order
        Hashes of edge and step, sorted, and which edge each is of. Shape ``(n,)``.
    """

    lines: Geometries
    tree: shapely.STRtree
    km: FloatArray
    step: npt.NDArray[Any]
    new: Mask
    both: Mask
    keys: edges.Hashes
    order: IntArray

    def find(self, ends: FloatArray, step: npt.NDArray[Any]) -> IntArray:
        """Which of the edges is bit for bit one of a step, from end to end; -1 where none is."""
        if not len(self.keys):
            return np.full(len(ends), -1)
        keys = _keys(ends, step)
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[at] == keys, self.order[at], -1)


def lines_of(ends: FloatArray, step: npt.NDArray[Any], new: Mask) -> Lines:
    """Lay out edges that changed.

    Parameters
    ----------
    ends
        Both ends of each, from `edges.Faces`. Shape ``(n, 2, 2)``.
    step, new
        As in `Lines`.

    Returns
    -------
    Lines
        The same edges.
    """
    lines: Geometries = shapely.linestrings(ends)
    keys = _keys(ends, step)
    order = np.argsort(keys)
    tree = shapely.STRtree(lines)
    both = _on_another(ends, step, new)
    return Lines(lines, tree, _lengths_km(ends), step, new, both, keys[order], order)


def _on_another(ends: FloatArray, step: npt.NDArray[Any], new: Mask) -> Mask:
    """Whether the middle of each edge lies on an edge of the other map of its step."""
    both = np.zeros(len(ends), dtype=bool)
    if not len(ends):
        return both
    # Where the steps lie over each other, most edges that meet are of different ones: so for the
    # search each has ground of its own, beside the others.
    aside = np.zeros((len(ends), 1, 2))
    aside[:, 0, 0] = np.asarray(step) * (np.ptp(ends[..., 0]) + 1)
    apart = ends + aside
    reach = _ON_LINE_DEG + 4 * np.spacing(np.abs(apart).max())
    low, high = apart.min(axis=1) - reach, apart.max(axis=1) + reach
    boxes = shapely.linestrings(np.stack([low, high], axis=1))
    is_old, is_new = np.flatnonzero(~new), np.flatnonzero(new)
    one, other = shapely.STRtree(boxes[is_new]).query(boxes[is_old])
    one, other = is_old[one], is_new[other]
    for edge, line in ((one, other), (other, one)):
        both[edge[_apart(ends[edge].mean(axis=1), ends[line]) <= _ON_LINE_DEG]] = True
    return both


def _keys(ends: FloatArray, step: npt.NDArray[Any]) -> edges.Hashes:
    keys: edges.Hashes = edges.hashes_of(ends)
    keys ^= (np.asarray(step).astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    return keys


class Sides(NamedTuple):
    """The edges of pieces of change, segment by segment, and whose line each is.

    Attributes
    ----------
    ends
        Longitude and latitude of both ends. Shape ``(m, 2, 2)``.
    km
        Geodesic length. Shape ``(m,)``.
    owner
        Which piece each is of. Shape ``(m,)``.
    old, new
        Whether it lies on the line of the earlier, of the later map. Shape ``(m,)``. The edge of
        the sector that cut a piece is neither.
    """

    ends: FloatArray
    km: FloatArray
    owner: IntArray
    old: Mask
    new: Mask


def sides(
    pieces: Geometries, step: npt.NDArray[Any], lines: Lines, band: BaseGeometry | None
) -> Sides:
    """Tell the old from the new line along the edge of each piece of change.

    Parameters
    ----------
    pieces
        Polygons between the old and the new line, OGC:CRS84, shape ``(n,)``.
    step
        Which pair of maps each is of, shape ``(n,)``.
    lines
        The edges that changed.
    band
        From `border_band`; what lies in it is left out.
    """
    ends, owner = _segments(_without(shapely.boundary(pieces), band))
    # Most segments are such an edge, one way or the other.
    known = np.maximum(*(lines.find(way, step[owner]) for way in (ends, ends[:, ::-1])))
    rest, known_at = np.flatnonzero(known < 0), np.flatnonzero(known >= 0)
    edge = known[known_at]
    old, new, km = np.zeros(len(ends), bool), np.zeros(len(ends), bool), np.empty(len(ends))
    old[known_at] = ~lines.new[edge] | lines.both[edge]
    new[known_at] = lines.new[edge] | lines.both[edge]
    km[known_at] = lines.km[edge]
    km[rest] = _lengths_km(ends[rest])
    # The others are parts of one, or none at all.
    point, line = lines.tree.query(shapely.points(ends[rest].mean(axis=1)), "dwithin", _ON_LINE_DEG)
    point = rest[point]
    same = lines.step[line] == step[owner[point]]
    old[point[same & ~lines.new[line]]] = True
    new[point[same & lines.new[line]]] = True
    return Sides(ends, km, owner, old, new)


def moved_km(edge: Sides, n: int) -> FloatArray:
    """Measure, for each of n pieces of change, the line that moved.

    Returns
    -------
    numpy.ndarray
        Geodesic km, shape ``(n,)``: the mean of the piece's old and new line, and where it has but
        one of the two (an island, or a pocket that has gone), that one. A spike, where the piece
        goes along a line and back again, has no ground: there nothing moved.
    """
    km = np.where(_spikes(edge), 0, edge.km)
    old_km, new_km = (sums(edge.owner, km * on, n) for on in (edge.old, edge.new))
    one = np.minimum(old_km, new_km) < _TOUCH_KM
    return np.where(one, old_km + new_km, (old_km + new_km) / 2)


def _spikes(edge: Sides) -> Mask:
    """Which segments, of both lines, have another of the same piece on them."""
    both = np.flatnonzero(edge.old & edge.new)
    ends, owner = edge.ends[both], edge.owner[both]
    middles = shapely.points(ends.mean(axis=1))
    # Each is as near as that to the one line they lie on.
    one, other = shapely.STRtree(shapely.linestrings(ends)).query(
        middles, "dwithin", 2 * _ON_LINE_DEG
    )
    found = np.zeros(len(edge.km), dtype=bool)
    found[both[one[(one != other) & (owner[one] == owner[other])]]] = True
    return found


def reach_km(pieces: Geometries, edge: Sides) -> FloatArray:
    """Measure how far each piece of change reaches beyond the old line that it has.

    Parameters
    ----------
    pieces
        Polygons in OGC:CRS84, shape ``(n,)``.
    edge
        Their `sides`, all around.

    Returns
    -------
    numpy.ndarray
        Kilometres, shape ``(n,)``: the greatest distance of a point of the piece from its own old
        line; NaN where it has none (an island).

    Notes
    -----
    Another part of the old line may be nearer, across a neck; `in_sector` looks at all of it.
    """
    reach = np.full(len(pieces), np.nan)
    reach[edge.owner[edge.old]] = 0.0
    ends = edge.ends * metres_per_degree(_middle_lat(pieces))[edge.owner][:, None]
    # What of the edge lies on the old line is no way from it. Where a line ends, another begins.
    points, owner = _spots(ends[~edge.old], edge.owner[~edge.old])
    at, line = np.unique(edge.owner[edge.old], return_inverse=True)
    order = np.argsort(line, kind="stable")
    own: Geometries = np.full(len(pieces), None)
    own[at] = shapely.multilinestrings(
        shapely.linestrings(ends[edge.old][order]), indices=line[order]
    )
    shapely.prepare(own)
    known = ~np.isnan(reach[owner])
    owner = owner[known]
    near = shapely.distance(shapely.points(points[known]), own[owner])
    np.maximum.at(reach, owner, near / 1000)
    return reach


def _spots(ends: FloatArray, owner: IntArray) -> tuple[FloatArray, IntArray]:
    """Points of lines but for their ends, `_DEPTH_STEP_M` apart at most, and whose they are."""
    along = ends[:, 1] - ends[:, 0]
    steps = np.maximum(np.ceil(np.hypot(*along.T) / _DEPTH_STEP_M), 1).astype(int)
    line = np.repeat(np.arange(len(ends)), steps)
    number = np.arange(len(line)) - np.repeat(np.cumsum(steps) - steps, steps)
    return ends[line, 0] + along[line] * (number / steps[line])[:, None], owner[line]


def _apart(points: FloatArray, ends: FloatArray) -> FloatArray:
    """Distance of each point from the straight line between two ends."""
    along = ends[:, 1] - ends[:, 0]
    off = points - ends[:, 0]
    length2 = np.maximum((along**2).sum(axis=1), np.finfo(float).tiny)
    share = np.clip((off * along).sum(axis=1) / length2, 0, 1)
    apart: FloatArray = np.hypot(*(off - share[:, None] * along).T)
    return apart


# The log of changes -------------------------------------------------------------------------


LOG_COLUMNS = ("day", "kind", "area_km2", "sliver", "requantised", "geometry")


def grounds(snapshots: Sequence[Snapshot], tier: str) -> list[BaseGeometry]:
    """Take one tier out of snapshots.

    Parameters
    ----------
    snapshots
        In order of time.
    tier
        The tier.

    Returns
    -------
    list of shapely geometries
        One a snapshot, in OGC:CRS84; where the tier's layers are those of the snapshot before, bit
        for bit, it is the same object, which `edges.steps` does not compare again.
    """
    found: list[BaseGeometry] = []
    for i, snapshot in enumerate(snapshots):
        same = i > 0 and same_layers(snapshots[i - 1], snapshot, TIERS[tier])
        found.append(found[-1] if same else snapshot.tier(tier))
    return found


def same_layers(before: Snapshot, after: Snapshot, layers: Iterable[str]) -> bool:
    """Tell whether two snapshots have the same geometry, bit for bit, in some layers."""
    for layer in layers:
        old, new = before.layers.get(layer), after.layers.get(layer)
        if old is not new and not shapely.equals_identical(old, new):
            return False
    return True


def log(snapshots: Sequence[Snapshot], tier: str) -> gpd.GeoDataFrame:
    """List every face of change over a sequence of days.

    Parameters
    ----------
    snapshots
        Of one source, in order of time.
    tier
        What to compare.

    Returns
    -------
    geopandas.GeoDataFrame
        One row a face: `LOG_COLUMNS`; day (datetime64) is that of the later map, kind "gained" or
        "lost" (positive is a Russian advance), area_km2, sliver, requantised (its day's map was
        exported anew), polygon in OGC:CRS84.
    """
    kinds = ("lost", "gained") if check_tier(tier) in INVERTED_TIERS else ("gained", "lost")
    days: list[date] = []
    columns: dict[str, list[object]] = {"kind": [], "requantised": []}
    pieces = [_NONE]
    for snapshot, step in zip(snapshots[1:], edges.steps(grounds(snapshots, tier)), strict=True):
        for kind, found in zip(kinds, (step.gained, step.lost), strict=True):
            pieces.append(found)
            days += [snapshot.day] * len(found)
            columns["kind"] += [kind] * len(found)
            columns["requantised"] += [step.requantised] * len(found)
    geometry = np.concatenate(pieces)
    table = gpd.GeoDataFrame(
        {
            "day": pd.DatetimeIndex(days).astype("datetime64[s]"),
            "kind": pd.array(columns["kind"], dtype="str"),
            "area_km2": area_km2(geometry),
            "sliver": slivers(geometry),
            "requantised": np.array(columns["requantised"], dtype=bool),
        },
        geometry=geometry,
        crs=STORAGE_CRS,
    )
    return table[list(LOG_COLUMNS)]


def append(
    table: gpd.GeoDataFrame, before: Snapshot, after: Snapshot, tier: str
) -> gpd.GeoDataFrame:
    """Add a new day to a log, from its map and the one before alone.

    Parameters
    ----------
    table
        From `log`, up to `before`.
    before, after
        The last map of the log and the new one.
    tier
        The log's tier.

    Returns
    -------
    geopandas.GeoDataFrame
        A new table, equal to the log of the longer sequence.
    """
    return pd.concat([table, log([before, after], tier)], ignore_index=True)
