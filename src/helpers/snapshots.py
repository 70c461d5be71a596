"""Which days exist, and one day or a window of days as snapshots."""

from __future__ import annotations

import calendar
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from functools import lru_cache
from itertools import groupby, pairwise
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import pandas as pd
from shapely.geometry.base import BaseGeometry

from helpers import edges, gate, ingest, publishers
from helpers.errors import ParameterError, SnapshotError
from helpers.projection import area_km2
from helpers.schema import InputFile, Snapshot, parse_day, tiers_of
from helpers.sources import Source
from helpers.store import Store
from helpers.workspace import Workspace

# What the disk said when a store was last found up to date, by its folder.
_CURRENT: dict[Path, tuple[object, ...]] = {}


def ensure(ws: Workspace, source_id: str) -> None:
    """Bring the store of a source up to date, so that a notebook runs on its own.

    Parameters
    ----------
    ws
        The workspace.
    source_id
        The source. Files that cannot be used are passed over here; `ingest.run` names them.

    Notes
    -----
    The store is not even opened where neither it nor anything that it is made from was written
    since it was last looked into, by this process or the one that forked it.
    """
    # Before the run: what is written meanwhile is for the next.
    given, store = ingest.given(ws, source_id), Store(ws.processed / source_id)
    whole = store.whole()
    if given and whole and _CURRENT.get(store.folder) == (given, whole):
        return
    ingest.run(ws, source_id)
    whole = store.whole()
    if given and whole:
        _CURRENT[store.folder] = given, whole


def _all_days(ws: Workspace, source_id: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The version that speaks for each day and layer, and what the gate thinks of each day."""
    publishers.get(ws, source_id)
    if ws.as_of is not None:  # judged anew, with the overrides of today
        return _read_days.__wrapped__(ws, source_id, ())
    chosen, verdicts = _read_days(ws, source_id, Store(ws.processed / source_id).stamp())
    return chosen.copy(deep=False), verdicts.copy(deep=False)


# Asked many times in a notebook, and answered from the same two files.
@lru_cache(maxsize=16)
def _read_days(
    ws: Workspace, source_id: str, _stamp: tuple[object, ...]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    store = Store(ws.processed / source_id)
    table = store.days()
    if table.empty:
        raise _nothing_read(ws, source_id)
    chosen = ingest.versions(table, ws.as_of)
    if ws.as_of is None:
        return chosen, store.verdicts()
    return chosen, ingest.judge(ws, source_id, chosen, store.files())


def _nothing_read(ws: Workspace, source_id: str) -> SnapshotError:
    return SnapshotError(
        f"Nothing of {source_id} has been read. Put its files into {ws.raw / source_id} and "
        "run `frontline ingest`."
    )


class _Row(NamedTuple):
    """One layer of a day that can be used."""

    day: date
    published: date | None
    retrieved: date | None
    layer: str
    map_id: str
    path: str
    sha256: str


def _rows(ws: Workspace, source_id: str) -> tuple[_Row, ...]:
    """What speaks for each day and layer that can be used, in the order of the days."""
    publishers.get(ws, source_id)
    if ws.as_of is not None:
        return _usable(ws, source_id, *_all_days(ws, source_id))
    return _read_rows(ws, source_id, Store(ws.processed / source_id).stamp())


# Without data frames, which cost a new day more than its map does.
@lru_cache(maxsize=16)
def _read_rows(ws: Workspace, source_id: str, _stamp: tuple[object, ...]) -> tuple[_Row, ...]:
    store = Store(ws.processed / source_id)
    table = store.day_table()
    if not len(table):
        raise _nothing_read(ws, source_id)
    return _usable(ws, source_id, ingest.speaking(table), store.verdict_table())


def _usable(ws: Workspace, source_id: str, table: Any, verdicts: Any) -> tuple[_Row, ...]:
    """Rows of a table of days, pandas' or pyarrow's, without those of quarantined days."""
    judged = zip(_dates(verdicts["day"]), _texts(verdicts["status"]), strict=True)
    held_back = {day for day, status in judged if status == gate.QUARANTINED}
    columns = [_dates(table[name]) for name in _Row._fields[:3]]
    columns += [_texts(table[name]) for name in _Row._fields[3:]]
    rows = [_Row(*row) for row in zip(*columns, strict=True) if row[0] not in held_back]
    if not rows:
        when = f" as of {ws.as_of}" if ws.as_of else ""
        raise SnapshotError(f"No day of {source_id} can be used{when}. `frontline check` says why.")
    return tuple(sorted(rows, key=attrgetter("day")))


def _dates(column: Any) -> list[Any]:
    """Days of a column; None where there is none."""
    found: list[Any] = column.to_numpy().astype("datetime64[D]").tolist()
    return found


def _texts(column: Any) -> list[str]:
    found: list[str] = column.tolist() if isinstance(column, pd.Series) else column.to_pylist()
    return found


def verdicts(ws: Workspace, source_id: str) -> pd.DataFrame:
    """What the gate thinks of each day of a source.

    Parameters
    ----------
    ws
        The workspace.
    source_id
        The source.

    Returns
    -------
    pandas.DataFrame
        One row a day, in order: day (datetime64), status, reasons and notes (a line each).

    Raises
    ------
    SnapshotError
        If nothing was read.
    """
    chosen, _ = _all_days(ws, source_id)
    store = Store(ws.processed / source_id)
    steps = ingest.steps_of(store, chosen)
    return ingest.judge(ws, source_id, chosen, store.files(), steps)


def quarantined(
    ws: Workspace, source_id: str, start: date | None = None, end: date | None = None
) -> dict[date, str]:
    """Find the days that are in no measure.

    Parameters
    ----------
    ws
        The workspace.
    source_id
        The source.
    start, end
        First and last day to look at, both included; None for all.

    Returns
    -------
    dict
        Day to reason, in order.
    """
    table = _all_days(ws, source_id)[1]
    table = table[table["status"] == gate.QUARANTINED]
    first, last = pd.Timestamp(start or date.min), pd.Timestamp(end or date.max)
    return {
        day.date(): reasons.replace("\n", "; ")
        for day, reasons in zip(table["day"], table["reasons"], strict=True)
        if first <= day <= last
    }


def revisions(ws: Workspace, source_id: str) -> pd.DataFrame:
    """Maps that a publisher changed after the fact.

    Parameters
    ----------
    ws
        The workspace.
    source_id
        The source.

    Returns
    -------
    pandas.DataFrame
        One row a later version: day, layer, earlier and later (file and fetched or found on),
        earlier_km2, later_km2, added_km2, removed_km2.
    """
    store = Store(ws.processed / source_id)
    table = store.days()
    order = table.assign(
        found=table["superseded"].fillna(pd.Timestamp("2200-01-01")),
        fetched=table["retrieved"].fillna(pd.Timestamp(0)),
    ).sort_values(["day", "layer", "found", "fetched", "path"], kind="stable")
    order["geometry"] = store.load(order["day"], order["layer"], order["map_id"])
    rows = []
    for (day, layer), group in order.groupby(["day", "layer"]):
        versions = group.drop_duplicates("map_id")
        several = list(versions.itertuples(index=False))
        for old, new in pairwise(several):
            step = edges.faces(old.geometry, new.geometry)
            rows.append(
                {
                    "day": day,
                    "layer": layer,
                    "earlier": _origin(old),
                    "later": _origin(new),
                    "earlier_km2": old.area_km2,
                    "later_km2": new.area_km2,
                    "added_km2": float(area_km2(step.gained).sum()),
                    "removed_km2": float(area_km2(step.lost).sum()),
                }
            )
    return pd.DataFrame(rows, columns=_REVISION_COLUMNS)


_REVISION_COLUMNS = [
    "day",
    "layer",
    "earlier",
    "later",
    "earlier_km2",
    "later_km2",
    "added_km2",
    "removed_km2",
]


def _origin(row: tuple[object, ...]) -> str:
    path, superseded = row.path, row.superseded  # type: ignore[attr-defined]
    if not pd.isna(superseded):
        return f"{path}, until {superseded.date()}"
    return str(path)


def days(ws: Workspace, source_id: str) -> list[date]:
    """Assessed days that have a map, sorted."""
    return sorted({row.day for row in _rows(ws, source_id)})


def maps_of(ws: Workspace, source_id: str) -> dict[date, dict[str, str]]:
    """Name the maps of every assessed day, without loading them.

    Parameters
    ----------
    ws
        The workspace.
    source_id
        The source.

    Returns
    -------
    dict
        Day to layer to map id (equal ids are equal maps, bit for bit), in the order of the days.

    Raises
    ------
    SnapshotError
        If there is none.
    """
    found: dict[date, dict[str, str]] = {}
    for row in sorted(_rows(ws, source_id), key=attrgetter("day", "layer")):
        found.setdefault(row.day, {})[row.layer] = row.map_id
    return found


def fingerprint(ws: Workspace, source_id: str, until: date) -> str:
    """SHA-256 of all that can be known of a source's days up to one, the held-back ones included.

    Parameters
    ----------
    ws
        The workspace.
    source_id
        The source.
    until
        The last day that counts.

    Returns
    -------
    str
        The same as long as maps, files, notes and verdicts of these days are the same.
    """
    if ws.as_of is not None:  # judged anew, with the overrides of today
        return _fingerprint.__wrapped__(ws, source_id, until, ())
    return _fingerprint(ws, source_id, until, Store(ws.processed / source_id).stamp())


# Asked once for each sector and source that are compared.
@lru_cache(maxsize=64)
def _fingerprint(ws: Workspace, source_id: str, until: date, _stamp: tuple[object, ...]) -> str:
    lines: list[str] = []
    for table in _all_days(ws, source_id):
        known = table[table["day"] <= pd.Timestamp(until)]
        columns = [name for name in ("layer", "map_id", "path", "note") if name in known]
        columns += [name for name in ("status", "reasons", "notes") if name in known]
        lines += map(
            "\t".join, zip(*(known[c].astype(str) for c in ["day", *columns]), strict=True)
        )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def load(ws: Workspace, source_id: str, day: date) -> Snapshot:
    """Load the map of one assessed day.

    Parameters
    ----------
    ws
        The workspace.
    source_id
        The source.
    day
        The assessed day.

    Returns
    -------
    Snapshot
        Its layers.

    Raises
    ------
    SnapshotError
        If there is none; the message names the nearest days that exist.
    """
    known = days(ws, source_id)
    if day not in known:
        raise _no_day(ws, source_id, day, known)
    return window(ws, source_id, day, day)[0]


def _no_day(ws: Workspace, source_id: str, day: date, known: Sequence[date]) -> SnapshotError:
    near = [max((d for d in known if d < day), default=None)]
    near.append(min((d for d in known if d > day), default=None))
    nearest = " and ".join(d.isoformat() for d in near if d)
    why = quarantined(ws, source_id, day, day)
    told = (
        f"The {source_id} snapshot of {day} is quarantined: {why[day]}"
        if why
        else (f"There is no {source_id} snapshot for {day}")
    )
    seen = f" (as of {ws.as_of})" if ws.as_of else ""
    return SnapshotError(
        f"{told}. Nearest: {nearest}. The workspace has {len(known)} days from {known[0]} to "
        f"{known[-1]}{seen}."
    )


def window(
    ws: Workspace, source_id: str, start: date, end: date, *, lead_in: bool = False
) -> list[Snapshot]:
    """Load all maps between two assessed days.

    Parameters
    ----------
    ws
        The workspace.
    source_id
        The source.
    start, end
        First and last assessed day, both included.
    lead_in
        Whether the last map before `start` is put before them, so that the first day's change can
        be measured.

    Returns
    -------
    list of Snapshot
        In the order of their days; days without a map are absent. Identical maps share one
        geometry object.

    Raises
    ------
    SnapshotError
        If there is no map in the window.
    """
    rows = _rows(ws, source_id)
    by_day = {day: tuple(group) for day, group in groupby(rows, key=attrgetter("day"))}
    known = list(by_day)
    chosen = [i for i, day in enumerate(known) if start <= day <= end]
    if not chosen:
        raise SnapshotError(
            f"There is no {source_id} snapshot between {start} and {end}. The workspace has "
            f"{len(known)} days from {known[0]} to {known[-1]}."
        )
    source = publishers.source(ws, source_id)
    first = max(chosen[0] - lead_in, 0)
    # The map before tells whether one is a copy.
    pairs = pairwise([(), *(by_day[day] for day in known)])
    keys = [(source, group, before) for before, group in list(pairs)[first : chosen[-1] + 1]]
    there = {key: snapshot for key in keys if (snapshot := _THERE.get(key))}
    grounds = {
        row.map_id: snapshot.layers[row.layer]
        for (_, group, _), snapshot in there.items()
        for row in group
    }
    new = [row for key in keys if key not in there for row in key[1] if row.map_id not in grounds]
    if new:
        asked = zip(*((row.day, row.layer, row.map_id) for row in new), strict=True)
        loaded = Store(ws.processed / source_id).load(*asked)
        grounds |= {row.map_id: ground for row, ground in zip(new, loaded, strict=True)}
    made = [there.get(key) or _snapshot(*key, grounds) for key in keys]
    _THERE.update(zip(keys, made, strict=True))
    return made


# Maps that somebody holds, by their source, their rows and those of the map before: who asks again
# gets the same one, with what was worked out of it.
_THERE: WeakValueDictionary[tuple[Source, tuple[_Row, ...], tuple[_Row, ...]], Snapshot] = (
    WeakValueDictionary()
)


def _snapshot(
    source: Source,
    rows: Sequence[_Row],
    previous: Sequence[_Row],
    grounds: Mapping[str, BaseGeometry],
) -> Snapshot:
    ids, before = ({row.layer: row.map_id for row in some} for some in (rows, previous))
    files = sorted({(row.path, row.sha256) for row in rows})
    return Snapshot(
        source=source.id,
        day=rows[0].day,
        layers={row.layer: grounds[row.map_id] for row in rows},
        tiers=tiers_of(source.layers, list(ids)),
        published=_first_day(row.published for row in rows),
        retrieved=_first_day(row.retrieved for row in rows),
        inputs=tuple(InputFile(*file) for file in files),
        copy_of=previous[0].day if ids == before else None,
    )


def _first_day(days: Iterable[date | None]) -> date | None:
    return next((day for day in days if day is not None), None)


def on_or_before(ws: Workspace, source_id: str, day: date) -> date | None:
    """Latest assessed day with a map that is not after `day`, or None."""
    return max((d for d in days(ws, source_id) if d <= day), default=None)


def month_before(day: date) -> date:
    """Same day of the month before; the last of that month where it has no such day."""
    year, month = (day.year, day.month - 1) if day.month > 1 else (day.year - 1, 12)
    return date(year, month, min(day.day, calendar.monthrange(year, month)[1]))


def baseline(ws: Workspace, source_id: str, day: date, compare_to: str = "") -> date:
    """Find the day that a report of `day` is compared with.

    Parameters
    ----------
    ws
        The workspace.
    source_id
        The source.
    day
        The assessed day of the report.
    compare_to
        An ISO day that must have a map; empty takes a month before, or the last map before that,
        or the first there is.

    Returns
    -------
    datetime.date
        An earlier assessed day with a map.

    Raises
    ------
    ParameterError
        If `compare_to` is not a day, or not earlier.
    SnapshotError
        If it has no map.
    """
    known = days(ws, source_id)
    if compare_to:
        since = parse_day(compare_to, "compare_to")
        if since not in known:
            raise _no_day(ws, source_id, since, known)
    else:
        since = on_or_before(ws, source_id, month_before(day)) or known[0]
    if since >= day:
        raise ParameterError(
            f"{day} cannot be compared with {since}, which is not earlier. The first map is of "
            f"{known[0]}: choose a later day, or an earlier one to compare with."
        )
    return since


def earlier(ws: Workspace, source_id: str, day: date, since: date) -> dict[str, Snapshot]:
    """Load the maps that a day is compared with.

    Parameters
    ----------
    ws
        The workspace.
    source_id
        The source.
    day
        The assessed day.
    since
        The main day of comparison.

    Returns
    -------
    dict
        "since", "week" (the last map that is at least 7 days older), "day" (the map before), in
        that order; a period without a map, or with the same map day as one before it, is absent.
    """
    wanted = {
        "since": since,
        "week": on_or_before(ws, source_id, day - timedelta(days=7)),
        "day": on_or_before(ws, source_id, day - timedelta(days=1)),
    }
    found: dict[str, Snapshot] = {}
    seen: set[date] = set()
    for period, when in wanted.items():
        if when is not None and when not in seen:
            seen.add(when)
            found[period] = load(ws, source_id, when)
    return found


def describe(several: Sequence[Snapshot]) -> pd.DataFrame:
    """List snapshots for a reader: the three dates, layers, files."""
    return pd.DataFrame(
        {
            "assessed": [s.day.isoformat() for s in several],
            "published": [s.published.isoformat() if s.published else None for s in several],
            "retrieved": [s.retrieved.isoformat() if s.retrieved else None for s in several],
            "layers": [", ".join(sorted(_drawn(s))) for s in several],
            "file": [", ".join(f.path for f in s.inputs) for s in several],
            "note": [f"no update since {s.copy_of}" if s.copy_of else "" for s in several],
        }
    )


def _drawn(snapshot: Snapshot) -> list[str]:
    return [layer for layer, ground in snapshot.layers.items() if not ground.is_empty]
