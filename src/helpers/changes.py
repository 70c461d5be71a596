"""Two snapshots -> what was gained and what was lost, kept apart."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from shapely.geometry.base import BaseGeometry

if TYPE_CHECKING:
    import pandas as pd

    from helpers.reference import Sector
    from helpers.schema import Snapshot
    from helpers.sources import Source


@dataclass(frozen=True)
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
        Geodesic length of the line that moved.
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


def in_sector(
    sector: Sector, before: Snapshot, after: Snapshot, *, source: Source, tier: str = ""
) -> SectorChange:
    """Measure the change of one sector between two snapshots (see `SectorChange`)."""
    raise NotImplementedError
