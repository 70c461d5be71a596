"""Canvases that shape a word and trace a glyph once, however often they are measured and drawn.

Shaping, hinting and outlines of text are most of what a figure costs in matplotlib: each word is
shaped when it is measured, again when it is drawn, at every size, and all of that for each file.
Here a word is shaped once for each font, at the size of outlines; lines are words set side by side,
and pixels and SVG are drawn from the same outlines, without hinting. What differs from matplotlib's
own renderers is a shade of grey along the edges (tests/test_typesetting.py compares them); lines
with mathematics, OpenType features, a language or a direction of their own are left to these.
"""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib import _path as agg_paths
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.backends.backend_svg import RendererSVG, _generate_css, _generate_transform
from matplotlib.colors import rgb2hex
from matplotlib.figure import Figure
from matplotlib.font_manager import FontPath, FontProperties, fontManager, get_font
from matplotlib.ft2font import LoadFlags
from matplotlib.path import Path
from matplotlib.text import Text, TextToPath

# Digits after the point in the paths of an SVG: a hundredth of a point is a fiftieth of a pixel.
_SVG_DIGITS = 2
_COMMANDS = [b"M", b"L", b"Q", b"C", b"z"]
# FreeType gives an unhinted advance in 65536ths of a pixel.
_ONE = 0x10000
_RIGHT_TO_LEFT = frozenset({"R", "AL", "AN"})

_Curve = tuple[npt.NDArray[np.float64], npt.NDArray[Any]]


# Words --------------------------------------------------------------------------------------


class _Word(NamedTuple):
    """A shaped word: name and place of each glyph, advance, and the box of its ink.

    The box is left, bottom, right, top; all are pixels at the size of outlines.
    """

    glyphs: tuple[tuple[str, float, float], ...]
    advance: float
    box: tuple[float, ...]


# The outline behind each name. An open font must not outlive a fork, so none is kept.
_CURVES: dict[str, _Curve] = {}
_NO_INK = (np.inf, np.inf, -np.inf, -np.inf)


@lru_cache(maxsize=256)
def _files(prop: FontProperties) -> tuple[FontPath, ...]:
    manager: Any = fontManager
    return tuple(manager._find_fonts_by_props(prop))


@lru_cache(maxsize=16384)
def _word(text: str, files: tuple[FontPath, ...]) -> _Word:
    font: Any = get_font(files)
    font.clear()
    font.set_size(TextToPath.FONT_SCALE, TextToPath.DPI)
    namer: Any = _OUTLINES
    glyphs, inks, advance = [], [np.empty((0, 2))], 0.0
    for item in font._layout(text, LoadFlags.NO_HINTING):
        name = namer._get_glyph_repr(item.ft_object, item.glyph_index)
        loaded = item.ft_object.load_glyph(item.glyph_index, flags=LoadFlags.NO_HINTING)
        if name not in _CURVES:
            _CURVES[name] = item.ft_object.get_path()
        vertices, codes = _CURVES[name]
        inks.append(vertices[codes != Path.CLOSEPOLY] + [item.x, item.y])
        glyphs.append((name, item.x, item.y))
        advance = max(advance, item.x + loaded.linearHoriAdvance / _ONE)
    ink = np.concatenate(inks)
    box = (*ink.min(axis=0).tolist(), *ink.max(axis=0).tolist()) if len(ink) else _NO_INK
    return _Word(tuple(glyphs), advance, box)


def _words(text: str, prop: FontProperties) -> Iterator[tuple[_Word, float]]:
    """The words of a line, each with its distance from the start of the line."""
    files = _files(prop)
    if any(unicodedata.bidirectional(letter) in _RIGHT_TO_LEFT for letter in text):
        yield _word(text, files), 0.0
        return
    space = _word(" ", files).advance
    x = 0.0
    for part in text.split(" "):
        word = _word(part, files)
        yield word, x
        x += word.advance + space


@lru_cache(maxsize=8192)
def _extent(text: str, prop: FontProperties) -> tuple[float, float, float]:
    """Width with the spaces around it, height and descent of a line."""
    words = list(_words(text, prop))
    boxes = np.array([np.add(word.box, (x, 0, x, 0)) for word, x in words])
    left, bottom = boxes[:, :2].min(axis=0).tolist()
    right, top = boxes[:, 2:].max(axis=0).tolist()
    last, x = words[-1]
    width = max(right, x + last.advance) - min(left, 0.0)
    return (width, top - bottom, -bottom) if right > left else (width, 0.0, 0.0)


@lru_cache(maxsize=4096)
def _glyphs(text: str, prop: FontProperties) -> list[tuple[str, float, float]]:
    """Name and place of each glyph of a line."""
    return [(name, x + dx, dy) for word, x in _words(text, prop) for name, dx, dy in word.glyphs]


@lru_cache(maxsize=4096)
def _outline(text: str, prop: FontProperties) -> _Curve:
    glyphs = _glyphs(text, prop)
    if not glyphs:
        return np.empty((0, 2)), np.empty(0, dtype=Path.code_type)
    curves = [_CURVES[name] for name, *_ in glyphs]
    places = np.repeat([place for _, *place in glyphs], [len(codes) for _, codes in curves], axis=0)
    vertices = np.concatenate([vertices for vertices, _ in curves])
    return vertices + places, np.concatenate([codes for _, codes in curves])


def _plain(mtext: Any) -> bool:
    return mtext is None or not (mtext.get_fontfeatures() or mtext.get_language())


class _Outlines(TextToPath):
    """Measures and traces lines of text."""

    def get_text_width_height_descent(
        self, s: str, prop: FontProperties, ismath: Any
    ) -> tuple[float, float, float]:
        """Measure a line, points."""
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


def outlines() -> TextToPath:
    """What measures and traces text for outlines."""
    return _OUTLINES


# Pixels -------------------------------------------------------------------------------------


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
        width, height, descent = _OUTLINES.get_text_width_height_descent(s, prop, ismath)
        scale = self.dpi / 72
        return width * scale, height * scale, descent * scale

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
        """Draw a line of text."""
        if ismath or not gc.get_antialiased() or not _plain(mtext):
            super().draw_text(gc, x, y, s, prop, angle, ismath, mtext)
        else:
            ours: Any = self
            ours._draw_text_as_path(gc, x, y, s, prop, angle, ismath, mtext)


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


# SVG ----------------------------------------------------------------------------------------


def _attribute(transform: str) -> str:
    return f' transform="{transform}"' if transform else ""


@lru_cache(maxsize=4096)
def _uses(text: str, prop: FontProperties) -> str:
    """The glyphs of a line as elements of an SVG."""
    return "".join(
        f'<use xlink:href="#{name}"{_attribute(_generate_transform([("translate", (x, y))]))}/>'
        for name, x, y in _glyphs(text, prop)
    )


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
        names = dict.fromkeys(name for name, *_ in _glyphs(s, prop))
        self._update_glyph_map_defs({n: _CURVES[n] for n in names if n not in self._glyph_map})
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
