"""The measures of each day, kept beside the maps: no day is measured twice.

``data/processed/<source>/measures/<state>/<place>.parquet`` has the days of one place and tier.
They are measured a month of the calendar at a time, whatever days are asked for, so that a number
does not depend, not in its last bit, on the window that it was asked in. A month is measured again
when a map in it, or the last before it, is another; all of them when the helpers or the packages
that can move a number are (the state). The folder may be deleted at any time.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from filelock import FileLock, Timeout

from helpers import measures, provenance, publishers, reference, snapshots
from helpers.files import write_atomic
from helpers.reference import Sector
from helpers.schema import MEASURE_COLUMNS, tiers_of
from helpers.sources import Source
from helpers.workspace import Workspace

# Longer than any archive takes to measure; whoever waits in vain measures for themselves.
_LOCK_WAIT_S = 120
# What a month was measured from, beside its rows.
_FROM = "from"
_TEXTS = ("source", "sector", "tier", "label", "note", _FROM)
# What the first day of a window cannot know: there is none before it.
_CHANGES = (
    "gained_km2",
    "lost_km2",
    "net_km2",
    "sliver_km2",
    "rate_km2_day",
    "depth_km",
    "change_error_km2",
)


class _Month(NamedTuple):
    """A month of one source and tier."""

    name: str
    start: date
    end: date
    lead_in: date | None
    key: str


def daily(
    ws: Workspace,
    source_id: str,
    sectors: Sequence[Sector] | None,
    days: tuple[date, date],
    *,
    tier: str = "",
    whole: bool = False,
) -> pd.DataFrame:
    """Measure sectors day by day, or look up what was measured before.

    Parameters
    ----------
    ws, source_id
        The workspace and the source, its store up to date.
    sectors, tier, whole
        As `measures.daily`; the state border and the coast are no line of contact.
    days
        First and last assessed day.

    Returns
    -------
    pandas.DataFrame
        As `measures.daily` of `snapshots.window` with its lead-in: the first row of a sector is
        that of the map before the first day, if there is one, and has no changes.

    Raises
    ------
    ParameterError, SnapshotError
        As those two.
    """
    source = publishers.source(ws, source_id)
    asked = measures.places(sectors, source, tier, whole=whole)
    known = snapshots.maps_of(ws, source.id)
    chosen = _chosen(list(known), *days)
    drawn = {
        name: [d for d, ids in known.items() if name in tiers_of(source.layers, list(ids))]
        for name in dict.fromkeys(name for _, name, _ in asked)
    }
    if not all(set(chosen) & set(told) for told in drawn.values()):
        # It knows best what to say of days or tiers that are not there.
        window = snapshots.window(ws, source.id, *days, lead_in=True)
        return measures.daily(window, sectors, source=source, tier=tier, whole=whole)
    found = {}
    for name, told in drawn.items():
        here = [place for place in asked if place[1] == name]
        months = list(_months(known, told, set(chosen)))
        found.update(_tables(ws, source, here, months))
    rows = [_window(found[key, name], chosen) for key, name, _ in asked]
    return pd.concat(rows, ignore_index=True)


def _chosen(known: Sequence[date], start: date, end: date) -> list[date]:
    """The days of a window that have a map, the last before it first."""
    inside = [d for d in known if start <= d <= end]
    return [d for d in known if inside and d < inside[0]][-1:] + inside


def _months(
    known: Mapping[date, Mapping[str, str]], told: Sequence[date], chosen: set[date]
) -> Iterator[_Month]:
    """The months in which the chosen days lie, and what each is measured from."""
    lead_in = None
    for name, group in groupby(told, key=lambda day: f"{day:%Y-%m}"):
        days = list(group)
        if chosen.intersection(days):
            first = lead_in or days[0]
            maps = [(d.isoformat(), known[d]) for d in known if first <= d <= days[-1]]
            key = provenance.digest(json.dumps(maps).encode())
            yield _Month(name, days[0], days[-1], lead_in, key)
        lead_in = days[-1]


def _window(table: pd.DataFrame, chosen: Sequence[date]) -> pd.DataFrame:
    """The rows of a window; its first row knows of no day before it."""
    inside = table["day"].isin(pd.DatetimeIndex(chosen))
    rows = table.loc[inside, list(MEASURE_COLUMNS)].reset_index(drop=True)
    first = rows.index == 0
    unknown = {name: rows[name].mask(first) for name in (*_CHANGES, "elapsed_days")}
    said = {name: rows[name].mask(first, "first day") for name in ("label", "note")}
    return rows.assign(**unknown, **said)


# What is kept -------------------------------------------------------------------------------


def _tables(
    ws: Workspace, source: Source, places: measures.Places, months: Sequence[_Month]
) -> dict[tuple[str, str], pd.DataFrame]:
    """The rows of some months by place and tier, measured where they are not known."""
    if ws.as_of is not None:  # seen from another day, the maps are others: nothing of it is kept
        return _extended(ws, source, places, months, {})
    folder = ws.processed / source.id / "measures" / _state()
    paths = {place[:2]: folder / f"{_name(source, place)}.parquet" for place in places}
    kept = {place: _read(path) for place, path in paths.items()}
    if all(_missing(table, months) == [] for table in kept.values()):
        return kept
    with ExitStack() as held:
        # One a place, in one order: who wants other places need not wait, and who wants some of
        # these finds them measured.
        for path in sorted(paths.values()):
            held.enter_context(_alone(_lock(path)))
        kept = {place: _read(path) for place, path in paths.items()}  # another may have been first
        tables = _extended(ws, source, places, months, kept)
        with suppress(OSError):  # the numbers are as good if they cannot be kept
            for place, table in tables.items():
                if table is not kept[place]:
                    write_atomic(paths[place], _bytes(table))
            for other in set(folder.parent.iterdir()) - {folder}:
                shutil.rmtree(other, ignore_errors=True)
    return tables


def _state() -> str:
    """What all measures depend on beside the maps."""
    software = {"helpers": provenance.helpers_digest(), **provenance.software()}
    return provenance.digest(provenance.to_json(software))[:16]


def _name(source: Source, place: tuple[str, str, Sector | None]) -> str:
    key, tier, sector = place
    ground = b"" if sector is None else shapely.to_wkb(sector.polygon)
    return provenance.digest(repr((source, key, tier)).encode() + ground)[:24]


def _lock(path: Path) -> Path:
    return path.with_name(f".{path.stem}.lock")


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep others from measuring the same at the same time, where that can be."""
    lock = FileLock(path, timeout=_LOCK_WAIT_S)
    with suppress(OSError, Timeout):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _read(path: Path) -> pd.DataFrame:
    """What is kept of a place; nothing where it is not whole."""
    try:
        # No threads: the process may be one that forks.
        with pq.ParquetFile(path, pre_buffer=False) as file:
            table = file.read(use_threads=False).to_pandas(use_threads=False)
        return table.astype({"day": "datetime64[s]", "elapsed_days": "Int64"})
    except (OSError, pa.ArrowInvalid, KeyError):
        return pd.DataFrame({"day": pd.DatetimeIndex([]), _FROM: []})


def _bytes(table: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(
        pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(None),
        buffer,
        compression="zstd",
    )
    return buffer.getvalue()


# What is measured ---------------------------------------------------------------------------


def _missing(table: pd.DataFrame, months: Iterable[_Month]) -> list[_Month]:
    there = set(table[_FROM])
    return [month for month in months if month.key not in there]


def _extended(
    ws: Workspace,
    source: Source,
    places: measures.Places,
    months: Sequence[_Month],
    kept: Mapping[tuple[str, str], pd.DataFrame],
) -> dict[tuple[str, str], pd.DataFrame]:
    """Measure the months that a place lacks, all places that lack one at once."""
    found = {place[:2]: [kept[place[:2]]] if place[:2] in kept else [] for place in places}
    for month in months:
        lacking = [p for p in places if _lacks(kept.get(p[:2]), month)]
        if not lacking:
            continue
        maps = snapshots.window(ws, source.id, month.lead_in or month.start, month.end)
        table = measures.daily(
            maps,
            [sector for _, _, sector in lacking if sector is not None],
            source=source,
            tier=lacking[0][1],
            border=reference.outer_edges(),
            whole=any(sector is None for _, _, sector in lacking),
        )
        table = table[table["day"] >= pd.Timestamp(month.start)].assign(**{_FROM: month.key})
        for key, rows in table.groupby("sector"):
            found[str(key), lacking[0][1]].append(rows)
    return {place: _joined(tables, months) for place, tables in found.items()}


def _lacks(table: pd.DataFrame | None, month: _Month) -> bool:
    return table is None or bool(_missing(table, [month]))


def _joined(tables: Sequence[pd.DataFrame], months: Sequence[_Month]) -> pd.DataFrame:
    """New months in the place of what was there before them."""
    old, new = tables[0], tables[1:]
    if not new:
        return old
    current = {month.name: month.key for month in months}
    names = old["day"].dt.strftime("%Y-%m")
    stale = names.isin(current) & (old[_FROM] != names.map(current))
    rest = [old[~stale]] if len(old[~stale]) else []
    return pd.concat([*rest, *new], ignore_index=True).sort_values("day", ignore_index=True)
