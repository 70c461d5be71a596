"""The map of a sector: what is held, what changed and where; drawn, never read.

The frame of the map is the sector, so what is shown is what was measured. All words but the names
of places and of the map's own parts are given. Every artist's gid is its role.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely
from matplotlib.figure import Figure
from matplotlib.image import BboxImage
from matplotlib.lines import Line2D
from matplotlib.patches import Polygon, Rectangle
from matplotlib.text import Text
from shapely.geometry.base import BaseGeometry

from helpers.basemap import OFFLINE, Basemap
from helpers.faces import Faces, Spread, View, beyond_border, faces, spreads
from helpers.findings import NBSP, km2, number, step_km2
from helpers.furniture import (
    LocatorShapes,
    draw_graticule,
    draw_locator,
    draw_scale,
    label_graticule,
    locator_shapes,
    reserve_locator,
)
from helpers.labels import Box, Size, Spot, Spots, around, ring, spots_within
from helpers.schema import INVERTED_TIERS
from helpers.sheet import (
    KeyEntry,
    Look,
    Sheet,
    draw_area,
    draw_line,
    finish,
    ground_cells,
    open_sheet,
)
from helpers.style import COLOURS, FontRole, Theme, font, halo, line_height_in, measure, wrap

if TYPE_CHECKING:
    import geopandas as gpd

    from helpers.changes import SectorChange
    from helpers.reference import Sector

# What covering a cell of the map costs a label.
_HEAT_LINE = 0.8
_HEAT_THEN = 0.35
_HEAT_BORDER = 0.4
_HEAT_CHANGE = 0.15
_HEAT_PLACE = 1.5

# Ranks of settlements: 1 city, 2 large town, 3 town, 4 village. Marker size in points.
_MARKER_PT: Mapping[int, float] = MappingProxyType({1: 5.2, 2: 5.0, 3: 4.2, 4: 3.4})
# So much of the room for names may go to settlements that changed hands.
_CHANGED_SHARE = 0.45
# How fast a settlement's interest falls with its distance from the news, as a share of the frame.
_INTEREST = 0.12
# Room between the edge of some ground and its name, or a number in it, pixels.
_AIR_PX = 9.0
_NUMBER_AIR_PX = 4.0
# How solid areas are drawn over a picture.
_OVER_PICTURE = 0.6
_NO_OBLASTS = frozenset({"Crimea", "Kyiv City", "Krasnodar", "Sevastopol"})
# How far the lines of the oblasts may be off, metres: along the state border they are left out.
_OBLAST_ERROR_M = 200.0
# Pointers to towns beyond the frame reach so far, km.
_POINTER_KM = 60.0
_POINTER_POPULATION = 10_000


@dataclass(frozen=True)
class MapText:
    """The words around a map.

    Attributes
    ----------
    title, subtitle
        The finding, and the sentence below it.
    notes
        Caveats for the foot.
    sources
        The source line.
    key
        Label of each role that the key may show: "held", "gained", "lost", "claimed", "line_now",
        "line_then", "newly_inside", "newly_outside" (`helpers.findings.key_labels`). A role that is
        not drawn, or has no label, is left out.
    """

    title: str
    subtitle: str
    notes: Sequence[str]
    sources: str
    key: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class BaseLayers:
    """Lines and areas under the news; one is the same as another only if it is the same object.

    Attributes
    ----------
    border
        State border, lines in OGC:CRS84.
    ukraine
        Outline of Ukraine, OGC:CRS84.
    countries, oblasts
        Context, OGC:CRS84.
    """

    border: BaseGeometry
    ukraine: BaseGeometry
    countries: gpd.GeoDataFrame
    oblasts: gpd.GeoDataFrame


@dataclass(frozen=True)
class Base:
    """What lies under the news.

    Attributes
    ----------
    layers
        Lines and areas.
    picture
        A basemap picture, or `helpers.basemap.OFFLINE`.
    """

    layers: BaseLayers
    picture: Basemap = OFFLINE


@dataclass(frozen=True)
class Places:
    """Settlements of the map and its surroundings.

    Attributes
    ----------
    table
        Columns id, name, lon, lat, population, rank (1 city to 4 village).
    newly, left
        Ids of those that came under Russian-held ground, and of those that left it (where the tier
        is Ukrainian-held ground: that left it, and that came under it).
    """

    table: pd.DataFrame
    newly: frozenset[str] = frozenset()
    left: frozenset[str] = frozenset()


def sector_map(
    change: SectorChange,
    *,
    base: Base,
    places: Places,
    text: MapText,
    theme: Theme,
    claimed: BaseGeometry | None = None,
) -> Figure:
    """Draw what changed in a sector.

    Parameters
    ----------
    change
        The measured change. Where its tier is inverted, the ground drawn is Ukrainian-held.
    base
        What lies under it.
    places
        Settlements.
    text
        The words around it.
    theme
        The rendition.
    claimed
        Ground that is claimed but not assessed, OGC:CRS84; drawn in a pattern of its own.

    Returns
    -------
    matplotlib.figure.Figure
        Draw and save it inside `helpers.style.style`.
    """
    subject = _Subject(change, _look(change), claimed)
    return _compose(subject, base=base, places=places, text=text, theme=theme)


def difference_map(
    difference: SectorChange, *, base: Base, places: Places, text: MapText, theme: Theme
) -> Figure:
    """Draw what differs between two sources.

    Parameters
    ----------
    difference
        Not a change of time, but `helpers.agreement.Agreement.difference`: it has colours of its
        own, and its areas have no sign.
    base, places, text, theme
        As for `sector_map`.

    Returns
    -------
    matplotlib.figure.Figure
        Draw and save it inside `helpers.style.style`.
    """
    subject = _Subject(difference, "compared")
    return _compose(subject, base=base, places=places, text=text, theme=theme)


class _Subject(NamedTuple):
    """What a map shows: ground, in which colours, and what is claimed beside it."""

    change: SectorChange
    look: str
    claimed: BaseGeometry | None = None


def _compose(
    subject: _Subject, *, base: Base, places: Places, text: MapText, theme: Theme
) -> Figure:
    change, look, claimed = subject
    view = View(change.sector, theme.body_in * theme.dpi)
    ground = _ground(base.layers, view, view.sector.outline)
    drawn = faces(change, view, ground.border, ground.abroad)
    claims = _claims(claimed, drawn, view)
    named = _known(places, view)
    sheet = open_sheet(view, theme)
    _draw_base(sheet, ground, base.picture)
    solid = 1.0 if base.picture.image is None else _OVER_PICTURE
    _draw_change(sheet, drawn, claims, look=look, solid=solid)
    numbers = _numbers(change, view, theme, look)
    news = _News(drawn, named, numbers, _sides(change, drawn, ground, sheet))
    changed = _furnish(sheet, base, ground, news)
    key = _key((drawn, claims), changed, text.key, theme, look=look)
    return finish(sheet, (text.title, text.subtitle), key, _foot(text, base.picture))


def no_data_map(
    sector: Sector, message: str, *, base: Base, places: Places, text: MapText, theme: Theme
) -> Figure:
    """Draw a sector of which nothing is known on a day: the base map and a plain statement.

    Parameters
    ----------
    sector
        The sector.
    message
        The statement on the map.
    base, places, text, theme
        As for `sector_map`; the key stays empty.

    Returns
    -------
    matplotlib.figure.Figure
        Draw and save it inside `helpers.style.style`.
    """
    view = View(sector, theme.body_in * theme.dpi)
    ground = _ground(base.layers, view, view.sector.outline)
    sheet = open_sheet(view, theme)
    _draw_base(sheet, ground, base.picture)
    _state(sheet, message)
    nothing, no_line = shapely.MultiPolygon(), shapely.MultiLineString()
    drawn = Faces(nothing, nothing, nothing, no_line, no_line)
    named = _known(Places(places.table), view)
    countries = _countries(sheet, ground, sheet.cells(nothing))
    _furnish(sheet, base, ground, _News(drawn, named, (), countries))
    return finish(sheet, (text.title, text.subtitle), (), _foot(text, base.picture))


@dataclass(frozen=True)
class Stage:
    """A map on which nothing moves but the ground, the bar of time and one line of words.

    Attributes
    ----------
    figure
        The page.
    """

    figure: Figure
    _sheet: Sheet
    _ground: _Ground
    _line: Text
    _bar: Rectangle
    _standing: int

    def show(self, change: SectorChange, line: str, progress: float) -> None:
        """Put another day on the stage.

        Parameters
        ----------
        change
            From the first map to the one to be shown.
        line
            The words under the title.
        progress
            How much of the time has passed, 0 to 1.
        """
        del self._sheet.panel.artists[self._standing :]
        drawn = faces(change, self._sheet.view, self._ground.border, self._ground.abroad)
        _draw_change(self._sheet, drawn, shapely.MultiPolygon(), look=_look(change), solid=1.0)
        self._line.set_text(line)
        self._bar.set_width(progress)


def stage(last: SectorChange, *, base: Base, places: Places, text: MapText, theme: Theme) -> Stage:
    """Set a map up for an animation, with names that keep clear of where the ground will change.

    Parameters
    ----------
    last
        From the first map to the last.
    base, places, theme
        As for `sector_map`.
    text
        As for `sector_map`; every role of the key that has a label is shown. The subtitle is the
        longest line that will be shown; its type is as small as it must be to stay one line.

    Returns
    -------
    Stage
        Use it inside `helpers.style.style`.
    """
    view = View(last.sector, theme.body_in * theme.dpi)
    ground = _ground(base.layers, view, view.sector.outline)
    drawn = faces(last, view, ground.border, ground.abroad)
    sheet = open_sheet(view, theme)
    _draw_base(sheet, ground, base.picture)
    news = _News(drawn, _known(places, view), (), _sides(last, drawn, ground, sheet))
    _furnish(sheet, base, ground, news)
    bar = Rectangle(
        (0, 0),
        0,
        5 / sheet.layout.height,
        transform=sheet.panel.shares,
        facecolor=COLOURS["accent"],
        gid="progress",
        zorder=14,
    )
    sheet.panel.add(bar)
    looks = _key_looks(theme, look=_look(last))
    key = [KeyEntry(role, text.key[role], looks[role]) for role in looks if role in text.key]
    finish(sheet, (text.title, "0"), key, _foot(text, base.picture))
    (line,) = (artist for artist in sheet.figure.texts if artist.get_gid() == "subtitle")
    width = measure(text.subtitle, "strong", theme.sub, theme.dpi)[0]
    size = theme.sub * min(1, 0.99 * theme.body_in / width)
    line.set(fontproperties=font("strong", size), color=COLOURS["text"])
    return Stage(sheet.figure, sheet, ground, line, bar, len(sheet.panel.artists))


def _foot(text: MapText, picture: Basemap) -> list[str]:
    """Caveats and sources; a picture's note and credit stand there whether given or not."""
    credit, note = picture.attribution.rstrip("."), picture.note
    notes = [line for line in text.notes if line != note]
    sources = text.sources if credit in text.sources else f"{text.sources} {credit}."
    return [*notes, note, sources]


@dataclass(frozen=True, eq=False)
class _Ground:
    """Base layers in the frame, metres; the same for all maps of a sector in a rendition."""

    border: BaseGeometry
    home: BaseGeometry
    abroad: BaseGeometry
    oblasts: Mapping[str, BaseGeometry]
    oblast_lines: BaseGeometry


@lru_cache(maxsize=64)
def _ground(base: BaseLayers, view: View, _outline: BaseGeometry | None) -> _Ground:
    """What lies in the frame; two sectors that differ in their outline alone are equal."""
    border = _near(base.border, view)
    abroad = beyond_border(view, border, _near(base.ukraine, view))
    oblasts = _oblast_grounds(base.oblasts, view)
    lines = _oblast_lines(oblasts, view, border)
    return _Ground(border, view.frame.difference(abroad), abroad, oblasts, lines)


@dataclass(frozen=True)
class _Side:
    """Some ground, as cells of the layout's grid, and what it is called."""

    text: str
    cells: npt.NDArray[np.bool_]
    country: bool = False


@dataclass(frozen=True)
class _News:
    """What is to be named on a map."""

    drawn: Faces
    named: Sequence[_Town]
    numbers: Sequence[_Number]
    sides: Sequence[_Side]


def _furnish(sheet: Sheet, base: Base, ground: _Ground, news: _News) -> set[str]:
    """Put words and furniture on the map, the most important first.

    Returns the kinds of change of the settlements that found room.
    """
    moved = sheet.cells(news.drawn.gained) | sheet.cells(news.drawn.lost)
    _heat(sheet, news, ground.border, moved)
    locator = reserve_locator(sheet)
    draw_scale(sheet)
    grid = draw_graticule(sheet)
    changed = _draw_names(sheet, news)
    _name_sides(sheet, news.sides)
    _name_oblasts(sheet, ground)
    label_graticule(sheet, grid, moved)
    draw_locator(sheet, locator, _locator(base.layers))
    return changed


@lru_cache(maxsize=4)
def _locator(base: BaseLayers) -> LocatorShapes:
    return locator_shapes(base.ukraine, base.countries)


def _state(sheet: Sheet, message: str) -> None:
    """Write a statement on a panel in the middle of the map."""
    look = Look("label_medium", sheet.theme.sub, halo=0.0)
    lines = wrap(message, look.role, look.size, sheet.theme, width_in=0.6 * sheet.theme.body_in)
    sizes = [sheet.size(line, look) for line in lines]
    step = line_height_in(look.size) * sheet.theme.dpi
    width = max(size.width for size in sizes) + 2 * step
    height = step * (len(lines) + 1)
    x, y = (sheet.layout.width - width) / 2, (sheet.layout.height - height) / 2
    sheet.layout.reserve((x, y, x + width, y + height))
    sheet.panel.add(
        Rectangle(
            sheet.metres(x, y),
            width * sheet.view.m_per_px,
            height * sheet.view.m_per_px,
            facecolor=COLOURS["paper"],
            edgecolor=COLOURS["grid"],
            linewidth=0.8,
            gid="statement-panel",
            zorder=10,
        )
    )
    for row, (line, size) in enumerate(zip(lines, sizes, strict=True)):
        top = y + height - step / 2 - row * step
        spot = Spot((sheet.layout.width - size.width) / 2, top - 0.75 * step)
        sheet.write(line, spot, look, "statement")


# Ground and lines ---------------------------------------------------------------------------


def _near(geometry: BaseGeometry, view: View) -> BaseGeometry:
    """What of a base layer can matter to the frame, in metres."""
    return view.project(shapely.clip_by_rect(geometry, *_window(view)))


def _window(view: View) -> tuple[float, float, float, float]:
    west, south, east, north = view.sector.polygon.bounds
    return west - 0.3, south - 0.2, east + 0.3, north + 0.2


def _claims(claimed: BaseGeometry | None, drawn: Faces, view: View) -> BaseGeometry:
    """Claimed ground that is not drawn as anything else, metres."""
    if claimed is None:
        return shapely.MultiPolygon()
    assessed = shapely.union_all([drawn.held, drawn.gained, drawn.lost])
    rest = view.project(claimed).intersection(view.ground).difference(assessed)
    # Slivers along the assessed ground are two drawings of one edge.
    opened = rest.buffer(-view.m_per_px).buffer(view.m_per_px)
    return opened.simplify(view.m_per_px / 2)


def _draw_base(sheet: Sheet, ground: _Ground, picture: Basemap) -> None:
    """Draw the ground beyond the state border, the border, and the lines between oblasts."""
    panel, view = sheet.panel, sheet.view
    if picture.image is None:
        draw_area(panel, ground.abroad, "abroad", facecolor=COLOURS["land_abroad"], zorder=1)
    else:
        image = BboxImage(panel.box, gid="basemap", zorder=0.5)
        image.set_data(picture.image)
        panel.add(image)
    draw_line(
        panel,
        ground.oblast_lines,
        "oblast",
        edgecolor=COLOURS["oblast"],
        linewidth=0.9,
        linestyle=(0, (2.2, 1.6)),
        zorder=5,
    )
    width = 0.95 * sheet.theme.lw
    draw_line(
        panel,
        ground.border.intersection(view.frame),
        "border",
        edgecolor=COLOURS["border"],
        linewidth=width,
        zorder=6,
        path_effects=halo(width + 1.8),
    )


def _oblast_grounds(oblasts: gpd.GeoDataFrame, view: View) -> dict[str, BaseGeometry]:
    """Oblasts as far as they lie in the frame, metres, by name."""
    window = shapely.box(*_window(view))
    near = oblasts[shapely.intersects(oblasts.geometry.to_numpy(), window)]
    return {
        str(name): view.project(ground.intersection(window)).intersection(view.frame)
        for name, ground in zip(near["name"], near.geometry, strict=True)
    }


def _oblast_lines(
    grounds: Mapping[str, BaseGeometry], view: View, border: BaseGeometry
) -> BaseGeometry:
    """Lines between oblasts; those along the state border are drawn from a better source."""
    lines = shapely.union_all([shapely.boundary(ground) for ground in grounds.values()])
    lines = lines.difference(view.frame.boundary.buffer(2 * view.m_per_px))
    near = border.simplify(_OBLAST_ERROR_M / 10).buffer(_OBLAST_ERROR_M, quad_segs=2)
    return lines.difference(near)


# Colours of the ground on both maps, of what only the later has, and of what only the earlier has.
_GROUNDS = {
    "held": ("held", "gained", "lost"),
    "ukrainian_held": ("ukrainian_held", "gained", "lost"),
    "compared": ("agreed", "only_a", "only_b"),
}


def _look(change: SectorChange) -> str:
    return "ukrainian_held" if change.tier in INVERTED_TIERS else "held"


def _fills(look: str) -> dict[str, dict[str, Any]]:
    """How the areas of the map and of its key are filled, by role."""
    held, gained, lost = _GROUNDS[look]
    return {
        "held": {"facecolor": COLOURS[held]},
        "gained": {"facecolor": COLOURS[gained]},
        "lost": {
            "facecolor": COLOURS[lost],
            "hatch": "//////",
            "hatchcolor": COLOURS["paper"],
            "hatch_linewidth": 1.0,
        },
        "claimed": {
            "facecolor": "none",
            "hatch": "\\\\\\\\",
            "hatchcolor": COLOURS["claimed"],
            "hatch_linewidth": 1.0,
        },
    }


def _lines(theme: Theme) -> dict[str, dict[str, Any]]:
    """How the lines of the map and of its key are drawn, by role."""
    return {
        "line_now": {"color": COLOURS["line"], "linewidth": theme.lw},
        "line_then": {
            "color": COLOURS["line_then"],
            "linewidth": 0.62 * theme.lw,
            "linestyle": (0, (3.2, 2.0)),
        },
    }


def _draw_change(
    sheet: Sheet, drawn: Faces, claims: BaseGeometry, *, look: str, solid: float
) -> None:
    panel, fills, lines = sheet.panel, _fills(look), _lines(sheet.theme)
    draw_area(panel, drawn.held, "held", **fills["held"], alpha=solid, zorder=2)
    edge = {"edgecolor": COLOURS["claimed"], "linewidth": 1.0}
    draw_area(panel, claims, "claimed", **fills["claimed"], **edge, zorder=2.8)
    draw_area(panel, drawn.gained, "gained", **fills["gained"], alpha=solid, zorder=3)
    draw_area(panel, drawn.lost, "lost", **fills["lost"], zorder=3)
    for role, geometry, zorder in (
        ("line_then", drawn.line_then, 7),
        ("line_now", drawn.line_now, 8),
    ):
        line = dict(lines[role])
        line["edgecolor"] = line.pop("color")
        casing = halo(sheet.theme.lw + 2.0, COLOURS["casing"]) if role == "line_now" else None
        cap = "round" if role == "line_now" else "butt"
        draw_line(panel, geometry, role, zorder=zorder, path_effects=casing, capstyle=cap, **line)
    if (veil := _veil(sheet.view)) is not None:
        draw_area(panel, veil, "veil", facecolor=COLOURS["paper"], alpha=0.6, zorder=8.5)


def _veil(view: View) -> BaseGeometry | None:
    """Ground of the frame that is not part of the sector, where this is no rectangle."""
    if view.ground.equals(view.frame):
        return None
    return view.frame.difference(view.ground)


def _heat(sheet: Sheet, news: _News, border: BaseGeometry, moved: npt.NDArray[np.bool_]) -> None:
    """Tell the layout where the news is; `moved` are the cells of what changed sides."""
    layout, view, drawn, named = sheet.layout, sheet.view, news.drawn, news.named
    for lines, cost in (
        (drawn.line_now, _HEAT_LINE),
        (drawn.line_then, _HEAT_THEN),
        (border, _HEAT_BORDER),
    ):
        dense = shapely.segmentize(lines, 2 * view.m_per_px)
        layout.heat_points(view.to_px(shapely.get_coordinates(dense)), cost)
    layout.heat_cells(moved, _HEAT_CHANGE)
    towns = [(town.x, town.y) for town in named if town.rank <= 2 or town.changed or town.namesake]
    layout.heat_points(np.array(towns, dtype=float).reshape(-1, 2), _HEAT_PLACE)


# The key ------------------------------------------------------------------------------------


def _key(
    grounds: tuple[Faces, BaseGeometry],
    changed: set[str],
    labels: Mapping[str, str],
    theme: Theme,
    *,
    look: str,
) -> list[KeyEntry]:
    """Entries for what is drawn, in the order of reading."""
    drawn, claims = grounds
    shown = {
        "held": drawn.held,
        "gained": drawn.gained,
        "lost": drawn.lost,
        "claimed": claims,
        "line_now": drawn.line_now,
        "line_then": drawn.line_then,
    }
    looks = _key_looks(theme, look=look)
    entries = [
        KeyEntry(role, labels[role], looks[role])
        for role, ground in shown.items()
        if role in labels and not ground.is_empty
    ]
    marker = {"marker": "o", "markersize": 5.0, "markeredgewidth": 1.4}
    for role, kind, colour in (
        ("newly_inside", "newly", "gained_text"),
        ("newly_outside", "left", "lost_text"),
    ):
        if role in labels and kind in changed:
            ring_look = marker | {"color": COLOURS["paper"], "markeredgecolor": COLOURS[colour]}
            entries.append(KeyEntry(role, labels[role], ring_look))
    return entries


def _key_looks(theme: Theme, *, look: str) -> dict[str, dict[str, Any]]:
    outline = {"edgecolor": COLOURS["held_edge"], "linewidth": 0.5}
    fills = {role: fill | outline for role, fill in _fills(look).items()}
    return fills | _lines(theme)


# Settlements --------------------------------------------------------------------------------


class _Town(NamedTuple):
    """A settlement: its place in pixels, what it is, and what happened to it."""

    name: str
    x: float
    y: float
    population: float
    rank: int
    changed: str
    namesake: bool


def _known(places: Places, view: View) -> list[_Town]:
    """Settlements of the frame, and the large ones wherever they are."""
    table = places.table
    x, y = view.pixels(table["lon"].to_numpy(float), table["lat"].to_numpy(float)).T
    population = table["population"].fillna(0).to_numpy(float)
    inside = (x >= 0) & (x <= view.width_px) & (y >= 0) & (y <= view.height_px)
    wanted = np.flatnonzero(inside | (population >= _POINTER_POPULATION))
    ids, names, ranks = (table[column].tolist() for column in ("id", "name", "rank"))
    kinds = dict.fromkeys(places.left, "left") | dict.fromkeys(places.newly, "newly")
    return [
        _Town(
            names[i],
            float(x[i]),
            float(y[i]),
            float(population[i]),
            ranks[i],
            kinds.get(str(ids[i]), ""),
            names[i] == view.sector.name,
        )
        for i in wanted.tolist()
    ]


def _interest(towns: Sequence[_Town], drawn: Faces, view: View) -> npt.NDArray[np.float64]:
    """How much a reader wants a settlement on the map: size, and closeness to the news."""
    x, y, population, rank = (
        np.array([(town.x, town.y, town.population, town.rank) for town in towns], dtype=float)
        .reshape(-1, 4)
        .T
    )
    size = 1.6 * np.log10(np.maximum(population, 100.0)) + (5 - rank)
    news = shapely.union_all([drawn.gained, drawn.lost])
    if news.is_empty:
        news = drawn.line_now
    if news.is_empty:
        return np.asarray(size)
    width = view.bounds_m[2] - view.bounds_m[0]
    away: npt.NDArray[np.float64] = shapely.distance(shapely.points(*view.to_m(x, y)), news) / width
    interest: npt.NDArray[np.float64] = size + 3.0 * np.exp(-away / _INTEREST)
    return interest


def _draw_names(sheet: Sheet, news: _News) -> set[str]:
    """Place settlements, numbers and pointers, the most telling first.

    Returns the kinds of change of the settlements that found room.
    """
    width, height = sheet.layout.width, sheet.layout.height
    inside = [town for town in news.named if 0 <= town.x <= width and 0 <= town.y <= height]
    interest = _interest(inside, news.drawn, sheet.view).tolist()
    order = sorted(range(len(inside)), key=lambda i: (-interest[i], inside[i].name))
    inside = [inside[i] for i in order]
    # Where no town gives the sector its name the most telling ones take its place.
    first = [town for town in inside if town.namesake]
    first = first or [town for town in inside if town.rank <= 2][:2]
    others = [town for town in inside if town not in first]
    limit = sheet.theme.max_labels

    def draw(some: Iterable[_Town], done: list[_Town], most: int) -> list[_Town]:
        for town in some:
            if len(done) >= most:
                break
            done += [town] * _draw_place(sheet, town)
        return done

    done = draw(first, [], limit)
    for area in news.numbers:
        _draw_number(sheet, area)
    done = draw((town for town in others if town.changed), done, int(_CHANGED_SHARE * limit))
    rest = [town for town in others if not town.changed]
    done = draw((town for town in rest if town.rank <= 2), done, limit)
    _draw_pointers(sheet, news.named)
    done = draw((town for town in rest if town.rank > 2), done, limit)
    _draw_symbols(sheet, done)
    return {town.changed for town in done}


def _draw_symbols(sheet: Sheet, towns: Sequence[_Town]) -> None:
    """Draw the symbols of settlements, those that look alike as one artist."""
    alike: dict[tuple[Any, ...], list[tuple[float, float]]] = {}
    for town in towns:
        look = _symbol_pt(town), town.rank == 1, _place_look(town, sheet.theme).colour
        alike.setdefault(look, []).append(sheet.metres(town.x, town.y))
    for (points, city, colour), where in alike.items():
        sheet.panel.add(
            Line2D(
                *zip(*where, strict=True),
                marker="s" if city else "o",
                markersize=points,
                color=colour if city else COLOURS["paper"],
                markeredgecolor=colour,
                markeredgewidth=1.1,
                linestyle="none",
                gid="place",
                zorder=10,
                path_effects=halo(2.4),
            )
        )


def _place_look(town: _Town, theme: Theme) -> Look:
    colour = {"newly": "gained_text", "left": "lost_text", "": "text"}[town.changed]
    if town.namesake:
        return Look("label_strong", theme.label + 2.4, COLOURS[colour], halo=3.0)
    if town.rank <= 2:
        return Look("label_strong", theme.label + 0.4, COLOURS[colour])
    role: FontRole = "label_medium" if town.rank == 3 or town.changed else "label"
    return Look(role, theme.label, COLOURS[colour])


def _symbol_pt(town: _Town) -> float:
    return _MARKER_PT[2 if town.namesake and town.rank > 2 else town.rank]


def _draw_place(sheet: Sheet, town: _Town) -> bool:
    """Write a settlement's name, keeping room for its symbol; neither if there is none."""
    look = _place_look(town, sheet.theme)
    radius = _symbol_pt(town) * sheet.theme.dpi / 72 / 2
    reach = radius + 1
    symbol = (town.x - reach, town.y - reach, town.x + reach, town.y + reach)
    if not sheet.layout.is_free(symbol, margin=0):
        return False
    size = sheet.size(town.name, look)
    margin = 1.0 if town.changed or town.namesake else 5.0
    spots = around(town.x, town.y, radius + 3.5, size)
    spot = sheet.layout.place(spots, size, margin=margin)
    if spot is None:
        return False
    sheet.layout.reserve(symbol)
    sheet.write(town.name, spot, look, "place-label")
    return True


# Numbers where the change happened ----------------------------------------------------------


class _Number(NamedTuple):
    """An area to be written: where, the text, its colour, and that of ground it can stand on."""

    spread: Spread
    text: str
    ink: str
    ground: str


def _numbers(change: SectorChange, view: View, theme: Theme, look: str) -> list[_Number]:
    """The largest changes, each with its area as text.

    A plus is Russian advance. Where the ground drawn is Ukrainian-held a plus would be read as its
    growth, so there the area stands without a sign and the colour tells; so it does where two
    sources are compared.
    """
    step = step_km2(change.net_km2, change.change_error_km2)
    _, gained, lost = _GROUNDS[look]
    found = []
    for spread in spreads(change.pieces, view, theme.max_labels // 3):
        grew = spread.kind == "gained"
        signed = spread.area_km2 if grew else -spread.area_km2
        if round(spread.area_km2 / step):
            plain = look != "held"
            area = km2(spread.area_km2, step) if plain else km2(signed, step, signed=True)
            ink = COLOURS[f"{gained if grew else lost}_text"]
            # What is hatched is no ground for letters.
            found.append(_Number(spread, area, ink, COLOURS[gained] if grew else ""))
    return found


def _draw_number(sheet: Sheet, area: _Number) -> None:
    """Write an area into its ground if it fits there, else beside it with a leader."""
    spread, text = area.spread, area.text
    within = beside = Look("label_strong", sheet.theme.label + 0.8, area.ink, 3.0)
    if area.ground:
        within = Look("label_strong", sheet.theme.label, COLOURS["paper"], 2.0, area.ground)
    size = sheet.size(text, within).padded(_NUMBER_AIR_PX)
    spots = spots_within(sheet.cells(spread.ground), size, step=1)
    spot = sheet.layout.place(spots, size, margin=0)
    if spot:
        sheet.write(text, Spot(spot.x + _NUMBER_AIR_PX, spot.y), within, "number")
    else:
        _draw_beside(sheet, spread, text, beside)


def _draw_beside(sheet: Sheet, spread: Spread, text: str, look: Look) -> None:
    largest = max(shapely.get_parts(spread.ground), key=lambda part: part.area)
    circle = shapely.maximum_inscribed_circle(largest, tolerance=2 * sheet.view.m_per_px)
    anchor = sheet.view.to_px(shapely.get_coordinates(circle)[:1])[0]
    at = (float(anchor[0]), float(anchor[1]))
    size = sheet.size(text, look)
    radius = circle.length / sheet.view.m_per_px
    spots = ring(*at, [radius + reach for reach in (12, 26, 44, 66, 92)], size)
    spot = sheet.layout.place(
        spots,
        size,
        margin=3,
        also=lambda spot: sheet.layout.line_is_free(at, _nearest(spot.box(size), at)),
    )
    if spot is None:
        return
    end = _nearest(spot.box(size, 2), at)
    sheet.layout.reserve_line(at, end)
    sheet.panel.add(
        Line2D(
            *zip(sheet.metres(*at), sheet.metres(*end), strict=True),
            color=look.colour,
            linewidth=0.9,
            gid="leader",
            zorder=9,
            path_effects=halo(2.4),
        )
    )
    sheet.write(text, spot, look, "number")


def _nearest(box: Box, point: tuple[float, float]) -> tuple[float, float]:
    """Point of a box nearest to a point."""
    x0, y0, x1, y1 = box
    return min(max(point[0], x0), x1), min(max(point[1], y0), y1)


# Pointers to what lies beyond the frame -----------------------------------------------------


def _draw_pointers(sheet: Sheet, towns: Iterable[_Town]) -> None:
    """Say where the next large towns lie: name, distance from the frame's edge, direction."""
    found = []
    frame = (0.0, 0.0, sheet.layout.width, sheet.layout.height)
    for town in towns:
        if town.population >= _POINTER_POPULATION:
            edge = _nearest(frame, (town.x, town.y))
            away = math.hypot(town.x - edge[0], town.y - edge[1]) * sheet.view.m_per_px / 1000
            if 1 <= away <= _POINTER_KM:
                found.append((away / 15 - math.log10(town.population), town.name, town, edge, away))
    done = 0
    for _, _, town, edge, km in sorted(found):
        if done >= max(sheet.theme.max_labels // 6, 3):
            break
        done += _draw_pointer(sheet, town, edge, km)


def _draw_pointer(sheet: Sheet, town: _Town, edge: tuple[float, float], km: float) -> bool:
    text = f"{town.name} {number(km)}{NBSP}km"
    look = Look("italic", sheet.theme.label, COLOURS["subtle"])
    words = sheet.size(text, look)
    arrow = 0.75 * words.ascent
    size = Size(words.width + 5 + arrow, words.ascent, words.descent)
    layout, (edge_x, edge_y) = sheet.layout, edge
    after = town.x >= layout.width / 2
    pad = layout.margin + 4
    # Along its edge a pointer may give way, at a price: it should stand where the town lies.
    along_top = 0 < edge_x < layout.width
    spots = []
    for shift in (0, *(sign * step for step in range(25, 151, 25) for sign in (1, -1))):
        x = edge_x + shift * along_top - (size.width - arrow / 2 if after else arrow / 2)
        y = edge_y + shift * (not along_top) - words.ascent / 2
        x = min(max(x, pad), layout.width - pad - size.width)
        y = min(max(y, pad + words.descent), layout.height - pad - words.ascent)
        spots.append(Spot(x, y, abs(shift) / 20))
    spot = layout.place(spots, size, margin=4)
    if spot is None:
        return False
    middle = np.array(
        [spot.x + (size.width - arrow / 2 if after else arrow / 2), spot.y + 0.36 * words.ascent]
    )
    _draw_arrow(sheet, middle, np.array([town.x, town.y]) - middle, arrow)
    sheet.write(text, Spot(spot.x if after else spot.x + arrow + 5, spot.y), look, "pointer")
    return True


def _draw_arrow(
    sheet: Sheet,
    middle: npt.NDArray[np.float64],
    direction: npt.NDArray[np.float64],
    length: float,
) -> None:
    ahead = direction / np.hypot(*direction) * length / 2
    aside = 0.7 * np.array([-ahead[1], ahead[0]])
    corners = (middle + ahead, middle - ahead + aside, middle - ahead - aside)
    sheet.panel.add(
        Polygon(
            [sheet.metres(*corner) for corner in corners],
            facecolor=COLOURS["subtle"],
            edgecolor="none",
            gid="pointer-arrow",
            zorder=11,
            path_effects=halo(1.6),
        )
    )


# Names of grounds ---------------------------------------------------------------------------


def _countries(sheet: Sheet, ground: _Ground, covered: npt.NDArray[np.bool_]) -> list[_Side]:
    if ground.abroad.is_empty or ground.home.is_empty:
        return []
    return [
        _Side("RUSSIA", sheet.cells(ground.abroad) & ~covered, country=True),
        _Side("UKRAINE", sheet.cells(ground.home) & ~covered, country=True),
    ]


def _sides(change: SectorChange, drawn: Faces, ground: _Ground, sheet: Sheet) -> list[_Side]:
    """What the sides are called; of ground that a source is silent about nothing is said."""
    adjective = change.source.adjective
    capital = adjective.capitalize()
    held, gained, lost = map(sheet.cells, (drawn.held, drawn.gained, drawn.lost))
    covered = held | gained | lost
    sides = _countries(sheet, ground, covered)
    if change.tier in INVERTED_TIERS:
        return [*sides, _Side(f"{capital} as Ukrainian-held", held)]
    free = sheet.cells(ground.home) & sheet.cells(sheet.view.ground) & ~covered
    return [
        *sides,
        _Side(f"Not {adjective} as Russian-controlled", free),
        _Side(f"{capital} Russian control", held),
    ]


def _name_sides(sheet: Sheet, sides: Sequence[_Side]) -> None:
    for side in sides:
        if side.country:
            look = Look("label_medium", sheet.theme.label + 1.2, COLOURS["subtle"])
            _name_ground(sheet, side.cells, (NBSP.join(side.text),), look, "country")
            continue
        look = Look("italic", sheet.theme.label + 0.6, COLOURS["subtle"])
        width = sheet.size(side.text, look).width / sheet.theme.dpi
        two = wrap(side.text, look.role, look.size, sheet.theme, width_in=0.75 * width)
        if not _name_ground(sheet, side.cells, (side.text,), look, "side"):
            _name_ground(sheet, side.cells, two, look, "side")


def _name_ground(
    sheet: Sheet, cells: npt.NDArray[np.bool_], lines: Sequence[str], look: Look, gid: str
) -> bool:
    """Write a name into some ground; False if it has no room."""
    sizes = [sheet.size(line, look) for line in lines]
    step = line_height_in(look.size) * sheet.theme.dpi
    block = Size(
        max(size.width for size in sizes),
        sizes[0].ascent + step * (len(lines) - 1),
        sizes[0].descent,
    ).padded(_AIR_PX)
    spots = spots_within(cells, block)
    spot = sheet.layout.place(spots, block, margin=4)
    if spot is None:
        return False
    for number_, (line, size) in enumerate(zip(lines, sizes, strict=True)):
        x = spot.x + (block.width - size.width) / 2
        sheet.write(line, Spot(x, spot.y + step * (len(lines) - 1 - number_)), look, gid)
    return True


def _name_oblasts(sheet: Sheet, ground: _Ground) -> None:
    """Name the oblasts on both sides of a line between them, near to it."""
    if ground.oblast_lines.is_empty:
        return
    look = Look("label", sheet.theme.small, COLOURS["subtle"])
    for key in ground.oblasts:
        name = key if key in _NO_OBLASTS else f"{key} Oblast"
        size = sheet.size(name, look)
        spots = _near_oblast_lines(ground, key, size, sheet.view, sheet.layout.shape)
        spot = sheet.layout.place(spots, size, margin=10)
        if spot:
            sheet.write(name, spot, look, "oblast-label")


@lru_cache(maxsize=256)
def _near_oblast_lines(
    ground: _Ground, key: str, size: Size, view: View, shape: tuple[int, int]
) -> Spots:
    """Positions in an oblast near its lines; as long as the name is, they do not change."""
    spots = spots_within(ground_cells(ground.oblasts[key], view, shape), size, pull=0)
    points = shapely.points(*view.to_m(spots.x + size.width / 2, spots.y + size.ascent / 2))
    # A text that is not near will not do, wherever on the far side it is.
    near = np.flatnonzero(
        shapely.dwithin(points, ground.oblast_lines, view.width_px / 14 * view.m_per_px)
    )
    away = shapely.distance(points[near], ground.oblast_lines) / view.m_per_px
    return spots.take(near)._replace(penalty=away / 20)
