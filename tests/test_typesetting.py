"""Words that are shaped once look as matplotlib's own renderers draw them."""

import io
import os
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.textpath import TextToPath

from helpers import typesetting
from helpers.style import font, halo, style

LINES = {
    "plain": {"s": "Велика Новосілка, “Kurakhove” – 1,886 km² ±"},
    "spaces": {"s": "  between   words "},
    "kerned": {"s": "AVATAR Toretsk fi ffl"},
    "turned": {"s": "Siverskyi Donets", "rotation": 37.5},
    "upright": {"s": "Seim", "rotation": 90},
    "haloed": {"s": "Pokrovsk", "path_effects": halo(3.0)},
    "missing glyph": {"s": "中 and ⟨"},
    "fallback": {"s": "a ≥ b ♜"},
    "see-through": {"s": "grey", "alpha": 0.3},
    "several lines": {"s": "one\ntwo\n\nthree", "ha": "center", "va": "top"},
    "mathematics": {"s": r"$\sqrt{2}^x$"},
    "right to left": {"s": "one שתיים שלוש"},
    "features": {"s": "0123 fi", "fontfeatures": ["tnum", "-liga"]},
    "not smooth": {"s": "hard edges", "antialiased": False},
    "empty": {"s": " "},
}


# What is left to matplotlib, to the last pixel.
LEFT = {"features", "not smooth", "empty"}


def figure(settings, size=10.3):
    made = Figure(figsize=(4, 2), dpi=143)
    for number, role in enumerate(("label", "title")):
        made.text(0.117, 0.31 + number / 3, fontproperties=font(role, size), **settings)
    return made


def drawn(canvas, settings):
    with style():
        made = canvas(figure(settings))
        made.draw()
        return np.array(made.buffer_rgba())


def assert_alike(mine, theirs):
    """The same ink within a quarter of a pixel: what is black here is not white there."""
    mine, theirs = (255 - picture[..., :3].min(axis=2).astype(int) for picture in (mine, theirs))
    assert np.abs(mine - theirs).max(initial=0) < 140
    assert abs(mine.sum() - theirs.sum()) <= 0.02 * theirs.sum()
    for axis in (0, 1):
        ours, usual = (np.flatnonzero(ink.max(axis=axis) > 128) for ink in (mine, theirs))
        assert ours.size == usual.size == 0 or np.abs(ours[[0, -1]] - usual[[0, -1]]).max() <= 1


def test_what_is_not_alike_is_found():
    picture = drawn(FigureCanvasAgg, LINES["plain"])
    for other in (np.roll(picture, 1, axis=1), np.roll(picture, 1, axis=0), picture | 64):
        with pytest.raises(AssertionError):
            assert_alike(other, picture)


@pytest.mark.filterwarnings("ignore:Glyph .* missing from font")
@pytest.mark.parametrize("name", LINES)
def test_the_pixels_are_those_of_matplotlib(name):
    usual = drawn(FigureCanvasAgg, LINES[name])
    first, again = (drawn(typesetting.Canvas, LINES[name]) for _ in range(2))
    assert_alike(first, usual)
    np.testing.assert_array_equal(again, first)  # shaped, and remembered
    if name in LEFT:
        np.testing.assert_array_equal(first, usual)
    ink = (usual != usual[0, 0]).any()
    assert ink == bool(LINES[name]["s"].strip())


LAID_OUT = {
    "boxed": {"s": "no data", "bbox": {"facecolor": "silver", "pad": 2}},
    "right": {"s": "right", "ha": "right"},
    "above": {"s": "above", "va": "top"},
    "unseen": {"s": "unseen", "visible": False},
    "nothing": {"s": ""},
    "wrapped": {"s": "so many words that they would run off the page " * 3, "wrap": True},
}


@pytest.mark.filterwarnings("ignore:Glyph .* missing from font")
@pytest.mark.parametrize("settings", (LINES | LAID_OUT).values(), ids=LINES | LAID_OUT)
def test_a_line_is_drawn_as_any_text(settings):
    with style():
        pictures = []
        for kind in (Text, typesetting.Line):
            page = Figure(figsize=(4, 2), dpi=143)
            look = {"fontproperties": font("label", 10.3)} | settings
            written = kind(0.117, 0.53, look.pop("s"), transform=page.transFigure, **look)
            page.add_artist(written)
            typesetting.Canvas(page).draw()
            pictures.append(np.array(page.canvas.buffer_rgba()))
            extent = written.get_window_extent().bounds
            svg = io.BytesIO()
            typesetting.write_svg(page, svg, {"Date": None})
            pictures.append(np.frombuffer(svg.getvalue(), dtype=np.uint8))
            pictures.append(np.array(extent))
    for mine, theirs in zip(pictures[:3], pictures[3:], strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("turn", [0, 20])
def test_a_halo_is_a_stroke_under_the_letters(turn):
    with style():
        pictures, files = [], []
        for kind, look in (
            (Text, {"path_effects": halo(3.0, "#FF8800")}),
            (typesetting.Line, {"halo": (3.0, "#FF8800")}),
        ):
            page = Figure(figsize=(4, 2), dpi=143)
            page.add_artist(
                kind(0.1, 0.4, "Časiv Jar", font=font("label", 17), color="navy", rotation=turn)
            ).set(transform=page.transFigure, **look)
            typesetting.Canvas(page).draw()
            pictures.append(np.array(page.canvas.buffer_rgba()))
            files.append(io.BytesIO())
            typesetting.write_svg(page, files[-1], {"Date": None})
    for channel in range(3):  # orange and navy each show in one of them
        mine, theirs = (picture[..., [channel] * 3] for picture in pictures)
        assert_alike(mine, theirs)
    if turn:
        return
    under, over = re.findall(
        r'<g style="([^"]*)" transform="([^"]*)">(.*?)</g>', files[1].getvalue().decode(), re.S
    )
    assert "fill: none; stroke: #ff8800" in under[0]
    assert over[0] == "fill: #000080"
    assert under[1] == over[1]
    scale = float(re.search(r"scale\(([\d.]+)", under[1])[1])
    assert float(under[0].split()[-1]) * scale / 64 == pytest.approx(3.0, abs=0.01)
    glyphs = [re.findall("<use.*?/>", text) for *_, text in (under, over)]
    assert glyphs[0] == glyphs[1]
    assert len(glyphs[0]) == len("ČasivJar")


def test_what_was_drawn_before_does_not_matter():
    """Fonts are shared and have a size and a turn of their own: nothing of them is left over."""
    sizes = [(LINES["turned"], 17.0), (LINES["plain"], 6.5), (LINES["features"], 9.0)]
    known = {}
    with style():
        for turn in range(3):
            for remembered in (typesetting._word, typesetting._glyphs, typesetting._outline):
                remembered.cache_clear()
            typesetting._GLYPHS.clear()
            typesetting._defined.cache_clear()
            for number, (settings, size) in enumerate(sizes):
                for canvas in (FigureCanvasAgg, typesetting.Canvas)[:: 1 if turn else -1]:
                    made = canvas(figure(settings, size))
                    made.draw()
                    picture = np.array(made.buffer_rgba())
                    first = known.setdefault((number, canvas), picture)
                    np.testing.assert_array_equal(picture, first)


@pytest.mark.parametrize("text", ["Toretsk", "a ≥ b", "", "AV To", "(km²) – 1.5", "  a  "])
def test_lines_are_measured_and_traced_as_matplotlib_does(text):
    with style():
        prop = font("label", 9.7)
        ours, usual = typesetting.outlines(), TextToPath()
        for _ in range(2):
            np.testing.assert_allclose(
                ours.get_text_width_height_descent(text, prop, False),
                usual.get_text_width_height_descent(text, prop, False),
                atol=0.02,
            )
            mine, theirs = ours.get_text_path(prop, text), usual.get_text_path(prop, text)
            np.testing.assert_array_equal(mine[1], theirs[1])
            np.testing.assert_allclose(mine[0], theirs[0], atol=0.15)  # of 100 a line of type


def numbers(svg):
    return [float(n) for n in re.findall(r"-?\d+(?:\.\d+)?", svg)]


@pytest.mark.filterwarnings("ignore:Glyph .* missing from font")
@pytest.mark.parametrize("settings", LINES.values(), ids=LINES)
def test_an_svg_is_that_of_matplotlib_with_fewer_digits(settings):
    with style():
        made = figure(settings)
        typesetting.Canvas(made)
        usual, ours = io.BytesIO(), io.BytesIO()
        metadata = {"Date": None, "Description": "what is to be seen"}
        made.savefig(usual, format="svg", metadata=metadata)
        typesetting.write_svg(made, ours, metadata)
        assert made.dpi == 143
    paths, known = (
        [element.get("d") for element in ElementTree.fromstring(text).iter() if element.get("d")]
        for text in (ours.getvalue(), usual.getvalue())
    )
    assert len(paths) == len(known)
    for mine, theirs in zip(paths, known, strict=True):
        assert re.sub(r"-?\d+(\.\d+)?", "", mine) == re.sub(r"-?\d+(\.\d+)?", "", theirs)
        np.testing.assert_allclose(numbers(mine), numbers(theirs), atol=0.0051)
        assert not re.search(r"\.\d{3}", mine)
    for mine, theirs in zip(elements(ours.getvalue()), elements(usual.getvalue()), strict=True):
        assert re.sub(r"-?\d+(\.\d+)?", "", str(mine)) == re.sub(r"-?\d+(\.\d+)?", "", str(theirs))
        np.testing.assert_allclose(numbers(str(mine)), numbers(str(theirs)), rtol=1e-3)


def elements(svg):
    """Everything but outlines, the random names of clip paths, and glyphs without ink."""
    found = list(ElementTree.fromstring(svg).iter())
    paths = [e for e in found if e.tag.endswith("path") and not e.get("d")]
    empty = {f"#{path.get('id')}" for path in paths}
    return [
        (e.tag, {k: v for k, v in e.attrib.items() if k not in ("d", "id")}, (e.text or "").strip())
        for e in found
        if e not in paths
        and not (e.tag.endswith("use") and empty & set(e.attrib.values()))
        # A line of spaces alone has none.
        and not e.tag.endswith("defs")
    ]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
@pytest.mark.filterwarnings("ignore:This process.*multi-threaded:DeprecationWarning")
def test_what_was_remembered_before_a_fork_is_right_after_it():
    """Processes that share an open font take each other's place in its file."""
    before = drawn(typesetting.Canvas, LINES["plain"])
    children = []
    for number in range(4):
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                for turn in range(5):
                    text = {"s": f"{turn} Torske {number} qwxyz & Žöß {turn * number}"}
                    assert_alike(drawn(typesetting.Canvas, text), drawn(FigureCanvasAgg, text))
                assert np.array_equal(drawn(typesetting.Canvas, LINES["plain"]), before)
                status = 0
            finally:
                os._exit(status)
        children.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 4


def test_a_figure_that_cannot_be_written_keeps_its_resolution():
    class Full(io.BytesIO):
        def write(self, _):
            raise OSError("no space")

    with style(), pytest.raises(OSError, match="no space"):
        made = figure(LINES["plain"])
        typesetting.write_svg(made, Full(), {"Date": None})
    assert made.dpi == 143


def test_lines_of_one_look_share_nothing_that_can_be_changed():
    look = {"fontproperties": font("label", 9), "color": "#123456", "zorder": 4.25, "gid": "a"}
    plain = typesetting.set_line(0, 0, "one", **look)  # the first of its look, in no style
    assert not plain.get_parse_math()
    plain.set_fontsize(20)
    plain.set(text="two", color="#000000", zorder=1)
    other = typesetting.set_line(1, 2, "three", **look)
    assert (other.get_fontsize(), other.get_color(), other.get_zorder()) == (9, "#123456", 4.25)
    assert (plain.get_text(), other.get_text(), other.get_position()) == ("two", "three", (1, 2))
