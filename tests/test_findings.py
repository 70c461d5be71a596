"""Words and numbers: right sign, rounding, singular and plural, for every story a change can be."""

import json
import re
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely import MultiPolygon, Point

from helpers import findings, sources
from helpers.changes import SectorChange
from helpers.errors import ParameterError
from helpers.findings import NBSP, NoData, SectorSeries
from helpers.schema import INVERTED_TIERS

REAL_NUMBERS = st.floats(min_value=-1e7, max_value=1e7, allow_nan=False)
STEPS = st.sampled_from([0.1, 1.0])
DAYS = st.dates(date(2014, 1, 1), date(2030, 12, 31))


@dataclass(frozen=True)
class Frame:
    """What the words need of a `helpers.reference.Sector`."""

    key: str
    name: str
    measure: str
    lon: float = 37.16
    lat: float = 47.986
    width_km: float = 60.0
    height_km: float = 46.8


KURAKHOVE = Frame("kurakhove", "Kurakhove", "presence")
TORETSK = Frame("toretsk", "Toretsk", "presence")
KURSK = Frame("kursk", "Kursk", "ukrainian_held", 35.1, 51.2, 90.0, 70.2)
DEEPSTATE = sources.get("deepstate")
RECONSTRUCTION = sources.get("reconstruction")

START, END = date(2024, 12, 8), date(2025, 1, 8)


def made_change(
    gained=0.0, lost=0.0, *, sector=KURAKHOVE, source=DEEPSTATE, before=1626.0, moved_km=100.0
) -> SectorChange:
    tier = sector.measure
    sign = -1 if tier in INVERTED_TIERS else 1
    sides = [("gained", gained), ("lost", lost)]
    pieces = pd.DataFrame(
        [(k, a, Point(sector.lon + 0.3, sector.lat - 0.3)) for k, a in sides if a > 0],
        columns=["kind", "area_km2", "geometry"],
    )
    empty = MultiPolygon()
    return SectorChange(
        sector=sector,
        source=source,
        tier=tier,
        before_day=START,
        after_day=END,
        before=empty,
        after=empty,
        gained=empty,
        lost=empty,
        area_before_km2=before,
        area_after_km2=before + sign * (gained - lost),
        gained_km2=gained,
        lost_km2=lost,
        sliver_km2=0.0,
        moved_line_km=moved_km,
        contact_line_km=120.0,
        change_error_km2=source.positional_error_m / 1000 * moved_km,
        area_error_km2=source.positional_error_m / 1000 * 120,
        pieces=pieces,
    )


def plain(text: str) -> str:
    return text.replace(NBSP, " ")


# Numbers ------------------------------------------------------------------------------------


@given(REAL_NUMBERS, STEPS, st.booleans())
def test_a_number_reads_back_as_itself_rounded(value, step, signed):
    text = findings.number(value, step, signed=signed)
    assert "-" not in text
    assert "e" not in text
    back = float(text.replace(",", "").replace("−", "-").replace("+", ""))
    assert abs(back - value) <= step / 2 + 1e-6 * abs(value)
    assert not re.fullmatch(r"[−+]0(\.0)?", text), "nought has no sign"
    if back > 0:
        assert text.startswith("+") == signed
    assert ("." in text) == (step < 1)
    assert all(len(group) == 3 for group in text.lstrip("−+").split(".")[0].split(",")[1:])


@pytest.mark.parametrize(
    ("value", "step", "signed", "expected"),
    [
        (1864.2, 1.0, False, "1,864 km²"),
        (2.46, 0.1, True, "+2.5 km²"),
        (-8.31, 0.1, True, "−8.3 km²"),
        (-0.04, 0.1, True, "0.0 km²"),
        (-0.0, 1.0, True, "0 km²"),
        (1234567.0, 1.0, False, "1,234,567 km²"),
        (np.float64(3.0), 1.0, False, "3 km²"),
    ],
)
def test_areas(value, step, signed, expected):
    assert plain(findings.km2(value, step, signed=signed)) == expected
    assert f"{NBSP}km²" in findings.km2(value, step)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_missing_number_never_becomes_words(value):
    with pytest.raises(ParameterError, match="cannot be written"):
        findings.number(value)


@given(st.floats(0, 1e5), STEPS)
def test_an_error_is_never_rounded_away(value, step):
    digits = float(findings.error_km2(value, step).split(NBSP)[0].replace(",", ""))
    assert (digits == 0) == (value == 0)


def test_a_little_ground_is_less_than_a_step_and_none_is_none():
    assert plain(findings.size_km2(0.03, 0.1)) == "less than 0.1 km²"
    assert plain(findings.size_km2(0.0, 0.1)) == "0.0 km²"
    assert plain(findings.size_km2(2e-9, 0.1)) == "0.0 km²"
    assert plain(findings.size_km2(0.3, 1.0)) == "less than 1 km²"


@pytest.mark.parametrize(
    ("value", "error", "step"),
    [(2.5, 2.6, 0.1), (-19.9, 0, 0.1), (20.0, 0, 1.0), (-238, 20, 1.0), (2.5, 30, 1.0)],
)
def test_one_decimal_below_20_km2_unless_the_error_swallows_it(value, error, step):
    assert findings.step_km2(value, error) == step


@pytest.mark.parametrize(
    ("value", "expected"), [(200, "200 m"), (1000, "1 km"), (1500, "1.5 km"), (30.0, "30 m")]
)
def test_metres(value, expected):
    assert plain(findings.metres(value)) == expected


@given(DAYS)
def test_a_day_has_no_leading_nought_and_does_not_break(value):
    text = findings.day(value)
    assert plain(text) == f"{value.day} {value:%B} {value.year}"
    assert text.startswith(f"{value.day}{NBSP}")
    assert plain(findings.short_day(value)) == f"{value.day} {value:%b}"
    assert " " not in findings.short_day(value, year=True)


@given(DAYS, st.integers(1, 800))
def test_a_span_says_each_year_and_month_as_often_as_needed(start, days):
    end = start + timedelta(days=days)
    text = plain(findings.span(start, end))
    assert text.endswith(f"and {end.day} {end:%B} {end.year}")
    assert text.count(str(end.year)) == 1
    assert (str(start.year) in text.split(" and ")[0]) == (start.year != end.year)
    same_month = (start.year, start.month) == (end.year, end.month)
    assert (f"{start:%B}" in text.split(" and ")[0]) == (not same_month)


def test_spans():
    assert plain(findings.span(START, END)) == "between 8 December 2024 and 8 January 2025"
    assert plain(findings.span(date(2025, 1, 7), END)) == "between 7 and 8 January 2025"
    assert plain(findings.span(date(2025, 2, 3), date(2025, 3, 1))) == (
        "between 3 February and 1 March 2025"
    )


def test_counts_and_lists():
    assert findings.count("days", 1) == "one day"
    assert plain(findings.count("days", 31)) == "31 days"
    assert plain(findings.count("missing", 2, of="182")) == "2 of 182 days have no map."
    assert findings.names([]) == ""
    assert findings.names(["A"]) == "A"
    assert findings.names(["A", "B"]) == "A and B"
    assert findings.names(["A", "B", "C"]) == "A, B and C"
    assert plain(findings.names(list("ABCDE"), 3)) == "A, B, C and 2 more"
    assert findings.names(list("ABC"), 2) == "A, B and one more"


# One change ---------------------------------------------------------------------------------


FIRST = replace(made_change(moved_km=0), before_day=END)
STORIES = [
    (
        "grew",
        made_change(238.2),
        "",
        "Kurakhove: assessed Russian control grew by 238 km² in 31 days",
        "238 km² newly assessed as Russian-held between 8 December 2024 and 8 January 2025; the "
        "area held in view went from 1,626 to 1,864 km². If the moved line is off by 200 m, the "
        "change is off by up to 20 km².",
    ),
    (
        "grew",
        made_change(2.5, before=305.1, moved_km=13, sector=TORETSK),
        "",
        "Toretsk: assessed Russian control grew by 2.5 km² in 31 days",
        "2.5 km² newly assessed as Russian-held between 8 December 2024 and 8 January 2025; the "
        "area held in view went from 305.1 to 307.6 km². The change is no larger than its error: "
        "if the moved line is off by 200 m, it is off by up to 2.6 km².",
    ),
    (
        "shrank",
        made_change(14.1, 22.4, before=215.6, moved_km=31),
        "",
        "Kurakhove: assessed Russian control shrank by 8.3 km² in 31 days",
        "22.4 km² no longer assessed as Russian-held between 8 December 2024 and 8 January 2025, "
        "14.1 km² newly so; the area held in view went from 215.6 to 207.3 km². If the moved line "
        "is off by 200 m, the change is off by up to 6.2 km².",
    ),
    (
        "both",
        made_change(12.1, 11.8, before=300.0, moved_km=30),
        "",
        "Kurakhove: assessed Russian control grew by 12.1 km² and shrank by 11.8 km² in 31 days",
        "12.1 km² newly assessed as Russian-held between 8 December 2024 and 8 January 2025, "
        "11.8 km² no longer so; the area held in view went from 300.0 to 300.3 km². The net change "
        "is no larger than its error: if the moved line is off by 200 m, it is off by up to "
        "6.0 km².",
    ),
    (
        "tiny",
        made_change(0.3, moved_km=80),
        "",
        "Kurakhove: assessed Russian control changed by less than 1 km² in 31 days",
        "Less than 1 km² newly assessed as Russian-held between 8 December 2024 and 8 January "
        "2025; the area held in view stayed at 1,626 km². The change is no larger than its error: "
        "if the moved line is off by 200 m, it is off by up to 16 km².",
    ),
    (
        "none",
        made_change(0.04, 0.03, moved_km=1),
        "",
        "Kurakhove: assessed Russian control did not change in 31 days",
        "No change is drawn between 8 December 2024 and 8 January 2025; the area held in view "
        "stayed at 1,626 km². If the whole line is off by 200 m, the area is off by up to 24 km².",
    ),
    (
        "no_update",
        made_change(moved_km=0),
        "no update",
        "Kurakhove: no update of assessed Russian control in 31 days",
        "The map of 8 January 2025 is the same as that of 8 December 2024; the area held in view "
        "stayed at 1,626 km². If the whole line is off by 200 m, the area is off by up to 24 km².",
    ),
    (
        "redrawn",
        replace(made_change(194, 89), before_day=date(2025, 1, 7)),
        "after a gap of 2 days; redrawn",
        "Kurakhove: map redrawn, assessed Russian control +194 km² and −89 km² in one day",
        "Much ground changed both ways at once, as when a map is corrected: 194 km² newly assessed "
        "as Russian-held between 7 and 8 January 2025, 89 km² no longer so; the area held in view "
        "went from 1,626 to 1,731 km². If the moved line is off by 200 m, the change is off by up "
        "to 20 km².",
    ),
    (
        "first",
        FIRST,
        "first day",
        "Kurakhove: 1,626 km² assessed as Russian-held on 8 January 2025",
        "This is the first map, so there is nothing to compare it with; the area held in view is "
        "1,626 km². If the whole line is off by 200 m, the area is off by up to 24 km².",
    ),
    (
        "shrank",
        made_change(14.3, sector=KURSK, source=RECONSTRUCTION, before=498, moved_km=20),
        "",
        "Kursk: reconstructed Ukrainian-held ground shrank by 14 km² in 31 days",
        "14 km² no longer reconstructed as Ukrainian-held between 8 December 2024 and 8 January "
        "2025; the Ukrainian-held area in view went from 498 to 484 km². The change is no larger "
        "than its error: if the moved line is off by 1.5 km, it is off by up to 30 km².",
    ),
    (
        "grew",
        made_change(238.2, source=RECONSTRUCTION),
        "",
        "Kurakhove: reconstructed Russian presence grew by 238 km² in 31 days",
        "238 km² newly under reconstructed Russian control or advance between 8 December 2024 and "
        "8 January 2025; the area in view went from 1,626 to 1,864 km². If the moved line is off "
        "by 1.5 km, the change is off by up to 150 km².",
    ),
    (
        "no_map",
        NoData(KURAKHOVE, DEEPSTATE, date(2025, 1, 1)),
        "",
        "Kurakhove: no map for 1 January 2025",
        "DeepState has no map for 1 January 2025; nothing is said of that day.",
    ),
    (
        "not_covered",
        NoData(KURSK, DEEPSTATE, END, "not_covered"),
        "",
        "Kursk: not covered by DeepState",
        "DeepState covers ground within Ukraine; it is silent about ground inside Russia.",
    ),
]


@pytest.mark.parametrize(("story", "subject", "note", "headline", "standfirst"), STORIES)
def test_every_story_is_told(story, subject, note, headline, standfirst):
    assert findings.kind(subject, note) == story
    assert plain(findings.headline(subject, note)) == headline
    assert plain(findings.standfirst(subject, note)) == standfirst
    alt = plain(findings.alt_text(subject, note))
    assert standfirst in alt
    assert alt.startswith(f"Map of the {subject.sector.name} sector, ")
    assert findings.caption(subject).startswith(subject.sector.name)


@given(
    gained=st.floats(0, 2000),
    lost=st.floats(0, 2000),
    moved=st.floats(0, 500),
    note=st.sampled_from(["", "redrawn", "no update", "first day", "re-quantised"]),
    sector=st.sampled_from([KURAKHOVE, KURSK]),
    source=st.sampled_from([DEEPSTATE, RECONSTRUCTION]),
)
def test_no_sentence_is_ever_malformed(gained, lost, moved, note, sector, source):
    change = made_change(gained, lost, sector=sector, source=source, before=3000, moved_km=moved)
    for text in (
        findings.headline(change, note),
        findings.standfirst(change, note),
        findings.caption(change),
        findings.alt_text(change, note),
        *findings.key_labels(change).values(),
    ):
        assert not re.search(r"nan|inf\b|\{|\}|  |\.\.|[−-]0(\.0)? | -\d|\d-\d| ;", text), text
        assert "\n" not in text
        assert re.search(r"\d km²", text) is None, "a unit may break from its number"
        assert text[:1] == text[:1].upper() or text.startswith(("+", "−"))


@given(gained=st.floats(0, 2000), lost=st.floats(0, 2000), moved=st.floats(0, 500))
def test_the_headline_is_true_and_a_change_within_its_error_is_called_so(gained, lost, moved):
    change = made_change(gained, lost, before=3000, moved_km=moved)
    headline = findings.headline(change)
    assert ("grew" in headline and "shrank" not in headline) <= (change.net_km2 > 0)
    assert ("shrank" in headline and "grew" not in headline) <= (change.net_km2 < 0)
    moved_at_all = findings.kind(change) not in ("none", "first")
    if moved_at_all:
        within = abs(change.net_km2) <= change.change_error_km2
        assert ("no larger than its error" in findings.standfirst(change)) == within


@pytest.mark.parametrize(
    ("east", "north", "where"),
    [
        (0.0, 0.0, "near the centre"),
        (0.2, 0.0, "in the east"),
        (-0.2, 0.0, "in the west"),
        (0.0, 0.15, "in the north"),
        (0.2, -0.134, "in the south-east"),
        (-0.2, 0.134, "in the north-west"),
    ],
)
def test_the_alt_text_says_where_the_largest_piece_lies(east, north, where):
    pieces = pd.DataFrame(
        {
            "kind": ["gained", "gained"],
            "area_km2": [0.5, 4.25],
            "geometry": [Point(30, 40), Point(KURAKHOVE.lon + east, KURAKHOVE.lat + north)],
        }
    )
    text = plain(findings.alt_text(replace(made_change(4.75), pieces=pieces)))
    assert f"The largest piece newly assessed as Russian-held, 4.2 km², lies {where} of" in text


def test_in_kursk_a_russian_advance_is_ground_no_longer_ukrainian_held():
    change = made_change(14.3, 2.0, sector=KURSK, source=RECONSTRUCTION, before=498, moved_km=2)
    assert "The largest piece no longer reconstructed as Ukrainian-held, 14.3" in plain(
        findings.alt_text(change)
    )
    labels = findings.key_labels(change)
    assert plain(labels["gained"]) == "No longer reconstructed so, since 8 Dec"
    assert plain(labels["held"]) == "Reconstructed Ukrainian-held ground, 8 Jan"


def test_key_labels_have_a_year_when_the_season_does_not_tell():
    labels = findings.key_labels(made_change(5.0))
    assert plain(labels["gained"]) == "New since 8 Dec"
    assert set(labels) == {
        "held", "gained", "lost", "line_now", "line_then", "claimed", "newly_inside",
        "newly_outside",
    }  # fmt: skip
    old = replace(made_change(5.0), before_day=date(2024, 1, 8))
    assert plain(findings.key_labels(old)["line_then"]) == "Line 8 Jan 2024"


def test_a_source_that_is_silent_about_russia_says_so_in_kursk_only():
    silent = "This source covers Ukrainian territory only: it says nothing about control inside"
    assert findings.caveats(DEEPSTATE, KURSK)[0].startswith(silent)
    assert findings.caveats(DEEPSTATE, KURAKHOVE) == (DEEPSTATE.caveat,)
    assert findings.caveats(RECONSTRUCTION, KURSK) == (RECONSTRUCTION.caveat,)


def test_the_source_line_has_publisher_licence_and_only_the_layers_drawn():
    line = findings.source_line(DEEPSTATE)
    assert DEEPSTATE.attribution in line
    assert DEEPSTATE.licence in line
    assert "Base:" not in line
    assert "Base: GeoNames, OSM." in findings.source_line(DEEPSTATE, ["GeoNames", "OSM"])


def test_the_change_table_keeps_the_identity_and_leaves_the_first_day_open():
    table = findings.change_table([made_change(14.1, 22.4, before=215.6, moved_km=31), FIRST])
    row = table.iloc[0]
    assert row["net_km2"] == pytest.approx(row["gained_km2"] - row["lost_km2"])
    assert row["error_km2"] == pytest.approx(6.2)
    assert row["area_km2"] == pytest.approx(207.3)
    assert table.loc[1, ["gained_km2", "lost_km2", "net_km2", "error_km2"]].isna().all()
    assert str(table["since"].dtype).startswith("datetime64")
    assert findings.change_table([]).empty


# A series -----------------------------------------------------------------------------------


def made_calendar(net, *, start="2024-10-01", level=650.0, sign=1, missing=()) -> pd.DataFrame:
    """A calendar from one net change a day; the first is of a day before the window."""
    days = pd.date_range(start, periods=len(net), name="day")
    net = np.asarray(net, float)
    calendar = pd.DataFrame(
        {
            "area_km2": level + sign * np.r_[0, np.cumsum(net[1:])],
            "area_error_km2": 21.0,
            "gained_km2": np.maximum(net, 0) + 0.5,
            "lost_km2": np.maximum(-net, 0) + 0.5,
            "net_km2": net,
        },
        index=days,
    )
    calendar.loc[pd.DatetimeIndex(missing)] = np.nan
    return calendar


def made_series(net, sector=KURAKHOVE, source=DEEPSTATE, **kwargs) -> SectorSeries:
    return SectorSeries(sector, source, made_calendar(net, **kwargs))


def test_a_series_adds_up_from_its_first_observed_day():
    series = made_series([99, 10, 20, -5, 30])
    assert plain(findings.series_headline(series)) == (
        "Kurakhove: assessed Russian control grew by 55 km² in 4 days"
    )
    assert plain(findings.series_standfirst(series)) == (
        "From 650 km² on 1 October 2024 to 705 km² on 5 October 2024 inside the sector: 62 km² "
        "newly assessed as Russian-held, 7 km² no longer so."
    )
    assert "The largest net change found in one map is +30 km², on 5 October 2024" in plain(
        findings.series_alt(series)
    )


def test_a_series_with_gaps_says_how_many():
    series = made_series([0, 10, 0, 0, 30], missing=["2024-10-04"])
    assert plain(findings.series_standfirst(series)).endswith("One of 5 days has no map.")


def test_in_kursk_the_series_shrinks():
    series = made_series([0, 10, 20], sector=KURSK, source=RECONSTRUCTION, sign=-1)
    assert "Ukrainian-held ground shrank by 30 km²" in plain(findings.series_headline(series))
    assert "31 km² no longer reconstructed as Ukrainian-held" in plain(
        findings.series_standfirst(series)
    )
    assert plain(findings.sector_summary(series)) == "net +30 km², Ukrainian-held now 620 km²"
    text = findings.chart_text(series)
    assert text.inverted
    assert (text.gained, text.lost) == ("no longer reconstructed as Ukrainian-held", "newly so")
    assert text.level == "Area reconstructed as Ukrainian-held, km²"
    assert text.error_m == 1500


def test_a_series_that_turned_tells_where():
    rise_and_fall = made_series([0, 500, 700, -200, -300], sector=TORETSK)
    text = plain(findings.series_standfirst(rise_and_fall))
    assert text.endswith("The area was largest on 3 October 2024: 1,850 km².")
    fall_and_rise = made_series([0, -300, 200], sector=TORETSK)
    assert "The area was smallest on 2 October 2024: 350 km²." in plain(
        findings.series_standfirst(fall_and_rise)
    )
    assert plain(findings.series_headline(rise_and_fall)) == (
        "Toretsk: assessed Russian control shrank by 500 km² from its peak on 3 October 2024"
    )
    assert plain(findings.series_headline(fall_and_rise)) == (
        "Toretsk: assessed Russian control grew by 200 km² from its low on 2 October 2024"
    )


def test_a_flat_series_one_map_and_none():
    flat = made_series([0, 0, 0])
    flat = replace(flat, calendar=flat.calendar.assign(gained_km2=0.0, lost_km2=0.0))
    assert "did not change in 2 days" in plain(findings.series_headline(flat))
    assert "with no change between" in findings.series_standfirst(flat)
    one = made_series([0, 0], missing=["2024-10-02"])
    assert plain(findings.series_headline(one)) == (
        "Kurakhove: 650 km² assessed as Russian-held on 1 October 2024"
    )
    assert "there is no other map" in findings.series_standfirst(one)
    none = made_series([0, 0], missing=["2024-10-01", "2024-10-02"])
    assert plain(findings.series_headline(none)) == (
        "Kurakhove: no map between 1 October 2024 and 2 October 2024"
    )
    assert findings.sector_summary(none) == "no data"
    for series in (flat, one, none):
        assert "nan" not in findings.series_alt(series) + findings.series_caption(series)


def test_sectors_together():
    several = [made_series([0, 2, 3], sector=TORETSK), made_series([0, 40, -10])]
    assert plain(findings.sectors_headline(several)) == (
        "Kurakhove changed most: +30 km² in 2 days"
    )
    weeks = {s.sector.name: s.calendar.iloc[[1, 2]] for s in several}
    alt = plain(findings.sectors_alt(several, weeks))
    assert "Toretsk: net +5.0 km², now 655 km²; largest week +3.0 km², to 3 October 2024." in alt
    text = findings.sectors_text(several)
    assert " ".join(text.notes).count(DEEPSTATE.caveat) == 1
    none = made_series([0, 0], missing=["2024-10-01", "2024-10-02"])
    assert findings.sectors_headline([none]) == "No maps of Kurakhove for these days"


# The briefing -------------------------------------------------------------------------------


def came(*names, change="came under"):
    return pd.DataFrame(
        {
            "name": names,
            "population": range(len(names)),
            "change": [change] * len(names),
            "confidence": ["medium"] * len(names),
        }
    )


WEEK, DAY = date(2025, 1, 1), date(2025, 1, 7)


def made_briefing():
    week = replace(made_change(38, 1, before=1827, moved_km=20), before_day=WEEK)
    yesterday = replace(made_change(5.1, before=1859, moved_km=3), before_day=DAY)
    return findings.briefing(
        {
            "kurakhove": {"compare_to": made_change(238.2), "week": week, "day": yesterday},
            "toretsk": {
                "compare_to": made_change(2.5, before=305.1, moved_km=13, sector=TORETSK),
                "day": NoData(TORETSK, DEEPSTATE, DAY),
            },
            "kursk": {"compare_to": NoData(KURSK, DEEPSTATE, END, "not_covered")},
        },
        {"kurakhove": came(*"ABCDEFGH"), "toretsk": came("Zalizne", change="left")},
        DEEPSTATE,
    )


def test_the_briefing_reads_as_an_editor_would_have_it():
    briefing = made_briefing()
    assert plain(briefing.headline.text) == (
        "Kurakhove: assessed Russian control grew by 238 km² in 31 days"
    )
    assert briefing.headline.sector == "kurakhove"
    assert [plain(f.text) for f in briefing.findings] == [
        "Kurakhove: assessed Russian control grew by 238 km² (± 20 km²) in 31 days, to 1,864 km²; "
        "it grew by 37 km² (± 4 km²) in the last 7 days and grew by 5.1 km² (± 0.6 km²) in the "
        "last day.",
        "Toretsk: assessed Russian control grew by 2.5 km² (± 2.6 km²) in 31 days, to 307.6 km², "
        "a change no larger than its error.",
        "Newly assessed as Russian-held since 8 December 2024: H, G, F, E, D, C and 2 more.",
        "No longer assessed as Russian-held since 8 December 2024: Zalizne.",
        "Toretsk: DeepState has no map for 7 January 2025, so nothing is said of it.",
        "Kursk could not be assessed: DeepState covers ground within Ukraine; it is silent about "
        "ground inside Russia.",
    ]


def numbers_in(text: str) -> list[tuple[str, str]]:
    """Numbers of a sentence as ("± " or "", number), without those of its days."""
    months = "|".join(f"{date(2000, m, 1):%B}" for m in range(1, 13))
    undated = re.sub(rf"\d+ ({months})( \d{{4}})?|less than [\d.]+", "", plain(text))
    return re.findall(r"(± )?(\d[\d,]*(?:\.\d+)?)", undated)


def check_numbers(briefing):
    for finding in (briefing.headline, *briefing.findings):
        known = [abs(value) for value in finding.numbers.values()]
        for is_error, written in numbers_in(finding.text):
            step = 0.1 if "." in written else 1.0
            # An error is never written smaller than one step.
            tolerance = (step if is_error else step / 2) + 1e-6
            value = float(written.replace(",", ""))
            assert any(abs(value - k) <= tolerance for k in known), (written, finding)


def test_each_number_in_each_sentence_stands_behind_it():
    check_numbers(made_briefing())


@given(
    moves=st.lists(st.tuples(*[st.floats(0, 900) | st.just(0.0)] * 3), min_size=3, max_size=3),
    sector=st.sampled_from([KURAKHOVE, KURSK]),
    note=st.sampled_from(["", "redrawn", "no update"]),
)
def test_any_briefing_is_sound(moves, sector, note):
    main, week, step = (
        replace(
            made_change(gained, lost, sector=sector, before=3000, moved_km=moved), before_day=day
        )
        for (gained, lost, moved), day in zip(moves, (START, WEEK, DAY), strict=True)
    )
    changes = {sector.key: {"compare_to": main, "week": week, findings.STEP: step}}
    briefing = findings.briefing(changes, {sector.key: came()}, DEEPSTATE, {sector.key: note})
    check_numbers(briefing)
    assert len(briefing.findings) == 2
    for finding in briefing.findings:
        assert not re.search(r"nan|\{|\}|  |[−-]0(\.0)? | -\d", finding.text)
        assert finding.text.endswith(".")


def test_the_briefing_is_json_with_no_missing_numbers():
    briefing = made_briefing()
    text = briefing.to_json()
    assert text == made_briefing().to_json()
    content = json.loads(text)
    assert content["day"] == "2025-01-08"
    assert content["headline"]["numbers"]["net_km2"] == pytest.approx(238.2)
    assert content["findings"][0]["numbers"]["week_net_km2"] == pytest.approx(37)
    assert "km²" in text


def test_the_note_of_the_day_belongs_to_the_step_of_one_day():
    redrawn = replace(made_change(194, 89), before_day=DAY)
    changes = {"kurakhove": {"compare_to": made_change(238.2), "day": redrawn}}
    briefing = findings.briefing(changes, {}, DEEPSTATE, {"kurakhove": "redrawn"})
    text = plain(briefing.findings[0].text)
    assert text.startswith("Kurakhove: assessed Russian control grew by 238")
    assert text.endswith("; it was redrawn by +194 km² and −89 km² in the last day.")
    assert len(briefing.findings) == 1


def test_a_period_that_begins_on_the_same_day_is_told_once():
    changes = {"kurakhove": {"compare_to": made_change(238.2), "month": made_change(238.2)}}
    assert findings.briefing(changes, {}, DEEPSTATE).findings[0].text.count("grew") == 1


def test_quiet_days_and_dark_days():
    quiet = {
        "kurakhove": {"compare_to": made_change(moved_km=0)},
        "toretsk": {"compare_to": made_change(moved_km=0, sector=TORETSK)},
    }
    briefing = findings.briefing(quiet, {"kurakhove": came(), "toretsk": came()}, DEEPSTATE)
    assert plain(briefing.headline.text) == "No change in Kurakhove and Toretsk in 31 days"
    assert plain(briefing.findings[-1].text) == (
        "No settlement crossed the assessed line since 8 December 2024."
    )
    dark = {
        key: {"compare_to": NoData(sector, DEEPSTATE, END)}
        for key, sector in {"kurakhove": KURAKHOVE, "toretsk": TORETSK}.items()
    }
    briefing = findings.briefing(dark, {}, DEEPSTATE)
    assert plain(briefing.headline.text) == "Nothing could be assessed for 8 January 2025"
    assert [plain(f.text) for f in briefing.findings] == [
        "Kurakhove and Toretsk: DeepState has no map for 8 January 2025, so nothing is said of it."
    ]
    with pytest.raises(ParameterError, match="at least one sector"):
        findings.briefing({}, {}, DEEPSTATE)


def made_records(**weeks) -> pd.DataFrame:
    end = pd.Timestamp("2025-01-05")
    row = {"end": end, "net_km2": 74.2, "rank": 1, "of": 22, "since": pd.NaT} | weeks
    return pd.DataFrame([row], index=pd.Index(["week"], name="period"))


@pytest.mark.parametrize(
    ("record", "text"),
    [
        ({}, "the largest of the 22 weeks measured."),
        (
            {"since": pd.Timestamp("2024-11-24")},
            "the largest of any week since the one to 24 November 2024.",
        ),
        ({"since": pd.Timestamp("2024-12-22")}, None),
        ({"net_km2": -3.0}, None),
        ({"of": 3}, None),
        ({"net_km2": 19.9}, None),  # within the error of a change over a week
    ],
)
def test_a_week_is_a_record_only_where_it_says_something(record, text):
    changes = {"kurakhove": {"compare_to": made_change(238.2)}}
    tables = {"kurakhove": made_records(**record)}
    findings_ = findings.briefing(changes, {}, DEEPSTATE, records=tables).findings
    assert len(findings_) == (1 if text is None else 2)
    if text:
        assert plain(findings_[1].text) == (
            "Kurakhove: in the week to 5 January 2025 the net assessed Russian advance was "
            f"74 km², {text}"
        )
        assert findings_[1].numbers["record_net_km2"] == 74.2


def test_settlements_of_several_sectors_name_their_sector():
    changes = {
        "kurakhove": {"compare_to": made_change(238.2)},
        "toretsk": {"compare_to": made_change(2.5, sector=TORETSK)},
    }
    tables = {"kurakhove": came("Sontsivka", "Kurakhove"), "toretsk": came("Zalizne")}
    finding = findings.briefing(changes, tables, DEEPSTATE).findings[-1]
    assert plain(finding.text) == (
        "Newly assessed as Russian-held since 8 December 2024 in the Kurakhove sector: Kurakhove "
        "and Sontsivka; in the Toretsk sector: Zalizne."
    )
    assert finding.numbers["settlements"] == 3
    tables["toretsk"]["confidence"] = "low"
    finding = findings.briefing(changes, tables, DEEPSTATE).findings[-1]
    assert "; in the Toretsk sector: Zalizne (uncertain)." in finding.text


def test_every_template_is_used():
    """A key that no code reads is dead text; another language would translate it for nothing."""
    rooms = Path(findings.__file__).parent
    source = "".join((rooms / name).read_text() for name in ("findings.py", "charts.py"))
    by_kind = {"headline", "standfirst", "briefing", "tier", "series", "sectors", "count", "key"}
    by_kind |= {"claims", "agreement"}  # tests/test_comparisons.py fills each of them
    for group, table in findings.texts().items():
        if isinstance(table, dict) and group not in by_kind:
            unused = [key for key in table if not re.search(rf"[\"']{key}[\"']", source)]
            assert unused == [], group
