"""Canvases that shape a word and trace a glyph once, however often they are measured and drawn.

Shaping, hinting and outlines of text are most of what a figure costs in matplotlib: each word is
shaped when it is measured, again when it is drawn, at every size, and all of that for each file.
Here a word is shaped once for each font, at the size of outlines; lines are words set side by side,
and pixels and SVG are drawn from the same outlines, without hinting. What differs from matplotlib's
own renderers is a shade of grey along the edges (tests/test_typesetting.py compares them); lines
with mathematics, OpenType features, a language or a direction of their own are left to these.
"""

from __future__ import annotations

import copy
import io
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib import _path as agg_paths
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.backends.backend_svg import RendererSVG, _generate_transform
from matplotlib.colors import rgb2hex, to_rgb, to_rgba
from matplotlib.figure import Figure
from matplotlib.font_manager import FontPath, FontProperties, fontManager, get_font
from matplotlib.ft2font import LoadFlags
from matplotlib.path import Path
from matplotlib.patheffects import withStroke
from matplotlib.text import Text, TextToPath
from matplotlib.transforms import Affine2D, Transform

# Digits after the point in the paths of an SVG: a hundredth of a point is a fiftieth of a pixel.
_SVG_DIGITS = 2
_COMMANDS = [b"M", b"L", b"Q", b"C", b"z"]
# FreeType gives an unhinted advance in 65536ths of a pixel, and an outline in 64ths.
_ONE = 0x10000
_UNITS = 64
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


class _Glyph(NamedTuple):
    """What is drawn of a glyph, how far it moves what follows, and the box of its ink."""

    curve: _Curve
    advance: float
    box: tuple[float, ...]


# The glyph behind each name. An open font must not outlive a fork, so none is kept.
_GLYPHS: dict[str, _Glyph] = {}
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
    glyphs, advance = [], 0.0
    left, bottom, right, top = _NO_INK
    for item in font._layout(text, LoadFlags.NO_HINTING):
        name = namer._get_glyph_repr(item.ft_object, item.glyph_index)
        if name not in _GLYPHS:
            _GLYPHS[name] = _glyph(item.ft_object, item.glyph_index)
        _, step, box = _GLYPHS[name]
        x, y = item.x, item.y
        glyphs.append((name, x, y))
        left, bottom = min(left, x + box[0]), min(bottom, y + box[1])
        right, top = max(right, x + box[2]), max(top, y + box[3])
        advance = max(advance, x + step)
    return _Word(tuple(glyphs), advance, (left, bottom, right, top))


def _glyph(face: Any, index: int) -> _Glyph:
    loaded = face.load_glyph(index, flags=LoadFlags.NO_HINTING)
    vertices, codes = face.get_path()
    ink = vertices[codes != Path.CLOSEPOLY]
    box = (*ink.min(axis=0).tolist(), *ink.max(axis=0).tolist()) if len(ink) else _NO_INK
    return _Glyph((vertices, codes), loaded.linearHoriAdvance / _ONE, box)


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


def _size(text: str, prop: FontProperties, em: float) -> tuple[float, float, float]:
    """Width, height and descent of a line in the unit in which its type has this size."""
    width, height, descent = (length * em / TextToPath.FONT_SCALE for length in _extent(text, prop))
    return width, height, descent


@lru_cache(maxsize=4096)
def _glyphs(text: str, prop: FontProperties) -> list[tuple[str, float, float]]:
    """Name and place of each glyph of a line."""
    return [(name, x + dx, dy) for word, x in _words(text, prop) for name, dx, dy in word.glyphs]


@lru_cache(maxsize=4096)
def _outline(text: str, prop: FontProperties) -> Path:
    glyphs = _glyphs(text, prop)
    if not glyphs:
        return Path(np.empty((0, 2)), np.empty(0, dtype=Path.code_type))
    curves = [_GLYPHS[name].curve for name, *_ in glyphs]
    places = np.repeat([place for _, *place in glyphs], [len(codes) for _, codes in curves], axis=0)
    vertices = np.concatenate([vertices for vertices, _ in curves])
    return Path(vertices + places, np.concatenate([codes for _, codes in curves]))


def _plain(mtext: Any) -> bool:
    return mtext is None or not (mtext.get_fontfeatures() or mtext.get_language())


class _Outlines(TextToPath):
    """Measures and traces lines of text."""

    def get_text_width_height_descent(
        self, s: str, prop: FontProperties, ismath: Any
    ) -> tuple[float, float, float]:
        """Measure a line, points."""
        if not ismath:
            return _size(s, prop, prop.get_size_in_points())
        sizes: tuple[float, float, float] = super().get_text_width_height_descent(s, prop, ismath)
        return sizes

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
        outline = _outline(s, prop)
        return outline.vertices, outline.codes


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
        if not ismath:
            return _size(s, prop, self.points_to_pixels(prop.get_size_in_points()))
        sizes: tuple[float, float, float] = super().get_text_width_height_descent(s, prop, ismath)
        return sizes

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

    def draw_line_of_text(self, line: Line, x: float, y: float) -> None:
        """Draw a line that starts at a place, pixels from the lower left corner."""
        prop, gc = line.get_fontproperties(), self.new_gc()
        scale = self.points_to_pixels(prop.get_size_in_points()) / TextToPath.FONT_SCALE
        transform = Affine2D.from_values(scale, 0, 0, scale, x, y)
        outline = _outline(line.get_text(), prop)
        if line.halo:
            width, colour = line.halo
            gc.set_linewidth(width)
            gc.set_foreground(colour)
            self.draw_path(gc, outline, transform)
        gc.set_linewidth(0.0)
        self.draw_path(gc, outline, transform, to_rgb(line.get_color()))


class Line(Text):
    """A line of text that starts at its place, on the baseline: there is nothing to lay out.

    Anything else is drawn as any text.

    Attributes
    ----------
    halo
        Width in points and colour of a stroke under the letters, or None.
    """

    halo: tuple[float, str] | None = None

    def set_halo(self, halo: tuple[float, str] | None) -> None:
        """Set the line off from what lies under it."""
        self.halo = halo
        effects: list[Any] = [withStroke(linewidth=halo[0], foreground=halo[1])] if halo else []
        self.set_path_effects(effects)

    def draw(self, renderer: Any) -> None:
        """Draw it."""
        if not self.get_visible() or not self.get_text():
            return
        if not (isinstance(renderer, Agg | _Svg) and self._is_plain()):
            super().draw(renderer)
            return
        renderer.open_group("text", self.get_gid())
        x, y = self.get_transform().transform(self.get_position())
        renderer.draw_line_of_text(self, x, y)
        renderer.close_group("text")
        self.stale = False

    def _is_plain(self) -> bool:
        return (
            self.get_horizontalalignment() == "left"
            and self.get_verticalalignment() == "baseline"
            and self.get_rotation() == 0
            and "\n" not in self.get_text()
            and _plain(self)
            and bool(self.halo) == bool(self.get_path_effects())
            and to_rgba(self.get_color(), self.get_alpha())[3] == 1
            and not self._takes_more()
        )

    def _takes_more(self) -> bool:
        usual: Any = self
        return bool(
            usual._preprocess_math(self.get_text())[1]
            or self.get_wrap()
            or self.get_bbox_patch()
            or self.get_url()
            or not self.get_antialiased()
            or (self.get_clip_on() and (self.clipbox or self.get_clip_path()))
        )


@lru_cache(maxsize=256)
def _blank(**look: Any) -> Line:
    # These two would be taken from the settings in force when the first line of its kind is set.
    return Line(0, 0, "", parse_math=False, antialiased=True, **look)


def set_line(
    x: float, y: float, text: str, *, gid: str, transform: Transform | None = None, **look: Any
) -> Line:
    """Make a line as a copy of an empty one of its look, which is several times as quick.

    Parameters
    ----------
    x, y
        Where it starts, in the coordinates of the transform.
    text, gid
        What it says, and its role.
    transform
        None for that of the panel that it will stand in.
    **look
        Other properties of a `Line`, the colour among them; all must be hashable.

    Returns
    -------
    Line
        In no figure yet.
    """
    line = copy.copy(_blank(**look))
    line.set_fontproperties(line.get_fontproperties())  # a copy of its own
    line.set_position((x, y))
    line.set_text(text)
    line.set_gid(gid)
    if transform is not None:
        line.set_transform(transform)
    return line


def write(figure: Figure, x: float, y: float, text: str, **look: Any) -> Line:
    """Set a line of text on a page, as `Figure.text` does; see `set_line`."""
    line = set_line(x, y, text, **look)
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

    def forget(self) -> None:
        """Give the pixels back, which a figure holds until somebody looks for garbage."""
        self.renderer = self._lastKey = None


# SVG ----------------------------------------------------------------------------------------


def _path_data(path: Path, *how: Any) -> str:
    converter: Any = agg_paths
    after = False  # whether a command stands behind its numbers
    data: bytes = converter.convert_to_string(path, *how, _SVG_DIGITS, _COMMANDS, after)
    return data.decode("ascii")


@lru_cache(maxsize=4096)
def _defined(name: str) -> str:
    """A glyph as an element of an SVG."""
    vertices, codes = _GLYPHS[name].curve
    data = _path_data(Path(vertices * _UNITS, codes), None, None, False, None)  # noqa: FBT003
    return f'<path id="{name}" d="{data}" transform="scale({1 / _UNITS})"/>\n'


def _attribute(transform: str) -> str:
    return f' transform="{transform}"' if transform else ""


@lru_cache(maxsize=4096)
def _uses(text: str, prop: FontProperties) -> str:
    """The glyphs of a line as elements of an SVG."""
    return "".join(
        f'<use xlink:href="#{name}"{_attribute(_generate_transform([("translate", (x, y))]))}/>'
        for name, x, y in _glyphs(text, prop)
    )


def _fill(colour: Any) -> str:
    return f"fill: {rgb2hex(colour)}"


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
        alpha = gc.get_alpha() if gc.get_forced_alpha() else gc.get_rgb()[3]
        if ismath or not _plain(mtext) or alpha != 1:
            super()._draw_text_as_path(gc, x, y, s, prop, angle, ismath, mtext)
            return
        place = [("translate", (x, y)), ("rotate", (-angle,))]
        self._write(s, prop, place, [_fill(gc.get_rgb())])

    def draw_line_of_text(self, line: Line, x: float, y: float) -> None:
        """Write a line that starts at a place, points from the lower left corner."""
        prop, styles = line.get_fontproperties(), [_fill(line.get_color())]
        if line.halo:
            width, colour = line.halo
            # In the units of the glyph that is stroked.
            width *= _UNITS * TextToPath.FONT_SCALE / prop.get_size_in_points()
            styles.insert(0, f"fill: none; stroke: {rgb2hex(colour)}; stroke-width: {width:.1f}")
        self._write(line.get_text(), prop, [("translate", (x, self.height - y))], styles)

    def _write(
        self,
        text: str,
        prop: FontProperties,
        place: Sequence[tuple[str, tuple[float, ...]]],
        styles: Sequence[str],
    ) -> None:
        """Write the glyphs of a line, once in each style."""
        scale = prop.get_size_in_points() / TextToPath.FONT_SCALE
        where = _generate_transform([*place, ("scale", (scale, -scale))])
        self.writer.comment(text)
        for style in styles:
            self._stream.write(f'<g style="{style}" transform="{where}">\n')
            self._define(name for name, *_ in _glyphs(text, prop))
            self._stream.write(f"{_uses(text, prop)}\n</g>\n")

    def _define(self, names: Iterable[str]) -> None:
        new = [name for name in dict.fromkeys(names) if name not in self._glyph_map]
        if new:
            self._stream.write("<defs>\n" + "".join(map(_defined, new)) + "</defs>\n")
            self._glyph_map.update((name, _GLYPHS[name].curve) for name in new)

    def _convert_path(  # matplotlib's own signature
        self,
        path: Path,
        transform: Any = None,
        clip: Any = None,
        simplify: bool | None = None,  # noqa: FBT001
        sketch: Any = None,
    ) -> str:
        box = (0.0, 0.0, self.width, self.height) if clip else None
        return _path_data(path, transform, box, simplify, sketch)


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
