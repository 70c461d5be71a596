import base64
import io
from dataclasses import replace

import jinja2
import nbformat
import numpy as np
import pytest
from bs4 import BeautifulSoup
from PIL import Image

from helpers import pages
from helpers.pages import Page

EVIL = "<script>alert(1)</script>"


@pytest.fixture
def page() -> Page:
    return Page(
        name="briefing",
        title=f"Toretsk grew {EVIL}",
        description="d",
        dateline="8 January 2025",
        caveat="Reconstruction",
        attribution="A",
        licence="L",
        positional_error="1.5 km",
        command="frontline report 2025-01-08",
        folder="2025-01-08",
        links=[{"href": "index.html", "text": EVIL, "current": True}],
        downloads=["data/a.csv"],
        notebook="notebooks/briefing.ipynb",
        inputs=[{"path": EVIL, "assessed_day": "2025-01-08", "sha256": "ab"}],
    )


def notebook(*outputs, markdown=f"## A section {EVIL}\n\nText"):
    v4 = nbformat.v4
    code = v4.new_code_cell("x = 1", execution_count=1, outputs=list(outputs))
    return v4.new_notebook(
        cells=[
            v4.new_markdown_cell("# What changed?\n\nHow to run"),
            v4.new_markdown_cell(markdown),
            code,
        ]
    )


def display(data, metadata=None):
    return nbformat.v4.new_output("display_data", data=data, metadata=metadata or {})


def test_page_has_no_script_and_no_other_host(page):
    outputs = [
        display({"text/html": f"<table><tr><td>{EVIL}<img src=http://x/y></td></tr></table>"}),
        display({"text/markdown": f"**bold** {EVIL} ![i](http://x/z.png)"}),
        display({"text/plain": EVIL}),
        nbformat.v4.new_output("stream", name="stdout", text=EVIL),
    ]
    html = pages.render(notebook(*outputs), page, {})
    assert "<script" not in html
    assert "<td>alert(1)</td>" in html
    assert "default-src 'none'" in html
    assert "src=http" not in html
    assert "<strong>bold</strong>" in html


def test_title_question_contents_and_code_are_there(page):
    html = pages.render(notebook(), page, {})
    assert '<p class="kicker">What changed?</p>' in html
    assert html.count("<h1") == 1
    assert 'href="#a-section-scriptalert-1-script"' in html
    assert 'id="a-section-scriptalert-1-script"' in html
    read = BeautifulSoup(html, "html.parser")
    code = read.select_one("details#report-code pre#code-1")
    assert code.get_text() == "x = 1"
    assert "How to run" in read.select_one("details#report-code").get_text()
    assert 'aria-current="page"' in html


def test_what_is_prepared_need_not_be_compiled_for_the_first_page(page, monkeypatch):
    for kept in (pages._exporter, pages.prepare):
        kept.cache_clear()
    pages.prepare()
    monkeypatch.setattr(jinja2.Environment, "compile", None)
    table = "<table><tr><td>1</td></tr></table>"
    assert "<td>1</td>" in pages.render(notebook(display({"text/html": table})), page, {})


def test_a_figure_becomes_a_picture_with_both_renditions(page):
    picture = {
        "name": "map",
        "alt": 'Alt "text"',
        "caption": "Caption",
        "files": [{"href": "figures/map-wide.svg", "text": "SVG"}],
        "data": ["data/map.csv"],
        "wide": {"uri": "data:image/png;base64,AA", "width": 1200, "height": 900},
        "phone": {"uri": "data:image/png;base64,BB", "width": 780, "height": 1100},
    }
    output = display({"image/png": "AA", "text/plain": "x"}, {"frontline": {"figure": "map"}})
    # Code that is linked from a figure is the code of the cell that shows it.
    html = pages.render(notebook(output), page, {"map": picture})
    read = BeautifulSoup(html, "html.parser")
    shown = read.select_one("figure#figure-map")
    assert shown.source["srcset"] == "data:image/png;base64,BB"
    assert shown.img["src"] == "data:image/png;base64,AA"
    assert shown.img["alt"] == 'Alt "text"'
    links = [link["href"] for link in shown.select(".files a")]
    assert links == ["figures/map-wide.svg", "data/map.csv", "#code-1"]
    assert read.select_one(links[-1]).get_text() == "x = 1"


def test_a_picture_without_description_is_left_out_and_said(page):
    html = pages.render(notebook(display({"image/png": "AA"})), page, {})
    assert "carries no description" in html
    assert "data:image/png" not in html


def test_a_figure_is_inlined_as_it_is(tmp_path):
    image = Image.new("P", (100, 201))
    image.putpalette([part for n in range(200) for part in (n, n, n)])
    image.putdata([n % 200 for n in range(100 * 201)])
    image.save(tmp_path / "a.png")
    uri = pages._data_uri(tmp_path / "a.png")
    assert uri.startswith("data:image/png;base64,")
    assert base64.b64decode(uri.split(",")[1]) == (tmp_path / "a.png").read_bytes()


def test_a_picture_under_a_map_is_inlined_lighter(tmp_path):
    rng = np.random.default_rng(1)
    coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
    coarse.resize((800, 600), Image.Resampling.BICUBIC).save(tmp_path / "a.png")
    uri = pages._data_uri(tmp_path / "a.png")
    assert uri.startswith("data:image/webp;base64,")
    data = base64.b64decode(uri.split(",")[1])
    assert len(data) < (tmp_path / "a.png").stat().st_size / 5
    with Image.open(io.BytesIO(data)) as shown, Image.open(tmp_path / "a.png") as image:
        assert shown.size == image.size
        away = np.asarray(shown.convert("RGB")).astype(int) - np.asarray(image)
    assert np.sqrt((away**2).mean()) < 5


def test_data_behind_a_figure():
    known = ["data/change-kursk.csv", "data/measures.csv", "data/claims.csv"]
    assert pages._behind("sector-map-kursk", known) == ["data/change-kursk.csv"]
    assert pages._behind("advance-weeks", known) == ["data/measures.csv"]
    assert pages._behind("claims", known) == ["data/claims.csv"]
    assert pages._behind("claims", []) == []


def test_an_archive_fills_a_page_and_empties_it_again(page):
    made = pages.render(notebook(), page, {}).encode()
    filled = pages.fill(made, {"dates": "<nav>before</nav>", "head": "<link rel=x>"})
    assert filled != made
    assert filled.count(b"<nav>before</nav>") == 1
    assert pages.fill(filled, {"dates": "other"}).count(b"before") == 0
    assert pages.fill(filled, {}) == made


def test_text_from_data_cannot_fake_a_place_of_the_archive(page):
    fake = "<!--archive:dates--> x <!--/archive-->"
    made = pages.render(notebook(markdown=fake), replace(page, title=fake), {}).encode()
    assert pages.fill(made, {"dates": "FILLED"}).count(b"FILLED") == 1
