"""The page that a map is drawn on: frame in pixels and metres, shapes, words, key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path
from matplotlib.transforms import Transform
from shapely.geometry.base import BaseGeometry

from helpers.faces import View
from helpers.labels import Layout, Size, Spot, cell_centres
from helpers.panels import Panel
from helpers.style import (
    COLOURS,
    FontRole,
    Theme,
    axes_rect,
    font,
    line_height_in,
    measure,
    new_figure,
    page_transform,
    set_height,
    source_line,
    title_block,
)
from helpers.typesetting import set_line, write

# Inches: a swatch of the key, and the room right of it and of its label.
_SWATCH_IN = (0.24, 0.105)
_AFTER_SWATCH_IN = 0.075
_AFTER_LABEL_IN = 0.19
_AFTER_MAP_IN = 0.09


@dataclass(frozen=True)
class Look:
    """How a text on a map looks: font role, points, colour, width and colour of its halo."""

    role: FontRole
    size: float
    colour: str = COLOURS["text"]
    halo: float = 2.4
    halo_colour: str = COLOURS["paper"]


@dataclass(frozen=True)
class KeyEntry:
    """One entry of a key: role, label, and the look of a patch ("facecolor") or a Line2D."""

    role: str
    label: str
    look: Mapping[str, Any]


@dataclass(frozen=True)
class Sheet:
    """A page with its map, while it is drawn.

    Attributes
    ----------
    figure, panel
        The page, and the map, in metres of the sector's projection.
    view, theme
        Frame and scale; rendition.
    layout
        Where words are, in pixels from the map's lower left corner.
    """

    figure: Figure
    panel: Panel
    view: View
    theme: Theme
    layout: Layout

    def size(self, text: str, look: Look) -> Size:
        """Measure a line in pixels, as tall as any line of its look."""
        dpi = self.theme.dpi
        width = measure(text, look.role, look.size, dpi)[0]
        _, height, descent = measure("lp", look.role, look.size, dpi)
        return Size(width * dpi, (height - descent) * dpi, descent * dpi)

    def metres(self, x: Any, y: Any) -> tuple[Any, Any]:
        """Pixels from the map's lower left corner, to metres."""
        return self.view.to_m(x, y)

    def write(self, text: str, spot: Spot, look: Look, gid: str) -> None:
        """Set a line of text at its place."""
        x, y = self.metres(spot.x, spot.y)
        self.panel.add(
            set_line(
                x,
                y,
                text,
                fontproperties=font(look.role, look.size),
                color=look.colour,
                clip_on=False,
                gid=gid,
                zorder=11,
                halo=(look.halo, look.halo_colour) if look.halo else None,
            )
        )

    def cells(self, ground: BaseGeometry) -> npt.NDArray[np.bool_]:
        """Cells of the layout's grid whose centre lies in some ground (metres); read only."""
        return ground_cells(ground, self.view, self.layout.shape)


@lru_cache(maxsize=256)
def ground_cells(ground: BaseGeometry, view: View, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Cells of a layout's grid of that shape whose centre lies in some ground; read only."""
    inside = np.zeros(shape, dtype=bool)
    if not ground.is_empty:
        corners = view.to_px(np.array(ground.bounds).reshape(2, 2)) // Layout.CELL
        (left, low), (right, high) = np.maximum(corners, 0).astype(int)
        window = np.s_[low : high + 1, left : right + 1]
        x, y = (at[window] for at in cell_centres(shape))
        shapely.prepare(ground)
        inside[window] = shapely.contains_xy(ground, *view.to_m(x, y))
    inside.flags.writeable = False
    return inside


def open_sheet(view: View, theme: Theme) -> Sheet:
    """Make a page with an empty map, as wide as the rendition's body; `finish` puts it in place."""
    figure = new_figure(theme)
    panel = Panel(figure, (0, 0, 1, 1), view.bounds_m, facecolor=COLOURS["land"], gid="map")
    figure.add_artist(panel)
    return Sheet(figure, panel, view, theme, Layout(view.width_px, view.height_px))


def finish(
    sheet: Sheet, heading: tuple[str, str], key: Sequence[KeyEntry], foot: Sequence[str]
) -> Figure:
    """Set everything around a drawn map.

    Parameters
    ----------
    sheet
        The page with its map.
    heading
        Title and subtitle.
    key
        What the key shows: known only when the map is drawn.
    foot
        Paragraphs below the map, the source last.

    Returns
    -------
    matplotlib.figure.Figure
        The page, complete.
    """
    figure, theme = sheet.figure, sheet.theme
    top = title_block(figure, theme, *heading)
    if key:
        top = _draw_key(figure, theme, key, top + 0.02)
    # The map starts on a whole pixel.
    top = round(top * theme.dpi) / theme.dpi
    height = round(sheet.view.height_px) / theme.dpi
    set_height(figure, theme, top + height + _AFTER_MAP_IN + source_line(figure, theme, foot))
    sheet.panel.move(axes_rect(figure, left=theme.pad, top=top, width=theme.body_in, height=height))
    return figure


# Shapes -------------------------------------------------------------------------------------


def path_of(geometry: BaseGeometry) -> Path:
    """One path for all polygons of a geometry (filled by winding number), or all its lines."""
    parts = shapely.get_parts(geometry)
    polygonal = shapely.get_type_id(parts) == shapely.GeometryType.POLYGON
    rings = shapely.get_rings(shapely.orient_polygons(parts[polygonal]))
    xy, part = shapely.get_coordinates(
        np.concatenate([rings, parts[~polygonal]]), return_index=True
    )
    codes = np.full(len(xy), Path.LINETO, dtype=Path.code_type)
    codes[np.r_[True, part[1:] != part[:-1]]] = Path.MOVETO
    return Path(xy, codes)


def draw_area(panel: Panel, geometry: BaseGeometry, gid: str, **look: Any) -> None:
    """Fill (multi)polygons as one artist; nothing for an empty geometry."""
    if not geometry.is_empty:
        fill(panel, path_of(geometry), gid, **look)


def fill(panel: Panel, path: Path, gid: str, **look: Any) -> None:
    """Fill a path."""
    settings = {"edgecolor": "none", "linewidth": 0} | look
    panel.add(PathPatch(path, gid=gid, **settings))


def draw_line(panel: Panel, geometry: BaseGeometry, gid: str, **look: Any) -> None:
    """Draw (multi)lines as one artist, so that a halo lies below all of it."""
    if not geometry.is_empty:
        settings = {"facecolor": "none", "capstyle": "round", "joinstyle": "round"} | look
        panel.add(PathPatch(path_of(geometry), gid=gid, **settings))


# The key ------------------------------------------------------------------------------------


def _rows(entries: Sequence[KeyEntry], theme: Theme) -> list[list[tuple[KeyEntry, float]]]:
    """Rows of the key: entries with their left edge in inches."""
    rows: list[list[tuple[KeyEntry, float]]] = []
    x = theme.width_in
    for entry in entries:
        label = measure(entry.label, "label", theme.key, theme.dpi)[0]
        width = _SWATCH_IN[0] + _AFTER_SWATCH_IN + label
        if x + width > theme.width_in - theme.pad:
            rows.append([])
            x = theme.pad
        rows[-1].append((entry, x))
        x += width + _AFTER_LABEL_IN
    return rows


def _draw_key(figure: Figure, theme: Theme, entries: Sequence[KeyEntry], top: float) -> float:
    """Draw the key below `top`, inches from the page's top; return where the map may start."""
    step = line_height_in(theme.key, 1.6)
    rows = _rows(entries, theme)
    to_page = page_transform(figure)
    for number, row in enumerate(rows):
        baseline = -(top + (number + 0.7) * step)
        for entry, x in row:
            figure.add_artist(_swatch(entry, (x, baseline + 0.3 * theme.key / 72), to_page))
            write(
                figure,
                x + _SWATCH_IN[0] + _AFTER_SWATCH_IN,
                baseline,
                entry.label,
                transform=to_page,
                fontproperties=font("label", theme.key),
                gid="key",
            )
    return top + step * len(rows) + 0.04


def _swatch(entry: KeyEntry, at: tuple[float, float], to_page: Transform) -> Artist:
    """Sample of what an entry stands for; `at` is the middle of its left edge."""
    x, middle = at
    width, height = _SWATCH_IN
    settings: dict[str, Any] = {"transform": to_page, "gid": f"key-{entry.role}"} | dict(entry.look)
    if "facecolor" in entry.look:
        return Rectangle((x, middle - height / 2), width, height, **settings)
    if "marker" in entry.look:
        return Line2D([x + width / 2], [middle], **settings)
    return Line2D([x, x + width], [middle, middle], **settings)
