"""Palette, fonts and measured text: what every figure stands on."""

import itertools
import subprocess
import sys
from pathlib import Path

import fontpkg_fira_sans
import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import font_manager

from helpers import charts, style
from helpers.errors import WorkspaceError
from helpers.style import COLOURS, PHONE, THEMES, WIDE

NBSP = "\N{NO-BREAK SPACE}"

# Machado, Oliveira and Fernandes (2009), severity 1.0, for linear RGB.
COLOUR_BLIND = {
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def linear(colour):
    value = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def contrast(a, b):
    """Contrast ratio of WCAG 2.1."""
    lights = sorted(float(linear(COLOURS[c]) @ (0.2126, 0.7152, 0.0722)) for c in (a, b))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def lab(rgb):
    """CIE 1976 L*a*b* under D65, from linear RGB."""
    matrix = [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
    xyz = np.array(matrix) @ np.clip(rgb, 0, 1) / (0.95047, 1.0, 1.08883)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def distance(a, b, matrix):
    return float(
        np.hypot.reduce(lab(matrix @ linear(COLOURS[a])) - lab(matrix @ linear(COLOURS[b])))
    )


@pytest.mark.parametrize(
    ("text", "grounds"),
    [
        ("text", ["paper", "held", "land", "land_abroad", "ukrainian_held", "locator_abroad"]),
        ("subtle", ["paper", "held", "land", "land_abroad", "ukrainian_held", "locator_abroad"]),
        ("gained_text", ["paper", "held", "land", "land_abroad", "ukrainian_held"]),
        ("lost_text", ["paper", "held", "land", "land_abroad", "ukrainian_held"]),
        ("paper", ["gained"]),
        ("accent", ["paper"]),
        ("only_a_text", ["paper", "agreed", "land"]),
        ("only_b_text", ["paper", "agreed", "land"]),
        ("paper", ["only_a"]),
    ],
)
def test_texts_stand_out(text, grounds):
    for ground in grounds:
        assert contrast(text, ground) >= (4.7 if text == "subtle" else 4.5), ground


@pytest.mark.parametrize("kind", [None, *COLOUR_BLIND])
def test_areas_differ_for_all_eyes(kind):
    matrix = np.array(COLOUR_BLIND[kind]) if kind else np.eye(3)
    for a, b in itertools.combinations(("held", "gained", "lost", "ukrainian_held", "land"), 2):
        assert distance(a, b, matrix) > 8, (a, b)
    # What changed differs most of all from what did not, and gain from loss.
    for change, other in itertools.product(("gained", "lost"), ("held", "land", "ukrainian_held")):
        assert distance(change, other, matrix) > 30, (change, other)
    assert distance("gained", "lost", matrix) > 60
    for one, other in itertools.combinations(("agreed", "only_a", "only_b", "land"), 2):
        assert distance(one, other, matrix) > (30 if "only" in one + other else 5), (one, other)


def test_gain_and_loss_need_more_than_colour():
    # The reason for the hatch: in greyscale they are one tone.
    lights = [lab(linear(COLOURS[role]))[0] for role in ("gained", "lost")]
    assert abs(lights[0] - lights[1]) < 5


def test_fonts_are_the_packages():
    with style.style():
        for role in ("title", "text", "strong", "label", "label_medium", "label_strong", "italic"):
            found = Path(font_manager.findfont(style.font(role, 10)))
            assert found.parent.parent.name.startswith("fontpkg_fira_sans")


def test_fonts_have_ukrainian():
    face = font_manager.get_font(fontpkg_fira_sans.ROOT / "files" / "FiraSans-Regular.ttf")
    assert all(face.get_char_index(ord(letter)) for letter in "АҐЄІЇЩЮЯґєії’²°±−")


def test_a_missing_font_is_an_error():
    code = (
        "from helpers import style; from pathlib import Path\n"
        "style._FACES = ((Path('/nowhere'), ('FiraSans-Regular',)),)\n"
        "with style.style(): pass"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "WorkspaceError: Font file /nowhere/files/FiraSans-Regular.ttf is not there" in (
        done.stderr
    )


def test_a_foreign_font_is_an_error():
    # Only one face is there, so another font would stand in for the others.
    code = (
        "from helpers import style\n"
        "style._FACES = ((style._FACES[0][0], ('FiraSans-Regular',)),)\n"
        "with style.style(): pass"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "WorkspaceError: The font" in done.stderr
    assert issubclass(WorkspaceError, ValueError)


def test_style_comes_and_goes():
    before = dict(mpl.rcParams)
    with mpl.rc_context({"lines.linewidth": 17, "text.usetex": True}):
        with style.style():
            assert mpl.rcParams["lines.linewidth"] == 1.5
            assert mpl.rcParams["text.usetex"] is False
            assert mpl.rcParams["svg.hashsalt"]
        assert mpl.rcParams["lines.linewidth"] == 17
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("theme", THEMES.values(), ids=lambda theme: theme.name)
def test_smallest_type_is_legible(theme):
    css = min(theme.small, theme.foot, theme.key, theme.label) * theme.dpi / 72
    assert css * theme.css_px / theme.width_px >= 8.5


def test_renditions():
    assert (WIDE.width_px, PHONE.width_px) == (1200, 780)
    assert THEMES == {"wide": WIDE, "phone": PHONE}


WORDS = st.lists(
    st.text("abcdefghijABCD0123456789²" + NBSP, min_size=1, max_size=14), min_size=1, max_size=40
)


@given(words=WORDS, theme=st.sampled_from([WIDE, PHONE]))
def test_wrapping_keeps_every_word(words, theme):
    text = " ".join(words)
    with style.style():
        lines = style.wrap(text, "text", theme.sub, theme)
        widths = [style.measure(line, "text", theme.sub, theme.dpi)[0] for line in lines]
    assert " ".join(lines) == text
    assert max(widths) <= theme.body_in


def test_wrapping_balances_and_keeps_units():
    text = f"The area held in view went from 1,626 to 1,864{NBSP}km² in 31{NBSP}days, said the map"
    with style.style():
        lines = style.wrap(text, "title", WIDE.title, WIDE)
        widths = [style.measure(line, "title", WIDE.title, WIDE.dpi)[0] for line in lines]
    assert len(lines) == 2
    assert min(widths) > 0.8 * max(widths)
    assert not any(line.startswith(("km²", "days")) for line in lines)


def test_page_blocks_report_where_they_end():
    with style.style():
        figure = style.new_figure(WIDE)
        top = style.title_block(figure, WIDE, "A title", "A sentence below it.")
        bottom = style.source_line(figure, WIDE, ["A caveat.", "Source: somebody."])
        style.set_height(figure, WIDE, top + 2 + bottom)
        boxes = {text.get_gid(): box for text, box in style.text_extents(figure)}
    width, height = figure.get_size_inches() * WIDE.dpi
    assert (width, height) == (1200, np.ceil(WIDE.dpi * (top + 2 + bottom)))
    assert boxes["title"][1] > boxes["subtitle"][3] > boxes["subtitle"][1]
    assert boxes["subtitle"][1] >= height - top * WIDE.dpi
    assert boxes["source"][3] < boxes["note"][3] <= bottom * WIDE.dpi
    assert min(box[1] for box in boxes.values()) > 0


def test_an_empty_title_takes_no_room():
    with style.style():
        figure = style.new_figure(PHONE)
        assert style.title_block(figure, PHONE, "", "") < style.title_block(
            figure, PHONE, "A title", ""
        )


@pytest.mark.parametrize("role", style._FAMILIES)
def test_a_line_is_as_high_as_its_font_says(role):
    with style.style():
        face = font_manager.get_font(font_manager.findfont(style.font(role, 10)))
    table, em = face.get_sfnt_table("OS/2"), face.get_sfnt_table("head")["unitsPerEm"]
    assert style.ascent_in(10) == pytest.approx(table["sTypoAscender"] / em * 10 / 72)
    assert (table["sTypoAscender"] - table["sTypoDescender"]) / em == charts._FONT_LINE_EM
