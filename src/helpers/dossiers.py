"""What a day's claims and sources need: maps gathered, claims followed, sources compared."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

import pandas as pd
from shapely.geometry.base import BaseGeometry

from helpers import (
    agreement,
    changes,
    claims,
    comparisons,
    daybook,
    ledger,
    publishers,
    reference,
    series,
    snapshots,
)
from helpers.agreement import Agreement
from helpers.changes import SectorChange
from helpers.errors import FrontlineError, ParameterError
from helpers.findings import Finding
from helpers.reference import Sector
from helpers.schema import INVERTED_TIERS, Snapshot
from helpers.sources import Source
from helpers.workspace import Workspace

# A map this old is not set beside one of the day.
_MAX_AGE_DAYS = 7


@dataclass(frozen=True)
class ClaimsDossier:
    """The claims that stand on a day, held against one source's maps.

    Attributes
    ----------
    source, day
        Whose maps, and the day.
    sectors
        Those that the source covers, by key.
    snapshots
        The maps that were looked at, in order of time.
    standing
        `helpers.claims.standing`.
    followed, areas, advances
        The functions of `helpers.claims` of these names, over all sectors.
    histories
        Sector key to `helpers.claims.histories`.
    tiers
        Sector key to the tier that claims are held against.
    """

    source: Source
    day: date
    sectors: Mapping[str, Sector]
    snapshots: Sequence[Snapshot]
    standing: pd.DataFrame
    followed: pd.DataFrame
    areas: pd.DataFrame
    advances: pd.DataFrame
    histories: Mapping[str, pd.DataFrame]
    tiers: Mapping[str, str]

    def sentences(self) -> list[Finding]:
        """One a claim, the last first."""
        return [finding for _, finding in self._told(self.standing)]

    def moved(self, since: date) -> list[Finding]:
        """Sentences on claims made after a day, or whose verdict is another than on that day.

        Parameters
        ----------
        since
            The earlier day.

        Returns
        -------
        list of Finding
            The last claim first; claims that no map can be held against are left out.
        """
        earlier = {
            key: history[history["day"] <= pd.Timestamp(since)]
            for key, history in self.histories.items()
        }
        then = claims.follow(self.standing, {k: h for k, h in earlier.items() if len(h)})
        tables = (self.followed, self.areas, self.advances)
        told = {
            key for table in tables for key in table.loc[table["status"] != claims.OPEN, "claim_id"]
        } | set(self.followed.loc[self.followed["now_share"].notna(), "claim_id"])
        other = set(self.followed.loc[self.followed["status"] != then["status"], "claim_id"])
        new = set(self.standing.loc[self.standing["date"] > pd.Timestamp(since), "claim_id"])
        moved = self.standing["claim_id"].isin((other | new) & told)
        return [finding for _, finding in self._told(self.standing[moved])]

    def _told(self, ledger_rows: pd.DataFrame) -> Iterator[tuple[str, Finding]]:
        held = dict(iter(self.followed.groupby("claim_id", sort=False)))
        areas, advances = (
            {key: rows.to_dict("records") for key, rows in table.groupby("claim_id", sort=False)}
            for table in (self.areas, self.advances)
        )
        for claim in ledger_rows.iloc[::-1].to_dict("records"):
            key = claim["claim_id"]
            if key in held:
                yield key, comparisons.claim_sentence(claim, held[key], self.source, self.day)
            for row in areas.get(key, ()):
                yield key, comparisons.area_sentence(claim, row, self.source)
            for row in advances.get(key, ()):
                sector = self.sectors.get(row["sector"])
                if sector is not None:
                    yield key, comparisons.advance_sentence(claim, row, sector, self.source)

    def of_sector(self, key: str) -> pd.DataFrame:
        """Rows of `followed` of one sector."""
        return self.followed[self.followed["sector"] == key]

    def not_assessed(self, key: str) -> BaseGeometry:
        """Ground of a sector that is claimed as Russian-held and lies on the other side."""
        tier = self.tiers[key]
        return claims.not_assessed(
            self.of_sector(key),
            reference.settlements(),
            self.snapshots[-1].tier(tier),
            tier=tier,
        )

    def unchanged(self, key: str) -> SectorChange:
        """The day's map of a sector from itself, to be drawn without any change."""
        today = self.snapshots[-1]
        return changes.in_sector(
            self.sectors[key],
            today,
            today,
            source=self.source,
            tier=self.tiers[key],
            border=reference.outer_edges(),
        )


def on_claims(
    ws: Workspace,
    source: Source,
    day: date,
    sectors: Sequence[Sector],
    *,
    start: date | None = None,
) -> ClaimsDossier:
    """Hold the claims of a day against a source's maps.

    Parameters
    ----------
    ws
        The workspace, its store up to date.
    source
        Whose maps.
    day
        The assessed day; it has a map.
    sectors
        Only claims on these.
    start
        The first day that is looked at; None for the source's first map. Maps before it tell
        nothing of how long a claim has been borne out.

    Returns
    -------
    ClaimsDossier
        Claims are held against control where the sector's measure is presence: an advance is not
        yet what claims speak of.

    Raises
    ------
    SnapshotError, SchemaError, WorkspaceError
        If there is no map of the day, or the ledger has faults or is not there.
    """
    maps = snapshots.window(ws, source.id, start or date(2014, 1, 1), day, lead_in=True)
    today = snapshots.load(ws, source.id, day)
    tiers = {
        sector.key: tier
        for sector in sectors
        for tier in [_held_against(sector, source)]
        if tier in today.tiers
    }
    covered = {sector.key: sector for sector in sectors if sector.key in tiers}
    standing = claims.standing(ledger.read(ws), day, [sector.key for sector in sectors])
    named = {place.id for places in standing["places"] for place in places} - {""}
    table = reference.settlements()
    table = table[table["id"].isin(named)]
    histories = {
        key: claims.histories(maps, table, tier=tier, source=source) for key, tier in tiers.items()
    }
    inverted = [covered[key] for key, tier in tiers.items() if tier in INVERTED_TIERS]
    measured = {}
    if inverted:
        rows = daybook.daily(ws, source.id, inverted, (maps[0].day, day))
        measured = dict(list(rows.groupby("sector")))
    return ClaimsDossier(
        source=source,
        day=day,
        sectors=covered,
        snapshots=maps,
        standing=standing,
        followed=claims.follow(standing, histories),
        areas=claims.areas(standing, measured),
        advances=claims.advances(standing, lambda key, on: _week(covered, maps, source, (key, on))),
        histories=histories,
        tiers=tiers,
    )


def _held_against(sector: Sector, source: Source) -> str:
    tier = source.tier_for(sector.measure)
    return "control" if tier == "presence" else tier


def _week(
    covered: Mapping[str, Sector],
    maps: Sequence[Snapshot],
    source: Source,
    asked: tuple[str, date],
) -> SectorChange | None:
    """The change of a sector in the week up to a day; None where no map tells it."""
    key, on = asked
    days = [snapshot.day for snapshot in maps]
    first, last = (bisect_right(days, d) - 1 for d in (on - timedelta(days=7), on))
    if key not in covered or first < 0 or first == last:
        return None
    sector = covered[key]
    tier = source.tier_for(sector.measure)
    before, after = maps[first], maps[last]
    if tier not in before.tiers or tier not in after.tiers:
        return None
    return changes.in_sector(sector, before, after, source=source, border=reference.outer_edges())


# Source against source ----------------------------------------------------------------------


@dataclass(frozen=True)
class Pair:
    """Two sources compared in a sector.

    Attributes
    ----------
    found
        What `helpers.agreement.compare` says.
    granted
        Whether both were taken to have what one of them leaves out.
    maps
        The two maps.
    """

    found: Agreement
    granted: bool
    maps: tuple[Snapshot, Snapshot]


def on_sources(
    ws: Workspace, source_ids: Sequence[str], day: date, sectors: Sequence[Sector]
) -> tuple[list[Pair], list[str]]:
    """Compare the sources of a workspace with the first of them.

    Parameters
    ----------
    ws
        The workspace.
    source_ids
        The first is compared with each of the others.
    day
        The assessed day; of each source the last map up to it, no more than a week old.
    sectors
        Where.

    Returns
    -------
    tuple
        The pairs, sector after sector; a sentence for each that could not be compared.

    Raises
    ------
    ParameterError
        If a source is not known, or the first has no map.
    """
    if not source_ids:
        raise ParameterError("Name at least one source.")
    for key in source_ids:
        snapshots.ensure(ws, key)
    latest = {key: recent(ws, key, day) for key in source_ids}
    first = latest[source_ids[0]]
    if first is None:
        raise ParameterError(
            f"{source_ids[0]} has no map in the {_MAX_AGE_DAYS} days up to {day}. Name another "
            "source first, or another day."
        )
    pairs, faults = [], []
    for sector in sectors:
        for other in source_ids[1:]:
            second = latest[other]
            if second is None:
                faults.append(
                    f"{sector.name}: {publishers.source(ws, other).publisher} has no map in the "
                    f"{_MAX_AGE_DAYS} days up to {day}."
                )
                continue
            try:
                pairs.append(_pair(ws, sector, (first, second)))
            except FrontlineError as error:
                faults.append(str(error))
    return pairs, faults


def recent(ws: Workspace, source_id: str, day: date) -> Snapshot | None:
    """The last map of a source up to a day, if it is no more than a week old."""
    found = [d for d in snapshots.days(ws, source_id) if d <= day]
    if not found or (day - found[-1]).days > _MAX_AGE_DAYS:
        return None
    return snapshots.load(ws, source_id, found[-1])


def _pair(ws: Workspace, sector: Sector, maps: tuple[Snapshot, Snapshot]) -> Pair:
    a, b = maps
    both = publishers.source(ws, a.source), publishers.source(ws, b.source)
    tier = agreement.common_tier(sector, a, b, both)
    firsts = tuple(snapshots.load(ws, s.source, snapshots.days(ws, s.source)[0]) for s in maps)
    granted = agreement.left_out(both, (firsts[0], firsts[1]), tier)
    found = agreement.compare(
        sector, a, b, sources=both, border=reference.outer_edges(), granted=granted
    )
    return Pair(found, granted is not None, maps)


@dataclass(frozen=True)
class OverTime:
    """Two sources over the same days.

    Attributes
    ----------
    calendars
        Source id to `helpers.series.calendar`.
    lags
        `helpers.agreement.lags`, with a leading column sector.
    """

    calendars: Mapping[str, pd.DataFrame]
    lags: pd.DataFrame


def over_time(ws: Workspace, pairs: Sequence[Pair], start: date, end: date) -> list[OverTime]:
    """Follow the sources of pairs day by day.

    Parameters
    ----------
    ws
        The workspace.
    pairs
        What was compared.
    start, end
        First and last day.

    Returns
    -------
    list of OverTime
        One a pair, in the tier that was compared. What one source leaves out is not put back here.
    """
    # A source and tier is measured once for all sectors: most of the work is the same for each.
    asked: dict[tuple[str, str], dict[str, Sector]] = {}
    for pair in pairs:
        for source in (pair.found.source_a, pair.found.source_b):
            sectors = asked.setdefault((source.id, pair.found.difference.tier), {})
            sectors[pair.found.sector.key] = pair.found.sector
    measured = {
        (source_id, tier): daybook.daily(ws, source_id, [*of.values()], (start, end), tier=tier)
        for (source_id, tier), of in asked.items()
    }
    return [_over_time(ws, pair, measured, (start, end)) for pair in pairs]


def _over_time(
    ws: Workspace,
    pair: Pair,
    measured: Mapping[tuple[str, str], pd.DataFrame],
    days: tuple[date, date],
) -> OverTime:
    (start, end), found = days, pair.found
    tier, sector = found.difference.tier, found.sector
    calendars, maps = {}, []
    for source in (found.source_a, found.source_b):
        known = snapshots.fingerprint(ws, source.id, end)
        maps.append(_telling(ws, source.id, tier, start, end, known))
        table = measured[source.id, tier]
        rows = table[(table["sector"] == sector.key) & (table["day"] >= str(start))]
        calendars[source.id] = series.calendar(rows, start, end)
    a, b = maps
    lags = agreement.lags(a, b, reference.settlements(), tier=tier, within=sector.polygon)
    lags.insert(0, "sector", sector.key)
    return OverTime(calendars, lags)


@lru_cache(maxsize=8)
def _telling(
    ws: Workspace, source_id: str, tier: str, start: date, end: date, _known: str
) -> list[Snapshot]:
    """The maps that tell of a tier: the same objects for every sector, which are followed once."""
    window = snapshots.window(ws, source_id, start, end, lead_in=True)
    return [snapshot for snapshot in window if tier in snapshot.tiers]


def others(ws: Workspace, source_id: str) -> list[str]:
    """The sources of a workspace, this one first."""
    return [source_id, *(key for key in publishers.present(ws) if key != source_id)]
