from datetime import date, timedelta

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grounds import DEEPSTATE, KURAKHOVE, marked, real_maps
from helpers import measures, series
from helpers.errors import ParameterError, SchemaError
from helpers.schema import MEASURE_COLUMNS


def table(days, areas, *, tier="presence", lost=0.0):
    """Measures of one sector: the days from 1 January 2025 with a map, and the level on each."""
    days = pd.DatetimeIndex([date(2024, 12, 31) + timedelta(d) for d in days])
    days = days.astype("datetime64[s]")
    sign = -1 if tier == "ukrainian_held" else 1
    area = pd.Series(areas, dtype=float)
    net = sign * area.diff()
    frame = pd.DataFrame(
        {
            "source": "deepstate",
            "sector": "box",
            "day": days,
            "tier": tier,
            "area_km2": area,
            "gained_km2": net + lost,
            "lost_km2": net * 0 + lost,
            "net_km2": net,
            "sliver_km2": net * 0,
            "elapsed_days": pd.Series(days).diff().dt.days.astype("Int64"),
            "rate_km2_day": net / pd.Series(days).diff().dt.days,
            "depth_km": net * 0,
            "contact_km": 5.0,
            "area_error_km2": 1.0,
            "change_error_km2": net * 0 + 0.5,
            "label": "advanced",
            "note": ["first day"] + [""] * (len(days) - 1) if len(days) else [],
        }
    )
    return frame[list(MEASURE_COLUMNS)]


# Calendar -----------------------------------------------------------------------------------


def test_missing_days_are_rows_without_numbers():
    calendar = series.calendar(table([1, 2, 5, 6], [10, 12, 18, 18]))
    assert list(calendar.columns) == list(series.CALENDAR_COLUMNS)
    assert calendar.index.equals(pd.date_range("2025-01-01", "2025-01-06", unit="s", name="day"))
    missing = calendar.loc["2025-01-03":"2025-01-04"].drop(columns=["mean7", "mean30", "note"])
    assert missing.isna().all(axis=None)
    assert calendar["note"].tolist() == ["first day", "", "", "", "", ""]
    # A change found after a gap is not moved; as a bar it is as wide as the days it may be of.
    assert calendar["net_km2"]["2025-01-05"] == 6
    assert calendar["elapsed_days"]["2025-01-05"] == 3
    assert calendar["rate_km2_day"]["2025-01-05"] == 2
    bars = calendar["rate_km2_day"] * calendar["elapsed_days"]
    assert bars.sum() == 18 - 10


def test_the_calendar_reaches_as_far_as_asked():
    rows = table([2, 3, 4], [10, 11, 13])
    calendar = series.calendar(rows, date(2025, 1, 1), date(2025, 1, 6))
    assert calendar["area_km2"].isna().tolist() == [True, False, False, False, True, True]
    # A first map before the start is compared with, and not shown.
    calendar = series.calendar(rows, date(2025, 1, 3))
    assert calendar["net_km2"].tolist() == [1, 2]
    nothing = series.calendar(rows.iloc[:0], date(2025, 1, 1), date(2025, 1, 2))
    assert nothing["area_km2"].isna().all()
    assert nothing["note"].tolist() == ["", ""]
    assert nothing.dtypes.equals(calendar.dtypes)


def test_the_mean_of_a_week_is_centred_and_needs_five_days():
    rows = table(range(1, 11), np.cumsum([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]))
    mean = series.calendar(rows, end=date(2025, 1, 14))["mean7"]
    assert mean["2025-01-05"] == pytest.approx(np.mean([1, 2, 3, 4, 5, 6, 7]))
    # The first day has no change; the second to the sixth have, the third is their middle.
    assert mean["2025-01-03"] == pytest.approx(np.mean([1, 2, 3, 4, 5]))
    assert np.isnan(mean["2025-01-02"])
    assert np.isnan(mean["2025-01-01"])
    assert mean["2025-01-08"] == pytest.approx(np.mean([4, 5, 6, 7, 8, 9]))
    assert mean["2025-01-09"] == pytest.approx(np.mean([5, 6, 7, 8, 9]))
    assert mean["2025-01-10":].isna().all()


def test_the_mean_spreads_a_change_after_a_gap_and_stops_at_the_last_map():
    rows = table([1, 2, 3, 7, 8, 9, 10, 11, 12], [0, 1, 2, 6, 7, 8, 9, 10, 11])
    mean = series.calendar(rows, end=date(2025, 1, 20))["mean7"]
    assert mean["2025-01-04":"2025-01-10"].tolist() == pytest.approx([1.0] * 7)
    assert mean["2025-01-13":].isna().all()


# Checks -------------------------------------------------------------------------------------


def test_measures_that_do_not_add_up_are_an_error():
    rows = table(range(1, 6), [10, 11, 12, 13, 14])
    rows.loc[2, "gained_km2"] += 0.02
    for use in (series.calendar, series.records, lambda r: series.totals(r, "M")):
        with pytest.raises(SchemaError, match=r"2025-01-03 gained minus lost is 0\.020 km²"):
            use(rows)
    rows.loc[2, "gained_km2"] -= 0.015  # now 0.005 off: rounding
    assert len(series.calendar(rows)) == 5


def test_a_day_left_out_of_the_measures_is_an_error():
    rows = table(range(1, 6), [10, 11, 12, 13, 14]).drop(index=2)
    with pytest.raises(SchemaError, match="A day is missing"):
        series.calendar(rows)


def test_measures_made_in_parts_are_an_error():
    rows = pd.concat([table([1, 2], [10, 11]), table([3, 4], [11, 12])])
    with pytest.raises(SchemaError, match="no change on 2025-01-03"):
        series.calendar(rows)


@pytest.mark.parametrize("column", ["source", "sector", "tier"])
def test_measures_of_two_things_are_an_error(column):
    rows = table([1, 2], [10, 11])
    rows.loc[1, column] = "other"
    with pytest.raises(ParameterError, match=f"of one {column}"):
        series.calendar(rows)


def test_other_wrong_tables_are_an_error():
    rows = table([1, 2], [10, 11])
    with pytest.raises(SchemaError, match="lacks the columns net_km2"):
        series.calendar(rows.drop(columns="net_km2"))
    with pytest.raises(SchemaError, match="2025-01-01 twice"):
        series.calendar(pd.concat([rows, rows]))
    with pytest.raises(ParameterError, match="before it starts"):
        series.calendar(rows, date(2025, 1, 2), date(2025, 1, 1))
    with pytest.raises(ParameterError, match="needs a start and an end"):
        series.calendar(rows.iloc[:0])


def test_the_tier_that_falls_when_russia_advances_adds_up_too():
    calendar = series.calendar(table([1, 2, 3], [10, 8, 5], tier="ukrainian_held"))
    assert calendar["net_km2"].tolist()[1:] == [2, 3]


# Totals -------------------------------------------------------------------------------------


def test_weeks_end_on_sunday_and_know_whether_they_are_complete():
    # 2025-01-05, -12 and -19 are Sundays.
    days = [*range(1, 13), *range(14, 18)]
    rows = table(days, days)
    weeks = series.totals(rows, "W-SUN")
    assert [day.day for day in weeks.index] == [5, 12, 19]
    assert weeks["complete"].tolist() == [False, True, False]
    assert weeks["net_km2"].tolist() == [4, 7, 5]
    assert weeks["observed_days"].tolist() == [5, 7, 4]


def test_a_gap_inside_a_week_leaves_it_complete_one_at_its_end_does_not():
    inside = series.totals(table([5, 6, 9, 12, 13], [5, 6, 9, 12, 13]), "W-SUN")
    assert inside["complete"].tolist() == [False, True, False]
    at_end = series.totals(table([5, 6, 11, 14, 19], [5, 6, 11, 14, 19]), "W-SUN")
    assert at_end["complete"].tolist() == [False, False, False]
    # Counted where it is first seen; all is counted.
    assert at_end["net_km2"].tolist()[1:] == [6, 8]


def test_a_week_without_any_map_is_a_row():
    weeks = series.totals(table([5, 20], [5, 6]), "W-SUN")
    assert [day.day for day in weeks.index] == [5, 12, 19, 26]
    assert weeks["net_km2"].isna().tolist() == [True, True, True, False]
    assert weeks["observed_days"].tolist() == [1, 0, 0, 1]


def test_a_week_whose_first_change_is_known_is_complete_without_the_day_before():
    rows = table(range(5, 13), range(5, 13)).iloc[1:]
    assert series.totals(rows, "W-SUN")["complete"].tolist() == [True]


@given(
    st.lists(st.integers(1, 31), min_size=1, max_size=31, unique=True).map(sorted),
    st.sampled_from(["W-SUN", "M", "D"]),
    st.randoms(use_true_random=False),
)
@settings(max_examples=60, deadline=None)
def test_totals_add_up_whatever_is_missing(days, freq, random):
    areas = [random.uniform(0, 100) for _ in days]
    rows = table(days, areas, lost=1.0)
    totals = series.totals(rows, freq)
    assert totals["net_km2"].sum() == pytest.approx(areas[-1] - areas[0])
    assert totals["observed_days"].sum() == len(days)
    assert totals["net_km2"].dropna().tolist() == pytest.approx(
        (totals["gained_km2"] - totals["lost_km2"]).dropna().tolist()
    )
    level = dict(zip(rows["day"], areas, strict=True))
    for end, row in totals[totals["complete"]].iterrows():
        start = end.to_period(freq).start_time.normalize() - pd.Timedelta(days=1)
        assert row["net_km2"] == pytest.approx(level[end] - level[start])


# Records ------------------------------------------------------------------------------------


def test_records_say_since_when():
    rows = table(range(1, 8), [0, 5, 6, 9, 10, 11, 15])
    found = series.records(rows)
    assert found.index.tolist() == ["day"]  # no week or month is complete
    day = found.loc["day"]
    assert (day["net_km2"], day["rank"], day["of"]) == (4, 2, 6)
    assert day["end"] == pd.Timestamp("2025-01-07")
    assert day["since"] == pd.Timestamp("2025-01-02")
    earlier = series.records(rows, date(2025, 1, 4)).loc["day"]
    assert (earlier["net_km2"], earlier["rank"]) == (3, 2)


def test_the_largest_of_all_has_no_since():
    found = series.records(table(range(1, 4), [0, 1, 3])).loc["day"]
    assert found["rank"] == 1
    assert pd.isna(found["since"])


def test_a_change_after_a_gap_is_no_record_of_a_day():
    found = series.records(table([1, 2, 3, 10], [0, 5, 6, 100])).loc["day"]
    assert found["end"] == pd.Timestamp("2025-01-03")
    assert found["net_km2"] == 1


def test_no_measures_no_records():
    found = series.records(table([1], [10]))
    assert found.empty
    assert list(found.columns) == ["end", "net_km2", "rank", "of", "since"]


@given(
    st.lists(st.integers(-9, 9), min_size=1, max_size=150),
    st.sets(st.integers(0, 149), max_size=20),
    st.sampled_from(["presence", "ukrainian_held"]),
)
@settings(max_examples=25, deadline=None)
def test_the_query_gives_the_record(tmp_path_factory, steps, missing, tier):
    numbers = [n for n in range(len(steps)) if n not in missing] or [0]
    levels = [2000.0 + sum(steps[: n + 1]) for n in numbers]
    rows = table([n + 1 for n in numbers], levels, tier=tier)
    path = tmp_path_factory.mktemp("query") / "it's measures.csv"
    rows.to_csv(path, index=False)
    last = rows["day"].iloc[-1].date()
    found = series.records(rows, last)
    for period in found.index:
        query = series.record_query(rows, period, last, str(path))
        given = duckdb.sql(query).df()
        assert len(given) == found.loc[period, "of"]
        largest = given["net_km2"].round(3).tolist()
        assert largest == sorted(largest, reverse=True)
        place = given.index[given["end"] == found.loc[period, "end"]][0]
        assert given["net_km2"][place] == pytest.approx(found.loc[period, "net_km2"], abs=1e-3)
        assert (given["net_km2"] > given["net_km2"][place]).sum() + 1 == found.loc[period, "rank"]


def test_a_query_of_no_period_is_an_error():
    rows = table(range(1, 4), [0, 1, 3])
    with pytest.raises(ParameterError, match="year"):
        series.record_query(rows, "year", date(2025, 1, 3), "measures.csv")


# Real days ----------------------------------------------------------------------------------


@marked
def test_real_months_and_records():
    rows = measures.daily(real_maps(), [KURAKHOVE], source=DEEPSTATE, whole=True)
    whole = rows[rows["sector"] == "all"]
    months = series.totals(whole, "M")
    assert months.loc["2024-08-31", "net_km2"] == pytest.approx(363, rel=0.03)
    assert months.loc["2024-11-30", "net_km2"] == pytest.approx(725, rel=0.03)
    assert months["complete"].tolist() == [False, True, True, True, True, False, False]
    record = series.records(whole, date(2024, 11, 30)).loc["month"]
    assert (record["rank"], record["of"]) == (1, 4)
    calendar = series.calendar(rows[rows["sector"] == "kurakhove"])
    assert calendar["area_km2"].isna().sum() == 3
    assert calendar.index[calendar["area_km2"].isna()].strftime("%Y-%m-%d").tolist() == [
        "2024-08-17",
        "2024-08-18",
        "2024-12-31",
    ]
    moved = calendar["area_km2"].iloc[-1] - calendar["area_km2"].iloc[0]
    assert calendar["net_km2"].sum() == pytest.approx(moved, abs=0.01)
    bars = (calendar["rate_km2_day"] * calendar["elapsed_days"].astype(float)).sum()
    assert bars == pytest.approx(moved, abs=0.01)


def test_tables_name_their_rows():
    rows = table(range(1, 40), range(39))
    assert series.calendar(rows).index.name == "day"
    assert series.totals(rows, "W-SUN").index.name == "day"
    assert series.records(rows).index.name == "period"
    one = series.calendar(rows, date(2025, 1, 3), date(2025, 1, 3))
    assert one.index.tolist() == [pd.Timestamp("2025-01-03")]
    assert series.calendar(rows).index.unit == series.totals(rows, "W-SUN").index.unit == "s"


def test_as_large_as_an_earlier_one_is_not_larger_than_it():
    found = series.records(table(range(1, 6), [0, 4, 5, 6, 10])).loc["day"]
    assert (found["net_km2"], found["rank"]) == (4, 1)
    assert found["since"] == pd.Timestamp("2025-01-02")


def test_a_query_quotes_a_name():
    rows = table([1, 2, 3], [0, 1, 3])
    rows["sector"] = "Chasiv's Yar"
    query = series.record_query(rows, "day", date(2025, 1, 3), "m.csv")
    assert "'Chasiv''s Yar'" in query
    with pytest.raises(ParameterError, match="Unknown period 'year'"):
        series.record_query(rows, "year", date(2025, 1, 3), "m.csv")


def test_a_calendar_of_nothing_needs_both_ends():
    nothing = table([1], [0]).iloc[:0]
    assert len(series.calendar(nothing, date(2025, 1, 1), date(2025, 1, 3))) == 3
    for ends in ((date(2025, 1, 1), None), (None, date(2025, 1, 3)), (None, None)):
        with pytest.raises((ParameterError, SchemaError)):
            series.calendar(nothing, *ends)
