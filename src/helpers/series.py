"""Daily measures -> a calendar with explicit gaps, weekly and monthly totals, records."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from helpers.errors import ParameterError, SchemaError, unknown
from helpers.schema import INVERTED_TIERS, MEASURE_COLUMNS

CALENDAR_COLUMNS = (
    "area_km2",
    "area_error_km2",
    "gained_km2",
    "lost_km2",
    "net_km2",
    "sliver_km2",
    "change_error_km2",
    "elapsed_days",
    "rate_km2_day",
    "mean7",
    "mean30",
    "note",
)

# Gained minus lost must be the change of area to this; anything more is a fault in the table.
IDENTITY_KM2 = 0.01

# Days of a mean, and how many of them a change must be known for.
_MEANS = {"mean7": (7, 5), "mean30": (30, 20)}

# The periods of `records`, with pandas' names for them. Weeks end on Sunday.
PERIODS = {"day": "D", "week": "W-SUN", "month": "M"}


def calendar(
    measures: pd.DataFrame, start: date | None = None, end: date | None = None
) -> pd.DataFrame:
    """Lay the measures of one sector out by the days of the calendar; nothing is interpolated.

    Parameters
    ----------
    measures
        Rows of `helpers.measures.daily` for one source, sector and tier.
    start, end
        First and last day, both included; by default those of the measures.

    Returns
    -------
    pandas.DataFrame
        Index `day` (datetime64), one row a day, columns `CALENDAR_COLUMNS`. A day without a map is
        NaN throughout, its note empty. `rate_km2_day` is the net change over the `elapsed_days`
        since the map before: drawn as wide as those days, its area is the change. `mean7` is the
        net change a day, km², over the seven days round each day, a change that was found after a
        gap counted evenly on the days it may have happened on; it needs five days and stops at the
        last day with a map. `mean30` is the same over thirty days, and needs twenty.

    Raises
    ------
    ParameterError
        If the measures are of more than one sector, source or tier, or `end` is before `start`.
    SchemaError
        If gained minus lost is not the change of area.
    """
    days = _checked(measures)
    if days.empty and not (start and end):
        raise ParameterError("There are no measures, so the calendar needs a start and an end.")
    first = pd.Timestamp(start) if start else days.index.min()
    last = pd.Timestamp(end) if end else days.index.max()
    if first > last:
        raise ParameterError(
            f"The calendar ends ({last:%Y-%m-%d}) before it starts ({first:%Y-%m-%d})."
        )
    span = pd.date_range(first, last, unit="s")
    table = days.reindex(days.index.union(span)).asfreq("D").rename_axis("day")
    # The rate of a change holds on every day back to the map before, which the first has not.
    covered = table["rate_km2_day"].bfill().where(table.index > days.index.min())
    for name, (width, least) in _MEANS.items():
        mean = covered.rolling(width, center=True, min_periods=least).mean()
        table[name] = mean.where(covered.notna())
    table["note"] = table["note"].fillna("")
    return table.loc[first:last, list(CALENDAR_COLUMNS)]


def _checked(measures: pd.DataFrame) -> pd.DataFrame:
    """One sector's rows by day, after checking that they are that, and the identity of change."""
    missing = [column for column in MEASURE_COLUMNS if column not in measures.columns]
    if missing:
        raise SchemaError(f"The table of measures lacks the columns {', '.join(missing)}.")
    for column in ("source", "sector", "tier"):
        names = measures[column].unique()
        if len(names) > 1:
            raise ParameterError(
                f"A series is of one {column}, but the measures are of {', '.join(names)}. "
                f"Select one first."
            )
    days = measures.set_index("day").sort_index()
    if days.index.has_duplicates:
        twice = days.index[days.index.duplicated()][0]
        raise SchemaError(f"The table of measures has {twice:%Y-%m-%d} twice.")
    if len(days):
        _check_identity(days)
    return days


def _check_identity(days: pd.DataFrame) -> None:
    sign = -1 if days["tier"].iloc[0] in INVERTED_TIERS else 1
    moved = (days["gained_km2"] - days["lost_km2"]).iloc[1:]
    off = (sign * days["area_km2"].diff().iloc[1:] - moved).cumsum()
    if off.isna().any():
        day = off.index[off.isna()][0]
        raise SchemaError(
            f"The measures have no change on {day:%Y-%m-%d}, which is not their first day. "
            "Measure the days together, not in parts."
        )
    if (off.abs() > IDENTITY_KM2).any():
        day = off.index[off.abs() > IDENTITY_KM2][0]
        raise SchemaError(
            f"Up to {day:%Y-%m-%d} gained minus lost is {abs(off[day]):.3f} km² off the change of "
            "area. A day is missing from the measures, or they come from two runs."
        )


def totals(measures: pd.DataFrame, freq: str) -> pd.DataFrame:
    """Add the changes up by week or month.

    Parameters
    ----------
    measures
        Rows of `helpers.measures.daily` for one source, sector and tier.
    freq
        "W-SUN" (weeks that end on Sunday) or "M" (months), or another period of pandas.

    Returns
    -------
    pandas.DataFrame
        Index `day`, the last day of each period (datetime64); gained_km2, lost_km2, net_km2,
        observed_days (days with a map), complete. A period is complete where there is a map of its
        last day and of the day before its first: then its net change is exactly that of the area.
        Otherwise a change is counted on the day that shows it first.

    Raises
    ------
    ParameterError, SchemaError
        As `calendar`.
    """
    return _totals(_checked(measures), freq)


def _totals(days: pd.DataFrame, freq: str) -> pd.DataFrame:
    """`totals` of rows that were checked."""
    periods = days.index.to_period(freq)
    moves = days[["gained_km2", "lost_km2", "net_km2"]]
    table = moves.groupby(periods).sum(min_count=1)
    table["observed_days"] = moves["net_km2"].groupby(periods).size()
    if len(table):
        table = table.reindex(pd.period_range(periods.min(), periods.max(), freq=freq))
    table["observed_days"] = table["observed_days"].fillna(0).astype(np.int64)
    ends = table.index.to_timestamp(how="end").normalize()
    before = table.index.to_timestamp(how="start") - pd.Timedelta(days=1)
    compared = days.index - pd.to_timedelta(days["elapsed_days"].astype(np.float64), unit="D")
    table["complete"] = ends.isin(days.index) & before.isin(days.index.union(compared))
    table.index = ends.as_unit("s").rename("day")
    return table


def records(measures: pd.DataFrame, day: date | None = None) -> pd.DataFrame:
    """Rank the day, week and month that end last: "the largest since …".

    Parameters
    ----------
    measures
        Rows of `helpers.measures.daily` for one source, sector and tier.
    day
        Nothing later is looked at; by default the last day measured.

    Returns
    -------
    pandas.DataFrame
        One row a period ("day", "week", "month"; index `period`) that has a complete one: end (its
        last day), net_km2, rank (1 is the largest net Russian advance), of (how many complete
        periods there are), since (end of the latest earlier one at least as large; NaT where it is
        the largest of all).

    Raises
    ------
    ParameterError, SchemaError
        As `calendar`.
    """
    until = measures if day is None else measures[measures["day"] <= pd.Timestamp(day)]
    days, rows = _checked(until), {}
    for period, freq in PERIODS.items():
        table = _totals(days, freq)
        net = table.loc[table["complete"], "net_km2"]
        if net.empty:
            continue
        last, earlier = net.iloc[-1], net.iloc[:-1]
        as_large = earlier.index[earlier >= last]
        rows[period] = {
            "end": net.index[-1],
            "net_km2": last,
            "rank": 1 + int((earlier > last).sum()),
            "of": len(net),
            "since": as_large[-1] if len(as_large) else pd.NaT,
        }
    table = pd.DataFrame.from_dict(
        rows, orient="index", columns=["end", "net_km2", "rank", "of", "since"]
    )
    table = table.astype({"end": "datetime64[s]", "since": "datetime64[s]"})
    return table.rename_axis("period")


# One line a day that ends a period and has a map, with the change since the day before the period:
# the difference of two levels, so that nothing between them can be missing.
_QUERY = """\
with m as (
  select cast(day as date) as day, area_km2 from read_csv('{path}')
  where source = '{source}' and sector = '{sector}' and tier = '{tier}'
)
select after.day as "end", round({sign}(after.area_km2 - before.area_km2), 3) as net_km2
from m as after join m as before on before.day = {start} - 1
where after.day = {end} and after.day <= date '{day}'
order by net_km2 desc, "end" desc"""
_SQL_PERIODS = {
    "day": ("after.day", "after.day"),
    "week": ("date_trunc('week', after.day)::date", "date_trunc('week', after.day)::date + 6"),
    "month": ("date_trunc('month', after.day)::date", "last_day(after.day)"),
}


def record_query(measures: pd.DataFrame, period: str, day: date, path: str) -> str:
    """Write the query that gives a record of `records` from a table of measures.

    Parameters
    ----------
    measures
        Rows of `helpers.measures.daily` for one source, sector and tier.
    period
        "day", "week" or "month".
    day
        Nothing later is looked at.
    path
        The CSV file that the measures were written to.

    Returns
    -------
    str
        SQL for DuckDB: the complete periods, the largest net Russian advance first.

    Raises
    ------
    ParameterError
        If the measures are of more than one source, sector or tier, or there is no such period.
    """
    if period not in _SQL_PERIODS:
        raise unknown("period", period, _SQL_PERIODS)
    _checked(measures)
    names = {column: measures[column].iloc[0] for column in ("source", "sector", "tier")}
    start, end = _SQL_PERIODS[period]
    sign = "-" if names["tier"] in INVERTED_TIERS else ""
    quoted = {key: str(value).replace("'", "''") for key, value in names.items()}
    file = path.replace("'", "''")
    return _QUERY.format(path=file, sign=sign, start=start, end=end, day=day, **quoted)
