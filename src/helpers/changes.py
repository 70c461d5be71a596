"""Two snapshots -> what was gained and what was lost, kept apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely
from pyproj import Geod
from shapely.geometry.base import BaseGeometry

from helpers.projection import STORAGE_CRS, area_km2, transform
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

# Above this share of changed edges a map may have been exported anew, every second vertex off by
# centimetres. Its vertices are then put back on those of the day before, where one is this near.
_REQUANTISED_SHARE = 0.05
_SNAP_M = 0.1

# How near a line a point must be to lie on it: 0.1 mm, for the rounding of intersection points.
_ON_LINE_DEG = 1e-9
# Room round the windows of change, so that no changed vertex lies on a window's edge: about 10 m.
_WINDOW_MARGIN_DEG = 1e-4
_DEPTH_STEP_M = 250.0

# WGS 84 (EPSG:7030).
_A_M = 6_378_137.0
_E2 = 0.0066943799901413165

_GEOD = Geod(ellps="WGS84")

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Geometries = npt.NDArray[np.object_]
_NONE: Geometries = np.empty(0, dtype=object)
_NOWHERE = shapely.MultiPolygon()


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
        One row a piece of `gained` or `lost`: kind ("gained" / "lost"), area_km2, lon, lat (a
        point inside), bearing_deg (from the sector's centre), depth_km (how far it reaches beyond
        the old line), geometry.
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
    old, new = clip(old_map, sector.polygon), clip(new_map, sector.polygon)
    added, removed = _difference(new, old), _difference(old, new)
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
    old, new = edges(before), edges(after)
    vanished = old.lines(~_isin(old.hashes, new.hashes))
    appeared = new.lines(~_isin(new.hashes, old.hashes))
    step = np.zeros(len(vanished) + len(appeared))
    tree = shapely.STRtree(np.concatenate([vanished, appeared]))
    return Lines(tree, step, np.arange(len(step)) >= len(vanished))


def _pieces(
    sector: Sector, kept: Geometries, n_gained: int, old_line: BaseGeometry
) -> gpd.GeoDataFrame:
    """Describe the pieces, the first `n_gained` of them gained, the largest of each kind first."""
    local = transform(kept, sector.crs)
    # The middle of the largest circle inside: a place for a label, and the deepest point of a
    # pocket that is closed from all sides.
    middle = shapely.get_point(shapely.maximum_inscribed_circle(local, tolerance=10.0), 0)
    x, y = shapely.get_x(middle), shapely.get_y(middle)
    inside = transform(middle, STORAGE_CRS, source=sector.crs)
    table = gpd.GeoDataFrame(
        {
            "kind": np.where(np.arange(len(kept)) < n_gained, "gained", "lost"),
            "area_km2": area_km2(kept),
            "lon": shapely.get_x(inside),
            "lat": shapely.get_y(inside),
            "bearing_deg": np.degrees(np.arctan2(x, y)) % 360,
            "depth_km": _depth_km(local, middle, transform(old_line, sector.crs)),
        },
        geometry=kept,
        crs=STORAGE_CRS,
    )
    return table.sort_values(["kind", "area_km2"], ascending=[True, False], ignore_index=True)


def _depth_km(local: Geometries, middle: Geometries, old_line: BaseGeometry) -> FloatArray:
    """Greatest distance of each piece from the old line; NaN where there was none. Metres in."""
    if old_line.is_empty or not len(local):
        return np.full(len(local), np.nan)
    points = shapely.extract_unique_points(shapely.segmentize(local, _DEPTH_STEP_M))
    spots, owner = shapely.get_parts(points, return_index=True)
    shapely.prepare(old_line)
    depth: FloatArray = shapely.distance(middle, old_line)
    np.maximum.at(depth, owner, shapely.distance(spots, old_line))
    return depth / 1000


# Cutting and measuring ----------------------------------------------------------------------


def clip(ground: BaseGeometry, polygon: BaseGeometry) -> BaseGeometry:
    """Cut ground to a polygon: to its bounding box first, which is what makes it quick.

    Parameters
    ----------
    ground, polygon
        Valid (multi)polygons in OGC:CRS84.

    Returns
    -------
    shapely.MultiPolygon
        The part inside, in OGC:CRS84.
    """
    inside = _clip_boxes(ground, [polygon.bounds])[0]
    if not shapely.equals(polygon, shapely.box(*polygon.bounds)):
        inside = shapely.intersection(inside, polygon)
    return shapely.multipolygons(_polygons(inside))


def _clip_boxes(ground: BaseGeometry, boxes: Sequence[Sequence[float]] | FloatArray) -> Geometries:
    parts = np.array([_clip_box(ground, box) for box in boxes], dtype=object)
    # On some rings the clip gives invalid polygons.
    for i in map(int, np.flatnonzero(~shapely.is_valid(parts))):
        parts[i] = shapely.intersection(ground, shapely.box(*boxes[i]))
    return parts


def _clip_box(ground: BaseGeometry, box: Sequence[float]) -> BaseGeometry | None:
    # An order of magnitude quicker than an intersection, but on some rings GEOS gives up
    # ("Invalid number of points in LinearRing"). None is not valid, and so is done over.
    try:
        return shapely.clip_by_rect(ground, *box)
    except shapely.GEOSException:
        return None


def overlap(pieces: Geometries, ground: BaseGeometry) -> Geometries:
    """Intersect small pieces with a large ground: each with no more of it than lies around.

    Parameters
    ----------
    pieces
        Polygons in OGC:CRS84, shape ``(n,)``.
    ground
        Valid (multi)polygon in OGC:CRS84.

    Returns
    -------
    numpy.ndarray
        Shape ``(n,)``; parts of no area, where the two only touch, may be in it.
    """
    shapely.prepare(ground)
    inside = np.where(shapely.contains_properly(ground, pieces), pieces, _NOWHERE)
    cut = np.flatnonzero(shapely.is_empty(inside) & shapely.intersects(ground, pieces))
    margin = _WINDOW_MARGIN_DEG * np.array([-1, -1, 1, 1])
    near = _clip_boxes(ground, shapely.bounds(pieces[cut]) + margin)
    inside[cut] = shapely.intersection(pieces[cut], near)
    return inside


def _polygons(geometry: Any) -> Geometries:
    """All polygons of a geometry or an array of them; lines and points are dropped."""
    parts = shapely.get_parts(geometry)
    polygon = shapely.get_type_id(parts) == shapely.GeometryType.POLYGON
    polygons: Geometries = parts[polygon & ~shapely.is_empty(parts)]
    return polygons


def _difference(a: Any, b: Any) -> Geometries:
    return _polygons(shapely.difference(a, b))


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
    core = shapely.buffer(_own_plane(pieces[rest]), -SLIVER_WIDTH_M / 2)
    thin[rest[shapely.is_empty(core)]] = True
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


def metres_per_degree(lat: FloatArray) -> FloatArray:
    """Size of a degree of longitude and of latitude.

    Parameters
    ----------
    lat
        Latitudes in degrees, shape ``(n,)``.

    Returns
    -------
    numpy.ndarray
        Metres, shape ``(n, 2)``, from the radii of curvature of WGS 84 (Snyder 1987, eq. 4-18 to
        4-20).
    """
    phi = np.radians(lat)
    w = 1 - _E2 * np.sin(phi) ** 2
    radii = np.column_stack([_A_M * np.cos(phi) / np.sqrt(w), _A_M * (1 - _E2) / w**1.5])
    return np.radians(radii)


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
    _, lengths, owner = _segments(lines)
    return sums(owner, lengths, len(lines))


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


def _segments(lines: Geometries) -> tuple[FloatArray, FloatArray, IntArray]:
    """Both ends, length in km, and line of every segment."""
    parts, owner = shapely.get_parts(lines, return_index=True)
    xy, part = shapely.get_coordinates(parts, return_index=True)
    same = part[1:] == part[:-1]
    a, b = xy[:-1][same], xy[1:][same]
    _, _, metres = _GEOD.inv(a[:, 0], a[:, 1], b[:, 0], b[:, 1])
    km = np.asarray(metres, dtype=np.float64) / 1000
    return np.stack([a, b], axis=1), km, owner[part[:-1][same]]


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
    """Edges that only one of two maps has, to be found by place.

    Attributes
    ----------
    tree
        The edges, lines in OGC:CRS84.
    step
        Which pair of maps each is of. Shape ``(n,)``.
    new
        Whether it is the later map that has it. Shape ``(n,)``.
    """

    tree: shapely.STRtree
    step: npt.NDArray[Any]
    new: Mask


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
    ends, km, owner = _segments(_without(shapely.boundary(pieces), band))
    point, line = lines.tree.query(shapely.points(ends.mean(axis=1)), "dwithin", _ON_LINE_DEG)
    same = lines.step[line] == step[owner[point]]
    old, new = np.zeros(len(km), dtype=bool), np.zeros(len(km), dtype=bool)
    old[point[same & ~lines.new[line]]] = True
    new[point[same & lines.new[line]]] = True
    return Sides(ends, km, owner, old, new)


def moved_km(edge: Sides, n: int) -> FloatArray:
    """Measure, for each of n pieces of change, the line that moved.

    Returns
    -------
    numpy.ndarray
        Geodesic km, shape ``(n,)``: the mean of the piece's old and new line, and where it has but
        one of the two (an island, or a pocket that has gone), that one.
    """
    old_km, new_km = (sums(edge.owner, edge.km * on, n) for on in (edge.old, edge.new))
    return np.where((old_km == 0) | (new_km == 0), old_km + new_km, (old_km + new_km) / 2)


def reach_km(pieces: Geometries, edge: Sides) -> FloatArray:
    """Measure how far each piece of change reaches beyond the old line that it has.

    Parameters
    ----------
    pieces
        Polygons in OGC:CRS84, shape ``(n,)``.
    edge
        Their `sides`.

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
    known, number = np.unique(edge.owner[edge.old], return_inverse=True)
    if not len(known):
        return reach
    own = shapely.multilinestrings(shapely.linestrings(edge.ends[edge.old]), indices=number)
    scale = metres_per_degree(_middle_lat(pieces[known]))
    # The old line is part of the piece's edge, so that the farthest point of the two is the edge's.
    fine = shapely.segmentize(_scaled(pieces[known], scale), _DEPTH_STEP_M)
    reach[known] = shapely.hausdorff_distance(fine, _scaled(own, scale)) / 1000
    return reach


# Faces of change ----------------------------------------------------------------------------


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
        The edges that only the later, only the earlier map has: lines of two points.
    """

    gained: Geometries
    lost: Geometries
    requantised: bool
    appeared: Geometries
    vanished: Geometries

    @property
    def empty(self) -> bool:
        """Whether nothing changed."""
        return not (len(self.appeared) or len(self.vanished))


NO_CHANGE = Faces(gained=_NONE, lost=_NONE, requantised=False, appeared=_NONE, vanished=_NONE)


class Edges(NamedTuple):
    """The directed edges of one map: ground to the same side of each.

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
    """

    ground: BaseGeometry
    xy: FloatArray
    start: IntArray
    hashes: npt.NDArray[np.uint64]

    def lines(self, which: Mask) -> Geometries:
        """Some of the edges as lines of two points."""
        at = self.start[which]
        lines: Geometries = shapely.linestrings(np.stack([self.xy[at], self.xy[at + 1]], axis=1))
        return lines

    def boxes(self, which: Mask) -> FloatArray:
        """Bounding boxes of the runs of some edges: west, south, east, north."""
        at = self.start[which]
        if not len(at):
            return np.empty((0, 4))
        first = np.flatnonzero(np.diff(at, prepend=-2) != 1)
        a, b = self.xy[at], self.xy[at + 1]
        low = np.minimum.reduceat(np.minimum(a, b), first)
        high = np.maximum.reduceat(np.maximum(a, b), first)
        return np.hstack([low - _WINDOW_MARGIN_DEG, high + _WINDOW_MARGIN_DEG])


def edges(ground: BaseGeometry) -> Edges:
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
    bits = (xy + 0.0).view(np.uint64)  # + 0.0 makes one zero of the two
    # Odd multipliers with well mixed bits, from splitmix64 (Steele et al. 2014) and xxHash.
    vertex = bits[:, 0] * np.uint64(0x9E3779B97F4A7C15)
    vertex ^= vertex >> np.uint64(29)
    vertex = (vertex + bits[:, 1]) * np.uint64(0xBF58476D1CE4E5B9)
    vertex ^= vertex >> np.uint64(32)
    hashes = vertex[start] * np.uint64(0x94D049BB133111EB)
    hashes ^= hashes >> np.uint64(31)
    hashes = (hashes + vertex[start + 1]) * np.uint64(0xC2B2AE3D27D4EB4F)
    hashes ^= hashes >> np.uint64(30)
    return Edges(ground, xy, start, hashes)


def faces(before: BaseGeometry | Edges, after: BaseGeometry | Edges) -> Faces:
    """Find where two maps differ, by the edges that only one of them has.

    Parameters
    ----------
    before, after
        Valid (multi)polygons in OGC:CRS84, or their `edges`.

    Returns
    -------
    Faces
        Equal to the two whole differences, at a fraction of their cost.

    Notes
    -----
    Whether a point is inside a map follows from the directed edges alone, so inside one and outside
    the other can only be told apart across an edge that one of them lacks. Rectangles are put round
    those edges and merged until none touch: outside them the maps are equal, and no face spans two.
    """
    old = before if isinstance(before, Edges) else edges(before)
    new = after if isinstance(after, Edges) else edges(after)
    appeared, requantised = ~_isin(new.hashes, old.hashes), False
    if appeared.sum() > _REQUANTISED_SHARE * len(appeared):
        snapped = _put_back(new, appeared, old)
        still = ~_isin(snapped.hashes, old.hashes)
        requantised = bool(still.sum() < appeared.sum() / 2)
        if requantised:
            new, appeared = snapped, still
    vanished = ~_isin(old.hashes, new.hashes)
    windows = merge(np.vstack([old.boxes(vanished), new.boxes(appeared)]))
    a, b = _clip_boxes(old.ground, windows), _clip_boxes(new.ground, windows)
    return Faces(
        gained=_difference(b, a),
        lost=_difference(a, b),
        requantised=requantised,
        appeared=new.lines(appeared),
        vanished=old.lines(vanished),
    )


def _isin(values: npt.NDArray[np.uint64], known: npt.NDArray[np.uint64]) -> Mask:
    # numpy's own isin sorts, and is 15 times slower here.
    return np.asarray(pd.Index(values).isin(known))


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
        ground = shapely.multipolygons(_polygons(repaired))
    return edges(ground)


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
        for bit, it is the same object, which `steps` does not compare again.
    """
    found: list[BaseGeometry] = []
    for i, snapshot in enumerate(snapshots):
        same = i > 0 and same_layers(snapshots[i - 1], snapshot, TIERS[tier])
        found.append(found[-1] if same else snapshot.tier(tier))
    return found


def same_layers(before: Snapshot, after: Snapshot, layers: Iterable[str]) -> bool:
    """Tell whether two snapshots have the same geometry, bit for bit, in some layers."""
    pairs = [(before.layers.get(layer), after.layers.get(layer)) for layer in layers]
    return all(a is b or bool(shapely.equals_identical(a, b)) for a, b in pairs)


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
    old = edges(maps[0]) if len(maps) else None
    for before, after in pairwise(maps):
        new = old if after is before else edges(after)
        assert old is not None
        assert new is not None
        yield NO_CHANGE if new is old else faces(old, new)
        old = new


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
    for snapshot, step in zip(snapshots[1:], steps(grounds(snapshots, tier)), strict=True):
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
