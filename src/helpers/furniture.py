"""The parts of a map that are not news: graticule, scale bar, north arrow, locator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import shapely
from matplotlib.lines import Line2D
from matplotlib.patches import Polygon, Rectangle
from matplotlib.path import Path
from shapely.geometry.base import BaseGeometry

from helpers import projection
from helpers.findings import NBSP, number
from helpers.labels import Box, Layout, Size, Spot
from helpers.panels import Panel
from helpers.sheet import Look, Sheet, draw_line, fill, path_of
from helpers.style import COLOURS, ascent_in, font, halo, line_height_in
from helpers.typesetting import set_line

if TYPE_CHECKING:
    import geopandas as gpd

_STEPS_DEG = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
_BAR_STEPS_KM = (0.5, 1, 2, 5, 10, 20, 50, 100)
_BAR_PX = 6.0

# The locator: Ukraine in an equal-area projection of its own, and what of it shows, metres.
_LOCATOR_CRS = projection.local_crs(31.3, 48.5)
_LOCATOR_FRAME_M = (-735_000.0, -505_000.0, 735_000.0, 475_000.0)
# Vertices nearer than this (metres) are not to be seen in it.
_LOCATOR_GRAIN_M = 4000.0
_KYIV = (30.52, 50.45)


# Graticule ----------------------------------------------------------------------------------


def _round_degrees(low: float, high: float, step: float) -> list[float]:
    return [
        round(n * step, 2) for n in range(int(np.ceil(low / step)), int(np.floor(high / step)) + 1)
    ]


def _step(low: float, high: float) -> float:
    return next((s for s in _STEPS_DEG if (high - low) / s <= 4), _STEPS_DEG[-1])


@dataclass(frozen=True)
class Grid:
    """Meridians and parallels of a frame, degrees."""

    lons: tuple[float, ...]
    lats: tuple[float, ...]


def draw_graticule(sheet: Sheet) -> Grid:
    """Draw meridians and parallels at round degrees; their labels come last (`label_graticule`)."""
    west, south, east, north = sheet.view.sector.polygon.bounds
    step = max(_step(west, east) / 2, _step(south, north))
    step = next(s for s in _STEPS_DEG if s >= step)
    grid = Grid(tuple(_round_degrees(west, east, step)), tuple(_round_degrees(south, north, step)))
    along = np.linspace(-0.02, 1.02, 24)
    lats, lons = south + along * (north - south), west + along * (east - west)
    lines = [np.column_stack([np.full_like(lats, lon), lats]) for lon in grid.lons]
    lines += [np.column_stack([lons, np.full_like(lons, lat)]) for lat in grid.lats]
    if lines:
        degrees = shapely.multilinestrings(shapely.linestrings(np.array(lines)))
        metres = projection.transform(degrees, sheet.view.sector.crs)
        draw_line(
            sheet.panel,
            shapely.intersection(metres, sheet.view.frame),
            "graticule",
            edgecolor=COLOURS["grid"],
            linewidth=0.6,
            zorder=2.5,
        )
    return grid


def _degrees(value: float, hemisphere: str) -> str:
    digits = 2 if round(value * 100) % 10 else 1
    return f"{abs(value):.{digits}f}°{hemisphere}"


def label_graticule(sheet: Sheet, grid: Grid, coloured: npt.NDArray[np.bool_]) -> None:
    """Label meridians along the lower edge, parallels along the left one, where there is room.

    Where there is none, or the ground is `coloured` (cells of the layout's grid), on which small
    grey letters cannot be read, the label stands at the other edge, or nowhere.
    """
    look = Look("label", sheet.theme.small, COLOURS["subtle"], halo=2.0)
    west, south, east, north = sheet.view.sector.polygon.bounds
    margin, width, height = sheet.layout.margin, sheet.layout.width, sheet.layout.height
    for lon in grid.lons:
        text = _degrees(lon, "E" if lon >= 0 else "W")
        size = sheet.size(text, look)
        (low, _), (high, _) = sheet.view.pixels([lon, lon], [south, north])
        spots = [
            Spot(low + 4, size.descent + margin),
            Spot(high + 4, height - size.ascent - margin, 1.0),
        ]
        _label(sheet, text, look, spots, coloured)
    for lat in grid.lats:
        text = _degrees(lat, "N" if lat >= 0 else "S")
        size = sheet.size(text, look)
        (_, left), (_, right) = sheet.view.pixels([west, east], [lat, lat])
        spots = [
            Spot(margin, left + size.descent + 2),
            Spot(width - size.width - margin, right + size.descent + 2, 1.0),
        ]
        _label(sheet, text, look, spots, coloured)


def _label(
    sheet: Sheet,
    text: str,
    look: Look,
    spots: Sequence[Spot],
    coloured: npt.NDArray[np.bool_],
) -> None:
    size = sheet.size(text, look)

    def legible(spot: Spot) -> bool:
        x0, y0, x1, y1 = (int(max(edge, 0) // Layout.CELL) for edge in spot.box(size))
        return not coloured[y0 : y1 + 1, x0 : x1 + 1].any()

    spot = sheet.layout.place(spots, size, margin=0.0, also=legible)
    if spot:
        sheet.write(text, spot, look, "graticule-label")


# Scale bar and north arrow --------------------------------------------------------------------


def _nice_km(target_km: float) -> float:
    return max((s for s in _BAR_STEPS_KM if s <= target_km), default=_BAR_STEPS_KM[0])


def draw_scale(sheet: Sheet) -> None:
    """Draw scale bar and north arrow where they cover the least news."""
    km = _nice_km(sheet.view.width_px * sheet.view.m_per_px / 1000 * 0.2)
    length = km * 1000 / sheet.view.m_per_px
    look = Look("label", sheet.theme.label, halo=2.4)
    labels = [
        number(0),
        number(km / 2, 1.0 if km / 2 % 1 == 0 else 0.1),
        f"{number(km, 1.0 if km % 1 == 0 else 0.1)}",
    ]
    sizes = [sheet.size(text, look) for text in labels]
    unit = sheet.size(f"{NBSP}km", look).width
    arrow = _Arrow(sheet)
    left = sizes[0].width / 2
    size = Size(
        left + length + sizes[2].width / 2 + unit + arrow.gap + arrow.width,
        max(_BAR_PX + 6 + sizes[0].ascent, arrow.height),
        0,
    )
    pad = sheet.layout.margin + 8
    right = sheet.layout.width - size.width - pad
    upper = sheet.layout.height - size.ascent - pad
    spots = [Spot(pad + share * (right - pad), pad, 3 * share) for share in (0, 1, 0.25, 0.5, 0.75)]
    spots += [Spot(pad, upper, 6.0), Spot(right, upper, 6.0)]
    spot = sheet.layout.place(spots, size, margin=8)
    if spot is None:
        return
    x, y = spot.x + left, spot.y
    for share, colour in ((0.0, COLOURS["text"]), (0.5, COLOURS["paper"])):
        corner = sheet.metres(x + share * length, y)
        sheet.panel.add(
            Rectangle(
                corner,
                length / 2 * sheet.view.m_per_px,
                _BAR_PX * sheet.view.m_per_px,
                facecolor=colour,
                edgecolor=COLOURS["text"],
                linewidth=0.8,
                gid="scale",
                zorder=12,
                path_effects=halo(2.6),
            )
        )
    for text, box, share in zip(labels, sizes, (0, 0.5, 1), strict=True):
        at = Spot(x + share * length - box.width / 2, y + _BAR_PX + 6)
        sheet.write(text if share < 1 else f"{text}{NBSP}km", at, look, "scale-label")
    arrow.draw(x + length + sizes[2].width / 2 + unit + arrow.gap, y)


class _Arrow:
    """The north arrow: an N over a needle. North is up at the middle of the frame."""

    def __init__(self, sheet: Sheet) -> None:
        self._sheet = sheet
        self._look = Look("label_strong", sheet.theme.small, halo=2.4)
        self._letter = sheet.size("N", self._look)
        self.needle = 1.5 * self._letter.ascent
        self.width = self._letter.width + 4
        self.height = self.needle + self._letter.ascent + 3
        self.gap = 18.0

    def draw(self, x: float, y: float) -> None:
        """Draw it with its lower left corner at a place in pixels."""
        sheet, half = self._sheet, self.width / 2
        shape = [(0, 0), (half, 0.28 * self.needle), (2 * half, 0), (half, self.needle)]
        sheet.panel.add(
            Polygon(
                [sheet.metres(x + dx, y + dy) for dx, dy in shape],
                facecolor=COLOURS["text"],
                edgecolor="none",
                gid="north",
                zorder=12,
                path_effects=halo(2.0),
            )
        )
        letter = Spot(x + half - self._letter.width / 2, y + self.needle + 4)
        sheet.write("N", letter, self._look, "north-label")


# Locator --------------------------------------------------------------------------------------


def reserve_locator(sheet: Sheet) -> Box:
    """Choose the corner with the least news for the locator, and reserve it; pixels."""
    x0, y0, x1, y1 = _LOCATOR_FRAME_M
    width = sheet.theme.inset * sheet.theme.dpi
    size = Size(width, width * (y1 - y0) / (x1 - x0), 0)
    pad = sheet.layout.margin + 6
    right, upper = sheet.layout.width - size.width - pad, sheet.layout.height - size.ascent - pad
    spots = [Spot(right, upper), Spot(pad, upper), Spot(right, pad, 1.0), Spot(pad, pad, 1.0)]
    spot = sheet.layout.place(spots, size, margin=6) or spots[0]
    return spot.box(size)


class LocatorShapes(NamedTuple):
    """Ukraine and the countries round it in the locator's projection."""

    ukraine: Path
    countries: Sequence[Path]


def locator_shapes(ukraine: BaseGeometry, countries: gpd.GeoDataFrame) -> LocatorShapes:
    """Make what the locator shows, of layers in OGC:CRS84."""
    several = np.array([ukraine, *countries.geometry], dtype=object)
    # Coarse first: most of the work is in vertices that would not be seen.
    simple = shapely.simplify(several, _LOCATOR_GRAIN_M / 111_000)
    first, *others = map(path_of, projection.transform(simple, _LOCATOR_CRS))
    return LocatorShapes(first, others)


def draw_locator(sheet: Sheet, box: Box, shapes: LocatorShapes) -> None:
    """Draw where in Ukraine the frame lies."""
    width, height = sheet.layout.width, sheet.layout.height
    panel = Panel(
        sheet.figure,
        (box[0] / width, box[1] / height, (box[2] - box[0]) / width, (box[3] - box[1]) / height),
        _LOCATOR_FRAME_M,
        facecolor=COLOURS["water"],
        inside=sheet.panel.shares,
        gid="locator",
        zorder=13,
    )
    sheet.panel.add(panel)
    edges = {"edgecolor": COLOURS["border"], "linewidth": 0.35}
    for country in shapes.countries:
        fill(panel, country, "locator-country", facecolor=COLOURS["locator_abroad"], **edges)
    look = edges | {"linewidth": 0.7, "facecolor": COLOURS["paper"]}
    fill(panel, shapes.ukraine, "locator-ukraine", **look)
    _mark_sector(sheet, panel, box)
    _name_ukraine(sheet, panel, box)
    frame = Rectangle(
        (0, 0),
        1,
        1,
        transform=panel.shares,
        fill=False,
        edgecolor=COLOURS["paper"],
        linewidth=2.4,
        gid="locator-frame",
        zorder=2.5,
    )
    panel.add(frame)
    frame.set_clip_box(None)  # half of it lies outside


def _mark_sector(sheet: Sheet, panel: Panel, box: Box) -> None:
    ground = projection.transform(sheet.view.sector.polygon, _LOCATOR_CRS)
    west, south, east, north = ground.bounds
    m_per_px = (_LOCATOR_FRAME_M[2] - _LOCATOR_FRAME_M[0]) / (box[2] - box[0])
    # A small sector is shown by a mark that can be seen.
    half_x, half_y = (max(side / 2, 4.5 * m_per_px) for side in (east - west, north - south))
    middle_x, middle_y = (west + east) / 2, (south + north) / 2
    panel.add(
        Rectangle(
            (middle_x - half_x, middle_y - half_y),
            2 * half_x,
            2 * half_y,
            facecolor=COLOURS["gained"],
            edgecolor=COLOURS["paper"],
            linewidth=0.7,
            gid="locator-sector",
            zorder=5,
        )
    )


def _name_ukraine(sheet: Sheet, panel: Panel, box: Box) -> None:
    kyiv = shapely.get_coordinates(projection.transform(shapely.Point(_KYIV), _LOCATOR_CRS))[0]
    panel.add(
        Line2D(
            *kyiv[:, None],
            marker="o",
            markersize=2.6,
            color=COLOURS["text"],
            gid="locator-kyiv",
        )
    )
    m_per_px = (_LOCATOR_FRAME_M[2] - _LOCATOR_FRAME_M[0]) / (box[2] - box[0])
    below = line_height_in(sheet.theme.small, 1.4) * sheet.theme.dpi
    names: tuple[tuple[str, tuple[float, float], float, Look], ...] = (
        ("Kyiv", (kyiv[0] - 7 * m_per_px, kyiv[1]), 1.0, Look("label", sheet.theme.small)),
        (
            "Ukraine",
            (kyiv[0] + 60_000, kyiv[1] - below * m_per_px),
            0.5,
            Look("italic", sheet.theme.small, COLOURS["subtle"]),
        ),
    )
    for text, (x, y), share, look in names:
        panel.add(
            set_line(
                x - share * sheet.size(text, look).width * m_per_px,
                y - ascent_in(look.size) / 2 * sheet.theme.dpi * m_per_px,
                text,
                fontproperties=font(look.role, look.size),
                color=look.colour,
                gid="locator-label",
                clip_on=False,
            )
        )
