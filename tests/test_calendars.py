import pandas as pd
import pytest
from matplotlib.patches import Rectangle

from helpers import calendars, findings, plates, sources, style
from helpers.inspection import STATES

DEEPSTATE = sources.get("deepstate")


def table(start, states):
    days = pd.date_range(start, periods=len(states)).astype("datetime64[s]")
    return pd.DataFrame({"day": days, "state": states})


def drawn(days, theme=style.WIDE):
    text = findings.days_text(
        DEEPSTATE, dict.fromkeys(STATES, 1), days["day"].min(), days["day"].max()
    )
    months = findings.texts()["calendar"]["short"]
    with style.style():
        return calendars.draw(
            days, text=text, labels=findings.state_labels(), months=months, theme=theme
        )


@pytest.mark.parametrize("theme", style.THEMES.values(), ids=style.THEMES)
def test_a_cell_a_day_and_one_a_state_in_the_key(theme):
    days = table("2024-12-30", ["new map", "no update", "quarantined", "no map"])
    figure = drawn(days, theme)
    cells = [a for a in figure.artists if isinstance(a, Rectangle) and a.get_facecolor()[3]]
    bar = 1  # above the headline
    assert len(cells) == len(days) + len(STATES) + bar
    words = {text.get_text() for text in figure.texts}
    assert {"Dec 2024", "Jan 2025", "quarantined", "same as the map before"} <= words
    for text, (left, bottom, right, top) in style.text_extents(figure):
        assert 0 <= left < right <= theme.width_px, text
        assert 0 <= bottom < top <= figure.bbox.height, text


def test_months_without_a_map_are_one_line():
    days = table("2022-09-01", ["new map"] + ["no map"] * 120 + ["new map"])
    words = [text.get_text() for text in drawn(days).texts]
    assert "… Oct 2022 – Nov 2022" in words
    assert "Oct 2022" not in words


def test_the_headline_counts_what_is_quarantined():
    days = table("2025-01-01", ["new map", "quarantined", "new map", "no map"])
    figure = plates.calendar(DEEPSTATE, days)
    assert (
        figure.caption
        == "DeepState: 2\N{NO-BREAK SPACE}maps in 4\N{NO-BREAK SPACE}days, 1 quarantined"
    )
    assert figure.name == "snapshots-deepstate"


def test_a_date_centuries_off_does_not_make_a_calendar_of_centuries():
    days = pd.concat([table("2025-01-01", ["new map"]), table("2202-02-02", ["quarantined"])])
    figure = plates.calendar(DEEPSTATE, days.reset_index(drop=True))
    assert "1 quarantined" in figure.caption


def test_what_could_not_be_used_is_said():
    day = pd.Timestamp("2025-01-05").date()
    assert findings.not_used({}, day, day) == [
        "Every map from 5\N{NO-BREAK SPACE}January 2025 to 5\N{NO-BREAK SPACE}January 2025 "
        "could be used."
    ]
    (said,) = findings.not_used({day: "held ground fell"}, day, day)
    assert said == "5\N{NO-BREAK SPACE}January 2025: not used. held ground fell."
