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
from matplotlib.backends.backend_svg import RendererSVG
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.ft2font import FT2Font, LoadFlags, RenderMode
from matplotlib.path import Path
from matplotlib.text import TextToPath

# Digits after the point in the paths of an SVG: a hundredth of a point is a fiftieth of a pixel.
_SVG_DIGITS = 2
_COMMANDS = [b"M", b"L", b"Q", b"C", b"z"]
# FreeType counts in 64ths of a pixel, and scales by 65536ths.
_SUBPIXELS = 64
_ONE = 0x10000

_Bitmap = tuple[npt.NDArray[np.uint8], int, int]


class _Glyph(NamedTuple):
    """A glyph of a shaped line: its font, index there, and place in pixels from the line's."""

    font: FT2Font
    glyph: int
    x: float
    y: float


# Agg ----------------------------------------------------------------------------------------


def _prepared(prop: FontProperties, dpi: float) -> FT2Font:
    font: FT2Font = RendererAgg(1, 1, dpi)._prepare_font(prop)
    return font


@lru_cache(maxsize=8192)
def _measured(text: str, prop: FontProperties, dpi: float) -> tuple[float, float, float]:
    """Width, height and descent in pixels."""
    font = _prepared(prop, dpi)
    font.set_text(text, 0.0, flags=get_hinting_flag())
    width, height = font.get_width_height()
    return (
        width / _SUBPIXELS,
        height / _SUBPIXELS,
        font.get_descent() / _SUBPIXELS,
    )


@lru_cache(maxsize=4096)
def _shaped(text: str, prop: FontProperties, dpi: float) -> tuple[_Glyph, ...]:
    items = _prepared(prop, dpi)._layout(text, flags=get_hinting_flag())
    return tuple(_Glyph(item.ft_object, item.glyph_index, item.x, item.y) for item in items)


class _Face(NamedTuple):
    """A font at a size, turned."""

    font: FT2Font
    size: float
    dpi: float
    angle: float

    def matrix(self) -> npt.NDArray[np.int_]:
        """The turn, as FreeType takes it."""
        cos, sin = math.cos(math.radians(self.angle)), math.sin(math.radians(self.angle))
        turn: npt.NDArray[np.int_] = (_ONE * np.array([[cos, -sin], [sin, cos]])).round()
        return turn.astype(int)


@lru_cache(maxsize=16384)
def _bitmap(face: _Face, index: int, phase: tuple[int, int]) -> _Bitmap:
    """Grey values of a glyph that starts so many 64ths of a pixel right of and above a pixel."""
    face.font.set_size(face.size, face.dpi)
    font: Any = face.font
    font._set_transform(face.matrix(), list(phase))
    found = font._render_glyph(index, get_hinting_flag(), RenderMode.NORMAL)
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
        for font, index, dx, dy in _shaped(s, prop, self.dpi):
            right = round(_SUBPIXELS * (x + dx * cos - dy * sin))
            up = round(_SUBPIXELS * (self.height - y + dx * sin + dy * cos))
            phase = right % _SUBPIXELS, up % _SUBPIXELS
            grey, left, top = _bitmap(_Face(font, size, self.dpi, angle), index, phase)
            self._renderer.draw_text_image(
                grey,
                left + right // _SUBPIXELS,
                bottom - top - up // _SUBPIXELS + len(grey),
                0,
                gc,
            )


def _plain(mtext: Any) -> bool:
    return mtext is None or not (mtext.get_fontfeatures() or mtext.get_language())


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

    def _get_font(self, prop: FontProperties) -> FT2Font:
        font = _found(prop)
        font.set_size(self.FONT_SCALE, self.DPI)
        return font

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
        width, height, descent = _extent(_found(prop), s)
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
        return _outline(self._get_font(prop), s)

    def get_glyphs_with_font(
        self,
        font: FT2Font,
        s: str,
        glyph_map: dict[str, Any] | None = None,
        return_new_glyphs_only: bool = False,  # noqa: FBT001, FBT002
        *,
        features: Any = None,
        language: Any = None,
    ) -> tuple[list[Any], dict[str, Any], list[Any]]:
        """Places of the glyphs of a line, and the outlines of those that are not known yet."""
        if features or language:
            return super().get_glyphs_with_font(
                font, s, glyph_map, return_new_glyphs_only, features=features, language=language
            )
        known = {} if glyph_map is None else glyph_map
        new = {} if return_new_glyphs_only else known
        places, outlines = _traced(font, s)
        new.update({name: outlines[name] for name in outlines if name not in known})
        return list(places), new, []


@lru_cache(maxsize=256)
def _found(prop: FontProperties) -> FT2Font:
    outlines: Any = TextToPath()
    found: FT2Font = outlines._get_font(prop)
    return found


@lru_cache(maxsize=8192)
def _extent(font: FT2Font, text: str) -> tuple[float, float, float]:
    """Width, height and descent at the size of outlines."""
    font.set_size(TextToPath.FONT_SCALE, TextToPath.DPI)
    font.set_text(text, 0.0, flags=LoadFlags.NO_HINTING)
    width, height = font.get_width_height()
    return width / _SUBPIXELS, height / _SUBPIXELS, font.get_descent() / _SUBPIXELS


@lru_cache(maxsize=4096)
def _traced(font: FT2Font, text: str) -> tuple[list[tuple[Any, ...]], dict[str, Any]]:
    """Glyphs of a line: name, x, y and scale of each; the outline of each name."""
    places, outlines = [], {}
    for item in _text_helpers.layout(text, font):
        name = _OUTLINES._get_glyph_repr(item.ft_object, item.glyph_index)
        places.append((name, item.x, item.y, 1.0))
        if name not in outlines:
            outlines[name] = item.ft_object.get_path()
    return places, outlines


@lru_cache(maxsize=4096)
def _outline(font: FT2Font, text: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.uint8]]:
    places, outlines = _traced(font, text)
    vertices = [outlines[name][0] + [x, y] for name, x, y, _ in places]
    codes = [outlines[name][1] for name, *_ in places]
    if not vertices:
        return np.empty((0, 2)), np.empty(0, dtype=Path.code_type)
    return np.concatenate(vertices), np.concatenate(codes)


_OUTLINES: Any = _Outlines()


def outlines() -> TextToPath:
    """What measures and traces text for outlines."""
    known: TextToPath = _OUTLINES
    return known


class _Svg(RendererSVG):
    """Writes SVG with no more digits than can be seen."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._text2path = _OUTLINES

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
