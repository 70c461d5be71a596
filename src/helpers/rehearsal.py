"""What every notebook needs and no notebook changes, done once in the process that forks them.

Made-up maps of each sector are measured and drawn, and thrown away. What stays is what a process
remembers anyway: base layers, projections, fonts, shaped names. Of many reports the maps are
loaded, too, and settlements followed on them: a map is known by its content, so what is remembered
of it holds for whoever looks at it. Threads would not survive the fork, and none are started.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import shapely

from helpers import (
    changes,
    dossiers,
    findings,
    measures,
    plans,
    plates,
    provenance,
    publishers,
    reference,
    series,
    settlements,
    snapshots,
    sources,
)
from helpers.reference import Sector
from helpers.schema import Snapshot, tiers_of
from helpers.startup import keep_memory
from helpers.workspace import Workspace

_SOURCE = "reconstruction"
_DAYS = (date(2024, 1, 1), date(2024, 1, 8), date(2024, 1, 9))
# How much of a sector's width the made-up ground takes from the west on each day.
_SHARES = (0.3, 0.4, 0.5)


def steps(root: str = "", source_id: str = "", first: str = "", last: str = "") -> Iterator[None]:
    """Measure and draw what is thrown away, a figure at a time.

    Parameters
    ----------
    root
        A workspace whose maps to look at; empty for none.
    source_id, first, last
        The source of the reports that will be made, empty for the workspace's own default, and
        their first and last day.

    Yields
    ------
    None
        Between two steps; whoever has no more time need not go on.
    """
    keep_memory()
    provenance.software()
    provenance.helpers_digest()
    source = sources.get(_SOURCE)
    stories = []
    for sector in reference.sectors().values():
        before, _, after = maps = [
            _made_up(sector, day, share) for day, share in zip(_DAYS, _SHARES, strict=True)
        ]
        change = changes.in_sector(
            sector, before, after, source=source, border=reference.outer_edges()
        )
        moved = settlements.changed(
            before.tier(change.tier),
            after.tier(change.tier),
            reference.settlements(),
            within=sector.polygon,
            positional_error_m=source.positional_error_m,
        )
        plates.sector_map(change, moved)
        yield
        rows = measures.daily(maps, [sector], source=source)
        days = series.calendar(rows, _DAYS[0], _DAYS[-1])
        stories.append((findings.SectorSeries(sector, source, days), series.totals(rows, "W-SUN")))
    plates.advance_series(stories[0][0])
    yield
    plates.advance_sectors(
        [story for story, _ in stories], {story.sector.name: weeks for story, weeks in stories}
    )
    yield
    if root:
        days = date.fromisoformat(first), date.fromisoformat(last)
        yield from _looked(Workspace.at(Path(root)), source_id, *days)


# What was loaded, and what is known of it, stays as long as somebody holds it.
_HELD: list[object] = []


def _looked(ws: Workspace, source_id: str, first: date, last: date) -> Iterator[None]:
    """Load the maps that reports of some days look at, and follow settlements on them."""
    source = publishers.source(ws, source_id or publishers.default(ws))
    snapshots.ensure(ws, source.id)
    mapped = [day for day in snapshots.days(ws, source.id) if first <= day <= last]
    first, last = mapped[0], mapped[-1]
    early, late = (_parameters(ws, source.id, day) for day in (first, last))
    areas = [
        reference.sector(key, ws.sectors_file)
        for key in late["advance-series"]["sectors"].split(", ")
    ]
    start = date.fromisoformat(early["advance-series"]["start"])
    for day in (last, first):
        _HELD.append(dossiers.on_claims(ws, source, day, areas))
        yield
    for area in areas:
        settlements.history(
            snapshots.window(ws, source.id, start, last, lead_in=True),
            reference.settlements(),
            tier=source.tier_for(area.measure),
            within=area.polygon,
        )
    yield
    compared = late.get("agreement", {}).get("sources", source.id).split(", ")
    _HELD.extend(snapshots.window(ws, other, start, last, lead_in=True) for other in compared)
    dossiers.over_time(ws, dossiers.on_sources(ws, compared, last, areas)[0], start, last)
    yield


def _parameters(ws: Workspace, source_id: str, day: date) -> dict[str, dict[str, str]]:
    """What each notebook of a report is given."""
    asked = plans.request(ws, day, source_id=source_id)
    return {job.name: dict(job.parameters) for job in plans.plan(ws, asked)}


def _made_up(sector: Sector, day: date, share: float) -> Snapshot:
    west, south, east, north = sector.polygon.bounds
    ground = shapely.multipolygons([shapely.box(west, south, west + share * (east - west), north)])
    source = sources.get(_SOURCE)
    layers = dict.fromkeys(source.layers, ground)
    return Snapshot(_SOURCE, day, layers, tiers_of(source.layers, list(layers)))
