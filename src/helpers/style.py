"""Palette, type and page of every figure: two renditions, one set of measured text helpers.

Figures are drawn and saved inside `style`, so that neither a user's ``matplotlibrc`` nor the fonts
of the machine can change a byte of them. Positions on the page are inches from its top or bottom
edge, so that a figure's height may be set after its texts have been measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, cast

import fontpkg_fira_sans
import fontpkg_fira_sans_condensed
import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Rectangle
from matplotlib.patheffects import AbstractPathEffect, withStroke
from matplotlib.text import Text
from matplotlib.transforms import Affine2DBase, ScaledTranslation, Transform

from helpers.errors import WorkspaceError
from helpers.typesetting import Agg, Canvas, write

FontRole = Literal["title", "text", "strong", "label", "label_medium", "label_strong", "italic"]
Slant = Literal["normal", "italic"]


@dataclass(frozen=True)
class TextLook:
    """How a block of text looks: font role, points, gid of its artists, colour."""

    role: FontRole
    size: float
    gid: str
    colour: str


@dataclass(frozen=True)
class Theme:
    """One rendition of a figure.

    Attributes
    ----------
    name
        "wide" or "phone"; part of the file names.
    width_in, dpi
        Width of the page in inches, and pixels an inch of the PNG.
    css_px
        The smallest width at which a page shows it, in CSS pixels; the type is legible there.
    title, sub, key, label, small, foot
        Type sizes in points: headline, standfirst, legend, place names, graticule and other small
        print on the map, caveat and source.
    pad
        Margin left and right, inches.
    max_labels
        At most so many settlements are named on a map.
    lw
        Width of the main line, points.
    inset
        Width of a locator inset, inches.
    """

    name: str
    width_in: float
    dpi: int
    css_px: int
    title: float
    sub: float
    key: float
    label: float
    small: float
    foot: float
    pad: float
    max_labels: int
    lw: float
    inset: float

    @property
    def width_px(self) -> int:
        """Width of the PNG in pixels."""
        return round(self.width_in * self.dpi)

    @property
    def body_in(self) -> float:
        """Width between the margins, inches."""
        return self.width_in - 2 * self.pad


WIDE = Theme(
    name="wide",
    width_in=8.0,
    dpi=150,
    css_px=660,
    title=18.5,
    sub=11,
    key=9,
    label=8.8,
    small=7.6,
    foot=7.6,
    pad=0.16,
    max_labels=28,
    lw=1.7,
    inset=1.55,
)
PHONE = Theme(
    name="phone",
    width_in=5.2,
    dpi=150,
    css_px=390,
    title=17.5,
    sub=12.4,
    key=10.8,
    label=10.6,
    small=8.8,
    foot=8.8,
    pad=0.15,
    max_labels=14,
    lw=1.8,
    inset=1.4,
)
THEMES: Mapping[str, Theme] = MappingProxyType({theme.name: theme for theme in (WIDE, PHONE)})

# Colour by role. Texts keep 4.5:1 on every ground they stand on, and the areas stay apart for the
# three kinds of colour blindness (tests/test_style.py). Gain and loss have the same grey value, so
# what is lost is hatched as well.
COLOURS: Mapping[str, str] = MappingProxyType(
    {
        "paper": "#FFFFFF",
        "accent": "#A3290B",
        "text": "#1F1C19",
        "subtle": "#5B554E",
        "held": "#E6D3C3",
        "held_edge": "#B79B86",
        "gained": "#C8431B",
        "gained_edge": "#7A2308",
        "gained_text": "#8E2A0C",
        "lost": "#2878B5",
        "lost_ground": "#E4EEF5",
        "lost_text": "#12476F",
        "ukrainian_held": "#BCD4E8",
        "ukrainian_held_edge": "#5F86A6",
        "regained": "#E3A78C",
        "claimed": "#8A5A00",
        "agreed": "#DCD6CB",
        "only_a": "#6A4C93",
        "only_a_text": "#4B3272",
        "only_b": "#C99A2E",
        "only_b_text": "#6E4F00",
        "line": "#1F1C19",
        "line_then": "#552D20",
        "casing": "#FFFFFF",
        "land": "#F4F1EA",
        "land_abroad": "#ECE8DF",
        "water": "#C9DDE6",
        "border": "#7F786F",
        "oblast": "#A39C92",
        "grid": "#DDD8CE",
        "no_data": "#E9E6E0",
        "band": "#D9D0C3",
        "locator_abroad": "#E5E1D8",
    }
)

_CONDENSED = "Fira Sans Condensed"
# SemiBold and Medium are families of their own in matplotlib.
_FAMILIES: Mapping[FontRole, tuple[str, Slant]] = MappingProxyType(
    {
        "title": ("Fira Sans SemiBold", "normal"),
        "text": ("Fira Sans", "normal"),
        "strong": ("Fira Sans SemiBold", "normal"),
        "label": (_CONDENSED, "normal"),
        "label_medium": (f"{_CONDENSED} Medium", "normal"),
        "label_strong": (f"{_CONDENSED} SemiBold", "normal"),
        "italic": (_CONDENSED, "italic"),
    }
)
_FACES = (
    (fontpkg_fira_sans.ROOT, ("FiraSans-Regular", "FiraSans-SemiBold")),
    (
        fontpkg_fira_sans_condensed.ROOT,
        tuple(f"FiraSansCondensed-{face}" for face in ("Regular", "Medium", "SemiBold", "Italic")),
    ),
)

# Inches: the coloured bar above the headline, and the air between the blocks.
_BAR_IN = (0.42, 0.052)
_TOP_IN = 0.06
_AFTER_BAR_IN = 0.14
_AFTER_TITLE_IN = 0.07
_FOOT_IN = 0.12
_PARAGRAPH_IN = 0.025
_LEADING: Mapping[FontRole, float] = MappingProxyType(
    {
        "title": 1.24,
        "text": 1.3,
        "strong": 1.3,
        "label": 1.25,
        "label_medium": 1.25,
        "label_strong": 1.25,
        "italic": 1.25,
    }
)
# A measured width is that of the ink at one size; the page keeps this much in hand.
_SPARE = 0.995


@cache
def _add_fonts() -> None:
    ours = [root / "files" / f"{face}.ttf" for root, faces in _FACES for face in faces]
    missing = [path for path in ours if not path.is_file()]
    if missing:
        raise WorkspaceError(
            f"Font file {missing[0]} is not there. Install the project's environment again: "
            "fontpkg-fira-sans and fontpkg-fira-sans-condensed carry the fonts."
        )
    for path in ours:
        font_manager.fontManager.addfont(str(path))
    # Of two fonts that match equally well the first listed wins; the machine may have its own.
    names = {str(path) for path in ours}
    font_manager.fontManager.ttflist.sort(key=lambda entry: entry.fname not in names)
    for family, slant in sorted(set(_FAMILIES.values())):
        found = Path(font_manager.findfont(FontProperties(family=family, style=slant)))
        if found not in ours:
            raise WorkspaceError(
                f"The font {family!r} ({slant}) was found at {found}, not in the packages "
                "fontpkg-fira-sans and fontpkg-fira-sans-condensed, so figures would differ from "
                "machine to machine. Install the project's environment again."
            )


def _settings() -> dict[Any, Any]:
    return {
        "axes.edgecolor": COLOURS["grid"],
        "axes.labelcolor": COLOURS["subtle"],
        "figure.facecolor": COLOURS["paper"],
        # The last family has the glyphs that Fira lacks.
        "font.family": [_CONDENSED, "DejaVu Sans"],
        "hatch.linewidth": 0.9,
        "savefig.facecolor": COLOURS["paper"],
        "svg.fonttype": "path",
        "svg.hashsalt": "frontline-notebooks",
        "text.color": COLOURS["text"],
        # As in the SVG, and as `helpers.typesetting` draws.
        "text.hinting": "none",
        # A dollar sign in a name is a dollar sign.
        "text.parse_math": False,
        "xtick.color": COLOURS["subtle"],
        "ytick.color": COLOURS["subtle"],
    }


@contextmanager
def style() -> Iterator[None]:
    """Hold matplotlib to this project's settings while a figure is drawn and saved.

    Raises
    ------
    WorkspaceError
        If the fonts are missing, or others would be used in their place.

    Notes
    -----
    Everything starts from matplotlib's own defaults, not from the user's ``matplotlibrc``. The
    settings that were in force come back at the end.
    """
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_settings())
        _add_fonts()
        yield


@cache
def font(role: FontRole, size: float) -> FontProperties:
    """Font of a role.

    Parameters
    ----------
    role
        "title", "text" and "strong" are Fira Sans; the others are its condensed cut.
    size
        Points.

    Returns
    -------
    matplotlib.font_manager.FontProperties
        Shared: copy it before changing it.
    """
    family, slant = _FAMILIES[role]
    return FontProperties(family=[family, "DejaVu Sans"], style=slant, size=size)


def halo(width: float, colour: str = COLOURS["paper"]) -> list[AbstractPathEffect]:
    """Path effects that set a shape off from what lies under it.

    Parameters
    ----------
    width
        Of the whole stroke under the shape, points.
    colour
        Of the stroke.

    Returns
    -------
    list
        For ``path_effects=``.
    """
    return [withStroke(linewidth=width, foreground=colour)]


@cache
def _renderer(dpi: int) -> Agg:
    return Agg(1, 1, dpi)


@cache
def measure(text: str, role: FontRole, size: float, dpi: int) -> tuple[float, float, float]:
    """Measure one line of text, with the renderer that draws it.

    Parameters
    ----------
    text
        One line; the spaces around it count.
    role, size
        Font role, and size in points.
    dpi
        Pixels an inch.

    Returns
    -------
    tuple of float
        Width, height and descent in inches.
    """
    sizes = _renderer(dpi).get_text_width_height_descent(text, font(role, size), ismath=False)
    width, height, descent = (float(value) / dpi for value in sizes)
    return width, height, descent


def _fill(words: Sequence[str], widths: Sequence[float], space: float, limit: float) -> list[str]:
    lines: list[str] = []
    current: list[str] = []
    used = 0.0
    for word, width in zip(words, widths, strict=True):
        if current and used + space + width > limit:
            lines.append(" ".join(current))
            current, used = [], 0.0
        used += width + (space if current else 0.0)
        current.append(word)
    return [*lines, " ".join(current)] if current else lines


def wrap(text: str, role: FontRole, size: float, theme: Theme, *, width_in: float = 0) -> list[str]:
    """Break a text into lines of about equal length.

    Parameters
    ----------
    text
        Breaks at normal spaces only: a number keeps its unit by a no-break space.
    role, size
        Font role, and size in points.
    theme
        The rendition.
    width_in
        Widest line in inches; 0 means from margin to margin.

    Returns
    -------
    list of str
        As few lines as fit, then the narrowest width that needs no more of them.
    """
    # str.split() would break at no-break spaces, too.
    words = [word for word in text.split(" ") if word]
    widths = [measure(word, role, size, theme.dpi)[0] for word in words]
    pair = measure("n n", role, size, theme.dpi)[0]
    space = pair - 2 * measure("n", role, size, theme.dpi)[0]
    low, high = 0.0, (width_in or theme.body_in) * _SPARE
    best = _fill(words, widths, space, high)
    for _ in range(12):
        middle = (low + high) / 2
        lines = _fill(words, widths, space, middle)
        if len(lines) > len(best) or max(widths, default=0) > middle:
            low = middle
        else:
            best, high = lines, middle
    return best


def new_figure(theme: Theme) -> Figure:
    """Start a page of the rendition's width; its height is set when it is known (`set_height`)."""
    figure = Figure(figsize=(theme.width_in, theme.width_in), dpi=theme.dpi)
    Canvas(figure)
    return figure


def set_height(figure: Figure, theme: Theme, height_in: float) -> None:
    """Give a page its height, rounded up to whole pixels."""
    pixels = int(-(-height_in * theme.dpi // 1))
    figure.set_size_inches(theme.width_in, pixels / theme.dpi)


def page_transform(figure: Figure, *, bottom: bool = False) -> Transform:
    """Inches from the page's left edge, and upwards from its top edge (or its bottom edge)."""
    if bottom:
        return figure.dpi_scale_trans
    to_top = ScaledTranslation(0, 1, cast("Affine2DBase", figure.transFigure))
    return figure.dpi_scale_trans + to_top


def line_height_in(size: float, leading: float = 1.25) -> float:
    """Distance of two baselines in inches, for a type size in points and a leading in sizes."""
    return size * leading / 72


def ascent_in(size: float) -> float:
    """Height of a line above its baseline in inches, as Fira says it of itself; size in points."""
    return 0.935 * size / 72


def text_lines(
    figure: Figure,
    lines: Sequence[str],
    look: TextLook,
    *,
    at: tuple[float, float],
    bottom: bool = False,
) -> float:
    """Set lines of text on the page, flush left.

    Parameters
    ----------
    figure
        The page.
    lines
        From the top down; each is a Text of its own.
    look
        Font, size, colour and gid.
    at
        Left edge, and top of the first line, inches from the page's top left (bottom left) corner.
    bottom
        Measure `at` from the bottom edge.

    Returns
    -------
    float
        Height of the lines in inches.
    """
    step = line_height_in(look.size, _LEADING[look.role])
    x, top = at
    for number, line in enumerate(lines):
        down = (number + 0.8) * step
        write(
            figure,
            x,
            top - down if bottom else -top - down,
            line,
            transform=page_transform(figure, bottom=bottom),
            fontproperties=font(look.role, look.size),
            color=look.colour,
            gid=look.gid,
        )
    return step * len(lines)


def title_block(figure: Figure, theme: Theme, title: str, subtitle: str) -> float:
    """Draw the coloured bar, the headline and the sentence under it.

    Parameters
    ----------
    figure, theme
        The page, and its rendition.
    title, subtitle
        Headline and standfirst; an empty one takes no room.

    Returns
    -------
    float
        Inches from the top edge to where the next block may start.
    """
    figure.add_artist(
        Rectangle(
            (theme.pad, -_TOP_IN - _BAR_IN[1]),
            *_BAR_IN,
            transform=page_transform(figure),
            facecolor=COLOURS["accent"],
            edgecolor="none",
            gid="accent",
        )
    )
    y = _TOP_IN + _BAR_IN[1] + _AFTER_BAR_IN
    for text, look in (
        (title, TextLook("title", theme.title, "title", COLOURS["text"])),
        (subtitle, TextLook("text", theme.sub, "subtitle", COLOURS["subtle"])),
    ):
        if text:
            lines = wrap(text, look.role, look.size, theme)
            y += text_lines(figure, lines, look, at=(theme.pad, y)) + _AFTER_TITLE_IN
    return y


def source_line(figure: Figure, theme: Theme, lines: Sequence[str]) -> float:
    """Draw caveats and sources at the foot of the page.

    Parameters
    ----------
    figure, theme
        The page, and its rendition.
    lines
        One text a paragraph, from the top down, caveats first and the source last.

    Returns
    -------
    float
        Inches from the bottom edge to the top of the block.

    Notes
    -----
    The distance counts from the bottom, so it may be called before or after `set_height`.
    """
    blocks = [wrap(text, "text", theme.foot, theme) for text in lines if text]
    step = line_height_in(theme.foot, _LEADING["text"])
    height = step * sum(map(len, blocks)) + _PARAGRAPH_IN * max(len(blocks) - 1, 0)
    y = top = _FOOT_IN + height
    for block in blocks:
        gid = "source" if block is blocks[-1] else "note"
        look = TextLook("text", theme.foot, gid, COLOURS["subtle"])
        y -= text_lines(figure, block, look, at=(theme.pad, y), bottom=True) + _PARAGRAPH_IN
    return top


def axes_rect(
    figure: Figure, *, left: float, top: float, width: float, height: float
) -> tuple[float, float, float, float]:
    """Rectangle for ``Figure.add_axes``.

    Parameters
    ----------
    figure
        The page, its height already set.
    left, top
        Inches from the left and the top edge.
    width, height
        Inches.

    Returns
    -------
    tuple of float
        Left, bottom, width and height as shares of the page.
    """
    page_width, page_height = figure.get_size_inches()
    return (
        left / page_width,
        1 - (top + height) / page_height,
        width / page_width,
        height / page_height,
    )


def text_extents(figure: Figure) -> list[tuple[Text, tuple[float, float, float, float]]]:
    """Boxes of all visible texts of a figure, to check a layout with.

    Parameters
    ----------
    figure
        A finished figure.

    Returns
    -------
    list of tuple
        The text, and x0, y0, x1, y1 in pixels from the bottom left corner.
    """
    # Insets find their place when the figure is drawn.
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    found = []
    for artist in figure.findobj(Text):
        if isinstance(artist, Text) and artist.get_visible() and artist.get_text().strip():
            box = artist.get_window_extent(renderer)
            found.append((artist, (box.x0, box.y0, box.x1, box.y1)))
    return found
