"""What every notebook needs and no notebook changes, done once in the process that forks them.

Made-up maps of each sector are measured and drawn, and thrown away. What stays is what a process
remembers anyway: base layers, projections, fonts, shaped names. Nothing is read but what is shipped
with the code, and nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import shapely

from helpers import (
    changes,
    findings,
    measures,
    plates,
    provenance,
    reference,
    series,
    settlements,
    sources,
)
from helpers.reference import Sector
from helpers.schema import Snapshot, tiers_of

_SOURCE = "reconstruction"
_DAYS = (date(2024, 1, 1), date(2024, 1, 8), date(2024, 1, 9))
# How much of a sector's width the made-up ground takes from the west on each day.
_SHARES = (0.3, 0.4, 0.5)


def steps() -> Iterator[None]:
    """Measure and draw what is thrown away, a figure at a time.

    Yields
    ------
    None
        Between two steps; whoever has no more time need not go on.
    """
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


def _made_up(sector: Sector, day: date, share: float) -> Snapshot:
    west, south, east, north = sector.polygon.bounds
    ground = shapely.multipolygons([shapely.box(west, south, west + share * (east - west), north)])
    source = sources.get(_SOURCE)
    layers = dict.fromkeys(source.layers, ground)
    return Snapshot(_SOURCE, day, layers, tiers_of(source.layers, list(layers)))
