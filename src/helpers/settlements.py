"""Status of settlements: how much of each lies inside the ground of a map, and what changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely
from shapely.geometry.base import BaseGeometry

from helpers import changes
from helpers.projection import area_km2, metres_per_degree
from helpers.schema import Snapshot

# A settlement is taken as the disc that its people fill at this density: in round numbers that of
# Ukrainian towns and large villages within their built-up area. A disc is at least as wide as
# coordinates are off (about 1 km in GeoNames), and not so wide that it reaches the next city.
DENSITY_PER_KM2 = 1000.0
RADIUS_MIN_KM = 0.5
RADIUS_MAX_KM = 4.0

# Share of the disc from which a settlement counts as inside, and up to which as outside.
INSIDE_SHARE = 0.9
OUTSIDE_SHARE = 0.1
# A settlement came under the ground when more than half of its disc did.
HALF = 0.5

_CORNERS = 64

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
Geometries = npt.NDArray[np.object_]


def disc_radius_km(population: Any) -> FloatArray:
    """Radius of the disc that stands for a settlement.

    Parameters
    ----------
    population
        People; missing counts as none. Shape ``(n,)``.

    Returns
    -------
    numpy.ndarray
        Kilometres, `RADIUS_MIN_KM` to `RADIUS_MAX_KM`, shape ``(n,)``.
    """
    people = np.nan_to_num(np.asarray(population, dtype=np.float64))
    return np.clip(np.sqrt(people / (np.pi * DENSITY_PER_KM2)), RADIUS_MIN_KM, RADIUS_MAX_KM)


def status(
    ground: BaseGeometry, settlements: pd.DataFrame, *, radius_km: float | None = None
) -> pd.DataFrame:
    """Tell where settlements lie.

    Parameters
    ----------
    ground
        Ground of a tier on one day, the whole map and not a sector of it: (multi)polygon in
        OGC:CRS84.
    settlements
        Columns id, name, lon, lat, population (and others, which are not looked at).
    radius_km
        Radius of the discs in km; by default by population (`disc_radius_km`).

    Returns
    -------
    pandas.DataFrame
        One row a settlement, in the same order and with the same index: id, name, population,
        share (of its disc inside the ground, 0 to 1), status ("inside", "on the line", "outside").
    """
    table = settlements[["id", "name", "population"]].copy()
    share = _shares([ground], discs(settlements, radius_km))[0]
    table["share"] = share
    table["status"] = _status(share)
    return table


def changed(
    before: BaseGeometry,
    after: BaseGeometry,
    settlements: pd.DataFrame,
    *,
    within: BaseGeometry | None = None,
    positional_error_m: float = 200.0,
    radius_km: float | None = None,
) -> pd.DataFrame:
    """List the settlements that came under the ground of a tier, or left it, between two days.

    Parameters
    ----------
    before, after
        Ground of the tier on both days, the whole maps and not a sector of them: (multi)polygons in
        OGC:CRS84.
    settlements
        Columns id, name, lon, lat, population, quality ("A" to "C", of the coordinates).
    within
        Only settlements whose point lies in this polygon, such as a sector's; None for all.
    positional_error_m
        How far off the source's lines may be.
    radius_km
        Radius of the discs in km; by default by population (`disc_radius_km`).

    Returns
    -------
    pandas.DataFrame
        The largest first: id, name, population, share_before, share_after, change ("came under" or
        "left": more than half of the disc did), distance_km (of the point from the line of
        `after`, NaN where there is none), confidence. It is "high" where the coordinates are of
        quality A, the settlement lies all on one side on both days, and its point is farther from
        the line than this may be off; "low" where the coordinates are of quality C or the point is
        nearer; else "medium".
    """
    places = settlements
    if within is not None:
        inside = shapely.contains_xy(within, places["lon"], places["lat"])
        places = places[inside]
    circles = discs(places, radius_km)
    was, now = _shares([before, after], circles)
    came, left = (was <= HALF) & (now > HALF), (was > HALF) & (now <= HALF)
    at = np.flatnonzero(came | left)
    places, was, now = places.iloc[at], was[at], now[at]
    distance = _distance_km(places, after)
    table = places[["id", "name", "population"]].assign(
        share_before=was,
        share_after=now,
        change=np.where(came[at], "came under", "left"),
        distance_km=distance,
        confidence=_confidence(places["quality"], was, now, distance * 1000 < positional_error_m),
    )
    return table.sort_values(["population", "name"], ascending=[False, True], ignore_index=True)


HISTORY_COLUMNS = ("day", "id", "name", "population", "share", "status")


def history(
    snapshots: Sequence[Snapshot],
    settlements: pd.DataFrame,
    *,
    tier: str,
    within: BaseGeometry | None = None,
    margin_km: float | None = None,
) -> pd.DataFrame:
    """Follow the status of settlements day by day.

    Parameters
    ----------
    snapshots
        Of one source, in order of time. Those that do not tell the tier are passed over.
    settlements
        Columns id, name, lon, lat, population.
    tier
        The tier's ground.
    within
        Only settlements whose point lies in this polygon; None for all.
    margin_km
        What is added to the radius of a second disc (`disc_radius_km`), such as how far off lines
        may be; None for no second one.

    Returns
    -------
    pandas.DataFrame
        One row a day and settlement, `HISTORY_COLUMNS`: day (datetime64), share of the disc inside
        the ground (0 to 1), status ("inside", "on the line", "outside"). With a margin the last
        column is wide_share: that of the second disc.
    """
    places = settlements
    if within is not None:
        places = places[shapely.contains_xy(within, places["lon"], places["lat"])]
    telling = [snapshot for snapshot in snapshots if tier in snapshot.tiers]
    columns = [*HISTORY_COLUMNS, *([] if margin_km is None else ["wide_share"])]
    if not telling:
        return pd.DataFrame(columns=columns)
    days = np.array([snapshot.day for snapshot in telling], dtype="datetime64[s]")
    radius = disc_radius_km(places["population"])
    share = _followed(telling, tier, discs(places, radius)).ravel()
    table = places[["id", "name", "population"]].iloc[np.tile(np.arange(len(places)), len(days))]
    table = table.set_axis(pd.RangeIndex(len(share)), axis=0)
    table = table.assign(day=days.repeat(len(places)), share=share, status=_status(share))
    if margin_km is not None:
        table["wide_share"] = _followed(telling, tier, discs(places, radius + margin_km)).ravel()
    return table[columns]


def _followed(snapshots: Sequence[Snapshot], tier: str, circles: Geometries) -> FloatArray:
    """Share of each disc inside the ground of each day, shape ``(days, discs)``."""
    names = shapely.to_wkb(circles).tolist()
    kept = [snapshot.kept.setdefault(("shares", tier), {}) for snapshot in snapshots]
    wanted = set(names)
    lacking = [not known.keys() >= wanted for known in kept]
    if any(lacking):
        maps = [snapshot for snapshot, lacks in zip(snapshots, lacking, strict=True) if lacks]
        common = wanted.intersection(*(shares.keys() for shares in kept))
        new = [i for i, name in enumerate(names) if name not in common]
        grounds = changes.grounds(maps, tier)
        distinct = {id(ground): ground for ground in grounds}  # a copy is the same object
        found = _shares([*distinct.values()], circles[new]).tolist()
        rows = dict(zip(distinct, found, strict=True))
        for snapshot, ground in zip(maps, grounds, strict=True):
            shares = zip((names[i] for i in new), rows[id(ground)], strict=True)
            snapshot.kept["shares", tier].update(shares)
    rows_of = [[*map(known.__getitem__, names)] for known in kept]
    return np.array(rows_of, dtype=float).reshape(len(kept), len(names))


def place_by_place(followed: pd.DataFrame) -> tuple[IntArray, IntArray, IntArray]:
    """Sort the rows of a history by settlement, and those of each by time.

    Parameters
    ----------
    followed
        From `history`.

    Returns
    -------
    tuple of numpy.ndarray
        The numbers of the rows in that order; where in it each settlement has its first row, and
        where its last.
    """
    codes, _ = pd.factorize(followed["id"], sort=True)
    order = np.lexsort((followed["day"].to_numpy(), codes))
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    ends = np.flatnonzero(np.diff(codes[order], append=-1))
    return order, starts, ends


def turning_days(followed: pd.DataFrame) -> pd.DataFrame:
    """Find when the status of each settlement first and last changed.

    Parameters
    ----------
    followed
        From `history`.

    Returns
    -------
    pandas.DataFrame
        One row a settlement whose status changed, the latest first: id, name, population, before
        and after (status on the first and last day), first_change, last_change (the first days that
        show another status; datetime64), changes (how many there were).
    """
    order, starts, ends = place_by_place(followed)
    days, status = (followed[name].to_numpy()[order] for name in ("day", "status"))
    differs = status[1:] != status[:-1]
    turned = np.setdiff1d(np.flatnonzero(differs) + 1, starts)
    # Of each settlement that turned: how often it did, and the last time.
    found, counts = np.unique(np.searchsorted(starts, turned, "right") - 1, return_counts=True)
    last_turn = np.cumsum(counts) - 1
    rows = followed.iloc[order[ends[found]]].reset_index(drop=True)
    table = rows[["id", "name", "population"]].assign(
        before=status[starts[found]],
        after=status[ends[found]],
        first_change=days[turned[last_turn - counts + 1]],
        last_change=days[turned[last_turn]],
        changes=counts,
    )
    return table.sort_values(
        ["last_change", "population"], ascending=False, kind="stable", ignore_index=True
    )


def _status(share: FloatArray) -> npt.NDArray[np.str_]:
    return np.select(
        [share >= INSIDE_SHARE, share <= OUTSIDE_SHARE], ["inside", "outside"], "on the line"
    )


def _confidence(
    quality: pd.Series, was: FloatArray, now: FloatArray, near: npt.NDArray[np.bool_]
) -> npt.NDArray[np.str_]:
    low = (quality == "C").to_numpy() | near
    clear = np.maximum(np.minimum(was, 1 - was), np.minimum(now, 1 - now)) <= OUTSIDE_SHARE
    high = (quality == "A").to_numpy() & clear
    return np.select([low, high], ["low", "high"], "medium")


def discs(settlements: pd.DataFrame, radius_km: float | FloatArray | None = None) -> Geometries:
    """Make the discs that stand for settlements.

    Parameters
    ----------
    settlements
        Columns lon, lat, population.
    radius_km
        Radius in km; by default by population (`disc_radius_km`).

    Returns
    -------
    numpy.ndarray
        Polygons in OGC:CRS84, shape ``(n,)``.
    """
    lon, lat = settlements["lon"].to_numpy(float), settlements["lat"].to_numpy(float)
    if radius_km is None:
        radius_km = disc_radius_km(settlements["population"])
    size = np.broadcast_to(radius_km, len(lon))
    angle = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
    circle = np.column_stack([np.cos(angle), np.sin(angle)])
    degrees = 1000 * size[:, None] / metres_per_degree(lat)
    corners = np.stack([lon, lat], axis=1)[:, None, :] + degrees[:, None, :] * circle
    circles: Geometries = shapely.polygons(corners)
    return circles


def _shares(grounds: Sequence[BaseGeometry], discs: Geometries) -> FloatArray:
    """Share of each disc inside each ground, shape ``(grounds, discs)``."""
    share = np.zeros((len(grounds), len(discs)))
    cut = np.zeros(share.shape, dtype=bool)
    for within, crossed, ground in zip(share, cut, grounds, strict=True):
        shapely.prepare(ground)
        within[:] = shapely.contains_properly(ground, discs)
        crossed[:] = (within == 0) & shapely.intersects(ground, discs)
    row, disc = np.nonzero(cut)
    inside = shapely.intersection(discs[disc], np.array(grounds, dtype=object)[row])
    share[cut] = np.minimum(area_km2(inside) / area_km2(discs)[disc], 1)
    return share


def _distance_km(places: pd.DataFrame, ground: BaseGeometry) -> FloatArray:
    """Distance of each point from the edge of the ground, on the plane at its own latitude."""
    points = shapely.points(places["lon"], places["lat"])
    if ground.is_empty or not len(points):
        return np.full(len(points), np.nan)
    line = ground.boundary
    scale = metres_per_degree(places["lat"].to_numpy(float)) / 1000
    return np.array(
        [
            shapely.distance(
                shapely.transform(line, lambda xy, s=s: xy * s),
                shapely.transform(point, lambda xy, s=s: xy * s),
            )
            for point, s in zip(points, scale, strict=True)
        ]
    )
