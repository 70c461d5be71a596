"""Panels: where things lie in them, what is cut off, what lies above what."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from helpers.figures import pixels
from helpers.panels import Panel
from helpers.typesetting import Canvas

WHITE, RED, BLUE, GREY = (255, 255, 255), (255, 0, 0), (0, 0, 255), (128, 128, 128)


@pytest.fixture
def page():
    figure = Figure(figsize=(2, 1), dpi=100, facecolor="white")
    Canvas(figure)
    return figure


def box(colour, bounds=(0, 0, 10, 10), **look):
    x0, y0, x1, y1 = bounds
    return Rectangle((x0, y0), x1 - x0, y1 - y0, facecolor=colour, linewidth=0, **look)


def at(figure, x, y):
    """Colour of a pixel, counted from the lower left corner."""
    return tuple(map(int, pixels(figure)[-1 - y, x]))


def test_coordinates_are_those_of_the_panel(page):
    panel = Panel(page, (0.5, 0.2, 0.4, 0.6), (0, -5, 20, 5), facecolor="#808080")
    page.add_artist(panel)
    corners = panel.data.transform([(0, -5), (20, 5), (10, 0)])
    assert corners == pytest.approx(np.array([[100, 20], [180, 80], [140, 50]]))
    panel.add(box("red", (10, 0, 20, 5)))
    assert [at(page, *xy) for xy in ((99, 50), (101, 50), (141, 51), (179, 79), (181, 50))] == [
        WHITE, GREY, RED, RED, WHITE,
    ]  # fmt: skip
    panel.move((0, 0, 0.4, 0.6))
    assert [at(page, *xy) for xy in ((41, 31), (79, 59), (39, 29), (141, 51))] == [
        RED, RED, GREY, WHITE,
    ]  # fmt: skip


def test_what_lies_outside_is_cut_off_unless_it_is_not_to_be(page):
    panel = Panel(page, (0.25, 0.25, 0.5, 0.5), (0, 0, 10, 10))
    page.add_artist(panel)
    panel.add(box("red", (-50, -50, 50, 50)))
    panel.add(Line2D([-2], [5], marker="s", markersize=6, color="blue", clip_on=False))
    assert at(page, 55, 50) == at(page, 145, 50) == RED
    assert at(page, 45, 50) == at(page, 155, 50) == at(page, 100, 20) == WHITE
    assert at(page, 30, 50) == BLUE


def test_the_higher_lies_above_and_of_two_the_later(page):
    panel = Panel(page, (0, 0, 1, 1), (0, 0, 10, 10))
    page.add_artist(panel)
    panel.add(box("blue", zorder=3))
    panel.add(box("red", zorder=2))
    assert at(page, 50, 50) == BLUE
    panel.add(box("red", zorder=3))
    assert at(page, 50, 50) == RED


def test_a_panel_may_stand_on_a_panel(page):
    below = Panel(page, (0.5, 0, 0.5, 1), (0, 0, 10, 10), facecolor="#808080")
    above = Panel(page, (0.5, 0.5, 0.5, 0.5), (0, 0, 1, 1), inside=below.shares, facecolor="red")
    page.add_artist(below)
    below.add(above)
    assert [at(page, *xy) for xy in ((140, 40), (160, 60), (199, 99))] == [GREY, RED, RED]
    below.move((0, 0, 0.5, 1))
    assert [at(page, *xy) for xy in ((40, 40), (60, 60), (160, 60))] == [GREY, RED, WHITE]
    assert [type(each) for each in page.findobj(Panel)] == [Panel, Panel]
