"""Charts over time: the level of a sector with its error, its change a day, sectors side by side.

A gap is drawn as a gap: the line breaks, and a grey stripe says "no data". A change that was found
after a gap is a bar as wide as the gap, so that the area of the bars is what was gained and lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.collections import FillBetweenPolyCollection
from matplotlib.dates import date2num
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path
from matplotlib.ticker import MaxNLocator

from helpers import style
from helpers.findings import (
    NO_CHANGE_KM2,
    ChartText,
    error_km2,
    metres,
    number,
    short_day,
    step_km2,
    texts,
)
from helpers.panels import Panel
from helpers.style import COLOURS, FontRole, Theme
from helpers.typesetting import write

FloatArray = npt.NDArray[np.float64]
Box = tuple[float, float, float, float]
Heading = Sequence[tuple[str, FontRole, str]]

# Heights of the panels, the air between blocks, and between a text and what it must not touch, all
# in inches. A panel of the small multiples is one of three beside each other, or one below another.
_LEVEL_IN = {"wide": 2.5, "phone": 2.5}
_RATE_IN = {"wide": 1.75, "phone": 1.75}
_SMALL_IN = {"wide": 2.5, "phone": 1.2}
_PER_ROW = {"wide": 3, "phone": 1}
_BLOCK_IN = 0.12
_CLEAR_IN = 0.035

# A leader of this length is neither a stub nor a stray line.
_LEADER_IN = 0.25

# A name higher than this above the end of its bar would seem to be another's; to cross an upright
# line is as bad as being so much higher.
_LIFT_IN = 0.4
_CROSSING_IN = 0.15

# From one line of a name below a scale to the next: what the font asks for, in sizes.
_FONT_LINE_EM = 1.2

# Inches: between a panel and the names of its scales, and the length of a tick.
_PAD_IN = _TICK_IN = 4 / 72

# What a bar's corners are in a path.
_BAR = np.array([Path.MOVETO, *[Path.LINETO] * 3, Path.CLOSEPOLY], dtype=Path.code_type)

# So many of the largest days are named, a week or more apart.
_PEAKS = 2
_PEAK_APART = pd.Timedelta(days=7)

# Colours of sources beside each other.
_SOURCES = ("only_a", "only_b", "lost")

# From so many days on, a day is named with its year.
_NEEDS_YEAR_DAYS = 330


@dataclass(frozen=True)
class _Bars:
    """Changes as bars: the day each was found, where it ends and how wide it is (days), its height.

    `up` and `down` are what was gained and lost, per day or week, and `net` the whole net change in
    km². Without rows that are missing.
    """

    days: pd.DatetimeIndex
    right: FloatArray
    width: FloatArray
    up: FloatArray
    down: FloatArray
    net: FloatArray

    def only(self, which: npt.NDArray[np.bool_]) -> _Bars:
        return _Bars(*(getattr(self, each.name)[which] for each in fields(self)))

    def write(self, at: int) -> str:
        return number(self.net[at], step_km2(self.net[at]), signed=True)


def _daily_bars(calendar: pd.DataFrame) -> _Bars:
    found = calendar[calendar["elapsed_days"].notna()]
    width = found["elapsed_days"].to_numpy(float)
    up, down = (found[side].to_numpy(float) / width for side in ("gained_km2", "lost_km2"))
    right = date2num(found.index) + 0.5
    return _Bars(found.index, right, width, up, down, found["net_km2"].to_numpy(float))


def _weekly_bars(weeks: pd.DataFrame) -> _Bars:
    up, down, net = (
        weeks[column].fillna(0).to_numpy(float) for column in ("gained_km2", "lost_km2", "net_km2")
    )
    return _Bars(weeks.index, date2num(weeks.index) + 0.5, np.full(len(weeks), 7.0), up, down, net)


@dataclass
class _Page:
    """A page in the making, and what stands on it, in inches from its bottom left corner.

    `boxes` are taken by names and lines; `rules` are upright lines, better not crossed.
    """

    figure: Figure
    theme: Theme
    boxes: list[Box] = field(default_factory=list)
    rules: list[float] = field(default_factory=list)

    def width(self, text: str, role: FontRole = "label") -> float:
        return style.measure(text, role, self.theme.key, self.theme.dpi)[0]

    def box(self, text: str, at: tuple[float, float], role: FontRole = "label") -> Box:
        """Room that a line takes with its left baseline at a place."""
        size, dpi = self.theme.key, self.theme.dpi
        width, *tall = style.measure(text, role, size, dpi)
        # A line is laid out at least as high as these two letters, whatever its own are.
        height, descent = map(max, tall, style.measure("lp", role, size, dpi)[1:])
        return (at[0], at[1] - descent, at[0] + width, at[1] - descent + height)

    def is_free(self, box: Box) -> bool:
        return not _touch(np.array([box]), np.array(self.boxes).reshape(-1, 4)).any()

    def crossed(self, box: Box | FloatArray) -> int:
        return sum(box[0] - _CLEAR_IN < x < box[2] + _CLEAR_IN for x in self.rules)

    def put(
        self, text: str, at: tuple[float, float], colour: str, role: FontRole = "label"
    ) -> None:
        write(
            self.figure,
            *at,
            text,
            transform=style.page_transform(self.figure, bottom=True),
            fontproperties=style.font(role, self.theme.key),
            color=COLOURS[colour],
            halo=(2.2, COLOURS["paper"]),
            gid="annotation",
        )
        self.boxes.append(self.box(text, at, role))

    def tick(self, text: str, at: tuple[float, float], *, share: float) -> None:
        """Name a place of a scale: so much of each line's width lies to the left of the place.

        The first baseline is at the place.
        """
        for row, line in enumerate(text.split("\n")):
            write(
                self.figure,
                at[0] - share * self.width(line),
                at[1] - row * style.line_height_in(self.theme.key, _FONT_LINE_EM),
                line,
                transform=style.page_transform(self.figure, bottom=True),
                fontproperties=style.font("label", self.theme.key),
                color=COLOURS["subtle"],
                gid="tick-label",
            )

    def inches(self, panel: Panel, x: FloatArray, y: FloatArray) -> FloatArray:
        """Data to inches on the page, shape (n, 2)."""
        points: FloatArray = panel.data.transform(np.column_stack([x, y])) / self.figure.dpi
        return points


def _touch(boxes: FloatArray, others: FloatArray) -> npt.NDArray[np.bool_]:
    """Which of some boxes, shape (n, 4), touch any of others, shape (m, 4)."""
    one, other = boxes[:, None, :], others[None, :, :]
    room = np.maximum(one[..., :2] - other[..., 2:], other[..., :2] - one[..., 2:])
    # Two boxes touch where they have no room between them in x nor in y.
    return np.asarray(np.any(np.all(room < _CLEAR_IN, axis=2), axis=1))


def area_chart(
    calendar: pd.DataFrame, *, text: ChartText, marks: Sequence[date] = (), theme: Theme
) -> Figure:
    """Draw the level of a sector with its error band, and below it the change a day.

    Parameters
    ----------
    calendar
        `helpers.series.calendar`: one row a calendar day (index, datetime64), missing days NaN,
        with area_km2, area_error_km2, gained_km2, lost_km2, net_km2, elapsed_days, mean7. A bar
        upwards is a Russian advance, also where the level falls for it.
    text
        Title, subtitle, notes, sources and the names of what is drawn.
    marks
        Days of reports, dashed; the last of them is called "this report".
    theme
        The rendition. Draw inside `helpers.style.style`.

    Returns
    -------
    matplotlib.figure.Figure
        Not tied to pyplot. Artists carry the gid of their role: level, band, gap, gained, lost,
        mean, mark, annotation.
    """
    page = _Page(style.new_figure(theme), theme)
    heights = (_LEVEL_IN[theme.name], _RATE_IN[theme.name])
    top = style.title_block(page.figure, theme, text.title, text.subtitle) + _BLOCK_IN
    level_top = top + _heading(page, top, _level_heading(text, calendar))
    rate_head = level_top + heights[0] + 2 * _BLOCK_IN
    rate_top = rate_head + _heading(page, rate_head, _rate_heading(text))
    foot = style.source_line(page.figure, theme, [*text.notes, text.sources])
    style.set_height(page.figure, theme, rate_top + heights[1] + _ticks_in(theme) + foot)

    bars = _daily_bars(calendar)
    limits = (_level_limits(calendar, theme), _rate_limits([bars], theme, heights[1]))
    ticks = ({v: _plain(v) for v in _ticks(limits[0])}, {v: _signed(v) for v in _ticks(limits[1])})
    if calendar["area_km2"].isna().all():
        ticks = ({}, {})
    widths = [page.width(label) for each in ticks for label in each.values()]
    left = theme.pad + max([*widths, page.width("30 Sep") / 2]) + 0.07
    right = theme.pad + page.width(_end_label(calendar), "label_strong") + 0.1
    width = theme.width_in - left - right
    days = _day(calendar.index[0]) - 0.5, _day(calendar.index[-1]) + 0.5
    level = _panel(page, (left, level_top, width, heights[0]), days, limits[0], ticks[0])
    rate = _panel(page, (left, rate_top, width, heights[1]), days, limits[1], ticks[1])
    for panel in (level, rate):
        _draw_gaps(panel, calendar)
    _day_ticks(page, rate, calendar.index, spare_in=right - theme.pad)
    _draw_level(page, level, calendar, text)
    _draw_bars(rate, bars, alpha=0.7)
    _draw_mean(rate, calendar["mean7"], theme)
    _draw_marks(page, (level, rate), marks)
    middles = np.array([sum(gap) / 2 for gap in _gaps(calendar)])
    page.rules += list(page.inches(level, middles, np.zeros(len(middles)))[:, 0])
    for at in _peaks(bars):
        day = short_day(bars.days[at], year=len(calendar) > _NEEDS_YEAR_DAYS)
        label = texts()["chart"]["peak"].format(day=day, net=bars.write(at))
        _name_bar(page, rate, label, bars, at)
    _name_band(page, level, calendar, text)
    return page.figure


def small_multiples(
    weeks: Mapping[str, pd.DataFrame],
    *,
    summaries: Mapping[str, str],
    text: ChartText,
    theme: Theme,
) -> Figure:
    """Draw the change a week of several sectors beside each other, all on one scale.

    Parameters
    ----------
    weeks
        Sector name to its weekly totals (`helpers.series.totals`): index the last day of the week,
        columns gained_km2, lost_km2, net_km2, complete. A bar upwards is a Russian advance; weeks
        with missing days are paler.
    summaries
        Sector name to the line below its name (`helpers.findings.sector_summary`).
    text
        Title, subtitle, notes and sources.
    theme
        The rendition. Draw inside `helpers.style.style`.

    Returns
    -------
    matplotlib.figure.Figure
        Not tied to pyplot.
    """
    page = _Page(style.new_figure(theme), theme)
    columns = min(_PER_ROW[theme.name], len(weeks))
    rows = -(-len(weeks) // columns)
    height = _SMALL_IN[theme.name]
    top = style.title_block(page.figure, theme, text.title, text.subtitle) + _BLOCK_IN
    foot = style.source_line(page.figure, theme, [*text.notes, text.sources])
    names_in = (2 if columns > 1 else 1) * style.line_height_in(theme.key, 1.35) + _BLOCK_IN / 2
    row_in = names_in + height + 1.5 * _BLOCK_IN
    style.set_height(page.figure, theme, top + rows * row_in + _ticks_in(theme) - _BLOCK_IN + foot)

    bars = {name: _weekly_bars(table) for name, table in weeks.items()}
    limits = _rate_limits(list(bars.values()), theme, height)
    ticks = {value: _signed(value) for value in _ticks(limits)}
    left = theme.pad + max(map(page.width, ticks.values())) + 0.07
    between = 0.2
    width = (theme.width_in - left - theme.pad - between * (columns - 1)) / columns
    index = pd.DatetimeIndex(np.unique(np.concatenate([w.index for w in weeks.values()])))
    for i, (name, table) in enumerate(weeks.items()):
        row, column = divmod(i, columns)
        x, y = left + column * (width + between), top + row * row_in
        parts: Heading = [(name, "label_strong", "text"), (summaries[name], "label", "subtle")]
        _heading(page, y, parts, left=x, right=x if columns > 1 else 0)
        shown = ticks if column == 0 else dict.fromkeys(ticks, "")
        days = _day(index[0]) - 6.5, _day(index[-1]) + 0.5
        panel = _panel(page, (x, y + names_in, width, height), days, limits, shown)
        if i + columns >= len(weeks):
            _day_ticks(page, panel, index, spare_in=between / 3)
        whole = table["complete"].to_numpy(bool)
        _draw_bars(panel, bars[name].only(whole))
        _draw_bars(panel, bars[name].only(~whole), alpha=0.45)
        net = table["net_km2"].where(table["complete"])
        _draw_mean(panel, net.rolling(4, center=True, min_periods=3).mean(), theme)
        for at in _peaks(bars[name])[:1]:
            day = short_day(table.index[at], year=True)
            label = texts()["chart"]["week"].format(day=day, net=bars[name].write(at))
            _name_bar(page, panel, label, bars[name], at)
    return page.figure


def levels(
    calendars: Mapping[str, pd.DataFrame], *, text: ChartText, marks: Sequence[date], theme: Theme
) -> Figure:
    """Draw the area by several sources over the same days, each with the band of its error.

    Parameters
    ----------
    calendars
        Name of the source to its `helpers.series.calendar`; up to three, the same days.
    text
        Title, subtitle, notes and sources.
    marks
        Days of reports, dashed.
    theme
        The rendition. Draw inside `helpers.style.style`.

    Returns
    -------
    matplotlib.figure.Figure
        Not tied to pyplot. A line breaks where its source has no map; a single day is a point.
    """
    page = _Page(style.new_figure(theme), theme)
    height = _LEVEL_IN[theme.name] + 0.6
    top = style.title_block(page.figure, theme, text.title, text.subtitle) + _BLOCK_IN
    foot = style.source_line(page.figure, theme, [*text.notes, text.sources])
    named: Heading = [
        (name, "label_strong", f"{colour}_text")
        for name, colour in zip(calendars, _SOURCES, strict=False)
    ]
    panel_top = top + _heading(page, top, named)
    style.set_height(page.figure, theme, panel_top + height + _ticks_in(theme) + foot)
    both = pd.concat(list(calendars.values()))
    limits = _level_limits(both, theme)
    ticks = {v: _plain(v) for v in _ticks(limits)}
    left = theme.pad + max([*map(page.width, ticks.values()), page.width("30 Sep") / 2]) + 0.07
    right = theme.pad + max(page.width(_end_label(c)) for c in calendars.values()) + 0.15
    index = pd.DatetimeIndex([both.index.min(), both.index.max()])
    days = _day(index[0]) - 0.5, _day(index[1]) + 0.5
    width = theme.width_in - left - right
    panel = _panel(page, (left, panel_top, width, height), days, limits, ticks)
    _day_ticks(page, panel, index, spare_in=right - theme.pad)
    ends = []
    for (name, calendar), colour in zip(calendars.items(), _SOURCES, strict=False):
        seen = calendar[calendar["area_km2"].notna()]
        if len(seen):
            _draw_source(panel, seen, colour, theme)
            ends.append((seen["area_km2"].iloc[-1], seen.index[-1], name, f"{colour}_text"))
    # Ends that lie close are written below each other.
    low = -np.inf
    for area, day, name, colour in sorted(ends):
        (x, y), *_ = page.inches(panel, np.array([_day(day)]), np.array([area]))
        label = _end_label(calendars[name])
        tall = page.box(label, (0, 0), "label_strong")[3]
        at = max(float(y) - tall / 2, low)
        page.put(label, (float(x) + 0.08, at), colour, "label_strong")
        low = at + style.line_height_in(theme.key, 1.5)
    _draw_marks(page, (panel, panel), marks)
    return page.figure


def _draw_source(panel: Panel, seen: pd.DataFrame, colour: str, theme: Theme) -> None:
    """One source's level as steps: a map stands until the next, nothing is drawn between them."""
    x, area = date2num(seen.index), seen["area_km2"].to_numpy(float)
    error = seen["area_error_km2"].to_numpy(float)
    paint, low = COLOURS[colour], np.maximum(area - error, 0)
    band = FillBetweenPolyCollection(
        "x", x, low, area + error, color=paint, alpha=0.18, linewidth=0, step="post", gid="band"
    )
    panel.add(band)
    line = Line2D(x, area, color=paint, linewidth=theme.lw, gid="level")
    line.set_drawstyle("steps-post")
    panel.add(line)
    if len(seen) < 60:
        _draw_points(panel, (x, area), paint, theme.lw + 1.2)


def _draw_points(
    panel: Panel, where: tuple[FloatArray, FloatArray], colour: str, size: float, **more: Any
) -> None:
    panel.add(
        Line2D(
            *where,
            marker="o",
            linestyle="none",
            color=colour,
            markersize=size,
            clip_on=False,
            gid="level_point",
            **more,
        )
    )


# Furniture ----------------------------------------------------------------------------------


def _ticks_in(theme: Theme) -> float:
    return 2 * style.line_height_in(theme.key) + 2 * _BLOCK_IN


def _heading(
    page: _Page, top: float, parts: Heading, *, left: float = 0, right: float = 0
) -> float:
    """Set differently coloured words that flow on; returns their height in inches."""
    theme = page.theme
    step = style.line_height_in(theme.key, 1.35)
    left, right = left or theme.pad, right or theme.width_in - theme.pad
    x, rows = left, 1
    for text, role, colour in parts:
        if x > left and x + page.width(text, role) > right:
            x, rows = left, rows + 1
        page.figure.text(
            x,
            -(top + (rows - 0.3) * step),
            text,
            transform=style.page_transform(page.figure),
            fontproperties=style.font(role, theme.key),
            # The words "no data" stand on the grey that they explain.
            color=COLOURS["subtle" if colour == "no_data" else colour],
            bbox={"facecolor": COLOURS[colour], "edgecolor": "none", "pad": 0.5}
            if colour == "no_data"
            else None,
            gid="heading",
        )
        x += page.width(text, role) + page.width("nn")
    return rows * step + _BLOCK_IN / 2


def _level_heading(text: ChartText, calendar: pd.DataFrame) -> Heading:
    parts: list[tuple[str, FontRole, str]] = [(text.level, "label_strong", "text")]
    if calendar["area_km2"].isna().any():
        parts.append((texts()["chart"]["no_data"], "label", "no_data"))
    return parts


def _rate_heading(text: ChartText) -> Heading:
    words = texts()["chart"]
    return [
        (words["rate"], "label_strong", "text"),
        (text.gained, "label_strong", "gained_text"),
        (text.lost, "label_strong", "lost_text"),
        (f"— {words['mean']}", "label", "text"),
    ]


def _plain(value: float) -> str:
    return number(value, 1.0 if float(value).is_integer() else 0.1)


def _signed(value: float) -> str:
    return number(value, 1.0 if float(value).is_integer() else 0.1, signed=True)


def _ticks(limits: tuple[float, float]) -> list[float]:
    values = MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]).tick_values(*limits)
    return [float(v) for v in values if limits[0] <= v <= limits[1]]


def _day(value: date) -> float:
    return float(date2num(value))


def _panel(
    page: _Page,
    place: Box,
    days: tuple[float, float],
    limits: tuple[float, float],
    ticks: Mapping[float, str],
) -> Panel:
    """Add a panel with horizontal grid lines; `place` is left, top, width, height in inches."""
    left, top, width, height = place
    rect = style.axes_rect(page.figure, left=left, top=top, width=width, height=height)
    panel = Panel(page.figure, rect, (days[0], limits[0], days[1], limits[1]), gid="panel")
    page.figure.add_artist(panel)
    for value in ticks:
        line = Line2D(days, (value, value), color=COLOURS["grid"], linewidth=0.7, gid="grid")
        line.set_zorder(0.5)
        panel.add(line)
    at = page.inches(panel, np.full(len(ticks), days[0]), np.array(list(ticks)))
    half = style.ascent_in(page.theme.key) / 2
    for (x, y), label in zip(at, ticks.values(), strict=True):
        if label:
            page.tick(label, (x - _PAD_IN, y - half), share=1)
    return panel


def _day_ticks(page: _Page, panel: Panel, index: pd.DatetimeIndex, *, spare_in: float) -> None:
    """Name days or months below a panel, as densely as their names have room.

    A name may stick out to the right by `spare_in`.
    """
    start, low, end, _ = panel.bounds
    per_day = panel.box.width / page.figure.dpi / (end - start)
    room = 1.5 * page.width("30 Sep") / per_day
    days = pd.date_range(index[0], index[-1])
    if len(days) <= 62:
        step = next((k for k in (1, 2, 3, 5, 7) if k >= room), 14)
        labels = {day: short_day(day) for day in days[::step]}
    else:
        step = next((k for k in (1, 2, 3, 6) if 30 * k >= room), 12)
        firsts = days[(days.day == 1) & ((days.month - 1) % step == 0)]
        labels = {day: texts()["calendar"]["short"][day.month - 1] for day in firsts}
    last = end + (spare_in - page.width("30 Sep") / 2) / per_day
    labels = {day: text for day, text in labels.items() if _day(day) <= last}
    year = None
    for day, label in labels.items():
        if day.year != year:
            labels[day] = f"{label}\n{day.year}"
            year = day.year
    days = np.array([_day(day) for day in labels])
    for (x, y), label in zip(
        page.inches(panel, days, np.full(len(days), low)), labels.values(), strict=True
    ):
        tick = Line2D((x, x), (y, y - _TICK_IN), color=COLOURS["subtle"], linewidth=0.8, gid="tick")
        tick.set(transform=style.page_transform(page.figure, bottom=True), solid_capstyle="butt")
        page.figure.add_artist(tick)
        below = _TICK_IN + _PAD_IN + style.ascent_in(page.theme.key)
        page.tick(label, (x, y - below), share=0.5)


# Limits -------------------------------------------------------------------------------------


def _with_headroom(low: float, high: float, theme: Theme, height_in: float) -> tuple[float, float]:
    """Leave a line's height above what is drawn, for its names."""
    share = 1 - 1.7 * style.line_height_in(theme.key) / height_in
    return low, low + (high - low) / share


def _level_limits(calendar: pd.DataFrame, theme: Theme) -> tuple[float, float]:
    error = calendar["area_error_km2"].fillna(0)
    low, high = (calendar["area_km2"] - error).min(), (calendar["area_km2"] + error).max()
    if not np.isfinite(low):
        low, high = 0.0, 1.0
    low = max(low, 0.0)
    span = max(high - low, 2.0)
    return _with_headroom(low - 0.05 * span, low + span, theme, _LEVEL_IN[theme.name])


def _rate_limits(several: Sequence[_Bars], theme: Theme, height: float) -> tuple[float, float]:
    high = max((float(bars.up.max(initial=0)) for bars in several), default=0.0)
    low = max((float(bars.down.max(initial=0)) for bars in several), default=0.0)
    if high + low < 1:
        high = 1.0
    low, high = max(low, 0.04 * high), max(high, 0.04 * low)
    bottom, top = _with_headroom(-low, high, theme, height)
    return bottom - (top - high if low > high else 0.02 * (top - bottom)), top


# What was measured --------------------------------------------------------------------------


def _gaps(calendar: pd.DataFrame) -> Iterator[tuple[float, float]]:
    """Spans of days with no map, each from midnight to midnight round its days."""
    missing = calendar["area_km2"].isna().to_numpy()
    edges = np.flatnonzero(np.diff(np.r_[False, missing, False]))
    for start, stop in edges.reshape(-1, 2):
        yield _day(calendar.index[start]) - 0.5, _day(calendar.index[stop - 1]) + 0.5


def _draw_gaps(panel: Panel, calendar: pd.DataFrame) -> None:
    for start, stop in _gaps(calendar):
        _, low, _, high = panel.bounds
        gap = Rectangle((start, low), stop - start, high - low, color=COLOURS["no_data"])
        gap.set(linewidth=0, zorder=0.4, gid="gap")
        panel.add(gap)


def _end_label(calendar: pd.DataFrame) -> str:
    seen = calendar["area_km2"].dropna()
    return "" if seen.empty else number(seen.iloc[-1], step_km2(seen.iloc[-1]))


def _draw_level(page: _Page, panel: Panel, calendar: pd.DataFrame, text: ChartText) -> None:
    x = date2num(calendar.index)
    area = calendar["area_km2"].to_numpy(float)
    error = calendar["area_error_km2"].to_numpy(float)
    colour = "lost_text" if text.inverted else "accent"
    band = FillBetweenPolyCollection(
        "x",
        x,
        np.maximum(area - error, 0),
        area + error,
        color=COLOURS["band"],
        linewidth=0,
        zorder=1,
        gid="band",
    )
    panel.add(band)
    line = Line2D(x, area, color=COLOURS[colour], linewidth=page.theme.lw, gid="level")
    line.set_zorder(3)
    panel.add(line)
    seen = np.isfinite(area)
    # A day between two gaps has no line; it is drawn as a point.
    alone = seen & ~np.r_[False, seen[:-1]] & ~np.r_[seen[1:], False]
    last = np.flatnonzero(seen)[-1:]
    for at, size in ((alone, page.theme.lw + 0.5), (last, 5.0)):
        _draw_points(panel, (x[at], area[at]), COLOURS[colour], size, zorder=4)
    if len(last):
        (px, py), *_ = page.inches(panel, x[last], area[last])
        label = _end_label(calendar)
        height = page.box(label, (0, 0), "label_strong")[3]
        page.put(label, (px + 0.07, py - height / 2), colour, "label_strong")
    # Names keep off the band: one upright box for each day.
    lower, upper = (page.inches(panel, x[seen], (area + side)[seen]) for side in (-error, error))
    page.boxes += [(x0, y0, x1, y1) for (x0, y0), (x1, y1) in zip(lower, upper, strict=True)]


def _draw_bars(panel: Panel, bars: _Bars, *, alpha: float = 1.0) -> None:
    # Where days are wide enough, a hair of paper tells one from the next.
    start, _, end, _ = panel.bounds
    day_in = panel.box.width / panel.figure.dpi / (end - start)
    for heights, role in ((bars.up, "gained"), (-bars.down, "lost")):
        shown = heights != 0
        right, height = bars.right[shown], heights[shown]
        left, nought = right - bars.width[shown], np.zeros(shown.sum())
        if not shown.any():
            continue
        corners = ((left, nought), (left, height), (right, height), (right, nought), (left, nought))
        xy = np.stack([np.column_stack(corner) for corner in corners], axis=1)
        # One path for all: drawn one by one, a year of bars takes longer than all the rest.
        panel.add(
            PathPatch(
                Path(xy.reshape(-1, 2), np.tile(_BAR, len(xy))),
                facecolor=COLOURS[role],
                alpha=alpha,
                edgecolor=COLOURS["paper"],
                linewidth=0.6 if day_in > 0.05 else 0,
                zorder=2,
                gid=role,
            )
        )


def _draw_mean(panel: Panel, mean: pd.Series, theme: Theme) -> None:
    start, _, end, _ = panel.bounds
    nought = Line2D((start, end), (0, 0), color=COLOURS["text"], linewidth=0.9, gid="nought")
    nought.set_zorder(3)
    panel.add(nought)
    panel.add(
        Line2D(
            date2num(mean.index),
            mean.to_numpy(float),
            color=COLOURS["text"],
            linewidth=0.9 * theme.lw,
            path_effects=style.halo(0.9 * theme.lw + 1.2),
            zorder=4,
            gid="mean",
        )
    )


# Names --------------------------------------------------------------------------------------


def _draw_marks(page: _Page, panels: tuple[Panel, Panel], marks: Sequence[date]) -> None:
    """Dashed lines at report days, named at the top of the upper panel."""
    level = panels[0]
    start, _, end, top = level.bounds
    inside = [mark for mark in sorted(set(marks)) if start <= _day(mark) <= end]
    for mark in inside:
        for panel in panels:
            _, low, _, high = panel.bounds
            rule = Line2D((_day(mark), _day(mark)), (low, high), color=COLOURS["text"], gid="mark")
            rule.set(linewidth=0.8, dashes=(3, 2.5), zorder=2.5)
            panel.add(rule)
    days = np.array([_day(mark) for mark in inside])
    at = page.inches(level, days, np.full(len(inside), top))
    page.rules += list(at[:, 0])
    for mark, (x, y) in reversed(list(zip(inside, at, strict=True))):
        labels = [short_day(mark)]
        if mark == inside[-1]:
            labels.insert(0, texts()["chart"]["mark"].format(day=labels[0]))
        places = [
            (text, place) for text in labels for place in _mark_places(page, level, text, (x, y))
        ]
        if places:
            page.put(*places[0], "text")


def _mark_places(
    page: _Page, panel: Panel, label: str, top: tuple[float, float]
) -> Iterator[tuple[float, float]]:
    """Free places right and left of a dashed line's top, where no other line is crossed."""
    x, baseline = top[0], top[1] - page.box("8", (0, 0))[3]
    first = panel.place.x0 * page.theme.width_in
    last = page.theme.width_in - page.theme.pad
    for left in (x + 0.05, x - 0.05 - page.width(label)):
        box = page.box(label, (left, baseline))
        inside = first <= box[0] and box[2] <= last
        if inside and page.is_free(box) and not page.crossed(box):
            yield left, baseline


def _peaks(bars: _Bars) -> list[int]:
    """Positions of the largest net changes; one found after a gap has no day of its own."""
    size = np.abs(bars.net)
    found: list[int] = []
    for at in np.argsort(-size, kind="stable"):
        if len(found) == _PEAKS or size[at] < NO_CHANGE_KM2:
            break
        near = np.abs(bars.days - bars.days[at]) < _PEAK_APART
        largest = size[at] == size[near].max() and not any(near[i] for i in found)
        plain = bars.width[at] == bars.width.min()
        if largest and plain:
            found.append(int(at))
    return found


def _name_bar(page: _Page, panel: Panel, label: str, bars: _Bars, peak: int) -> None:
    """Put a bar's name beside or beyond its end, clear of the other bars and names."""
    sign, heights = (1.0, bars.up) if bars.net[peak] > 0 else (-1.0, -bars.down)
    ends = page.inches(panel, bars.right - bars.width / 2, heights)
    starts, stops = (
        page.inches(panel, x, heights)[:, 0] for x in (bars.right - bars.width, bars.right)
    )
    x, y = ends[peak]
    nought = page.inches(panel, np.zeros(1), np.zeros(1))[0, 1]
    _, _, width, height = page.box(label, (0, 0))
    found = []
    for rank, left in enumerate((stops[peak] + 0.05, starts[peak] - 0.05 - width, x - width / 2)):
        near = (stops > left) & (starts < left + width)
        reach = max([y * sign - height, *(ends[near, 1] * sign + _CLEAR_IN), nought * sign + 0.06])
        at = (float(left), float(reach if sign > 0 else -reach - height))
        box = page.box(label, at)
        lift = reach - (y * sign - height)
        if lift <= _LIFT_IN and _fits(page, panel, box):
            found.append((lift + _CROSSING_IN * page.crossed(box), rank, at))
    if found:
        page.put(label, min(found)[2], "gained_text" if sign > 0 else "lost_text")


def _fits(page: _Page, panel: Panel, box: Box) -> bool:
    """Whether a text is free and within its panel."""
    width, height = page.figure.get_size_inches()
    place = panel.place
    across = place.x0 * width <= box[0] and box[2] <= place.x1 * width + 0.05
    upright = place.y0 * height <= box[1] and box[3] <= place.y1 * height + 0.02
    return across and upright and page.is_free(box)


def _name_band(page: _Page, panel: Panel, calendar: pd.DataFrame, text: ChartText) -> None:
    """Say how wide the band is, in the roomiest place near the line, with a leader to it."""
    seen = calendar[calendar["area_km2"].notna()]
    if len(seen) < 2:
        return
    days, area, error = (
        np.asarray(v, float)
        for v in (date2num(seen.index), seen["area_km2"], seen["area_error_km2"])
    )
    words = [_band_words(text, each) for each in error]
    edges = np.vstack([page.inches(panel, days, area + side) for side in (-error, error)])
    _, low, width, high = page.box(max(words, key=len), (0, 0), "italic")
    place = panel.place
    page_width, page_height = page.figure.get_size_inches()
    x, y = np.meshgrid(
        np.linspace(place.x0 * page_width + 0.05, place.x1 * page_width - width, 30),
        np.linspace(place.y0 * page_height + 0.05, place.y1 * page_height - 0.3, 24),
    )
    boxes = np.column_stack([v.ravel() for v in (x, y + low, x + width, y + high)])
    boxes = boxes[~_touch(boxes, np.array(page.boxes))]
    cost = [abs(_leader(b, edges)[0] - _LEADER_IN) + 0.5 * page.crossed(b) for b in boxes]
    if not cost:
        return
    left, bottom, *_ = best = boxes[int(np.argmin(cost))]
    _, start, at = _leader(best, edges)
    page.figure.add_artist(
        Line2D(
            *np.transpose([start, edges[at]]),
            transform=style.page_transform(page.figure, bottom=True),
            color=COLOURS["subtle"],
            linewidth=0.8,
            gid="leader",
        )
    )
    page.put(words[at % len(words)], (left, bottom - low), "subtle", "italic")


def _band_words(text: ChartText, error: float) -> str:
    size = error_km2(error, step_km2(error))
    return str(texts()["chart"]["band"].format(metres=metres(text.error_m), error=size))


def _leader(box: FloatArray, line: FloatArray) -> tuple[float, FloatArray, int]:
    """Shortest way from a text to a line: its length, its start, and the line's point."""
    air = 0.02
    nearest = np.clip(line, box[:2] - air, box[2:] + air)
    away = np.hypot(*(line - nearest).T)
    at = int(np.argmin(away))
    return float(away[at]), nearest[at], at
