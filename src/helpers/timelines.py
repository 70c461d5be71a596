"""Claims and maps over time: a band a place, how much of it is held, who said what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Polygon, Rectangle

from helpers import style
from helpers.findings import NBSP, ChartText, number, short_day
from helpers.style import COLOURS, Theme
from helpers.typesetting import write

_BAND_IN = 0.3
_AIR_IN = 0.2
_BLOCK_IN = 0.14
_MARKS = {"russian_held": ("^", "gained_text"), "not_russian_held": ("v", "lost_text")}
_MARK_PT = 6.5


@dataclass(frozen=True)
class Band:
    """One place.

    Attributes
    ----------
    place
        Its name.
    share
        Share on the Russian side (0 to 1) by day (datetime64), on days with a map.
    said
        Day and what was asserted ("russian_held" or "not_russian_held") of each claim.
    """

    place: str
    share: pd.Series
    said: Sequence[tuple[pd.Timestamp, str]]


def draw(bands: Sequence[Band], *, text: ChartText, theme: Theme) -> Figure:
    """Draw the bands, one below another, over the same days.

    Parameters
    ----------
    bands
        The places; at least one, each with a map at least.
    text
        Title, subtitle, notes and sources.
    theme
        The rendition. Draw inside `helpers.style.style`.

    Returns
    -------
    matplotlib.figure.Figure
        Not tied to pyplot. Artists carry the gid of their role: band, share, claim, place.
    """
    figure = style.new_figure(theme)
    top = style.title_block(figure, theme, text.title, text.subtitle) + _BLOCK_IN
    foot = style.source_line(figure, theme, [*text.notes, text.sources])
    name_in = style.line_height_in(theme.key)
    row_in = name_in + _BAND_IN + _AIR_IN
    ticks_in = 2 * style.line_height_in(theme.small) + 0.08
    key_in = 1.6 * style.line_height_in(theme.key)
    style.set_height(
        figure, theme, top + key_in + len(bands) * row_in + ticks_in + _BLOCK_IN + foot
    )
    left = theme.pad
    width = theme.width_in - 2 * theme.pad - _width(theme, f"100{NBSP}%") - 0.1
    start = min(band.share.index[0] for band in bands)
    end = max(band.share.index[-1] for band in bands)
    days = max((end - start).days, 1)

    def at(day: pd.Timestamp) -> float:
        return float(left + width * (day - start).days / days)

    x = left
    for (mark, colour), label in zip(_MARKS.values(), (text.gained, text.lost), strict=True):
        _mark(figure, (x + 0.05, top + 0.45 * key_in), mark, colour)
        _word(figure, label, (x + 0.15, top + 0.6 * key_in), theme.key, "key")
        x += 0.15 + _width(theme, label) + 0.25
    y = top + key_in
    for band in bands:
        _word(figure, band.place, (left, y + 0.75 * name_in), theme.key, "place", strong=True)
        y += name_in
        _draw_band(figure, band, (left, y, width), at)
        percent = f"{_percent(float(band.share.iloc[-1]))}{NBSP}%"
        spot = (left + width + 0.08, y + 0.7 * _BAND_IN)
        _word(figure, percent, spot, theme.key, "share")
        y += _BAND_IN + _AIR_IN
    for day in _ticks(start, end, 6 if theme.name == "wide" else 4):
        x = at(day)
        tick = Line2D([x, x], [-(y - _AIR_IN / 2), -(y - _AIR_IN / 2 + 0.05)])
        tick.set(transform=style.page_transform(figure), color=COLOURS["subtle"], linewidth=0.8)
        figure.add_artist(tick)
        label = short_day(day.date())
        shift = _width(theme, label, theme.small) / 2
        x = min(max(x - shift, left), left + width - 2 * shift)
        _word(figure, label, (x, y + 0.06 + 0.7 * name_in), theme.small, "tick")
    return figure


def _percent(share: float) -> str:
    value = round(100 * share)
    return number(min(max(value, 1 if share > 0 else 0), 99 if share < 1 else 100))


def _ticks(start: pd.Timestamp, end: pd.Timestamp, most: int) -> list[pd.Timestamp]:
    firsts = pd.date_range(start, end, freq="MS")
    if len(firsts) >= 3:
        return list(firsts[:: -(-len(firsts) // most)])
    return list(pd.date_range(start, end, periods=min(most, (end - start).days + 1)).normalize())


def _width(theme: Theme, text: str, size: float = 0.0) -> float:
    return float(style.measure(text, "label", size or theme.key, theme.dpi)[0])


def _word(
    figure: Figure,
    text: str,
    place: tuple[float, float],
    size: float,
    gid: str,
    *,
    strong: bool = False,
) -> None:
    x, y = place
    write(
        figure,
        x,
        -y,
        text,
        transform=style.page_transform(figure),
        fontproperties=style.font("label_strong" if strong else "label", size),
        color=COLOURS["text" if strong else "subtle"],
        gid=gid,
    )


def _draw_band(figure: Figure, band: Band, place: tuple[float, float, float], at: Any) -> None:
    """The frame of a band, the share inside it as steps, and the marks of claims."""
    left, y, width = place
    move = style.page_transform(figure)
    frame = Rectangle((left, -y - _BAND_IN), width, _BAND_IN, transform=move)
    frame.set(facecolor=COLOURS["land"], edgecolor="none", gid="band")
    figure.add_artist(frame)
    x = np.array([at(day) for day in band.share.index])
    # A share stands until the next map; the last one for its own day.
    edges = np.repeat(x, 2)[1:]
    heights = np.repeat(band.share.to_numpy(float), 2)[:-1]
    corners = np.column_stack([edges, -y - _BAND_IN + heights * _BAND_IN])
    base = -y - _BAND_IN
    outline = np.vstack([[x[0], base], corners, [x[-1], base]])
    share = Polygon(outline, transform=move, linewidth=0, gid="share")
    share.set(facecolor=COLOURS["gained"], alpha=0.75)
    figure.add_artist(share)
    rule = Line2D([left, left + width], [base, base], transform=move)
    rule.set(color=COLOURS["held_edge"], linewidth=0.8)
    figure.add_artist(rule)
    taken: dict[tuple[int, str], int] = {}
    for day, asserts in band.said:
        mark, colour = _MARKS[asserts]
        key = (round(at(day) / 0.11), asserts)
        level = taken[key] = taken.get(key, -1) + 1
        up = asserts == "russian_held"
        spot = y + (-0.06 - 0.1 * level if up else _BAND_IN + 0.06 + 0.1 * level)
        _mark(figure, (at(day), spot), mark, colour)


def _mark(figure: Figure, place: tuple[float, float], mark: str, colour: str) -> None:
    look = Line2D([place[0]], [-place[1]], transform=style.page_transform(figure), zorder=5)
    look.set(marker=mark, markersize=_MARK_PT, color=COLOURS[colour], linestyle="none", gid="claim")
    look.set(markeredgecolor=COLOURS["paper"], markeredgewidth=0.9)
    figure.add_artist(look)
