"""Charts: what the artists say of the numbers, and a layout that a reader can read."""

from datetime import date

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch, Rectangle

from helpers import charts, style
from helpers.findings import ChartText

THEMES = [pytest.param(theme, id=theme.name) for theme in style.THEMES.values()]
# Smallest type that is read without effort, in CSS pixels at the width the page shows.
SMALLEST_PX = 8.5
NOTE = "Assessed control, not verified on the ground. Lines can be wrong by hundreds of metres. "


def made_calendar(net, *, start="2024-10-01", level=650.0, sign=1, gaps=()) -> pd.DataFrame:
    """A calendar of net changes; the change of missing days is found on the day after them."""
    days = pd.date_range(start, periods=len(net), name="day")
    moves = pd.DataFrame({"gained_km2": np.maximum(net, 0), "lost_km2": -np.minimum(net, 0)}, days)
    moves["lost_km2"] += 0.25
    moves["gained_km2"] += 0.25
    missing = days.isin(pd.DatetimeIndex(gaps))
    found = np.cumsum(~missing[::-1])[::-1]  # every day belongs to the next that has a map
    table = moves.groupby(found).transform("sum")
    table["net_km2"] = table["gained_km2"] - table["lost_km2"]
    table["area_km2"] = (level + sign * np.cumsum(net)).astype(float)
    table["area_error_km2"] = 21.0
    table["elapsed_days"] = pd.Series(found, days).groupby(found).transform("size").astype(float)
    table.loc[missing] = np.nan
    rate = (table["net_km2"] / table["elapsed_days"]).bfill()
    table["mean7"] = rate.rolling(7, center=True, min_periods=5).mean()
    return table


def a_series(days=120, **kwargs) -> pd.DataFrame:
    rng = np.random.default_rng(7)
    return made_calendar(rng.gamma(0.4, 12, days) - rng.gamma(0.1, 5, days), **kwargs)


def some_text(**kwargs) -> ChartText:
    words = {
        "title": "Kurakhove: assessed Russian control grew by 1,501 km² in 180 days",
        "subtitle": "From 651 km² on 1 October 2024 to 2,153 km² on 30 March 2025 inside the "
        "sector: 1,515 km² newly assessed as Russian-held, 13 km² no longer so.",
        "notes": (NOTE * 3,),
        "sources": "Source: made up for this test. Licence: none.",
        "level": "Area under reconstructed Russian control or advance, km²",
        "gained": "newly under reconstructed Russian control or advance",
        "lost": "no longer so",
        "error_m": 200.0,
    }
    return ChartText(**words | kwargs)


def draw(calendar, theme=style.WIDE, marks=(), **kwargs) -> Figure:
    with style.style():
        return charts.area_chart(calendar, text=some_text(**kwargs), marks=marks, theme=theme)


def week_tables(calendars) -> dict[str, pd.DataFrame]:
    tables = {}
    for name, calendar in calendars.items():
        weeks = calendar.resample("W-SUN")
        tables[name] = weeks[["gained_km2", "lost_km2", "net_km2"]].sum(min_count=1)
        tables[name]["complete"] = weeks["area_km2"].count() == 7
    return tables


def draw_weeks(weeks, theme=style.WIDE) -> Figure:
    summaries = dict.fromkeys(weeks, "net −1,366 km², Ukrainian-held now 429 km²")
    with style.style():
        return charts.small_multiples(weeks, summaries=summaries, text=some_text(), theme=theme)


def artists(figure, gid, kind=object) -> list:
    return [a for a in figure.findobj(lambda a: a.get_gid() == gid) if isinstance(a, kind)]


def bars_of(patch) -> np.ndarray:
    """Corners of the bars of one artist, shape (n, 5, 2); the last is the first."""
    return patch.get_path().vertices.reshape(-1, 5, 2)


def bars(figure, role) -> pd.DataFrame:
    """Left, width and height of each bar, in days and in km² a day."""
    corners = [xy for patch in artists(figure, role, PathPatch) for xy in bars_of(patch)]
    return pd.DataFrame(
        {
            "left": [xy[:, 0].min() for xy in corners],
            "width": [np.ptp(xy[:, 0]) for xy in corners],
            "height": [xy[1, 1] for xy in corners],
        }
    )


def segments(values: np.ndarray) -> int:
    """Unbroken stretches of a line."""
    seen = np.r_[False, np.isfinite(values)]
    return int((seen[1:] & ~seen[:-1]).sum())


def words(figure) -> list[str]:
    return [text.get_text() for text, _ in style.text_extents(figure)]


# Numbers ------------------------------------------------------------------------------------


GAPS = ["2024-10-10", "2024-10-20", "2024-10-21", "2024-10-22"]


def test_a_gap_breaks_the_line_and_is_a_grey_stripe_as_wide_as_its_days():
    figure = draw(a_series(40, gaps=GAPS))
    (level,) = artists(figure, "level", Line2D)
    assert segments(level.get_ydata()) == 3
    stripes = sorted({(p.get_x(), p.get_width()) for p in artists(figure, "gap", Rectangle)})
    first = mpl.dates.date2num(pd.Timestamp("2024-10-10"))
    assert stripes == [(first - 0.5, 1.0), (first + 9.5, 3.0)]
    assert "no data" in words(figure)


def test_without_gaps_nothing_speaks_of_no_data():
    figure = draw(a_series(40))
    assert not artists(figure, "gap")
    assert "no data" not in words(figure)


def test_a_day_between_two_gaps_is_a_point():
    figure = draw(a_series(12, gaps=["2024-10-04", "2024-10-06"]))
    points = {x for line in artists(figure, "level_point", Line2D) for x in line.get_xdata()}
    assert mpl.dates.date2num(pd.Timestamp("2024-10-05")) in points


def test_a_bar_is_as_wide_as_the_days_it_covers_and_its_area_is_the_change():
    calendar = a_series(40, gaps=GAPS)
    figure = draw(calendar)
    for role in ("gained", "lost"):
        table = bars(figure, role)
        assert sorted(set(table["width"])) == [1.0, 2.0, 4.0]
        sign = 1 if role == "gained" else -1
        assert (sign * table["height"] > 0).all()
        total = sign * (table["width"] * table["height"]).sum()
        assert total == pytest.approx(calendar[f"{role}_km2"].sum(), abs=1e-9)
    wide = bars(figure, "gained").set_index("width").loc[4.0]
    assert wide["left"] == mpl.dates.date2num(pd.Timestamp("2024-10-20")) - 0.5


def test_the_bars_of_a_falling_sector_rise_with_the_russian_advance():
    calendar = made_calendar(np.full(30, 12.0), level=1300, sign=-1)
    figure = draw(calendar, inverted=True)
    (level,) = artists(figure, "level", Line2D)
    assert level.get_ydata()[-1] < level.get_ydata()[0]
    assert (bars(figure, "gained")["height"] > 10).all()
    assert level.get_color() == style.COLOURS["lost_text"]


def test_the_band_is_the_error_and_never_below_nought():
    calendar = made_calendar(np.r_[np.zeros(10), np.full(20, 5.0)], level=4.0)
    figure = draw(calendar)
    (band,) = artists(figure, "band")
    y = np.concatenate([path.vertices[:, 1] for path in band.get_paths()])
    assert y.min() == 0
    assert y.max() == pytest.approx(calendar["area_km2"].max() + 21)


def test_the_mean_is_drawn_as_given():
    calendar = a_series(40)
    figure = draw(calendar)
    (mean,) = artists(figure, "mean", Line2D)
    np.testing.assert_array_equal(mean.get_ydata(), calendar["mean7"])


def test_the_last_value_and_the_largest_days_are_written():
    net = np.full(60, 1.0)
    net[20], net[19], net[13], net[40], net[41] = 61.8, 59.0, 58.0, -33.3, -30.0
    calendar = made_calendar(net, level=651)
    texts = [text.replace("\N{NO-BREAK SPACE}", " ") for text in words(draw(calendar))]
    assert "21 Oct: +62" in texts
    assert "10 Nov: −33" in texts
    assert f"{calendar['area_km2'].iloc[-1]:.0f}" in texts
    # 14 October is more than a week from no larger day, 20 October a neighbour of the largest.
    assert not any(day in text for text in texts for day in ("11 Nov", "20 Oct", "14 Oct"))


def test_a_change_found_after_a_gap_is_not_named_as_a_day():
    net = np.full(40, 1.0)
    net[10] = 80.0
    texts = words(draw(made_calendar(net, gaps=["2024-10-11"])))
    assert not any("+8" in text for text in texts)


def test_days_of_a_long_series_are_named_with_their_year():
    net = np.full(500, 1.0)
    net[450] = 50
    assert any(t.startswith("25\N{NO-BREAK SPACE}Dec\N{NO-BREAK SPACE}2025") for t in words(
        draw(made_calendar(net))
    ))  # fmt: skip


def test_report_days_are_marked_in_both_panels_and_the_last_is_this_report():
    marks = [date(2024, 10, 20), date(2025, 1, 8), date(2030, 1, 1)]
    figure = draw(a_series(120), marks=marks)
    days = [line.get_xdata()[0] for line in artists(figure, "mark", Line2D)]
    assert sorted(days) == sorted(2 * [mpl.dates.date2num(day) for day in marks[:2]])
    texts = [text.replace("\N{NO-BREAK SPACE}", " ") for text in words(figure)]
    assert "20 Oct" in texts
    assert "8 Jan: this report" in texts


def test_weeks_share_one_scale_and_incomplete_ones_are_paler():
    calendars = {
        "Toretsk": a_series(100),
        "Kurakhove": made_calendar(np.full(100, 30.0)),
        "Kursk": made_calendar(np.linspace(-40, 20, 100), gaps=["2024-11-13"]),
    }
    weeks = week_tables(calendars)
    figure = draw_weeks(weeks)
    panels = artists(figure, "panel")
    assert len(panels) == 3
    assert len({panel.bounds for panel in panels}) == 1
    for panel, table in zip(panels, weeks.values(), strict=True):
        patches = [patch for patch in panel.artists if isinstance(patch, PathPatch)]
        drawn = {patch.get_alpha() for patch in patches}
        assert drawn == {1.0, 0.45}
        pale = sum(len(bars_of(p)) for p in patches if p.get_alpha() == 0.45)
        assert pale == 2 * (~table["complete"]).sum()
        heights = [xy[1, 1] for patch in patches for xy in bars_of(patch)]
        assert sum(heights) == pytest.approx(table["net_km2"].sum(), abs=1e-9)
    assert sum(text.startswith("week to") for text in words(figure)) == 3


# Layout -------------------------------------------------------------------------------------


def check_layout(figure, theme):
    """No text leaves the page, touches another, or is too small to read."""
    width, height = figure.get_size_inches() * figure.dpi
    boxes = style.text_extents(figure)
    for text, (x0, y0, x1, y1) in boxes:
        assert x0 >= 0, text
        assert y0 >= 0, text
        assert x1 <= width, text
        assert y1 <= height, text
        css = text.get_fontsize() * figure.dpi / 72 * theme.css_px / theme.width_px
        assert css >= SMALLEST_PX, text
    for i, (text, a) in enumerate(boxes):
        for other, b in boxes[:i]:
            apart = a[0] >= b[2] or b[0] >= a[2] or a[1] >= b[3] - 2 or b[1] >= a[3] - 2
            assert apart, (text.get_text(), other.get_text())


INVERTED = {"inverted": True, "gained": "no longer reconstructed as Ukrainian-held"}
CASES = {
    "rise": (a_series(122, gaps=["2024-12-31"]), {}),
    "fall": (made_calendar(np.full(150, 7.0), level=1300, sign=-1), INVERTED),
    "incursion": (
        made_calendar(np.r_[np.full(14, -90.0), np.full(160, 5.0)], level=0, sign=-1),
        INVERTED,
    ),
    "flat": (made_calendar(np.zeros(90)), {}),
    "tiny": (made_calendar(np.r_[np.zeros(30), 0.04, np.zeros(30)], level=3.1), {}),
    "fortnight": (a_series(14, gaps=["2024-10-05"]), {}),
    "one day": (a_series(1), {}),
    "years": (a_series(1000, gaps=pd.date_range("2025-03-01", "2025-03-20")), {}),
    "most missing": (a_series(30, gaps=pd.date_range("2024-10-03", "2024-10-28")), {}),
    "no data": (a_series(30, gaps=pd.date_range("2024-10-01", "2024-10-30")), {}),
    "huge": (made_calendar(np.full(100, 987.0), level=100_000), {}),
}
MARKS = {
    "none": (),
    "a month": (date(2024, 12, 8), date(2025, 1, 8)),
    "two days": (date(2024, 10, 3), date(2024, 10, 4)),
    "at the end": (date(2024, 10, 1), date(2024, 12, 28), date(2024, 12, 29)),
}


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("marks", MARKS)
@pytest.mark.parametrize("case", CASES)
def test_every_text_is_on_the_page_readable_and_free(case, marks, theme):
    calendar, kwargs = CASES[case]
    figure = draw(calendar, theme, MARKS[marks], **kwargs)
    check_layout(figure, theme)
    assert {"title", "subtitle", "note", "source"} <= {
        text.get_gid() for text, _ in style.text_extents(figure)
    }


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_every_text_of_the_small_panels_is_on_the_page_readable_and_free(count, theme):
    calendars = list(CASES.values())[:count]
    weeks = week_tables({f"Sector {i}": calendar for i, (calendar, _) in enumerate(calendars)})
    check_layout(draw_weeks(weeks, theme), theme)


@pytest.mark.parametrize("theme", THEMES)
def test_weeks_without_any_change_or_map(theme):
    empty, _ = CASES["no data"]
    flat = made_calendar(np.zeros(30))
    flat[["gained_km2", "lost_km2", "net_km2"]] = 0.0
    check_layout(draw_weeks(week_tables({"A": empty, "B": flat}), theme), theme)


def test_names_keep_off_the_band():
    calendar, _ = CASES["rise"]
    figure = draw(calendar)
    (label,) = (t for t in style.text_extents(figure) if "along the line" in t[0].get_text())
    level, _ = artists(figure, "panel")
    x = mpl.dates.date2num(calendar.index)
    for edge in (-21, 21):
        points = level.data.transform(np.column_stack([x, calendar["area_km2"] + edge]))
        x0, y0, x1, y1 = label[1]
        inside = (points[:, 0] > x0) & (points[:, 0] < x1)
        assert not (inside & (points[:, 1] > y0) & (points[:, 1] < y1)).any()


def test_the_band_is_named_with_the_error_of_the_day_pointed_at():
    calendar, _ = CASES["rise"]
    calendar = calendar.assign(area_error_km2=np.linspace(30, 200, len(calendar)))
    figure = draw(calendar)
    (leader,) = artists(figure, "leader", Line2D)
    level, _ = artists(figure, "panel")
    end = np.array([leader.get_xdata()[-1], leader.get_ydata()[-1]]) * figure.dpi
    day, _ = level.data.inverted().transform(end)
    error = calendar["area_error_km2"].iloc[round(day - mpl.dates.date2num(calendar.index[0]))]
    (label,) = (text for text in words(figure) if "along the line" in text)
    assert label.endswith(f"±\u00a0{error:.0f}\N{NO-BREAK SPACE}km²")


def test_every_artist_has_the_gid_of_its_role():
    figure = draw(*CASES["rise"][:1], marks=MARKS["a month"])
    roles = {
        "level", "band", "gap", "gained", "lost", "mean", "mark", "annotation", "heading",
        "leader", "title", "subtitle", "note", "source", "accent", "level_point",
    }  # fmt: skip
    assert roles <= {artist.get_gid() for artist in figure.findobj()}


def test_drawing_leaves_pyplot_and_the_calendar_alone():
    import matplotlib.pyplot as plt

    calendar, _ = CASES["rise"]
    before = calendar.copy()
    draw(calendar)
    pd.testing.assert_frame_equal(calendar, before)
    assert plt.get_fignums() == []
