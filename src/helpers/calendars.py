"""A calendar of what data there is: a row a month, a cell a day; drawn, never read."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Literal

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from helpers import style
from helpers.findings import ChartText
from helpers.style import COLOURS, Theme

# State: fill, edge, mark. Each is told apart without colour: by its tone, or by its mark.
_LOOKS = {
    "new map": ("ukrainian_held_edge", "ukrainian_held_edge", ""),
    "no update": ("ukrainian_held", "ukrainian_held", ""),
    "accepted with notes": ("ukrainian_held_edge", "ukrainian_held_edge", "o"),
    "quarantined": ("gained", "gained", "x"),
    "no map": ("paper", "grid", ""),
}
_CELL_IN = 0.17
_GAP = 0.12  # share of a cell
_BLOCK_IN = 0.14
# Months without any map are one line from so many on.
_FEW = 2
_Align = Literal["left", "center", "right"]
_Row = tuple[str, pd.DataFrame | None]


def draw(
    days: pd.DataFrame,
    *,
    text: ChartText,
    labels: dict[str, str],
    months: Sequence[str],
    theme: Theme,
) -> Figure:
    """Draw the calendar.

    Parameters
    ----------
    days
        Columns day (datetime64) and state (`helpers.inspection.STATES`), one row a day.
    text
        Title, subtitle, notes and sources.
    labels
        State to its name in the key.
    months
        Twelve short names of months.
    theme
        The rendition. Draw inside `helpers.style.style`.

    Returns
    -------
    matplotlib.figure.Figure
        Not tied to pyplot.
    """
    figure = style.new_figure(theme)
    rows = _rows(days, months)
    top = style.title_block(figure, theme, text.title, text.subtitle) + _BLOCK_IN
    foot = style.source_line(figure, theme, [*text.notes, text.sources])
    left = theme.pad + max(
        style.measure(name, "label", theme.label, theme.dpi)[0]
        for name, cells in [*rows, ("30", pd.DataFrame())]
        if cells is not None
    )
    left += 0.08
    cell = (theme.width_in - left - theme.pad) / 31
    key_rows = _key_rows(theme, {state: labels[state] for state in _LOOKS})
    key_in = len(key_rows) * 1.6 * style.line_height_in(theme.key)
    numbers_in = style.line_height_in(theme.small)
    height = top + key_in + numbers_in + len(rows) * _CELL_IN + _BLOCK_IN + foot
    style.set_height(figure, theme, height)
    _draw_key(figure, theme, key_rows, top)
    y = top + key_in
    for day in (1, 5, 10, 15, 20, 25, 30):
        x = left + (day - 0.5) * cell
        _word(figure, str(day), (x, y), theme.small, "center")
    y += numbers_in
    for name, cells in rows:
        if cells is None:
            _word(figure, name, (left, y), theme.small, "left")
        else:
            _word(figure, name, (left - 0.08, y), theme.label, "right")
            for day, state in zip(cells["day"].dt.day, cells["state"], strict=True):
                _cell(figure, (left + (day - 1) * cell, y, cell, _CELL_IN), state)
        y += _CELL_IN
    return figure


def _rows(days: pd.DataFrame, months: Sequence[str]) -> list[_Row]:
    """Months in order; runs of months without a map are one row."""
    period = days["day"].dt.to_period("M")
    by_month = dict(list(days.groupby(period)))
    inside = pd.period_range(period.min(), period.max(), freq="M")
    # A date centuries off would be a calendar of centuries.
    inside = inside if len(inside) <= 240 else pd.PeriodIndex(sorted(by_month))

    def name(month: pd.Period) -> str:
        return f"{months[month.month - 1]} {month.year}"

    def empty(month: pd.Period) -> bool:
        return month not in by_month or bool((by_month[month]["state"] == "no map").all())

    found: list[_Row] = []
    for is_empty, run in groupby(inside, key=empty):
        group = list(run)
        if is_empty and len(group) >= _FEW:
            found.append((f"… {name(group[0])} – {name(group[-1])}", None))
        else:
            found += [(name(month), by_month.get(month, days[:0])) for month in group]
    return found


def _word(
    figure: Figure, text: str, place: tuple[float, float], size: float, align: _Align
) -> None:
    """A word in the middle of a row that begins at `place`, inches from the page's top left."""
    x, y = place
    figure.text(
        x,
        -y - _CELL_IN / 2,
        text,
        transform=style.page_transform(figure),
        ha=align,
        va="center_baseline",
        fontproperties=style.font("label", size),
        color=COLOURS["subtle"],
    )


def _cell(figure: Figure, box: tuple[float, float, float, float], state: str) -> None:
    fill, edge, mark = _LOOKS[state]
    x, y, width, height = box
    air = _GAP * width
    transform = style.page_transform(figure)
    figure.add_artist(
        Rectangle(
            (x + air / 2, -y - height + air / 2),
            width - air,
            height - air,
            facecolor=COLOURS[fill],
            edgecolor=COLOURS[edge],
            linewidth=0.6,
            transform=transform,
        )
    )
    if mark:
        figure.add_artist(
            Line2D(
                [x + width / 2],
                [-y - height / 2],
                marker=mark,
                markersize=3.2,
                color=COLOURS["paper"],
                markeredgewidth=1.1,
                linestyle="none",
                transform=transform,
            )
        )


def _key_rows(theme: Theme, labels: dict[str, str]) -> list[list[tuple[str, str, float]]]:
    """State, label and place from the left (inches) of each entry of the key, line by line."""
    rows: list[list[tuple[str, str, float]]] = [[]]
    x = theme.pad
    for state, label in labels.items():
        wide = _CELL_IN + 0.07 + style.measure(label, "label", theme.key, theme.dpi)[0]
        if rows[-1] and x + wide > theme.width_in - theme.pad:
            rows.append([])
            x = theme.pad
        rows[-1].append((state, label, x))
        x += wide + 0.2
    return rows


def _draw_key(
    figure: Figure, theme: Theme, rows: list[list[tuple[str, str, float]]], top: float
) -> None:
    for number, row in enumerate(rows):
        y = top + number * 1.6 * style.line_height_in(theme.key)
        for state, label, x in row:
            _cell(figure, (x, y, _CELL_IN, _CELL_IN), state)
            _word(figure, label, (x + _CELL_IN + 0.07, y), theme.key, "left")
