"""The embedded sample: daily maps made from settlement facts, so that the project runs offline.

For each sector, the time since a settlement changed hands is interpolated between the settlements;
its zero contour is the line. This is not a record of control, and not data of ISW or of any map
project: ``data/raw/reconstruction/README.md`` states the limits.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Protocol, cast

import contourpy
import numpy as np
import numpy.typing as npt
import orjson
import pandas as pd
import shapely
from shapely.geometry.base import BaseGeometry

from helpers.errors import ParameterError, SnapshotError
from helpers.files import write_atomic
from helpers.projection import STORAGE_CRS, FloatArray, area_km2, local_crs, transform
from helpers.readers import geojson
from helpers.schema import LAYERS
from helpers.sources import SOURCES

BoolArray = npt.NDArray[np.bool_]
IndexArray = npt.NDArray[np.intp]
DayArray = npt.NDArray[np.datetime64]
GeometryArray = npt.NDArray[np.object_]
Grounds = list[shapely.MultiPolygon]
Filled = tuple[list[FloatArray], list[IndexArray]]

FIRST_DAY, LAST_DAY = date(2024, 8, 1), date(2025, 1, 31)
# The days of the second reading, `at_latest`: every week, and those of the week before 8 January.
LATE_DAYS = frozenset(
    {date(2024, 10, 2) + timedelta(days=7 * n) for n in range(18)}
    | {date(2025, 1, n) for n in range(1, 9)}
)

_SALIENT = "kursk"
_INCURSION = np.datetime64("2024-08-06")
# Where a fact says "before 2024-06": any day so early that the first map has it settled.
_LONG_AGO = "2024-05-01"
_LONG_AFTER = "2026-01-01"

_STEP_M = 250.0
# Ground reaches beyond a sector's frame, so that the frame's edge is never an edge of the ground.
_MARGIN_M = 3_000.0
# Beyond the domain, so that its edge does not cut the neighbourhoods of the settlements inside.
_APRON_M = 6_000.0
_GRID_DEG = 1e-5
# Visvalingam and Whyatt's rule: a corner stays if its triangle is larger than the square of this.
# Unlike Douglas and Peucker's it looks at a line's neighbourhood only, so that a line which stands
# still is simplified alike. 200 m moves 95 % of the line by less than 45 m, a spike's tip by 300 m.
_SIMPLIFY_M = 200.0
# The same square in degrees of longitude by latitude, at 50° N (the sectors: 48 to 51.5).
_SIMPLIFY_DEG = _SIMPLIFY_M / 111_195.0 / float(np.sqrt(np.cos(np.radians(50.0))))
_MIN_PART_KM2 = 1.0
_CLAIM_RADIUS_M = 2_500.0


class Frame(Protocol):
    """The part of a sector that matters here: a rectangle on the ground, and its key."""

    @property
    def key(self) -> str:
        """Key of the sector, as in the facts."""

    @property
    def lon(self) -> float:
        """Longitude of the centre, degrees."""

    @property
    def lat(self) -> float:
        """Latitude of the centre, degrees."""

    @property
    def width_km(self) -> float:
        """Width on the ground."""

    @property
    def height_km(self) -> float:
        """Height on the ground."""


@dataclass(frozen=True)
class Facts:
    """What the maps are made from.

    Attributes
    ----------
    events
        Settlements and the dates on which control changed (``control_events.csv``).
    claims
        The claims ledger (``claims.csv``).
    ukraine
        Ukraine's side of the border between Sumy and Kursk oblasts, polygon in OGC:CRS84.
    published
        Areas of Ukrainian-held ground in Kursk that AFP published from ISW's data: columns
        ``date`` (datetime64) and ``area_km2``, rising dates.
    """

    events: pd.DataFrame
    claims: pd.DataFrame
    ukraine: BaseGeometry
    published: pd.DataFrame


def read_facts(facts_dir: Path, claims_csv: Path) -> Facts:
    """Read the facts.

    Parameters
    ----------
    facts_dir
        Folder with ``control_events.csv``, ``border_sumy_kursk.geojson`` and
        ``kursk_published_areas.csv``.
    claims_csv
        The claims ledger.

    Returns
    -------
    Facts
        Tables and border.

    Raises
    ------
    SnapshotError
        If a file is missing.
    """
    names = ("control_events.csv", "border_sumy_kursk.geojson", "kursk_published_areas.csv")
    paths = [facts_dir / name for name in names]
    for path in (*paths, claims_csv):
        if not path.is_file():
            raise SnapshotError(
                f"{path}: not there; the reconstruction needs it. Restore it from the project."
            )
    return Facts(
        events=pd.read_csv(paths[0]),
        claims=pd.read_csv(claims_csv, parse_dates=["date"]),
        ukraine=geojson.merge(geojson.load(paths[1]).geometry),
        published=pd.read_csv(paths[2], parse_dates=["date"]),
    )


def at_latest(facts: Facts) -> Facts:
    """Read the facts with every change as late as any compared map gives it.

    Parameters
    ----------
    facts
        The facts.

    Returns
    -------
    Facts
        With ``date_last`` as ``date_best``, and ``date_best`` as ``date_first``: what is still
        advance on its maps is control on those of the best dates.
    """
    events = facts.events
    last = events["date_last"].replace("after 2025-06", _LONG_AFTER)
    return replace(facts, events=events.assign(date_first=events["date_best"], date_best=last))


# --- the field ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Field:
    """Natural-neighbour weights of one sector's settlements on its grid.

    Attributes
    ----------
    x, y
        Nodes in metres, in the sector's local equal-area projection, shapes ``(nx,)``, ``(ny,)``.
    crs
        That projection.
    weights
        Shape ``(ny * nx, n)`` for n settlements; not negative, each row adds up to 1.
    """

    x: FloatArray
    y: FloatArray
    crs: str
    weights: FloatArray

    def values(self, at_sites: FloatArray) -> FloatArray:
        """Interpolate from the settlements, ``(n, n_days)``, to the grid, ``(n_days, ny, nx)``.

        Rounded, so that the last bits of a sum, which differ between machines, decide nothing.
        """
        nodes = self.weights @ at_sites
        np.round(nodes, 9, out=nodes)
        return nodes.T.reshape(-1, len(self.y), len(self.x))

    def ground_above(self, values: FloatArray, level: float = 0.0) -> BaseGeometry:
        """Ground where the field is above a level, multipolygon in OGC:CRS84 on the fine grid."""
        generator = contourpy.contour_generator(self.x, self.y, values, fill_type="OuterOffset")
        filled = cast(Filled, generator.filled(level, np.inf))
        rings = (np.split(xy, at[1:-1]) for xy, at in zip(*filled, strict=True))
        polygons = [shapely.Polygon(shell, holes) for shell, *holes in rings]
        ground = transform(shapely.MultiPolygon(polygons), STORAGE_CRS, source=self.crs)
        return shapely.set_precision(ground, _GRID_DEG)


def sibson_weights(
    sites: FloatArray, owner: IndexArray, x: FloatArray, y: FloatArray
) -> FloatArray:
    """Natural-neighbour weights on a square grid.

    Parameters
    ----------
    sites
        Coordinates, shape ``(n_sites, 2)``.
    owner
        Which of ``n`` values each site stands for, shape ``(n_sites,)``; a mirrored site stands
        for the same value as the original.
    x, y
        Nodes, equally spaced by the same step, shapes ``(nx,)``, ``(ny,)``.

    Returns
    -------
    numpy.ndarray
        Shape ``(ny * nx, n)``, not negative, each row adds up to 1.

    Notes
    -----
    Discrete Sibson interpolation (Park, Linsen, Kreylos, Owens and Hamann 2006, IEEE TVCG 12(2)):
    a node gives its nearest site's value to all nodes that are nearer to it than that site is, and
    each node takes the mean of what it was given.
    """
    step = x[1] - x[0]
    nx, ny = len(x), len(y)
    nodes = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    radius2, nearest = np.full(len(nodes), np.inf), np.zeros(len(nodes), dtype=np.intp)
    for site, index in zip(sites, owner, strict=True):
        distance2 = ((nodes - site) ** 2).sum(axis=1) / step**2
        nearer = distance2 < radius2
        radius2[nearer], nearest[nearer] = distance2[nearer], index
    row, column = np.divmod(np.arange(len(nodes)), nx)
    # Row by row a circle is a run of nodes: count up where it starts, down where it has ended.
    steps = np.zeros((ny, nx + 1, owner.max() + 1), dtype=np.float32)
    one = np.float32(1)
    reach = int(np.sqrt(radius2.max()))
    for dy in range(-reach, reach + 1):
        on = (radius2 > dy * dy) & (row + dy >= 0) & (row + dy < ny)
        half = np.ceil(np.sqrt(radius2[on] - dy * dy)).astype(np.intp) - 1
        start, end = column[on] - half, column[on] + half + 1
        np.add.at(steps, (row[on] + dy, np.maximum(start, 0), nearest[on]), one)
        np.add.at(steps, (row[on] + dy, np.minimum(end, nx), nearest[on]), -one)
    np.cumsum(steps, axis=1, out=steps)
    counts = steps[:, :nx].astype(np.float64).reshape(len(nodes), -1)
    # A node that is a site lies in no circle, not even its own.
    counts[radius2 == 0, nearest[radius2 == 0]] += 1
    counts /= counts.sum(axis=1, keepdims=True)
    return counts


def interpolation(frame: Frame, sites: GeometryArray, mirror: BaseGeometry | None = None) -> Field:
    """Compute the weights of a sector.

    Parameters
    ----------
    frame
        The sector.
    sites
        Array of points, the settlements, in OGC:CRS84.
    mirror
        A polygon (OGC:CRS84) in which nothing is known: each settlement is repeated beyond its
        edge, so that lines meet the edge at a right angle instead of following it.

    Returns
    -------
    Field
        On the domain of the sector: its frame and at least 3 km more on every side.
    """
    crs = local_crs(frame.lon, frame.lat)
    xy = shapely.get_coordinates(transform(sites, crs))
    owner = np.arange(len(xy))
    if mirror is not None:
        xy, owner = _mirrored(xy, transform(mirror, crs))
    inner = [np.ceil((km * 500 + _MARGIN_M) / _STEP_M) for km in (frame.width_km, frame.height_km)]
    apron = int(_APRON_M / _STEP_M)
    x, y = (np.arange(-n - apron, n + apron + 1) * _STEP_M for n in inner)
    weights = sibson_weights(xy, owner, x, y).reshape(len(y), len(x), -1)
    keep = slice(apron, -apron)
    return Field(
        x=x[keep],
        y=y[keep],
        crs=crs,
        weights=weights[keep, keep].reshape(-1, weights.shape[2]),
    )


def _mirrored(xy: FloatArray, beyond: BaseGeometry) -> tuple[FloatArray, IndexArray]:
    """Sites and their mirror images in the edge of a polygon, and whose image each is."""
    edge, points = beyond.boundary, shapely.points(xy)
    nearest = shapely.get_point(shapely.shortest_line(points, edge), 1)
    image = 2 * shapely.get_coordinates(nearest) - xy
    # In a bend an image can come to lie near another stretch of the edge, where it has no say.
    faithful = shapely.distance(shapely.points(image), edge) > 0.9 * shapely.distance(points, edge)
    usable = faithful & shapely.contains_xy(beyond, image) & ~shapely.contains(beyond, points)
    owner = np.arange(len(xy))
    return np.concatenate([xy, image[usable]]), np.concatenate([owner, owner[usable]])


# --- the facts, day by day ------------------------------------------------------------------------


def time_since_capture(events: pd.DataFrame, column: str, days: DayArray) -> FloatArray:
    """Signed time since each settlement came under assessed Russian control.

    Parameters
    ----------
    events
        Facts of one sector, one row a settlement.
    column
        ``"date_best"`` or ``"date_first"``.
    days
        Days.

    Returns
    -------
    numpy.ndarray
        Shape ``(n, n_days)``: months of 30 days, clipped to -1 .. +0.4; the ends for settlements
        that did not change.
    """
    dates = pd.to_datetime(events[column].replace("before 2024-06", _LONG_AGO))
    months = (days - dates.to_numpy()[:, None]) / np.timedelta64(30, "D")
    settled = np.where(events["holder_before"] == "RU", 0.4, -1.0)[:, None]
    return np.where(np.isnan(months), settled, np.clip(months, -1.0, 0.4))


def taken_and_lost(events: pd.DataFrame) -> pd.DataFrame:
    """Turn the facts of Kursk into one row a settlement.

    Parameters
    ----------
    events
        Facts of the sector: up to two rows a settlement, taken and lost.

    Returns
    -------
    pandas.DataFrame
        lon, lat, t_in, t_out (datetime64; NaT where it was never Ukrainian-held).
    """
    places = events.groupby("settlement_id", sort=False)[["lon", "lat"]].first()
    dates = pd.to_datetime(events["date_best"]).groupby([events["settlement_id"], events["event"]])
    first = dates.first().unstack().reindex(places.index)
    return places.assign(t_in=first["to_UA"], t_out=first["to_RU"])


def time_held(places: pd.DataFrame, days: DayArray) -> FloatArray:
    """Signed time that each settlement of the salient has been, or will be, Ukrainian-held.

    Parameters
    ----------
    places
        As `taken_and_lost` returns.
    days
        Days.

    Returns
    -------
    numpy.ndarray
        Shape ``(n, n_days)``: min(time since taken / 4 days, time until lost / 30 days), clipped to
        -1 .. +1; -1 where it never was.
    """
    since = (days - places["t_in"].to_numpy()[:, None]) / np.timedelta64(4, "D")
    until = (places["t_out"].to_numpy()[:, None] - days) / np.timedelta64(30, "D")
    held: FloatArray = np.nan_to_num(np.clip(np.minimum(since, until), -1.0, 1.0), nan=-1.0)
    return held


# --- the ground of each day -----------------------------------------------------------------------


def newly_held_ground(facts: Facts, frame: Frame, days: DayArray) -> tuple[Grounds, Grounds]:
    """Ground inside the line of each day in one Donetsk sector.

    Parameters
    ----------
    facts
        The facts.
    frame
        The sector.
    days
        Rising days.

    Returns
    -------
    tuple of list of shapely.MultiPolygon
        By the best date, and by the earliest that any compared map gives; in OGC:CRS84, not
        simplified. Each day's ground holds the day before's, as far as rounding lets it: the
        weights are not negative, and no settlement's time since capture falls.
    """
    events = facts.events[facts.events["sector"] == frame.key]
    field = interpolation(frame, shapely.points(events["lon"], events["lat"]))
    best, first = (
        [
            _without_specks(field.ground_above(values))
            for values in field.values(time_since_capture(events, column, days))
        ]
        for column in ("date_best", "date_first")
    )
    return best, first


def held_ground(facts: Facts, frame: Frame, days: DayArray) -> Grounds:
    """Ukrainian-held ground in Kursk Oblast on each day.

    Parameters
    ----------
    facts
        The facts.
    frame
        The sector.
    days
        Days.

    Returns
    -------
    list of shapely.MultiPolygon
        In OGC:CRS84, simplified, on the Russian side of the border; empty before the incursion.

    Notes
    -----
    From the first published area on, the line is the contour on which the area equals the published
    figures, linear between their dates; before, the contour of the first figure's level.
    """
    salient = _Salient.of(facts, frame)
    known = facts.published["date"].to_numpy().astype("datetime64[D]")
    known_km2 = facts.published["area_km2"].to_numpy(dtype=np.float64)
    areas_km2 = np.interp(days.astype(float), known.astype(float), known_km2)
    (at_first,) = salient.values(known[:1])
    first_level = salient.level(known[0], at_first, known_km2[0])
    grounds = []
    for day, values, target_km2 in zip(days, salient.values(days), areas_km2, strict=True):
        if day < _INCURSION:
            grounds.append(shapely.MultiPolygon())
            continue
        level = first_level if day < known[0] else salient.level(day, values, target_km2)
        grounds.append(salient.ground(day, values, level))
    return grounds


@dataclass(frozen=True)
class _Salient:
    """The field of Kursk, and what cuts it: the border, and the settlements that were held."""

    places: pd.DataFrame
    points: GeometryArray
    field: Field
    ukraine: BaseGeometry
    in_russia: BoolArray

    @classmethod
    def of(cls, facts: Facts, frame: Frame) -> _Salient:
        places = taken_and_lost(facts.events[facts.events["sector"] == frame.key])
        points = shapely.points(places["lon"], places["lat"])
        field = interpolation(frame, points, mirror=facts.ukraine)
        ukraine = transform(facts.ukraine, field.crs)
        shapely.prepare(ukraine)
        in_russia = ~shapely.contains_xy(ukraine, *np.meshgrid(field.x, field.y))
        return cls(places, points, field, facts.ukraine, in_russia)

    def values(self, days: DayArray) -> FloatArray:
        """The field of each day, shape ``(n_days, ny, nx)``."""
        return self.field.values(time_held(self.places, days))

    def ground(self, day: np.datetime64, values: FloatArray, level: float) -> shapely.MultiPolygon:
        """Ground above a level, in Russia, in parts that hold a held settlement."""
        above = _simplified(self.field.ground_above(values, level))
        in_russia = shapely.difference(above, self.ukraine, grid_size=_GRID_DEG)
        held = ((self.places["t_in"] <= day) & (self.places["t_out"] > day)).to_numpy()
        parts = shapely.get_parts(_without_specks(in_russia))
        anchored = [part for part in parts if shapely.intersects(part, self.points[held]).any()]
        return shapely.MultiPolygon(anchored)

    def level(self, day: np.datetime64, values: FloatArray, target_km2: float) -> float:
        """The level above which the ground has an area, within 0.1 % or as near as a jump lets."""
        descending = -np.sort(-values[self.in_russia])
        sought_km2 = target_km2
        for _ in range(8):
            level = float(descending[int(sought_km2 / (_STEP_M / 1000) ** 2)])
            missing_km2 = target_km2 - area_km2(self.ground(day, values, level))
            if abs(missing_km2) < 0.001 * target_km2:
                break
            # Counting nodes is not the area: parts are dropped, and lines are not cells.
            sought_km2 += missing_km2
        return level


def claimed_ground(facts: Facts, frames: Iterable[Frame], days: DayArray) -> Grounds:
    """Ground that Russian officials claimed, by the name of a settlement, up to each day.

    Parameters
    ----------
    facts
        The facts.
    frames
        The Donetsk sectors.
    days
        Days.

    Returns
    -------
    list of shapely.MultiPolygon
        In OGC:CRS84. Of each settlement claimed so far, the ground nearer to it than to any other
        settlement and within 2.5 km. Assessed ground is not taken off.

    Raises
    ------
    SnapshotError
        If a claim names a settlement that the facts do not have.
    """
    claims = facts.claims[
        (facts.claims["claim_type"] == "official_capture_claim")
        & facts.claims["claimant"].str.startswith("Russia")
    ]
    cells = [
        (claim.date, cell)
        for frame in frames
        for claim in claims[claims["sector"] == frame.key].itertuples()
        for cell in _cells(facts.events, frame, claim.place.split(", "))
    ]
    return [
        _multi(shapely.union_all([c for since, c in cells if since <= day], grid_size=_GRID_DEG))
        for day in days
    ]


def _cells(events: pd.DataFrame, frame: Frame, places: list[str]) -> GeometryArray:
    """The share of the ground of each settlement named, and of its parts."""
    events = events[events["sector"] == frame.key]
    # "Kurakhove (west)" is a part of Kurakhove.
    names = events["name"].str.replace(r" \(.*\)$", "", regex=True)
    alien = sorted(set(places) - set(names))
    if alien:
        raise SnapshotError(
            f"The claims ledger names {', '.join(alien)}; control_events.csv has no such place in "
            f"the sector {frame.key}. Spell it as there, or add the settlement."
        )
    named = names.isin(places).to_numpy()
    crs = local_crs(frame.lon, frame.lat)
    points = transform(shapely.points(events["lon"], events["lat"]), crs)
    shares = shapely.get_parts(shapely.voronoi_polygons(shapely.MultiPoint(points), ordered=True))
    near = shapely.intersection(shares[named], shapely.buffer(points[named], _CLAIM_RADIUS_M))
    cells: GeometryArray = transform(near, STORAGE_CRS, source=crs)
    return cells


# --- lines of many days ---------------------------------------------------------------------------


def nested(grounds: Sequence[shapely.MultiPolygon]) -> Grounds:
    """Simplify ground that only grows, so that each day's ground holds the day before's exactly.

    Parameters
    ----------
    grounds
        Ground of rising days in OGC:CRS84 on the fine grid, each holding the one before it but for
        slivers.

    Returns
    -------
    list of shapely.MultiPolygon
        As many, simplified.

    Notes
    -----
    The lines of all days divide the plane into the bands gained each day. The bands are simplified
    together, so that they still share their edges vertex by vertex (`shapely.coverage_simplify`),
    and a day's ground is the union of the bands so far. A line that stands still keeps its
    vertices.
    """
    pieces = _pieces(grounds)
    inner = shapely.point_on_surface(pieces)
    first = np.full(len(pieces), -1)
    for i, ground in reversed(list(enumerate(grounds))):
        shapely.prepare(ground)
        first[shapely.contains(ground, inner)] = i
    days = np.unique(first[first >= 0])
    bands = np.array([shapely.coverage_union_all(pieces[first == day]) for day in days])
    bands = shapely.coverage_simplify(bands, _SIMPLIFY_DEG)
    return [
        _without_specks(shapely.coverage_union_all(bands[days <= i])) for i in range(len(grounds))
    ]


def _pieces(grounds: Sequence[shapely.MultiPolygon]) -> GeometryArray:
    """The pieces into which the outlines of all grounds divide the plane."""
    rings = shapely.get_rings(shapely.get_parts(np.array(grounds, dtype=object)))
    xy, ring = shapely.get_coordinates(rings, return_index=True)
    same = ring[1:] == ring[:-1]
    # Most edges are those of the day before: each once, in one direction, is all that is needed.
    ends = np.round(np.stack([xy[:-1][same], xy[1:][same]], axis=1) / _GRID_DEG).astype(np.int64)
    turned = (ends[:, 0, 0] > ends[:, 1, 0]) | (
        (ends[:, 0, 0] == ends[:, 1, 0]) & (ends[:, 0, 1] > ends[:, 1, 1])
    )
    ends[turned] = ends[turned, ::-1]
    edges = np.unique(ends.reshape(-1, 4), axis=0).reshape(-1, 2, 2) * _GRID_DEG
    lines = shapely.union_all(shapely.linestrings(edges), grid_size=_GRID_DEG)
    pieces: GeometryArray = shapely.get_parts(shapely.polygonize(shapely.get_parts(lines)))
    return pieces


def beyond(inner: Sequence[shapely.MultiPolygon], outer: Sequence[shapely.MultiPolygon]) -> Grounds:
    """Ground of `outer` that is not in `inner`, day by day, in parts of 1 km² or more.

    Parameters
    ----------
    inner, outer
        Ground of the same rising days, OGC:CRS84.

    Returns
    -------
    list of shapely.MultiPolygon
        A part once drawn stays while any of it is beyond, so that `inner` with the result grows
        wherever both do.
    """
    drawn, result = shapely.MultiPolygon(), []
    for less, more in zip(inner, outer, strict=True):
        parts = shapely.get_parts(shapely.difference(more, less, grid_size=_GRID_DEG))
        known = area_km2(shapely.intersection(parts, drawn, grid_size=_GRID_DEG)) > 0.01
        drawn = shapely.MultiPolygon(list(parts[known | (area_km2(parts) >= _MIN_PART_KM2)]))
        result.append(drawn)
    return result


def largest_so_far(grounds: Iterable[shapely.MultiPolygon]) -> Grounds:
    """All ground up to each day.

    Parameters
    ----------
    grounds
        Ground of rising days, OGC:CRS84.

    Returns
    -------
    list of shapely.MultiPolygon
        Additions in parts under 1 km² are left out.
    """
    extent, result = shapely.MultiPolygon(), []
    for ground in grounds:
        new = _without_specks(shapely.difference(ground, extent, grid_size=_GRID_DEG))
        extent = _multi(shapely.union(extent, new, grid_size=_GRID_DEG))
        result.append(extent)
    return result


def _minus(a: Sequence[BaseGeometry], b: Sequence[BaseGeometry]) -> Grounds:
    return [
        _without_specks(shapely.difference(x, y, grid_size=_GRID_DEG))
        for x, y in zip(a, b, strict=True)
    ]


def _simplified(ground: BaseGeometry) -> BaseGeometry:
    return shapely.coverage_simplify([ground], _SIMPLIFY_DEG)[0]


def _without_specks(ground: BaseGeometry) -> shapely.MultiPolygon:
    """Drop parts, and fill holes, under 1 km²; ground that only grew still does."""
    parts = shapely.get_parts(ground)
    kept = []
    for part in parts[area_km2(parts) >= _MIN_PART_KM2]:
        holes = np.array(part.interiors, dtype=object)
        large = area_km2(shapely.polygons(holes)) >= _MIN_PART_KM2
        kept.append(shapely.Polygon(part.exterior, holes[large]))
    return shapely.MultiPolygon(kept)


def _multi(ground: BaseGeometry) -> shapely.MultiPolygon:
    return shapely.MultiPolygon(list(shapely.get_parts(ground)))


# --- the maps -------------------------------------------------------------------------------------


def layers(facts: Facts, frames: Sequence[Frame]) -> dict[str, Grounds]:
    """Make every layer of every day.

    Parameters
    ----------
    facts
        The facts.
    frames
        The sectors of the facts.

    Returns
    -------
    dict
        Layer to its ground on each day from `FIRST_DAY` to `LAST_DAY`, in OGC:CRS84, empty where it
        has none. The layers of a day are disjoint.

    Raises
    ------
    ParameterError
        If the frames are not those of the facts.
    SnapshotError
        If a claim names a settlement that the facts do not have.

    Notes
    -----
    ``assessed_advance`` is the band between the earliest and the best dates, where maps disagree.
    Claims are drawn in Donetsk only: in Kursk they speak of ground that is another layer already.
    """
    known = sorted(set(facts.events["sector"]))
    if sorted(frame.key for frame in frames) != known:
        raise ParameterError(
            f"The facts speak of the sectors {', '.join(known)}, not of "
            f"{', '.join(sorted(frame.key for frame in frames))}. Give exactly those."
        )
    days = np.arange(np.datetime64(FIRST_DAY), np.datetime64(LAST_DAY) + 1)
    donetsk = [frame for frame in frames if frame.key != _SALIENT]
    (kursk,) = [frame for frame in frames if frame.key == _SALIENT]

    best, first = (
        nested([_multi(shapely.union_all(g, grid_size=_GRID_DEG)) for g in zip(*s, strict=True)])
        for s in zip(*(newly_held_ground(facts, frame, days) for frame in donetsk), strict=True)
    )
    advance = beyond(best, first)
    claimed = _minus(_minus(claimed_ground(facts, donetsk, days), best), advance)
    held = held_ground(facts, kursk, days)
    return {
        "assessed_control": best,
        "assessed_advance": advance,
        "claimed_control": claimed,
        "ukrainian_held": held,
        "regained": _minus(largest_so_far(held), held),
    }


def feature_collection(day: date, ground: Mapping[str, shapely.MultiPolygon]) -> bytes:
    """Write a day's map as GeoJSON (RFC 7946), always in the same bytes.

    Parameters
    ----------
    day
        The assessed day.
    ground
        Layer to ground in OGC:CRS84; a layer without ground is left out.

    Returns
    -------
    bytes
        One feature a layer; five decimals; exterior rings counter-clockwise.
    """
    drawn = [(name, ground[name]) for name in LAYERS if name in ground]
    features = [
        {
            "type": "Feature",
            "properties": {"layer": name, "day": day.isoformat()},
            "geometry": shapely.geometry.mapping(_canonical(geometry)),
        }
        for name, geometry in drawn
        if not geometry.is_empty
    ]
    collection = {
        "type": "FeatureCollection",
        "name": SOURCES["reconstruction"].caveat.replace("\N{NO-BREAK SPACE}", " "),
        "features": features,
    }
    return orjson.dumps(collection) + b"\n"


def _canonical(geometry: BaseGeometry) -> BaseGeometry:
    ordered = shapely.orient_polygons(shapely.normalize(geometry))
    return shapely.transform(ordered, lambda xy: np.round(xy, 5))


def write(
    facts: Facts, out_dir: Path, frames: Sequence[Frame], days: Collection[date] = ()
) -> list[Path]:
    """Make the sample: a file a day, ``YYYY-MM-DD.geojson``.

    Parameters
    ----------
    facts
        From `read_facts`, or `at_latest` of them.
    out_dir
        Where to.
    frames
        The sectors of the facts.
    days
        Only these; empty for all.

    Returns
    -------
    list of pathlib.Path
        The files, each written whole or not at all.

    Raises
    ------
    SnapshotError
        If a claim names an unknown settlement.
    ParameterError
        If the frames are not those of the facts.
    """
    made = layers(facts, frames)
    paths = []
    for i in range((LAST_DAY - FIRST_DAY).days + 1):
        day = FIRST_DAY + timedelta(days=i)
        if days and day not in days:
            continue
        path = out_dir / f"{day}.geojson"
        write_atomic(path, feature_collection(day, {name: g[i] for name, g in made.items()}))
        paths.append(path)
    return paths
