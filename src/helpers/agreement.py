"""Source against source: where two maps of a day agree, by how much they differ, who shows first.

Publishers draw different things: only what both tell is compared, in the same tier, so that like is
set beside like.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely
from shapely.geometry.base import BaseGeometry

from helpers import changes, settlements
from helpers.changes import SectorChange
from helpers.errors import ParameterError
from helpers.projection import area_km2, transform
from helpers.schema import INVERTED_TIERS, TIERS

if TYPE_CHECKING:
    from helpers.reference import Sector
    from helpers.schema import Snapshot
    from helpers.sources import Source

# A point every so far along a line, from which the way to the other is measured. Half of it, and
# the figures on the publishers' lines near Kurakhove change by less than 1 %.
_STEP_M = 100.0

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Agreement:
    """Two maps of one sector.

    Attributes
    ----------
    difference
        As a change from b's map to a's: where the tier is Russian-held ground, `gained` is what
        only a has and `lost` what only b has (`only_a`, `only_b` tell them apart in any tier).
    source_a, source_b
        Whose maps.
    agreed
        Ground of the tier on both maps, OGC:CRS84.
    agreed_km2, only_a_km2, only_b_km2
        Areas inside the sector; slivers are counted, though not drawn.
    line_km
        Distances from points along each line to the other's, km, both ways: median and 95th
        percentile; NaN where a map has no line in the sector.
    """

    difference: SectorChange
    source_a: Source
    source_b: Source
    agreed: BaseGeometry
    agreed_km2: float
    only_a_km2: float
    only_b_km2: float
    line_km: tuple[float, float]

    @property
    def sector(self) -> Sector:
        """Where."""
        return self.difference.sector

    @property
    def inverted(self) -> bool:
        """Whether `gained` of the difference is what only b has."""
        return self.difference.tier in INVERTED_TIERS

    @property
    def either_km2(self) -> float:
        """Ground that at least one of the maps has."""
        return self.agreed_km2 + self.only_a_km2 + self.only_b_km2

    @property
    def jaccard(self) -> float:
        """Agreed ground over ground of either (Jaccard 1901), 0 to 1; NaN where there is none."""
        return self.agreed_km2 / self.either_km2 if self.either_km2 else float("nan")


def common_tier(sector: Sector, a: Snapshot, b: Snapshot, sources: tuple[Source, Source]) -> str:
    """Choose the tier in which two maps can be compared.

    Parameters
    ----------
    sector
        Its own measure is best; for Russian-held ground, control without advance is next.
    a, b
        The maps.
    sources
        Their records.

    Returns
    -------
    str
        The tier.

    Raises
    ------
    ParameterError
        If there is none.
    """
    options = [sector.measure]
    if sector.measure not in INVERTED_TIERS:
        options.append("control")
    for tier in options:
        if tier in a.tiers and tier in b.tiers:
            return tier
    told = " and ".join(
        f"{source.publisher} tells {', '.join(s.tiers)}"
        for source, s in zip(sources, (a, b), strict=True)
    )
    raise ParameterError(
        f"{sector.name}: no {' or '.join(options)} that both maps tell; {told}. Compare others."
    )


def left_out(
    sources: tuple[Source, Source], firsts: tuple[Snapshot, Snapshot], tier: str
) -> BaseGeometry | None:
    """Find the ground that one of two sources leaves out by definition.

    Parameters
    ----------
    sources
        Their records; `Source.from_2022` tells that ground held before 2022 is left out.
    firsts
        The first map of each.
    tier
        The tier that is compared.

    Returns
    -------
    shapely geometry or None
        What the other source's first map has, OGC:CRS84: all that was held before 2022, and what
        was taken until that day, on which the two can then not differ. None where both leave it
        out, or neither does, or the tier does not have it.
    """
    leaves = [source.from_2022 for source in sources]
    if leaves[0] == leaves[1] or tier in INVERTED_TIERS:
        return None
    return firsts[leaves.index(False)].tier(tier)


def compare(
    sector: Sector,
    a: Snapshot,
    b: Snapshot,
    *,
    sources: tuple[Source, Source],
    border: BaseGeometry | None = None,
    granted: BaseGeometry | None = None,
) -> Agreement:
    """Compare two maps of a sector.

    Parameters
    ----------
    sector
        Where.
    a, b
        A map of each source, of the same day or the last before it.
    sources
        Their records.
    border
        As for `helpers.changes.in_sector`: what runs along it is no line of contact.
    granted
        Ground in OGC:CRS84 that both are taken to have, such as what one of them leaves out by
        definition (see `left_out`).

    Returns
    -------
    Agreement
        In the `common_tier`.

    Raises
    ------
    ParameterError
        If no tier is told by both.
    """
    tier = common_tier(sector, a, b, sources)
    # Both may be off; a difference is known no better than by the larger error.
    worse = max(sources, key=lambda source: source.positional_error_m)
    if granted is not None:
        a, b = (_with(snapshot, tier, granted) for snapshot in (a, b))
    found = changes.in_sector(sector, b, a, source=worse, tier=tier, border=border)
    only_a, only_b = found.gained_km2, found.lost_km2
    if tier in INVERTED_TIERS:
        only_a, only_b = only_b, only_a
    agreed = shapely.intersection(found.before, found.after)
    return Agreement(
        difference=found,
        source_a=sources[0],
        source_b=sources[1],
        agreed=agreed,
        agreed_km2=float(area_km2(agreed)),
        only_a_km2=only_a,
        only_b_km2=only_b,
        line_km=_apart_km(sector, a.tier(tier), b.tier(tier), border),
    )


def _with(snapshot: Snapshot, tier: str, ground: BaseGeometry) -> Snapshot:
    whole = shapely.union(snapshot.tier(tier), ground)
    return replace(snapshot, layers={TIERS[tier][0]: whole}, tiers=(tier,))


def _apart_km(
    sector: Sector, a: BaseGeometry, b: BaseGeometry, border: BaseGeometry | None
) -> tuple[float, float]:
    """Median and 95th percentile of the ways from each line to the other."""
    band = changes.border_band(border, sector.polygon.bounds, sector.crs)
    lines = [
        transform(changes.contact_line(ground.boundary, sector.polygon, band), sector.crs)
        for ground in (a, b)
    ]
    if any(line.is_empty for line in lines):
        return float("nan"), float("nan")
    ways = []
    for line, other in (lines, lines[::-1]):
        points = shapely.points(shapely.get_coordinates(shapely.segmentize(line, _STEP_M)))
        shapely.prepare(other)
        ways.append(shapely.distance(points, other) / 1000)
    median, most = np.percentile(np.concatenate(ways), [50, 95])
    return float(median), float(most)


LAG_COLUMNS = ("id", "name", "population", "day_a", "day_b", "lag_days")


def lags(
    a: Sequence[Snapshot],
    b: Sequence[Snapshot],
    places: pd.DataFrame,
    *,
    tier: str,
    within: BaseGeometry,
) -> pd.DataFrame:
    """Tell which source shows a settlement on the other side first, and by how many days.

    Parameters
    ----------
    a, b
        Snapshots of two sources over the same days, in order of time.
    places
        Settlements: id, name, lon, lat, population.
    tier
        The tier that is compared.
    within
        Only settlements in this polygon.

    Returns
    -------
    pandas.DataFrame
        `LAG_COLUMNS`, one row a settlement that on both sources came to have more than half of its
        disc inside (or, in a tier that shrinks, outside) between their first and last maps, and
        stayed so: the first such day of each, and how many days b is later; negative where b is
        first. A source with gaps may have known it before.
    """
    days = []
    for snapshots in (a, b):
        followed = settlements.history(snapshots, places, tier=tier, within=within)
        days.append(_crossings(followed, inverted=tier in INVERTED_TIERS))
    both = days[0].merge(days[1], on=["id", "name", "population"], suffixes=("_a", "_b"))
    both["lag_days"] = (both["day_b"] - both["day_a"]).dt.days
    return both.sort_values(["day_a", "name"], ignore_index=True)[list(LAG_COLUMNS)]


def _crossings(followed: pd.DataFrame, *, inverted: bool) -> pd.DataFrame:
    """The day from which on each settlement is over, where it was not at first."""
    if followed.empty:
        return pd.DataFrame({"id": [], "name": [], "population": [], "day": pd.DatetimeIndex([])})
    share = followed["share"].to_numpy(float)
    over = (1 - share if inverted else share) > settlements.HALF
    order, starts, ends = settlements.place_by_place(followed)
    over = over[order]
    crossed = ends[~over[starts] & over[ends]]
    # The day after the last one that was not over.
    last_not = np.maximum.accumulate(np.where(over, -1, np.arange(len(over))))
    rows = order[last_not[crossed] + 1]
    return followed.iloc[rows][["id", "name", "population", "day"]]
