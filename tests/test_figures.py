"""Figures as files: the same bytes everywhere, exact colours, a description beside them."""

import base64
import copy
import dataclasses
import hashlib
import io
import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shapely
from matplotlib.patches import Rectangle
from PIL import Image

from helpers import figures, plates, style
from helpers.errors import ParameterError
from helpers.figures import FigureSet, _to_palette, render
from helpers.maps import sector_map
from helpers.style import COLOURS, new_figure, set_height, source_line
from mapcases import BASE, CASES, places, words

CASE = CASES["both"]
# A user's settings that would spoil every figure.
HOSTILE = """
figure.dpi: 40
savefig.dpi: 31
savefig.bbox: tight
font.family: DejaVu Serif
font.size: 30
text.usetex: False
text.antialiased: False
lines.linewidth: 9
patch.linewidth: 7
axes.facecolor: red
figure.facecolor: yellow
svg.hashsalt: other
svg.fonttype: none
path.sketch: 2, 30, 2
hatch.linewidth: 5
"""
SCRIPT = """
import hashlib, sys
sys.path.insert(0, {tests!r})
from test_figures import sector
made = sector()
for theme in made.png:
    for data in (made.png[theme], made.svg[theme]):
        print(hashlib.sha256(data).hexdigest())
"""


def sector():
    return render(
        lambda theme: sector_map(
            CASE, base=BASE, places=places(CASE), text=words(CASE), theme=theme
        ),
        name="map-midtown",
        alt="Map of Midtown.",
        caption="Midtown & surroundings.",
    )


def plain(theme):
    figure = new_figure(theme)
    set_height(figure, theme, 1 + source_line(figure, theme, ["Source: nobody."]))
    return figure


@pytest.fixture(scope="module")
def figure():
    return sector()


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONHASHSEED": "1", "TZ": "Pacific/Auckland", "LC_ALL": "C"},
        {"PYTHONHASHSEED": "2", "TZ": "America/Los_Angeles", "MATPLOTLIBRC": "hostile"},
    ],
    ids=["elsewhere", "hostile-matplotlibrc"],
)
def test_the_same_bytes_in_every_process(figure, environment, tmp_path):
    (tmp_path / "matplotlibrc").write_text(HOSTILE)
    if "MATPLOTLIBRC" in environment:
        environment = environment | {"MATPLOTLIBRC": str(tmp_path / "matplotlibrc")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(tests=str(Path(__file__).parent))],
        env=os.environ | environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    here = [
        hashlib.sha256(data).hexdigest()
        for theme in figure.png
        for data in (figure.png[theme], figure.svg[theme])
    ]
    assert done.stdout.split() == here


def test_the_same_bytes_again(figure):
    again = sector()
    assert again.png == figure.png
    assert again.svg == figure.svg


def test_the_pixels_of_a_figure_go_with_it():
    drawn = []

    def draw(theme):
        drawn.append(plain(theme))
        return drawn[-1]

    made = render(draw, name="plain", alt="A plain figure")
    assert [figure.canvas.renderer for figure in drawn] == [None, None]
    for figure in drawn:
        figure.canvas.draw()
        assert np.asarray(figure.canvas.buffer_rgba()).any()
    assert made.png["wide"] != made.png["phone"]


def test_a_figure_that_is_there_is_not_drawn_again(tmp_path):
    drawn = []

    def square(theme):
        drawn.append(theme.name)
        page = new_figure(theme)
        set_height(page, theme, 1 + source_line(page, theme, ["Source: made up"]))
        return page

    def made(made_of="a", kept=tmp_path):
        drawn.clear()
        return render(square, name="square", alt="A square", made_of=made_of, kept=kept)

    first = made()
    assert drawn == ["wide", "phone"]
    first.save(tmp_path)
    assert made() == first
    assert drawn == []
    for other in ({"made_of": "b"}, {"made_of": ""}, {"kept": None}, {"kept": tmp_path / "none"}):
        again = made(**other)
        assert (drawn, again.png) == (["wide", "phone"], first.png)
    # What is not whole is drawn again.
    for name in ("square-wide.png", "square-phone.svg", "square.json"):
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[:-9])
        assert (made(), drawn) == (first, ["wide", "phone"])
        (tmp_path / name).unlink()
        assert (made(), drawn) == (first, ["wide", "phone"])
        (tmp_path / name).write_bytes(whole)
    assert (made(), drawn) == (first, [])


def test_what_a_map_is_made_of(tmp_path, monkeypatch):
    moved = pd.DataFrame({"id": ["1", "2"], "change": ["came under", "left"]})
    ground = shapely.box(37, 48, 38, 49)
    told = [
        plates._digest(CASE, moved, [frozenset("ab")], ground),
        plates._digest(CASE, moved, [frozenset("ab")], None),
        plates._digest(CASE, moved, [frozenset("ac")], ground),
        plates._digest(CASE, moved.assign(change="left"), [frozenset("ab")], ground),
        plates._digest(CASES["gain"], moved, [frozenset("ab")], ground),
        plates._digest(
            dataclasses.replace(CASE, gained=shapely.buffer(CASE.gained, 1e-9)),
            moved,
            [frozenset("ab")],
            ground,
        ),
    ]
    assert len(set(told)) == len(told)
    again = plates._digest(
        copy.deepcopy(CASE), moved.copy(), [frozenset("ba")], shapely.box(37, 48, 38, 49)
    )
    assert again == told[0]
    monkeypatch.setattr(plates.provenance, "helpers_digest", lambda: "other code")
    assert plates._digest(CASE, moved, [frozenset("ab")], ground) not in told


def test_sizes_and_weights(figure):
    assert {theme: size[0] for theme, size in figure.size.items()} == {"wide": 1200, "phone": 780}
    for theme, data in figure.png.items():
        image = Image.open(io.BytesIO(data))
        assert image.mode == "P"
        assert image.size == figure.size[theme]
        # Nothing tells when or by what it was made.
        assert image.info.keys() <= {"dpi"}
        assert len(data) < 150_000
        assert len(figure.svg[theme]) < 700_000


def test_theme_colours_are_exact(figure):
    image = Image.open(io.BytesIO(figure.png["wide"])).convert("RGB")
    counts = Counter(f"#{r:02X}{g:02X}{b:02X}" for r, g, b in image.get_flattened_data())
    for role in ("paper", "held", "gained", "lost", "land", "text"):
        assert counts[COLOURS[role]] > 100, role


def test_palette_keeps_rare_theme_colours():
    # A thousand greys, and four pixels of the theme's ochre.
    rng = np.random.default_rng(1)
    pixels = np.repeat(rng.integers(0, 256, (100, 100, 1), dtype=np.uint8), 3, axis=2)
    pixels[..., 2] = rng.integers(0, 8, (100, 100))
    ochre = [int(COLOURS["claimed"][i : i + 2], 16) for i in (1, 3, 5)]
    pixels[0, :4] = ochre
    # Much of what is hardly to be told from it.
    pixels[1:20] = np.add(ochre, 2)
    indices, palette = _to_palette(pixels)
    assert palette.shape == (figures._PALETTE, 3)
    assert indices.shape == (100, 100)
    assert (palette[indices[0, :4]] == ochre).all()
    # The others go to something near.
    assert np.abs(palette[indices].astype(int) - pixels).max() < 24


def off(reduced, pixels):
    """How far the pixels of a picture are moved: the most, and the root of the mean square."""
    indices, palette = reduced
    moved = np.abs(palette[indices].astype(int) - pixels).max(axis=2)
    return moved.max(), np.sqrt((moved**2.0).mean())


@pytest.mark.parametrize("case", CASES)
def test_few_well_chosen_colours_are_nearer_than_many_frequent_ones(case, monkeypatch):
    change = CASES[case]
    with style.style():
        page = sector_map(
            change, base=BASE, places=places(change), text=words(change), theme=style.PHONE
        )
        pixels = figures.pixels(page)
    well = off(_to_palette(pixels), pixels)
    assert well[0] <= 40
    assert well[1] < 1.5
    monkeypatch.setattr(figures, "_PALETTE", 4 * figures._PALETTE)
    monkeypatch.setattr(figures, "_FREQUENT", figures._PALETTE)
    often = off(_to_palette(pixels), pixels)
    assert well[0] < 0.8 * often[0]


def test_a_given_palette_is_used():
    pixels = np.random.default_rng(2).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    palette = np.array([[0, 0, 0], [255, 255, 255], [200, 30, 40]], dtype=np.uint8)
    picture = figures.image(pixels, palette)
    away = ((pixels[:, :, None].astype(int) - palette) ** 2).sum(axis=3)
    assert (np.asarray(picture) == away.argmin(axis=2)).all()
    assert picture.getpalette()[:9] == palette.ravel().tolist()


def test_palette_of_few_colours_is_lossless():
    pixels = np.zeros((5, 7, 3), np.uint8)
    pixels[2] = 255
    pixels[3, 3] = (1, 2, 3)
    indices, palette = _to_palette(pixels)
    assert len(palette) == 3
    assert (palette[indices] == pixels).all()


def test_a_photograph_keeps_its_colours():
    pixels = np.random.default_rng(1).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    assert _to_palette(pixels) is None

    def pictured(theme):
        figure = plain(theme)
        figure.add_axes((0.1, 0.3, 0.8, 0.6)).imshow(pixels)
        return figure

    made = render(pictured, name="picture", alt="Noise.")
    assert Image.open(io.BytesIO(made.png["wide"])).mode == "RGB"


def test_svg_is_sound(figure):
    for data in figure.svg.values():
        root = ET.fromstring(data)
        ids = [element.get("id") for element in root.iter() if element.get("id")]
        assert len(ids) == len(set(ids))
        roles = {name.split(".")[0] for name in ids}
        assert {"held", "gained", "lost", "line_now", "line_then", "place", "place-label"} <= roles
        assert {"title", "source", "number", "scale", "north", "locator", "key"} <= roles
        assert b"Map of Midtown." in data
        assert b"<dc:date>" not in data


def test_notebooks_show_it(figure):
    data, metadata = figure._repr_mimebundle_(include=None, exclude=None)
    assert base64.b64decode(data["image/png"]) == figure.png["wide"]
    assert data["text/plain"] == "<Figure map-midtown: Map of Midtown.>"
    assert metadata["image/png"] == {"width": 900, "alt": "Map of Midtown."}
    assert metadata["frontline"] == {"figure": "map-midtown"}


def test_saved_files_are_described(figure, tmp_path):
    written = figure.save(tmp_path / "figures")
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == sorted(
        path.name for path in written
    )
    assert [path.name for path in written] == [
        "map-midtown-wide.png",
        "map-midtown-wide.svg",
        "map-midtown-phone.png",
        "map-midtown-phone.svg",
        "map-midtown.json",
    ]
    record = json.loads(written[-1].read_text())
    assert (record["alt"], record["caption"]) == ("Map of Midtown.", "Midtown & surroundings.")
    for theme, rendition in record["renditions"].items():
        assert (rendition["width"], rendition["height"]) == figure.size[theme]
        for kind in ("png", "svg"):
            data = (tmp_path / "figures" / f"map-midtown-{theme}.{kind}").read_bytes()
            assert hashlib.sha256(data).hexdigest() == rendition[f"{kind}_sha256"]


def test_names_that_are_no_names():
    for name in ("", "Map", "../map", "map_1", "map--1", "-map", "map.png"):
        with pytest.raises(ParameterError, match="cannot name a figure"):
            render(plain, name=name, alt="Something.")


def test_a_figure_needs_alternative_text():
    with pytest.raises(ParameterError, match="no alternative text"):
        render(plain, name="plain", alt=" ")


def test_a_figure_needs_a_source():
    def silent(theme):
        figure = new_figure(theme)
        source_line(figure, theme, [])
        return figure

    with pytest.raises(ParameterError, match="names no source"):
        render(silent, name="silent", alt="Something.")
    assert isinstance(render(plain, name="plain", alt="Something."), FigureSet)


def test_shared_roles_get_their_own_ids():
    def twice(theme):
        figure = plain(theme)
        for x in (0.2, 0.4):
            figure.add_artist(Rectangle((x, 0.5), 0.1, 0.1, gid="bar"))
        return figure

    svg = render(twice, name="bars", alt="Two bars.").svg["wide"]
    assert svg.count(b'id="bar.1"') == svg.count(b'id="bar.2"') == 1
    assert b'id="bar"' not in svg
