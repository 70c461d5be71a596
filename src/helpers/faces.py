"""What a map draws of a change: faces that fit without a gap, lines without the state border.

Geometry only, in the sector's own equal-area projection, metres. It is for the eye: the numbers on
a map come from the measured change.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely
from shapely.geometry.base import BaseGeometry

from helpers import projection
from helpers.schema import INVERTED_TIERS

if TYPE_CHECKING:
    from helpers.changes import SectorChange
    from helpers.reference import Sector

# An edge nearer than this to the state border follows the border and is no line of contact.
BORDER_M = 350.0

# All drawing geometry lies on a grid of one metre, far below a pixel: edges of two days that differ
# by centimetres fall together.
_GRID_M = 1.0
# Simplification, in pixels: not to be seen.
_SIMPLIFY_PX = 0.45
# A piece of line or a closed speck smaller than this many pixels is not drawn.
_SPECK_PX = 7.0

GeometryArray = npt.NDArray[np.object_]
_NOTHING = shapely.MultiPolygon()
_NO_LINES = shapely.MultiLineString()


@dataclass(frozen=True)
class View:
    """The frame of a sector, and how it is drawn.

    Attributes
    ----------
    sector
        The sector; its bounds in its own projection are the map's frame.
    width_px
        Width of the drawn map in pixels.
    """

    sector: Sector
    width_px: float

    @property
    def bounds_m(self) -> tuple[float, float, float, float]:
        """The frame: x0, y0, x1, y1 in metres."""
        x0, y0, x1, y1 = self.sector.bounds_m
        return x0, y0, x1, y1

    @property
    def m_per_px(self) -> float:
        """Metres on the ground a pixel."""
        return (self.bounds_m[2] - self.bounds_m[0]) / self.width_px

    @property
    def height_px(self) -> float:
        """Height of the drawn map in pixels."""
        return (self.bounds_m[3] - self.bounds_m[1]) / self.m_per_px

    @cached_property
    def frame(self) -> shapely.Polygon:
        """The frame as a polygon, metres."""
        return shapely.box(*self.bounds_m)

    @cached_property
    def ground(self) -> BaseGeometry:
        """The sector itself, metres: the frame, or a polygon in it."""
        inside = shapely.intersection(self.project(self.sector.polygon), self.frame)
        # The curved edges of a rectangle on the ground stay within a metre of the frame.
        return self.frame if inside.area > 0.999 * self.frame.area else inside

    def project(self, geometry: BaseGeometry) -> BaseGeometry:
        """Longitude/latitude to metres in the sector's projection, valid."""
        return _projected(geometry, self.sector.crs)

    def pixels(self, lon: Any, lat: Any) -> npt.NDArray[np.float64]:
        """Longitude/latitude to pixels from the frame's lower left corner, shape ``(n, 2)``."""
        return self.to_px(projection.transform_xy(lon, lat, self.sector.crs))

    def to_m(self, x: Any, y: Any) -> tuple[Any, Any]:
        """Pixels from the frame's lower left corner, to metres."""
        x0, y0, _, _ = self.bounds_m
        return x0 + x * self.m_per_px, y0 + y * self.m_per_px

    def to_px(self, xy: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Metres, shape ``(n, 2)``, to pixels from the frame's lower left corner."""
        moved: npt.NDArray[np.float64] = (xy - np.array(self.bounds_m[:2])) / self.m_per_px
        return moved


@dataclass(frozen=True)
class Faces:
    """The drawn ground of a change, metres.

    Attributes
    ----------
    held
        Ground of the tier on both days.
    gained, lost
        Ground of Russian advance and of withdrawal.
    line_now, line_then
        Edge of the tier's ground on the two days, without the frame and the state border; "then"
        only where it differs from now.
    """

    held: BaseGeometry
    gained: BaseGeometry
    lost: BaseGeometry
    line_now: BaseGeometry
    line_then: BaseGeometry


def _projected(geometry: BaseGeometry, crs: str) -> BaseGeometry:
    moved: BaseGeometry = projection.transform(geometry, crs)
    if not moved.is_valid:
        moved = shapely.make_valid(moved, method="structure", keep_collapsed=False)
    return moved


def _snap(ground: BaseGeometry) -> BaseGeometry:
    return _areas(shapely.set_precision(ground, _GRID_M))


def _areas(geometry: BaseGeometry) -> BaseGeometry:
    """Without the points and lines in which two grounds on a grid may touch."""
    parts = shapely.get_parts(geometry)
    return shapely.multipolygons(parts[shapely.get_dimensions(parts) == 2])


def _cells(lines: list[BaseGeometry]) -> GeometryArray:
    noded = shapely.union_all([line for line in lines if not line.is_empty], grid_size=_GRID_M)
    cells: GeometryArray = shapely.get_parts(shapely.polygonize([noded]))
    return cells


def _within(points: GeometryArray, ground: BaseGeometry) -> npt.NDArray[np.bool_]:
    shapely.prepare(ground)
    inside: npt.NDArray[np.bool_] = shapely.contains(ground, points)
    return inside


def faces(change: SectorChange, view: View, border: BaseGeometry, abroad: BaseGeometry) -> Faces:
    """Make the drawing geometry of a change.

    Parameters
    ----------
    change
        The measured change; geometries in OGC:CRS84.
    view
        Frame and scale.
    border
        State border in metres, clipped to the frame or not.
    abroad
        Ground of the frame beyond it, metres (see `beyond_border`).

    Returns
    -------
    Faces
        One coverage, simplified as a whole, so that no sliver shows between its faces.

    Notes
    -----
    Ukrainian-held ground in Russia ends at the state border. Where the source's error is larger
    than that of the border drawn here, such ground is drawn up to it: an offset between two
    drawings of one border is not news.
    """
    inverted = change.tier in INVERTED_TIERS
    error = change.source.positional_error_m if inverted else 0.0
    states = (change.before, change.after, change.gained, change.lost)
    classes = _classes(view.frame, view.sector.crs, states, border, abroad, error)
    present = {name: ground for name, ground in classes.items() if not ground.is_empty}
    simple = shapely.coverage_simplify(list(present.values()), _SIMPLIFY_PX * view.m_per_px)
    drawn = dict(zip(present, simple, strict=True))
    held, gained, lost = (drawn.get(name, _NOTHING) for name in ("held", "gained", "lost"))
    later, earlier = (lost, gained) if inverted else (gained, lost)
    now = shapely.coverage_union(held, later).boundary
    then = shapely.coverage_union(held, earlier).boundary
    return Faces(
        held,
        gained,
        lost,
        line_now=contact_line(now, view, border),
        line_then=contact_line(shapely.difference(then, now), view, border),
    )


@lru_cache(maxsize=4)
def _classes(
    frame: BaseGeometry,
    crs: str,
    states: tuple[BaseGeometry, ...],
    border: BaseGeometry,
    abroad: BaseGeometry,
    error: float,
) -> dict[str, BaseGeometry]:
    """Held, gained and lost ground, and the rest of the frame: a coverage, the same at any scale.

    `states` are the ground before and after, gained and lost; `error` is that of Ukrainian-held
    ground, else 0.
    """
    after, gained, lost = (_snap(_projected(ground, crs)) for ground in states[1:])
    if error > BORDER_M and not abroad.is_empty:
        before = _snap(_projected(states[0], crs))
        before, after = (_up_to_border(g, abroad, border, error) for g in (before, after))
        gained = _touching(shapely.difference(before, after), gained)
        lost = _touching(shapely.difference(after, before), lost)
    cells = _cells([ground.boundary for ground in (frame, after, gained, lost)])
    inside = shapely.point_on_surface(cells)
    is_gained, is_lost = _within(inside, gained), _within(inside, lost)
    changed = is_gained | is_lost
    is_held = _within(inside, after) & ~changed
    masks = {
        "held": is_held,
        "gained": is_gained,
        "lost": is_lost,
        "rest": ~(changed | is_held),
    }
    return {name: shapely.coverage_union_all(cells[mask]) for name, mask in masks.items()}


def _up_to_border(
    ground: BaseGeometry, abroad: BaseGeometry, border: BaseGeometry, error: float
) -> BaseGeometry:
    """Ground beyond the border, with the narrow strips between the two."""
    beyond = _areas(shapely.intersection(ground, abroad))
    gap = shapely.difference(abroad, beyond)
    # Both drawings may be off, so a strip may be as wide as one and a half errors.
    wide = gap.buffer(-0.75 * error).buffer(0.76 * error)
    strips = shapely.difference(gap, wide).intersection(_beside(border, 1.5 * error))
    # Of the strips only those along this ground: an inlet of the border is as narrow.
    return _snap(shapely.union(beyond, _touching(strips, beyond.buffer(1.0))))


def _touching(ground: BaseGeometry, other: BaseGeometry) -> BaseGeometry:
    """Polygons of some ground that share some of another."""
    parts = shapely.get_parts(ground)
    polygonal = shapely.get_type_id(parts) == shapely.GeometryType.POLYGON
    return shapely.multipolygons(parts[polygonal & shapely.intersects(parts, other)])


@lru_cache(maxsize=64)
def _beside(border: BaseGeometry, reach: float) -> BaseGeometry:
    """Ground within some metres of the border."""
    return border.buffer(reach, quad_segs=4)


@lru_cache(maxsize=64)
def _no_contact(
    frame: BaseGeometry, ground: BaseGeometry, border: BaseGeometry, reach: float
) -> tuple[BaseGeometry, BaseGeometry]:
    """Where an edge is that of the frame or the sector, and where it follows the border."""
    outline = shapely.union(frame.boundary, ground.boundary)
    return outline.buffer(reach), frame.intersection(_beside(border, BORDER_M))


def contact_line(edge: BaseGeometry, view: View, border: BaseGeometry) -> BaseGeometry:
    """Keep of the edge of some ground what is a line of contact.

    Parameters
    ----------
    edge
        Boundary of drawn ground, metres.
    view
        Frame and scale.
    border
        State border, metres.

    Returns
    -------
    shapely geometry
        (Multi)linestring, empty where nothing is left: without the frame's own edge, without what
        follows the state border within `BORDER_M`, without specks.
    """
    speck = _SPECK_PX * view.m_per_px
    outline, near = _no_contact(view.frame, view.ground, border, 1.5 * view.m_per_px)
    rest = edge.difference(outline).difference(near)
    lines = shapely.get_parts(shapely.line_merge(_lines_only(rest)))
    closed = shapely.is_closed(lines)
    lengths = np.where(closed, shapely.length(lines) / 3, shapely.length(lines))
    return shapely.multilinestrings(lines[lengths > speck]) if len(lines) else _NO_LINES


def _lines_only(geometry: BaseGeometry) -> BaseGeometry:
    parts = shapely.get_parts(geometry)
    lines = parts[shapely.get_type_id(parts) == shapely.GeometryType.LINESTRING]
    return shapely.multilinestrings(lines) if len(lines) else _NO_LINES


def beyond_border(view: View, border: BaseGeometry, home: BaseGeometry) -> BaseGeometry:
    """Ground of the frame beyond the state border, metres.

    Parameters
    ----------
    view
        Frame and scale.
    border
        State border in metres.
    home
        The country on this side of it, in metres: coarse is enough, it only says which side of the
        border is which.

    Returns
    -------
    shapely geometry
        (Multi)polygon, empty where no border crosses the frame.
    """
    cells = _cells([view.frame.boundary, border.intersection(view.frame)])
    abroad = cells[~_within(shapely.point_on_surface(cells), home)]
    return shapely.coverage_union_all(abroad) if len(abroad) else _NOTHING


# Where the change happened ------------------------------------------------------------------


@dataclass(frozen=True)
class Spread:
    """Change in one place: what a number on the map stands for.

    Attributes
    ----------
    kind
        "gained" or "lost".
    area_km2
        Measured area of the pieces, or of the share of a piece.
    ground
        The same, metres.
    """

    kind: str
    area_km2: float
    ground: BaseGeometry


# Gains joined by a neck narrower than two of these shares of the frame's width count as two.
_NECK = 1 / 110
# Small pieces nearer together than this share of the frame's width are told as one.
_GATHER = 0.08
# A piece gets a number of its own from this many square pixels on.
_OWN_PX2 = 2500
# What is less than this share of everything that moved is not numbered.
_WORTH = 0.03


def spreads(pieces: pd.DataFrame, view: View, limit: int) -> list[Spread]:
    """Tell where a change happened, in a few numbers that belong to places.

    Parameters
    ----------
    pieces
        Table of a `SectorChange`.
    view
        Frame and scale.
    limit
        At most so many.

    Returns
    -------
    list of Spread
        The largest first. A big piece is cut where it is narrow, and each share keeps the ground
        nearest to it; small pieces that lie together are told as one. Their areas add up to no more
        than the pieces'.
    """
    found = []
    for kind, table in pieces.groupby("kind", sort=True):
        shares = [
            share
            for area, geometry in zip(table["area_km2"], table["geometry"], strict=True)
            for share in _cut_at_necks(Spread(str(kind), float(area), view.project(geometry)), view)
        ]
        found += _gathered(shares, view)
    least = _WORTH * float(pieces["area_km2"].sum()) if len(pieces) else 0.0
    worth = [spread for spread in found if spread.area_km2 >= least]
    return sorted(worth, key=lambda spread: -spread.area_km2)[:limit]


def _own(spread: Spread, view: View) -> bool:
    return bool(spread.ground.area / view.m_per_px**2 >= _OWN_PX2)


def _cut_at_necks(piece: Spread, view: View) -> list[Spread]:
    if not _own(piece, view):
        return [piece]
    grounds = _parts_of(piece.ground, _NECK * (view.bounds_m[2] - view.bounds_m[0]))
    if len(grounds) == 1:
        return [piece]
    total = sum(ground.area for ground in grounds)
    return [Spread(piece.kind, piece.area_km2 * ground.area / total, ground) for ground in grounds]


# The same in both renditions.
@lru_cache(maxsize=64)
def _parts_of(ground: BaseGeometry, neck: float) -> list[BaseGeometry]:
    cores = shapely.get_parts(ground.buffer(-neck, quad_segs=4))
    cores = cores[shapely.area(cores) > 0.12 * shapely.area(cores).sum()]
    if len(cores) < 2:
        return [ground]
    rest = _snap(ground)
    shares = []
    for core in cores:
        grown = _areas(shapely.intersection(rest, core.buffer(1.02 * neck), grid_size=_GRID_M))
        rest = _areas(shapely.difference(rest, grown, grid_size=_GRID_M))
        shares.append([grown])
    # What no core grows into, necks and spurs, goes to the nearest.
    for part in shapely.get_parts(rest):
        shares[int(np.argmin(shapely.distance(cores, part)))].append(part)
    return [shapely.union_all(share, grid_size=_GRID_M) for share in shares]


def _gathered(shares: list[Spread], view: View) -> list[Spread]:
    """Join the small ones that lie together; the large stand alone."""
    alone = [share for share in shares if _own(share, view)]
    small = [share for share in shares if not _own(share, view)]
    if not small:
        return alone
    reach = _GATHER * (view.bounds_m[2] - view.bounds_m[0])
    zones = shapely.get_parts(
        shapely.union_all([share.ground.buffer(reach / 2, quad_segs=4) for share in small])
    )
    points = [shapely.point_on_surface(share.ground) for share in small]
    for zone in zones:
        members = [s for s, p in zip(small, points, strict=True) if zone.contains(p)]
        grounds = shapely.multipolygons(
            shapely.get_parts([member.ground for member in members]).tolist()
        )
        area = sum(member.area_km2 for member in members)
        alone.append(Spread(members[0].kind, area, grounds))
    return alone
