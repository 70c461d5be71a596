"""The measures that are kept: the same numbers as measuring anew, and measured once."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from threading import Event

import pandas as pd
import pytest

from grounds import marked
from helpers import daybook, measures, provenance, publishers, reference, snapshots
from helpers.errors import ParameterError, SnapshotError
from helpers.workspace import PROJECT, Workspace
from test_snapshots import put

SECTOR = reference.sectors()["kurakhove"]
ALL = (date(2024, 12, 1), date(2025, 2, 28))
# Re-quantised days take some metres off the whole line, which a new month measures again.
LINE_KM = 1e-3


def days_of(ws):
    return [path.stem for path in sorted((ws.raw / "deepstate").iterdir())]


@pytest.fixture
def winter(workspace):
    """Three months of maps with gaps, the line further west each day."""
    day, east = date(2024, 12, 20), 37.30
    while day < date(2025, 2, 10):
        if day.day % 7:
            put(workspace, f"{day:%Y%m%d}", round(east, 4))
        day, east = day + timedelta(days=1), east + 0.002
    snapshots.ensure(workspace, "deepstate")
    return workspace


def kept(ws):
    return sorted((ws.processed / "deepstate" / "measures").glob("*/*.parquet"))


def asked(ws, days=ALL, **options):
    return daybook.daily(ws, "deepstate", [SECTOR], days, tier="presence", **options)


def anew(ws, days=ALL, sectors=(SECTOR,), source="deepstate", **options):
    return measures.daily(
        snapshots.window(ws, source, *days, lead_in=True),
        sectors,
        source=publishers.source(ws, source),
        border=reference.outer_edges(),
        **{"tier": "presence"} | options,
    )


def the_same(one, other):
    exact = [c for c in one if c not in ("contact_km", "area_error_km2", "change_error_km2")]
    pd.testing.assert_frame_equal(one[exact], other[exact], rtol=0, atol=1e-7)
    pd.testing.assert_frame_equal(one, other, rtol=1e-5, atol=LINE_KM)


@pytest.fixture
def measuring(monkeypatch):
    """The days of each call of `measures.daily`."""
    calls = []
    measure = measures.daily

    def counted(maps, *args, **options):
        calls.append([s.day for s in maps])
        return measure(maps, *args, **options)

    monkeypatch.setattr(measures, "daily", counted)
    return calls


@pytest.mark.parametrize(
    "days",
    [
        ALL,
        (date(2025, 1, 1), date(2025, 1, 31)),
        (date(2024, 12, 25), date(2025, 1, 5)),
        (date(2025, 1, 15), date(2025, 1, 15)),
        (date(2024, 1, 1), date(2024, 12, 23)),
    ],
)
def test_a_window_is_as_if_measured_anew(winter, days):
    table = asked(winter, days)
    the_same(table, anew(winter, days))
    the_same(asked(winter, days), table)
    assert len(table) > 1


def test_the_embedded_sample_in_all_sectors(tmp_path):
    (tmp_path / "data" / "raw").mkdir(parents=True)
    (tmp_path / "data/raw/reconstruction").symlink_to(PROJECT / "data/raw/reconstruction")
    ws, days = Workspace.at(tmp_path), (date(2024, 12, 10), date(2025, 1, 18))
    snapshots.ensure(ws, "reconstruction")
    sectors = list(reference.sectors().values())
    table = daybook.daily(ws, "reconstruction", sectors, days, whole=True)
    the_same(table, anew(ws, days, sectors, "reconstruction", tier="", whole=True))
    assert table["tier"].nunique() == 2


@marked
def test_all_real_days_in_all_sectors(deepstate):
    sectors = list(reference.sectors().values())
    days = (date(2024, 7, 20), date(2025, 1, 20))
    table = daybook.daily(deepstate, "deepstate", sectors, days, tier="presence", whole=True)
    the_same(table, anew(deepstate, days, sectors, whole=True))
    assert table["note"].str.contains("re-quantised").any()


def test_nothing_is_measured_twice(winter, measuring):
    first = asked(winter)
    assert len(measuring) == 3
    assert [days[0] for days in measuring[1:]] == [date(2024, 12, 31), date(2025, 1, 31)]
    pd.testing.assert_frame_equal(asked(winter), first)
    asked(winter, (date(2025, 1, 3), date(2025, 1, 9)))
    assert len(measuring) == 3


def test_a_new_day_costs_its_month(winter, measuring):
    asked(winter)
    put(winter, "20250212", 37.6)
    snapshots.ensure(winter, "deepstate")
    del measuring[:]
    table = asked(winter)
    assert [days[0] for days in measuring] == [date(2025, 1, 31)]
    the_same(table, anew(winter))


def test_a_map_that_is_another_is_measured_again_with_the_month_after_it(winter, measuring):
    asked(winter)
    put(winter, "20250201", 37.21)  # shows the last day of January
    snapshots.ensure(winter, "deepstate")
    del measuring[:]
    table = asked(winter)
    assert [days[-1].month for days in measuring] == [1, 2]
    the_same(table, anew(winter))


def test_days_that_are_gone_are_in_no_window(winter):
    asked(winter)
    for stem in days_of(winter):
        if "_202501" in stem:
            (winter.raw / "deepstate" / f"{stem}.geojson").unlink()
    snapshots.ensure(winter, "deepstate")
    table = asked(winter)
    the_same(table, anew(winter))
    assert table["note"].str.contains("gap").any()


def test_the_numbers_do_not_depend_on_the_window_in_their_last_bit(winter):
    days = (date(2025, 1, 10), date(2025, 1, 25))
    small = asked(winter, days)
    whole = asked(winter)
    both = small.iloc[1:].merge(whole, on="day", suffixes=("", "_whole"))
    for column in ("area_km2", "gained_km2", "contact_km", "change_error_km2"):
        assert (both[column] == both[f"{column}_whole"]).all()
    assert len(both) == len(small) - 1


def test_another_code_measures_again_and_clears_up(winter, measuring, monkeypatch):
    asked(winter)
    before = kept(winter)
    monkeypatch.setattr(provenance, "helpers_digest", lambda: "another")
    asked(winter)
    assert len(measuring) == 6
    assert len(kept(winter)) == 1
    assert kept(winter) != before


@pytest.mark.parametrize("content", [b"", b"PAR1", "half"])
def test_a_damaged_file_is_measured_again(winter, measuring, content):
    first = asked(winter)
    (path,) = kept(winter)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content == "half" else content)
    pd.testing.assert_frame_equal(asked(winter), first)
    assert len(measuring) == 6
    assert path.read_bytes() == whole


def test_a_folder_that_cannot_be_written_takes_nothing_from_the_numbers(winter, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(daybook, "write_atomic", full)
    the_same(asked(winter), anew(winter))
    assert kept(winter) == []


def test_a_lock_that_cannot_be_had_is_done_without(winter, monkeypatch):
    monkeypatch.setattr(daybook, "_LOCK_WAIT_S", 0.1)
    assert daybook._lock(winter.processed / "a.parquet") == winter.processed / ".a.lock"
    monkeypatch.setattr(daybook, "_lock", lambda *_: winter.processed)  # a folder
    the_same(asked(winter), anew(winter))


def test_who_wants_one_of_several_places_that_are_being_measured_waits_for_it(winter, monkeypatch):
    other = replace(SECTOR, key="west", lon=SECTOR.lon - 0.2)
    begun, calls, measure = Event(), [], measures.daily

    def slow(maps, sectors, **options):
        calls.append({sector.key for sector in sectors})
        begun.set()
        time.sleep(0.2)
        return measure(maps, sectors, **options)

    monkeypatch.setattr(measures, "daily", slow)
    with ThreadPoolExecutor() as pool:
        both = [other, SECTOR]
        first = pool.submit(daybook.daily, winter, "deepstate", both, ALL, tier="presence")
        assert begun.wait(10)
        second = pool.submit(asked, winter)
        rows = first.result()
        the_same(second.result(), rows[rows["sector"] == SECTOR.key].reset_index(drop=True))
    assert calls == [{other.key, SECTOR.key}] * 3  # a month each


def test_seen_from_another_day_nothing_is_kept(winter):
    past = winter.known_by(date(2025, 1, 10))
    table = asked(past)
    assert table["day"].max() <= pd.Timestamp(2025, 1, 10)
    the_same(table, anew(past))
    assert kept(winter) == []


def test_another_error_of_the_source_is_another_measure(winter, measuring, monkeypatch):
    first = asked(winter)
    source = publishers.source(winter, "deepstate")
    doubled = replace(source, positional_error_m=2 * source.positional_error_m)
    monkeypatch.setattr(publishers, "source", lambda *_: doubled)
    assert asked(winter)["area_error_km2"].tolist() == pytest.approx(2 * first["area_error_km2"])
    assert len(measuring) == 6


def test_what_is_not_there_is_said(winter):
    with pytest.raises(SnapshotError, match="There is no deepstate snapshot between"):
        asked(winter, (date(2020, 1, 1), date(2020, 2, 1)))
    with pytest.raises(SnapshotError):
        daybook.daily(winter, "deepstate", [SECTOR], ALL, tier="ukrainian_held")
    with pytest.raises(ParameterError, match="Nothing to measure"):
        daybook.daily(winter, "deepstate", [], ALL)
