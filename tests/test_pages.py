import nbformat
import pytest
from bs4 import BeautifulSoup

from helpers import pages
from helpers.pages import Page

EVIL = "<script>alert(1)</script>"


@pytest.fixture
def page() -> Page:
    return Page(
        name="briefing",
        title=f"Toretsk grew {EVIL}",
        description="d",
        caveat="Reconstruction",
        attribution="A",
        licence="L",
        command="frontline report 2025-01-08",
        links=[{"href": "index.html", "text": EVIL, "current": True}],
        downloads=["data/a.csv"],
        notebook="notebooks/briefing.ipynb",
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
    assert '<div class="code">' in html
    assert 'aria-current="page"' in html


def test_a_figure_becomes_a_picture_with_both_renditions(page):
    picture = {
        "name": "map",
        "alt": 'Alt "text"',
        "caption": "Caption",
        "files": [{"href": "figures/map-wide.svg", "text": "SVG"}],
        "wide": {"uri": "data:image/png;base64,AA", "width": 1200, "height": 900},
        "phone": {"uri": "data:image/png;base64,BB", "width": 780, "height": 1100},
    }
    output = display({"image/png": "AA", "text/plain": "x"}, {"frontline": {"figure": "map"}})
    html = pages.render(notebook(output), page, {"map": picture})
    shown = BeautifulSoup(html, "html.parser").select_one("figure#figure-map")
    assert shown.source["srcset"] == "data:image/png;base64,BB"
    assert shown.img["src"] == "data:image/png;base64,AA"
    assert shown.img["alt"] == 'Alt "text"'
    assert shown.select_one("figcaption a")["href"] == "figures/map-wide.svg"


def test_a_picture_without_description_is_left_out_and_said(page):
    html = pages.render(notebook(display({"image/png": "AA"})), page, {})
    assert "carries no description" in html
    assert "data:image/png" not in html
