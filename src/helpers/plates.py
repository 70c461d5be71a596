"""What was measured -> the finished figure or table: drawing, words, credits, alt text."""

from __future__ import annotations

import dataclasses
import json
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely
from shapely.geometry.base import BaseGeometry

from helpers import (
    basemap,
    calendars,
    charts,
    comparisons,
    figures,
    findings,
    maps,
    provenance,
    reference,
    style,
    timelines,
)
from helpers.agreement import Agreement
from helpers.changes import SectorChange
from helpers.figures import FigureSet
from helpers.findings import NoData, SectorSeries
from helpers.schema import INVERTED_TIERS
from helpers.sources import Source
from helpers.style import Theme
from helpers.tables import Table


def sector_map(
    change: SectorChange,
    moved: pd.DataFrame,
    *,
    claimed: BaseGeometry | None = None,
    under: str = "offline",
    note: str = "",
    kept: Path | None = None,
) -> FigureSet:
    """Draw the annotated map of a sector.

    Parameters
    ----------
    change
        What changed.
    moved
        Settlements that came under or left the tier's ground (`helpers.settlements.changed`).
    claimed
        Ground that is claimed but not assessed on the later day, (multi)polygon in OGC:CRS84.
    under
        What lies under the map (`helpers.basemap.resolve`).
    note
        Note of `helpers.measures.daily` for a change from one map to the next.
    kept
        A folder where the same map may have been saved by another notebook.

    Returns
    -------
    FigureSet
        Named ``sector-map-<sector>``.
    """
    base = maps.Base(_layers(), basemap.resolve(change.sector, under))
    came, left = (frozenset(moved.loc[moved["change"] == c, "id"]) for c in ("came under", "left"))
    key = findings.key_labels(change)
    if change.tier in INVERTED_TIERS:
        # Names take the colour of the ground: what left Ukrainian-held ground is a Russian advance.
        came, left = left, came
        key |= {"newly_inside": key["newly_outside"], "newly_outside": key["newly_inside"]}
    places = maps.Places(reference.settlements(), newly=came, left=left)
    text = maps.MapText(
        title=findings.headline(change, note),
        subtitle=findings.standfirst(change, note),
        notes=findings.caveats(change.source, change.sector),
        sources=findings.source_line(change.source, reference.attributions()),
        key=key,
    )
    return figures.render(
        lambda theme: maps.sector_map(
            change, text=text, base=base, places=places, theme=theme, claimed=claimed
        ),
        name=f"sector-map-{change.sector.key}",
        alt=findings.alt_text(change, note),
        caption=findings.caption(change),
        # A picture from elsewhere may be another tomorrow.
        made_of=_digest(change, text, [came, left], claimed) if base.picture.image is None else "",
        kept=kept,
    )


def _digest(*drawn: object) -> str:
    """Tell things that are drawn from others: them, and all that draws them."""
    code = [provenance.helpers_digest(), provenance.software()]
    return provenance.digest(json.dumps([code, *drawn], default=_plain).encode())


def _plain(thing: object) -> object:
    """What JSON cannot take, as something that it can, and that differs where the thing does."""
    if isinstance(thing, BaseGeometry):
        return shapely.to_wkb(thing, hex=True)
    if isinstance(thing, pd.DataFrame):
        table = pd.DataFrame(thing)
        return {str(name): [*map(_plain, table[name])] for name in table}
    if dataclasses.is_dataclass(thing):
        return {f.name: getattr(thing, f.name) for f in dataclasses.fields(thing)}
    if isinstance(thing, Mapping):
        return sorted((str(key), value) for key, value in thing.items())
    if isinstance(thing, frozenset):
        return sorted(thing)
    return repr(thing)


def no_data_map(missing: NoData) -> FigureSet:
    """Draw the frame of a sector of which nothing is known, with a plain statement.

    Parameters
    ----------
    missing
        The sector, the source, the day and why.

    Returns
    -------
    FigureSet
        Named as `sector_map` would be.
    """
    text = maps.MapText(
        title=findings.headline(missing),
        subtitle="",
        notes=findings.caveats(missing.source, missing.sector),
        sources=findings.source_line(missing.source, reference.attributions()),
    )
    return figures.render(
        lambda theme: maps.no_data_map(
            missing.sector,
            findings.standfirst(missing),
            base=maps.Base(_layers()),
            places=maps.Places(reference.settlements()),
            text=text,
            theme=theme,
        ),
        name=f"sector-map-{missing.sector.key}",
        alt=findings.alt_text(missing),
        caption=findings.caption(missing),
    )


@cache
def _layers() -> maps.BaseLayers:
    return maps.BaseLayers(
        border=reference.border(),
        ukraine=reference.ukraine(),
        countries=reference.countries(),
        oblasts=reference.oblasts(),
    )


@dataclass(frozen=True)
class Film:
    """A map from day to day.

    Attributes
    ----------
    name, alt
        Stem of its files; what it shows, for those who do not see it move.
    days
        The days of the frames, each of the calendar.
    frames
        Pictures, RGB, shape ``(height, width, 3)``, all of one size; to be gone through once.
    """

    name: str
    alt: str
    days: Sequence[date]
    frames: Iterator[npt.NDArray[np.uint8]]


def film(changed: Sequence[SectorChange], *, theme: Theme) -> Film:
    """Animate a sector: a frame a day of the calendar, and on days without a map it says so.

    Parameters
    ----------
    changed
        From the first map to each map, the first itself included, in order of time.
    theme
        The rendition.

    Returns
    -------
    Film
        Named ``sector-film-<sector>``.
    """
    last = changed[-1]
    days = [d.date() for d in pd.date_range(changed[0].after_day, last.after_day)]
    return Film(
        name=f"sector-film-{last.sector.key}",
        alt=findings.film_alt(last, len(changed)),
        days=days,
        frames=_frames(changed, days, theme),
    )


def _frames(
    changed: Sequence[SectorChange], days: Sequence[date], theme: Theme
) -> Iterator[npt.NDArray[np.uint8]]:
    last = changed[-1]
    at = [bisect_right([c.after_day for c in changed], day) - 1 for day in days]
    lines = [findings.film_line(changed[i], day) for i, day in zip(at, days, strict=True)]
    title, key = findings.film_words(last)
    with style.style():
        text = maps.MapText(
            title=title,
            subtitle=max(lines, key=lambda it: style.measure(it, "strong", theme.sub, theme.dpi)),
            notes=findings.caveats(last.source, last.sector),
            sources=findings.source_line(last.source, reference.attributions()),
            key=key,
        )
        stage = maps.stage(
            last,
            base=maps.Base(_layers()),
            places=maps.Places(reference.settlements()),
            text=text,
            theme=theme,
        )
        for number, (i, line) in enumerate(zip(at, lines, strict=True)):
            stage.show(changed[i], line, number / max(len(days) - 1, 1))
            yield figures.pixels(stage.figure)


def calendar(source: Source, days: pd.DataFrame) -> FigureSet:
    """Draw the calendar of a source's days, named ``snapshots-<source>``.

    Parameters
    ----------
    source
        The publisher.
    days
        Columns day and state, one row a day (`helpers.inspection.Inspection.days`).

    Returns
    -------
    FigureSet
        A row a month, a cell a day.
    """
    labels = findings.state_labels()
    counts = {state: int((days["state"] == state).sum()) for state in labels}
    credible = days.loc[days["state"] != "quarantined", "day"]
    span = credible if len(credible) else days["day"]
    text = findings.days_text(source, counts, span.min().date(), span.max().date())
    months = findings.texts()["calendar"]["short"]
    inside = days[days["day"].between(span.min(), span.max())]
    return figures.render(
        lambda theme: calendars.draw(inside, text=text, labels=labels, months=months, theme=theme),
        name=f"snapshots-{source.id}",
        alt=f"{text.title}. {text.subtitle}",
        caption=text.title,
    )


def advance_series(story: SectorSeries, *, marks: Sequence[date] = ()) -> FigureSet:
    """Draw the chart of one sector day by day, named ``advance-series-<sector>``.

    Parameters
    ----------
    story
        The sector and its days.
    marks
        Days of reports, dashed.

    Returns
    -------
    FigureSet
        Level with its error band, and change a day.
    """
    text = findings.chart_text(story)
    return figures.render(
        lambda theme: charts.area_chart(story.calendar, text=text, marks=marks, theme=theme),
        name=f"advance-series-{story.sector.key}",
        alt=findings.series_alt(story),
        caption=findings.series_caption(story),
    )


def advance_sectors(
    stories: Sequence[SectorSeries],
    weeks: Mapping[str, pd.DataFrame],
    *,
    name: str = "advance-sectors",
) -> FigureSet:
    """Draw the change a week of several sectors on one scale.

    Parameters
    ----------
    stories
        The sectors and their days.
    weeks
        Sector name to weekly totals (`helpers.series.totals`).
    name
        Name of the figure; two figures of one report may not share it.

    Returns
    -------
    FigureSet
        One small chart a sector.
    """
    text = findings.sectors_text(stories)
    summaries = {story.sector.name: findings.sector_summary(story) for story in stories}
    return figures.render(
        lambda theme: charts.small_multiples(weeks, summaries=summaries, text=text, theme=theme),
        name=name,
        alt=findings.sectors_alt(stories, weeks),
        caption=text.subtitle,
    )


def claims_map(change: SectorChange, followed: pd.DataFrame, claimed: BaseGeometry) -> FigureSet:
    """Draw what is claimed beside what is assessed, named ``claims-map-<sector>``.

    Parameters
    ----------
    change
        Of the day's map from itself: nothing but where the line is.
    followed
        `helpers.claims.follow`, of this sector.
    claimed
        Ground that is claimed and not assessed (`helpers.claims.not_assessed`), OGC:CRS84.

    Returns
    -------
    FigureSet
        The map of the day, the claimed ground in a pattern of its own.
    """
    sector, source, day = change.sector, change.source, change.after_day
    words = comparisons.claims_text(sector, followed, source, day)
    labels = findings.key_labels(change)
    key = {name: labels[name] for name in ("held", "line_now")}
    text = maps.MapText(
        title=words.title,
        subtitle=words.subtitle,
        notes=words.notes,
        sources=findings.source_line(source, reference.attributions()),
        key=key | comparisons.claims_key(source),
    )
    asserted = frozenset(followed.loc[followed["asserts"] == "russian_held", "id"]) - {""}
    places = maps.Places(reference.settlements(), newly=asserted)
    return figures.render(
        lambda theme: maps.sector_map(
            change,
            text=text,
            base=maps.Base(_layers()),
            places=places,
            theme=theme,
            claimed=claimed,
        ),
        name=f"claims-map-{sector.key}",
        alt=comparisons.claims_alt(sector, words, source),
        caption=comparisons.claims_caption(sector, source, day),
    )


def claims_timeline(
    bands: Sequence[timelines.Band], followed: pd.DataFrame, source: Source, day: date
) -> FigureSet:
    """Draw claims and maps over time, named ``claims-timeline``.

    Parameters
    ----------
    bands
        `claim_bands`.
    followed
        `helpers.claims.follow`.
    source
        Whose maps.
    day
        The last day.

    Returns
    -------
    FigureSet
        A band a place.
    """
    text = comparisons.timeline_text(followed, source, day)
    alt, caption = comparisons.timeline_words(
        {band.place: band.share for band in bands},
        {band.place: len(band.said) for band in bands},
        source,
    )
    return figures.render(
        lambda theme: timelines.draw(bands, text=text, theme=theme),
        name="claims-timeline",
        alt=alt,
        caption=caption,
    )


def claim_bands(
    followed: pd.DataFrame, histories: Mapping[str, pd.DataFrame], limit: int = 10
) -> list[timelines.Band]:
    """Choose the places that the timeline shows: those that were claimed last.

    Parameters
    ----------
    followed
        `helpers.claims.follow`.
    histories
        Sector key to `helpers.claims.histories`.
    limit
        So many at most.

    Returns
    -------
    list of helpers.timelines.Band
        The last claimed first; a place with claims against each other before others of that day.
    """
    known = followed[followed["status"] != "open"]
    bands = []
    for (sector, key), rows in known.groupby(["sector", "id"], sort=False):
        history = histories[sector]
        share = history[history["id"] == key].set_index("day")["share"]
        said = list(zip(rows["date"], rows["asserts"], strict=True))
        bands.append(timelines.Band(rows["place"].iloc[0], share, said))
    order = sorted(
        bands, key=lambda b: (b.said[-1][0], len({a for _, a in b.said}), b.place), reverse=True
    )
    return order[:limit]


def agreement_map(found: Agreement, *, granted: bool = False) -> FigureSet:
    """Draw where two sources agree, named ``agreement-<sector>-<a>-<b>``.

    Parameters
    ----------
    found
        Two maps compared.
    granted
        Whether both were taken to have what one of them leaves out.

    Returns
    -------
    FigureSet
        Ground on both maps, and what only one of them has.
    """
    words = comparisons.agreement_text(found, granted=granted)
    alt, caption = comparisons.agreement_words(found, words)
    text = maps.MapText(
        title=words.title,
        subtitle=words.subtitle,
        notes=words.notes,
        sources=findings.sources_line((found.source_a, found.source_b), reference.attributions()),
        key=comparisons.agreement_key(found),
    )
    return figures.render(
        lambda theme: maps.difference_map(
            found.difference,
            text=text,
            base=maps.Base(_layers()),
            places=maps.Places(reference.settlements()),
            theme=theme,
        ),
        name=f"agreement-{found.sector.key}-{found.source_a.id}-{found.source_b.id}",
        alt=alt,
        caption=caption,
    )


def agreement_levels(
    found: Agreement, calendars: Mapping[str, pd.DataFrame], marks: Sequence[date] = ()
) -> FigureSet:
    """Draw the area of a sector by two sources over time, named ``levels-<sector>-<a>-<b>``.

    Parameters
    ----------
    found
        Two sources compared.
    calendars
        Source id to `helpers.series.calendar`, the same days.
    marks
        Days of reports, dashed.

    Returns
    -------
    FigureSet
        A line and a band a source.
    """
    sector, tier, sources = found.sector, found.difference.tier, (found.source_a, found.source_b)
    text = comparisons.levels_text(sector, tier, calendars, sources)
    named = {source.publisher: calendars[source.id] for source in sources}
    return figures.render(
        lambda theme: charts.levels(named, text=text, marks=marks, theme=theme),
        name=f"levels-{sector.key}-{sources[0].id}-{sources[1].id}",
        alt=comparisons.levels_alt(sector, text, calendars, sources),
        caption=text.title,
    )


def settlement_table(moved: pd.DataFrame, since: date, until: date) -> Table:
    """List the settlements whose side changed.

    Parameters
    ----------
    moved
        Rows of `helpers.settlements.changed`, with or without a leading column ``sector``.
    since, until
        The two assessed days.

    Returns
    -------
    Table
        Names, populations where they are known, and the share of each settlement's disc inside the
        tier's ground on both days.
    """
    shown = moved.drop(columns="id").rename(
        columns={"share_before": "before_share", "share_after": "after_share"}
    )
    shown["population"] = shown["population"].where(shown["population"] > 0).astype("Int64")
    return Table(
        shown,
        f"Settlements whose side changed, {findings.span(since, until)}",
        labels={
            "name": "settlement",
            "before_share": "inside before",
            "after_share": "inside after",
            "distance_km": "from the line",
        },
    )
