"""Claims and maps over time, and sources beside each other, as drawn."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from grounds import area, boxes
from helpers import charts, figures, plates, sources, style, timelines
from helpers.findings import ChartText
from helpers.style import THEMES
from helpers.timelines import Band

TEXT = ChartText(
    "A title that says the finding",
    "And the sentence below it.",
    ("A caveat.",),
    "Source: somebody.",
    gained="said to be held",
    lost="said not to be",
)
DAYS = pd.date_range("2024-12-01", "2025-01-08")


def band(place="Kurakhove", said=(), share=None):
    values = np.linspace(0, 1, len(DAYS)) if share is None else share
    marks = [(pd.Timestamp(day), asserts) for day, asserts in said]
    return Band(place, pd.Series(values, index=DAYS), marks)


def inside(figure, theme):
    """All texts lie on the page."""
    width, height = figure.get_size_inches() * figure.dpi
    for text in figure.texts:
        box = text.get_window_extent(figure.canvas.get_renderer())
        assert box.x0 >= 0, text.get_text()
        assert box.x1 <= width + 1, text.get_text()
        assert box.y0 >= -1, text.get_text()
        assert box.y1 <= height + 1, text.get_text()


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_a_band_a_place_and_a_mark_a_claim(theme):
    said = [("2025-01-06", "russian_held"), ("2025-01-06", "not_russian_held")]
    bands = [band(said=said), band("Toretsk", share=np.zeros(len(DAYS)))]
    with style.style():
        figure = timelines.draw(bands, text=TEXT, theme=theme)
        inside(figure, theme)
        gids = [artist.get_gid() for artist in figure.get_children()]
    assert gids.count("band") == 2
    assert gids.count("share") == 2 + 2  # the numbers beside them, too
    assert gids.count("claim") == 2 + 2  # with the two of the key
    written = [text.get_text() for text in figure.texts]
    assert "100\N{NO-BREAK SPACE}%" in written
    assert "0\N{NO-BREAK SPACE}%" in written
    assert {"Kurakhove", "Toretsk"} <= set(written)


@pytest.mark.parametrize(
    ("share", "text"), [(0.0, "0"), (0.001, "1"), (0.5, "50"), (0.9999, "99"), (1.0, "100")]
)
def test_nearly_all_is_not_all(share, text):
    assert timelines._percent(share) == text


def test_one_day_is_drawn():
    one = Band("P", pd.Series([0.4], index=DAYS[:1]), [(DAYS[0], "russian_held")])
    for theme in THEMES.values():
        with style.style():
            inside(timelines.draw([one], text=TEXT, theme=theme), theme)


def test_the_places_that_were_claimed_last_are_shown():
    rows = [
        {"sector": "s", "id": f"p{n}", "place": f"P{n}", "asserts": asserts, "status": status,
         "date": pd.Timestamp(f"2025-01-{n:02d}")}
        for n, asserts, status in (
            (1, "russian_held", "confirmed"),
            (2, "russian_held", "open"),
            (3, "russian_held", "contested"),
            (4, "not_russian_held", "contested"),
        )
    ]  # fmt: skip
    history = pd.DataFrame(
        {"day": DAYS[0], "id": ["p1", "p2", "p3", "p4"], "share": [0.1, 0.2, 0.3, 0.4]}
    )
    bands = plates.claim_bands(pd.DataFrame(rows), {"s": history}, limit=2)
    assert [b.place for b in bands] == ["P4", "P3"]
    assert bands[0].share.tolist() == [0.4]


def calendar(values, error=5.0):
    table = pd.DataFrame({"area_km2": values, "area_error_km2": error}, index=DAYS[: len(values)])
    return table.where(table["area_km2"].notna())


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_two_sources_beside_each_other(theme):
    gaps = calendar([100.0, np.nan, 140.0, 160.0])
    calendars = {"One": calendar([100.0, 120.0, 140.0, 160.0]), "Other": gaps}
    with style.style():
        figure = charts.levels(calendars, text=TEXT, marks=[date(2024, 12, 4)], theme=theme)
        inside(figure, theme)
        named = figure.findobj(lambda artist: artist.get_gid() == "annotation")
        ends = [text for text in named if text.get_text() == "160"]
        boxes_ = [t.get_window_extent(figure.canvas.get_renderer()) for t in ends]
    assert len(ends) == 2  # the same number twice, one above the other
    assert boxes_[0].y1 <= boxes_[1].y0 or boxes_[1].y1 <= boxes_[0].y0
    lines = figure.findobj(lambda artist: artist.get_gid() == "level")
    assert [len(line.get_xdata()) for line in lines] == [4, 3]


def test_a_source_without_a_map_has_no_line():
    calendars = {"One": calendar([100.0, 120.0]), "None": calendar([np.nan, np.nan])}
    with style.style():
        figure = charts.levels(calendars, text=TEXT, marks=[], theme=THEMES["wide"])
    assert len(figure.findobj(lambda artist: artist.get_gid() == "level")) == 1


def test_a_map_of_two_sources_has_colours_and_numbers_of_its_own():
    from helpers import agreement, comparisons
    from test_agreement import compare

    sector = area("square", boxes((37, 48, 37.6, 48.4)), "presence")
    found = compare(boxes((37, 48, 37.3, 48.4)), boxes((37, 48, 37.2, 48.4)), sector=sector)
    assert isinstance(found, agreement.Agreement)
    figure = plates.agreement_map(found)
    again = plates.agreement_map(found)
    assert figure.png == again.png
    svg = figure.svg["wide"].decode()
    assert style.COLOURS["only_a"].lower() in svg
    assert svg.lower().count(style.COLOURS["gained"].lower()) == 1  # the locator's mark
    assert "+" not in comparisons.agreement_text(found).title
    assert figure.name == "agreement-square-deepstate-isw"
    assert isinstance(figure, figures.FigureSet)
    assert sources.get("deepstate").publisher in figure.alt
