"""Canvases that shape a line of text once, however often it is measured and drawn.

Shaping, hinting and outlines of text are most of what a figure costs in matplotlib: each word is
shaped when it is measured, again when it is drawn, and all of that for each file. Here what depends
on font, size and words alone is remembered by the process. The pixels are those of matplotlib's own
renderers (tests/test_typesetting.py compares them); lines with mathematics, OpenType features or a
language are left to these.
"""

from __future__ import annotations

import io
import math
from functools import lru_cache
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib import _path as agg_paths
from matplotlib import _text_helpers
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg, get_hinting_flag
from matplotlib.backends.backend_svg import RendererSVG, _generate_css, _generate_transform
from matplotlib.colors import rgb2hex
from matplotlib.figure import Figure
from matplotlib.font_manager import FontPath, FontProperties, fontManager, get_font
from matplotlib.ft2font import FT2Font, LoadFlags, RenderMode
from matplotlib.path import Path
from matplotlib.text import Text, TextToPath

# Digits after the point in the paths of an SVG: a hundredth of a point is a fiftieth of a pixel.
_SVG_DIGITS = 2
_COMMANDS = [b"M", b"L", b"Q", b"C", b"z"]
# FreeType counts in 64ths of a pixel, and scales by 65536ths.
_SUBPIXELS = 64
_ONE = 0x10000

_Bitmap = tuple[npt.NDArray[np.uint8], int, int]


@lru_cache(maxsize=256)
def _files(prop: FontProperties) -> tuple[FontPath, ...]:
    manager: Any = fontManager
    return tuple(manager._find_fonts_by_props(prop))


def _opened(prop: FontProperties, size: float, dpi: float) -> FT2Font:
    """A font as matplotlib keeps it, set to a size.

    It is asked for each time: an open font must not outlive a fork, so it is in no cache of ours.
    """
    font = get_font(_files(prop))
    font.clear()
    font.set_size(size, dpi)
    return font


# Agg ----------------------------------------------------------------------------------------


class _Glyph(NamedTuple):
    """A glyph of a shaped line: its font, number there, and place in pixels from the line's."""

    file: str
    number: int
    x: float
    y: float


@lru_cache(maxsize=8192)
def _measured(text: str, prop: FontProperties, dpi: float) -> tuple[float, float, float]:
    """Width, height and descent in pixels."""
    font = _opened(prop, prop.get_size_in_points(), dpi)
    font.set_text(text, 0.0, flags=get_hinting_flag())
    width, height = font.get_width_height()
    return width / _SUBPIXELS, height / _SUBPIXELS, font.get_descent() / _SUBPIXELS


@lru_cache(maxsize=4096)
def _shaped(text: str, prop: FontProperties, dpi: float) -> tuple[_Glyph, ...]:
    font: Any = _opened(prop, prop.get_size_in_points(), dpi)
    return tuple(
        _Glyph(item.ft_object.fname, item.glyph_index, item.x, item.y)
        for item in font._layout(text, flags=get_hinting_flag())
    )


class _Face(NamedTuple):
    """A font at a size, turned."""

    file: str
    size: float
    dpi: float
    angle: float

    def matrix(self) -> npt.NDArray[np.int_]:
        """The turn, as FreeType takes it."""
        cos, sin = math.cos(math.radians(self.angle)), math.sin(math.radians(self.angle))
        turn: npt.NDArray[np.int_] = (_ONE * np.array([[cos, -sin], [sin, cos]])).round()
        return turn.astype(int)


@lru_cache(maxsize=16384)
def _bitmap(face: _Face, number: int, phase: tuple[int, int]) -> _Bitmap:
    """Grey values of a glyph that starts so many 64ths of a pixel right of and above a pixel."""
    font: Any = get_font(face.file)
    font.set_size(face.size, face.dpi)
    font._set_transform(face.matrix(), list(phase))
    found = font._render_glyph(number, get_hinting_flag(), RenderMode.NORMAL)
    return np.array(found.buffer), found.left, found.top


class Agg(RendererAgg):
    """Draws pixels."""

    def __init__(self, width: float, height: float, dpi: float) -> None:
        super().__init__(width, height, dpi)
        self._text2path = _OUTLINES

    def get_text_width_height_descent(
        self, s: str, prop: FontProperties, ismath: Any
    ) -> tuple[float, float, float]:
        """Measure a line, pixels."""
        if ismath:
            sizes: tuple[float, float, float] = super().get_text_width_height_descent(
                s, prop, ismath
            )
            return sizes
        return _measured(s, prop, self.dpi)

    def draw_text(  # noqa: PLR0913  # matplotlib's own signature
        self,
        gc: Any,
        x: float,
        y: float,
        s: str,
        prop: FontProperties,
        angle: float,
        ismath: Any = False,  # noqa: FBT002
        mtext: Any = None,
    ) -> None:
        """Draw a line of text without a halo; those with one are outlines."""
        if ismath or not gc.get_antialiased() or not _plain(mtext):
            super().draw_text(gc, x, y, s, prop, angle, ismath, mtext)
            return
        cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        size, bottom = prop.get_size_in_points(), int(self.height)
        for file, number, dx, dy in _shaped(s, prop, self.dpi):
            right = round(_SUBPIXELS * (x + dx * cos - dy * sin))
            up = round(_SUBPIXELS * (self.height - y + dx * sin + dy * cos))
            phase = right % _SUBPIXELS, up % _SUBPIXELS
            grey, left, top = _bitmap(_Face(file, size, self.dpi, angle), number, phase)
            self._renderer.draw_text_image(
                grey,
                left + right // _SUBPIXELS,
                bottom - top - up // _SUBPIXELS + len(grey),
                0,
                gc,
            )


def _plain(mtext: Any) -> bool:
    return mtext is None or not (mtext.get_fontfeatures() or mtext.get_language())


class Line(Text):
    """A line of text that starts at its place, on the baseline: there is nothing to lay out.

    Anything else is drawn as any text.
    """

    _placed = False

    def draw(self, renderer: Any) -> None:
        """Draw it."""
        self._placed = (
            "\n" not in self.get_text()
            and self.get_horizontalalignment() == "left"
            and self.get_verticalalignment() == "baseline"
            and self.get_rotation() == 0
            and not self.get_wrap()
            and self.get_bbox_patch() is None
        )
        try:
            super().draw(renderer)
        finally:
            self._placed = False

    def _get_layout(self, renderer: Any) -> Any:
        if self._placed:
            return None, [(self.get_text(), None, (0.0, 0.0))], None
        usual: Any = super()
        return usual._get_layout(renderer)


def write(figure: Figure, x: float, y: float, text: str, **look: Any) -> Line:
    """Set a line of text on a page, as `Figure.text` does."""
    line = Line(x, y, text, **look)
    line.set_figure(figure)
    figure.texts.append(line)
    return line


class Canvas(FigureCanvasAgg):
    """A figure's canvas that draws with `Agg`."""

    def get_renderer(self) -> RendererAgg:
        """The renderer of the figure's size, the same one as long as that stays."""
        width, height = self.get_width_height(physical=True)
        key = width, height, self.figure.dpi
        if self._lastKey != key:
            self.renderer, self._lastKey = Agg(*key), key
        renderer: RendererAgg = self.renderer
        return renderer


# Outlines and SVG ---------------------------------------------------------------------------


class _Outlines(TextToPath):
    """Outlines of text, each line shaped and each glyph traced once."""

    def get_text_width_height_descent(
        self, s: str, prop: FontProperties, ismath: Any
    ) -> tuple[float, float, float]:
        """Measure a line without hinting, points."""
        if ismath:
            sizes: tuple[float, float, float] = super().get_text_width_height_descent(
                s, prop, ismath
            )
            return sizes
        scale = prop.get_size_in_points() / self.FONT_SCALE
        width, height, descent = _extent(s, prop)
        return width * scale, height * scale, descent * scale

    def get_text_path(
        self,
        prop: FontProperties,
        s: str,
        ismath: Any = False,  # noqa: FBT002
        *,
        features: Any = None,
        language: Any = None,
    ) -> Any:
        """Vertices and codes of the outline of a line."""
        if ismath or features or language:
            return super().get_text_path(prop, s, ismath, features=features, language=language)
        return _outline(s, prop)


_OUTLINES = _Outlines()


@lru_cache(maxsize=8192)
def _extent(text: str, prop: FontProperties) -> tuple[float, float, float]:
    """Width, height and descent at the size of outlines."""
    font = _opened(prop, TextToPath.FONT_SCALE, TextToPath.DPI)
    font.set_text(text, 0.0, flags=LoadFlags.NO_HINTING)
    width, height = font.get_width_height()
    return width / _SUBPIXELS, height / _SUBPIXELS, font.get_descent() / _SUBPIXELS


class _Traced(NamedTuple):
    """A line as glyphs: name and place of each, and the outline behind each name."""

    places: list[tuple[str, float, float]]
    outlines: dict[str, tuple[npt.NDArray[np.float64], npt.NDArray[Any]]]

    @property
    def uses(self) -> str:
        """The glyphs as elements of an SVG."""
        return "".join(
            f'<use xlink:href="#{name}"{_attribute(_generate_transform([("translate", (x, y))]))}/>'
            for name, x, y in self.places
        )


def _attribute(transform: str) -> str:
    return f' transform="{transform}"' if transform else ""


@lru_cache(maxsize=4096)
def _traced(text: str, prop: FontProperties) -> _Traced:
    font = _opened(prop, TextToPath.FONT_SCALE, TextToPath.DPI)
    namer: Any = _OUTLINES
    places, outlines = [], {}
    for item in _text_helpers.layout(text, font):
        name = namer._get_glyph_repr(item.ft_object, item.glyph_index)
        places.append((name, item.x, item.y))
        if name not in outlines:
            outlines[name] = item.ft_object.get_path()
    return _Traced(places, outlines)


@lru_cache(maxsize=4096)
def _uses(text: str, prop: FontProperties) -> str:
    return _traced(text, prop).uses


@lru_cache(maxsize=4096)
def _outline(text: str, prop: FontProperties) -> tuple[npt.NDArray[np.float64], npt.NDArray[Any]]:
    places, outlines = _traced(text, prop)
    if not places:
        return np.empty((0, 2)), np.empty(0, dtype=Path.code_type)
    vertices = [outlines[name][0] + [x, y] for name, x, y in places]
    return np.concatenate(vertices), np.concatenate([outlines[name][1] for name, *_ in places])


def outlines() -> TextToPath:
    """What measures and traces text for outlines."""
    return _OUTLINES


class _Svg(RendererSVG):
    """Writes SVG with no more digits than can be seen."""

    def __init__(self, width: float, height: float, stream: IO[str], **options: Any) -> None:
        super().__init__(width, height, stream, **options)
        self._text2path = _OUTLINES
        self._stream = stream

    def _draw_text_as_path(  # noqa: PLR0913  # matplotlib's own signature
        self,
        gc: Any,
        x: float,
        y: float,
        s: str,
        prop: FontProperties,
        angle: float,
        ismath: Any,
        mtext: Any = None,
    ) -> None:
        colour = rgb2hex(gc.get_rgb())
        alpha = gc.get_alpha() if gc.get_forced_alpha() else gc.get_rgb()[3]
        if ismath or not _plain(mtext) or alpha != 1:
            super()._draw_text_as_path(gc, x, y, s, prop, angle, ismath, mtext)
            return
        scale = prop.get_size_in_points() / TextToPath.FONT_SCALE
        place = [("translate", (x, y)), ("rotate", (-angle,)), ("scale", (scale, -scale))]
        writer: Any = self.writer
        writer.comment(s)
        look = {} if colour == "#000000" else {"fill": colour}
        writer.start("g", style=_generate_css(look), transform=_generate_transform(place))
        known = _traced(s, prop).outlines
        self._update_glyph_map_defs({k: v for k, v in known.items() if k not in self._glyph_map})
        writer._XMLWriter__flush()  # what is written next stands inside the group
        self._stream.write(_uses(s, prop) + "\n")
        writer.end("g")

    def _convert_path(  # matplotlib's own signature
        self,
        path: Path,
        transform: Any = None,
        clip: Any = None,
        simplify: bool | None = None,  # noqa: FBT001
        sketch: Any = None,
    ) -> str:
        box = (0.0, 0.0, self.width, self.height) if clip else None
        converter: Any = agg_paths
        after = False  # whether a command stands behind its numbers
        data: bytes = converter.convert_to_string(
            path, transform, box, simplify, sketch, _SVG_DIGITS, _COMMANDS, after
        )
        return data.decode("ascii")


def write_svg(figure: Figure, stream: IO[bytes], metadata: dict[str, Any]) -> None:
    """Write a figure as SVG.

    Parameters
    ----------
    figure
        The figure; nothing of it may ask to be rasterised.
    stream
        Where to.
    metadata
        As `Figure.savefig` takes it.
    """
    dpi = figure.dpi
    try:
        figure.dpi = 72
        width, height = figure.get_size_inches() * 72
        text = io.StringIO()
        renderer = _Svg(width, height, text, image_dpi=dpi, metadata=metadata)
        figure.draw(renderer)
        renderer.finalize()
        stream.write(text.getvalue().encode())
    finally:
        figure.dpi = dpi
