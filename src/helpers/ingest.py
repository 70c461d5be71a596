"""Reading what is new: files to distinct maps in the store, each day judged by the gate."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from datetime import time as clock_time
from functools import partial
from itertools import groupby, pairwise
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from filelock import FileLock, Timeout
from shapely.geometry.base import BaseGeometry

from helpers import edges, gate, publishers
from helpers.errors import FrontlineError, WorkspaceError
from helpers.files import sha256
from helpers.projection import area_km2
from helpers.publishers import Publisher
from helpers.readers import names
from helpers.schema import LayerMap
from helpers.store import DAYS, FILES, Store, Tables
from helpers.workspace import Workspace

_LOCK_WAIT_S = 60
# Bytes of raw files in memory at a time: what was read of them is stored before the next are
# opened.
_BATCH_BYTES = 32_000_000
_LARGE_BYTES = 200_000
# A clock of a disk may be coarse: what was written this shortly before it was hashed may be written
# again without looking different.
_SETTLED_NS = 2_000_000_000
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Ingested:
    """What one ingest of one source did.

    Attributes
    ----------
    source
        Its id.
    new, unchanged, removed
        Files read now, files that were read before, and files that are gone.
    quarantined
        Days that the gate does not let into a measure.
    failed
        Path (relative to the workspace) and fault of every file that cannot be used.
    """

    source: str
    new: int
    unchanged: int
    removed: int
    quarantined: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)


def _silent(name: str, done: int, count: int) -> None:
    """No progress shown."""


def run(
    ws: Workspace,
    source_id: str | None = None,
    *,
    progress: Progress = _silent,
    pool: Executor | None = None,
) -> list[Ingested]:
    """Read the files that are new or changed, forget those that are gone, and judge the days.

    Parameters
    ----------
    ws
        The workspace.
    source_id
        One source; None takes every source with files.
    progress
        Called with the source, the files read and the files to be read.
    pool
        Reads files, on other machines perhaps; None reads them in threads of this process.

    Returns
    -------
    list of Ingested
        One a source. A file that cannot be used does not stop the others.

    Raises
    ------
    ParameterError
        If there is no such source.
    SourceError
        If a source's description or overrides have faults.
    WorkspaceError
        If there are no files, or another run holds the store for more than a minute.
    """
    if source_id is None:
        publishers.default(ws)  # raises if there is nothing
        several = [publishers.get(ws, key) for key in publishers.present(ws)]
        return [
            _ingest(ws, each, publishers.file_names(ws, each.source), progress, pool)
            for each in several
        ]
    publisher = publishers.get(ws, source_id)
    source = publisher.source
    found = publishers.file_names(ws, source)
    if not found:
        raise WorkspaceError(
            f"There are no files of {source.id} ({source.pattern}) in {ws.raw / source.id}. "
            "Put the publisher's files there and run again."
        )
    return [_ingest(ws, publisher, found, progress, pool)]


def given(ws: Workspace, source_id: str) -> tuple[str, ...] | None:
    """Tell what `run` goes by: while it is the same, there is nothing new to read or to judge.

    Parameters
    ----------
    ws, source_id
        The workspace and the source.

    Returns
    -------
    tuple of str or None
        The day, and what the disk says of each file; None where that does not tell (see `_hashes`),
        or where a file cannot be asked, of which `run` tells more.
    """
    source, folder = publishers.source(ws, source_id), ws.raw / source_id
    files = publishers.files(ws, source)
    described = [folder / name for name in (publishers.MAPPING, publishers.OVERRIDES)]
    paths = [*files, *(path for path in described if path.is_file())]
    if not files or any(names.is_page(path.name) for path in paths):
        return None
    try:
        stats = [path.stat() for path in paths]
    except OSError:
        return None
    if not all(map(partial(_settled, now=time.time_ns()), stats)):
        return None
    marks = (f"{path} {_mark(stat)}" for path, stat in zip(paths, stats, strict=True))
    return (str(today()), *marks)


def _ingest(
    ws: Workspace,
    publisher: Publisher,
    found: Sequence[str],
    progress: Progress,
    pool: Executor | None,
) -> Ingested:
    store = Store(ws.processed / publisher.source.id)
    try:
        store.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(store.folder / ".lock", timeout=_LOCK_WAIT_S):
            return _ingest_locked(ws, publisher, found, store, progress, pool)
    except Timeout:
        raise WorkspaceError(
            f"Another run has been reading {publisher.source.id} for more than {_LOCK_WAIT_S} s "
            f"(lock file {store.folder / '.lock'}). Wait for it to end, then run again."
        ) from None
    except OSError as error:
        raise WorkspaceError(
            f"Cannot write below {store.folder}: {error.strerror or error}. What was stored before "
            "is whole; make room, or get permission, and run again."
        ) from None


def _ingest_locked(
    ws: Workspace,
    publisher: Publisher,
    found: Sequence[str],
    store: Store,
    progress: Progress,
    pool: Executor | None,
) -> Ingested:
    for orphan in store.folder.rglob(".*.tmp"):  # of a run that was killed; this one has the lock
        orphan.unlink()
    source = publisher.source
    folder = f"{ws.raw / source.id}/"
    within = folder.removeprefix(f"{ws.root}/")
    paths = {within + name: folder + name for name in found}
    known = store.tables()
    stats = {name: os.stat(path) for name, path in paths.items()}  # noqa: PTH116
    sizes = {name: stat.st_size for name, stat in stats.items()}
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        # Threads share out large files; with small ones they only wait for each other.
        shared = threads.map if sum(sizes.values()) > _LARGE_BYTES * len(sizes) else map
        reading = pool.map if pool else shared
        hashes = _hashes(store, paths, stats, shared)
        stored = dict(zip(*(known.files[c].to_pylist() for c in ("path", "sha256")), strict=True))
        fresh = sorted(name for name in paths if hashes[name] != stored.get(name))
        removed = set(stored) - set(paths)
        if removed:
            known = _update(store, known, set(paths), {})
        done = 0
        for batch in _batches(fresh, sizes):
            progress(source.id, done, len(fresh))
            read = reading(partial(_read, publisher), batch, [Path(paths[name]) for name in batch])
            new = {
                name: _File(hashes[name], sizes[name], *result)
                for name, result in zip(batch, read, strict=True)
            }
            known = _update(store, known, set(paths), new)
            done += len(batch)
    if fresh:
        progress(source.id, len(fresh), len(fresh))
    verdicts = _judge(ws, publisher, store, known)
    failed = known.files.filter(pc.not_equal(known.files["error"], ""))
    return Ingested(
        source.id,
        new=len(fresh),
        unchanged=len(paths) - len(fresh),
        removed=len(removed),
        quarantined=sum(v.status == gate.QUARANTINED for v in verdicts),
        failed=list(zip(*(failed[c].to_pylist() for c in ("path", "error")), strict=True)),
    )


def _batches(names: Sequence[str], sizes: Mapping[str, int]) -> Iterator[list[str]]:
    """Files in order, as many at a time as may be in memory together."""
    batch: list[str] = []
    total = 0
    for name in names:
        if batch and total + sizes[name] > _BATCH_BYTES:
            yield batch
            batch, total = [], 0
        batch.append(name)
        total += sizes[name]
    if batch:
        yield batch


def _hashes(
    store: Store,
    paths: Mapping[str, str],
    stats: Mapping[str, os.stat_result],
    shared: Callable[..., Iterator[str]],
) -> dict[str, str]:
    """Hash of each file; one of which the disk says that nothing touched it is not read again.

    Notes
    -----
    Size, both times and the place on the disk are those that they were when it was hashed. Whoever
    writes to a file moves its time of change (st_ctime), which no program can set back; and a file
    that had been written only just before is hashed again (`_SETTLED_NS`).
    """
    seen = store.seen()
    marks = {name: _mark(stat) for name, stat in stats.items()}
    hashes = {}
    for name, mark in marks.items():
        known, _, sha = seen.get(name, "").rpartition(" ")
        if known == mark:
            hashes[name] = sha
    rest = [name for name in paths if name not in hashes]
    now = time.time_ns()
    digests = shared(_digest, [Path(paths[name]) for name in rest])
    hashes.update(zip(rest, digests, strict=True))
    settled = {
        name: f"{marks[name]} {hashes[name]}"
        for name, stat in stats.items()
        if _settled(stat, now) and not names.is_page(name)
    }
    if settled != seen:
        store.see(settled)
    return hashes


def _settled(stat: os.stat_result, now: int) -> bool:
    return max(stat.st_mtime_ns, stat.st_ctime_ns) < now - _SETTLED_NS


def _mark(stat: os.stat_result) -> str:
    told = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    return " ".join(map(str, told))


def _digest(path: Path) -> str:
    """Hash of a file, or of all pages of an answer."""
    pages = names.pages(path)
    if len(pages) == 1:
        return sha256(path)
    return hashlib.sha256("".join(map(sha256, pages)).encode()).hexdigest()


@dataclass(frozen=True)
class _File:
    """A raw file that was read: its maps, or what is wrong with it."""

    sha256: str
    size: int
    maps: Sequence[tuple[LayerMap, gate.Strays]]
    error: str = ""
    day: date | None = None


def _read(publisher: Publisher, name: str, path: Path) -> tuple[Any, ...]:
    """Maps, error, and the day of a file that could not be read, where its name tells it."""
    try:
        maps = publisher.read(path)
    except FrontlineError as error:
        day = names.day_in(path.stem) if publisher.source.named_by_day else None
        return (), str(error).replace(str(path), name), day
    cleaned = [(m, *gate.clean(m.geometry, m.layer)) for m in maps]
    return [(m._replace(geometry=ground), strays) for m, ground, strays in cleaned], "", None


# Into the store -----------------------------------------------------------------------------


def _update(store: Store, known: Tables, present: set[str], fresh: Mapping[str, _File]) -> Tables:
    """Store what was read now beside what stays from before; what is stored now."""
    blobs: dict[str, bytes] = {}
    told = [(name, file, *each) for name, file in fresh.items() for each in file.maps]
    known_as = _described((m.geometry for *_, m, _ in told), blobs)
    rows = [_day_row(m, strays, n, file, known_as[id(m.geometry)]) for n, file, m, strays in told]
    read = [
        {"path": n, "size": f.size, "sha256": f.sha256, "error": f.error, "day": _midnight(f.day)}
        for n, f in fresh.items()
    ]
    stay = present - set(fresh)
    files = _of(known.files, stay)
    days = [_of(known.days, stay & set(files["path"].to_pylist()))]
    overwritten = _overwritten(_of(known.days, set(fresh)), rows)
    days += [pa.Table.from_pylist(some, DAYS) for some in (overwritten, rows)]
    files = pa.concat_tables([files, pa.Table.from_pylist(read, FILES)])
    return store.replace(known, _settle(Tables(pa.concat_tables(days), files)), blobs)


def _of(table: pa.Table, paths: set[str]) -> pa.Table:
    """The rows of some files."""
    mask = [path in paths for path in table["path"].to_pylist()]
    return table if all(mask) else table.filter(pa.array(mask, pa.bool_()))


def _overwritten(old: pa.Table, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of files that were overwritten by hand, where the new file tells another map."""

    def key(row: Mapping[str, Any]) -> tuple[str, ...]:
        return row["path"], row["layer"], row["map_id"]

    again = set(map(key, rows))
    now = _midnight(today())
    return [
        row | {"superseded": row["superseded"] or now}
        for row in old.to_pylist()
        if key(row) not in again
    ]


def _settle(tables: Tables) -> Tables:
    """Name the files that tell a day and layer differently, where no date says which is later."""
    days, files = tables
    live = pc.and_(days["superseded"].is_null(), days["retrieved"].is_null())
    if not pc.any(live).as_py():
        return tables
    days = days.sort_by("path")
    first: dict[tuple[Any, ...], tuple[str, str]] = {}
    errors, clash = {}, []
    columns = ("superseded", "retrieved", "day", "layer", "map_id", "path")
    rows = zip(*(days[name].to_pylist() for name in columns), strict=True)
    for superseded, retrieved, day, layer, map_id, path in rows:
        known_id, known_path = map_id, path
        if superseded is None and retrieved is None:
            known_id, known_path = first.setdefault((day, layer), (map_id, path))
        clash.append(map_id != known_id)
        if clash[-1]:
            errors[path] = (
                f"{path}: {known_path} already holds the layer {layer!r} of {day.date()}, and "
                "differs. Remove one."
            )
    if not errors:
        return tables
    told = zip(*(files[name].to_pylist() for name in ("path", "error")), strict=True)
    said = pa.array([errors.get(path, error) for path, error in told], pa.string())
    files = files.set_column(FILES.get_field_index("error"), FILES.field("error"), said)
    return Tables(days.filter(pc.invert(pa.array(clash, pa.bool_()))), files)


def _described(
    grounds: Iterable[BaseGeometry], blobs: dict[str, bytes]
) -> dict[int, dict[str, Any]]:
    """What the store keeps of maps, by their `id`; their WKB goes into `blobs`."""
    known = {id(ground): ground for ground in grounds}
    several = np.array(list(known.values()), dtype=object)
    areas, vertices = area_km2(several).tolist(), shapely.get_num_coordinates(several).tolist()
    described = {}
    wkbs = shapely.to_wkb(several, byte_order=1).tolist()
    for key, wkb, area, count in zip(known, wkbs, areas, vertices, strict=True):
        map_id = hashlib.sha256(wkb).hexdigest()
        blobs[map_id] = wkb
        described[key] = {"map_id": map_id, "area_km2": area, "vertices": count}
    return described


def _day_row(
    layer_map: LayerMap, strays: gate.Strays, name: str, file: _File, described: dict[str, Any]
) -> dict[str, Any]:
    return {
        "day": _midnight(layer_map.day),
        "published": _midnight(layer_map.published),
        "retrieved": _midnight(layer_map.retrieved),
        "layer": layer_map.layer,
        **described,
        **layer_map.repairs._asdict(),
        **{key: getattr(strays, key) for key in _STRAYS},
        "note": layer_map.note,
        "path": name,
        "sha256": file.sha256,
        "superseded": None,
    }


def _midnight(day: date | None) -> datetime | None:
    return None if day is None else datetime.combine(day, clock_time())


def today() -> date:
    """Today in UTC, or the day of SOURCE_DATE_EPOCH."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch and epoch.isdigit():
        return datetime.fromtimestamp(int(epoch), tz=UTC).date()
    return datetime.now(tz=UTC).date()


# The gate -----------------------------------------------------------------------------------


def versions(table: pd.DataFrame, as_of: date | None = None) -> pd.DataFrame:
    """Choose which version speaks for each day and layer.

    Parameters
    ----------
    table
        `Store.days`.
    as_of
        Only what was known by the end of this day; None for everything.

    Returns
    -------
    pandas.DataFrame
        The same columns, at most one row a day and layer: the one fetched last. A window that runs
        backwards speaks only where nothing else does.
    """
    known = table
    if as_of is not None:
        limit = pd.Timestamp(as_of)
        learnt = known["retrieved"].fillna(known["published"]).fillna(known["day"])
        known = known[learnt <= limit]
        # Of an overwritten file, the version that stood on that day.
        standing = known[known["superseded"].isna() | (known["superseded"] > limit)]
        earlier = standing.dropna(subset="superseded").sort_values("superseded")
        earlier = earlier.drop_duplicates(["path", "day", "layer"])
        replaced = pd.MultiIndex.from_frame(earlier[["path", "day", "layer"]])
        current = standing[standing["superseded"].isna()]
        keys = pd.MultiIndex.from_frame(current[["path", "day", "layer"]])
        known = pd.concat([current[~keys.isin(replaced)], earlier])
    elif known["superseded"].notna().any():
        known = known[known["superseded"].isna()]
    days, fetched = (known[name].to_numpy() for name in ("day", "retrieved"))
    layers, notes, paths = (known[name].tolist() for name in ("layer", "note", "path"))
    chosen = _speaking(days, layers, notes, fetched, paths)
    if chosen == list(range(len(table))):
        return table
    return known.iloc[chosen].reset_index(drop=True)


def speaking(days: pa.Table) -> pa.Table:
    """Choose as `versions` does, of the store's table, everything that is known."""
    if days["superseded"].null_count < len(days):
        days = days.filter(days["superseded"].is_null())
    layers, notes, paths = (days[name].to_pylist() for name in ("layer", "note", "path"))
    when, fetched = (days[name].to_numpy() for name in ("day", "retrieved"))
    chosen = _speaking(when, layers, notes, fetched, paths)
    return days if chosen == list(range(len(days))) else days.take(chosen)


def _speaking(
    days: np.ndarray,
    layers: Sequence[str],
    notes: Sequence[str],
    fetched: np.ndarray,
    paths: Sequence[str],
) -> list[int]:
    """Which row speaks for each day and layer, in their order.

    Lists, and not a frame's own sorting: this is asked at every turn, of small tables.
    """
    when = np.where(np.isnat(fetched), 0, fetched.astype(np.int64)).tolist()
    forwards = ["backwards" not in note for note in notes]
    keys = list(zip(days.astype(np.int64).tolist(), layers, forwards, when, paths, strict=True))
    order = sorted(range(len(keys)), key=keys.__getitem__)
    return list({keys[i][:2]: i for i in order}.values())


def _judge(ws: Workspace, publisher: Publisher, store: Store, known: Tables) -> list[gate.Verdict]:
    days, files = speaking(known.days), known.files
    bad = files.filter(pc.not_equal(files["error"], ""))
    found = _verdicts(ws, publisher.source.id, days, bad, {})
    store.write_verdicts(_verdict_table(found))
    return found


def judge(
    ws: Workspace,
    source_id: str,
    table: pd.DataFrame,
    files: pd.DataFrame,
    steps: Steps | None = None,
) -> pd.DataFrame:
    """Let the gate judge a source's days.

    Parameters
    ----------
    ws, source_id
        The workspace and source, for the overrides.
    table
        What `versions` returns.
    files
        As in the store.
    steps
        From `steps_of`. Without it redraws are not noted; nothing else depends on it.

    Returns
    -------
    pandas.DataFrame
        As `Store.verdicts`.
    """
    bad = pa.Table.from_pandas(files[files["error"] != ""], FILES, preserve_index=False)
    days = pa.Table.from_pandas(table, DAYS, preserve_index=False)
    return _verdict_table(_verdicts(ws, source_id, days, bad, steps or {})).to_pandas()


def _verdicts(
    ws: Workspace, source_id: str, days: pa.Table, unread: pa.Table, steps: Steps
) -> list[gate.Verdict]:
    return gate.judge(
        _gate_days(days, unread, steps),
        today=today(),
        overrides=publishers.overrides(ws, source_id),
    )


def _verdict_table(verdicts: Sequence[gate.Verdict]) -> pa.Table:
    return pa.table(
        {
            "day": pa.array([_midnight(v.day) for v in verdicts], pa.timestamp("s")),
            "status": pa.array([v.status for v in verdicts], pa.string()),
            "reasons": pa.array(["\n".join(v.reasons) for v in verdicts], pa.string()),
            "notes": pa.array(["\n".join(v.notes) for v in verdicts], pa.string()),
        }
    )


# Layer and two map ids that follow each other: gained and lost, km².
Steps = Mapping[tuple[str, str, str], tuple[float, float]]

_STRAYS = ("outside_km2", "outside_bounds", "specks", "specks_km2")


def _gate_days(table: pa.Table, unread: pa.Table, steps: Steps) -> Iterator[gate.Day]:
    last: dict[str, str] = {}
    seen = set()
    lists = [_dates(table, "day"), _dates(table, "retrieved")]
    names_of = ("layer", "map_id", "area_km2", "note", *_STRAYS)
    lists += [table[name].to_pylist() for name in names_of]
    rows = sorted(zip(*lists, strict=True), key=itemgetter(0))
    for day, several in groupby(rows, key=itemgetter(0)):
        layers, fetched = {}, None
        for _, retrieved, name, map_id, area, note, *strays in several:
            gained, lost = steps.get((name, last.get(name, ""), map_id), (None, None))
            stray = gate.Strays(*strays) if any(strays) else gate.NO_STRAYS
            layers[name] = gate.Layer(area, map_id, gained, lost, stray, note)
            last[name] = map_id
            fetched = retrieved
        seen.add(day)
        yield gate.Day(day, layers, fetched)
    faults: dict[date, list[str]] = {}
    for day, error in zip(_dates(unread, "day"), unread["error"].to_pylist(), strict=True):
        if day is not None and day not in seen:
            faults.setdefault(day, []).append(f"unreadable: {error}")
    for day, told in sorted(faults.items()):
        yield gate.Day(day, {}, None, tuple(told))


def _dates(table: pa.Table, name: str) -> list[date | None]:
    found: list[date | None] = table[name].to_numpy().astype("datetime64[D]").tolist()
    return found


def steps_of(store: Store, table: pd.DataFrame) -> Steps:
    """Measure gains and losses of the held ground between maps that follow each other.

    Parameters
    ----------
    store
        For the maps.
    table
        What `versions` returns.

    Returns
    -------
    dict
        Layer and the ids of both maps to gained and lost, km².
    """
    found: dict[tuple[str, str, str], tuple[float, float]] = {}
    for layer in gate.HELD:
        held = table[table["layer"] == layer].sort_values("day")
        held = held[held["map_id"] != held["map_id"].shift()]
        ids = pairwise(held["map_id"])
        for (before, after), (old, new) in zip(ids, pairwise(_edges(store, held)), strict=True):
            if (layer, before, after) not in found:
                step = edges.faces(old, new)
                gained, lost = (float(area_km2(side).sum()) for side in (step.gained, step.lost))
                found[layer, before, after] = gained, lost
    return found


def _edges(store: Store, held: pd.DataFrame) -> Iterator[edges.Edges]:
    """Edges of maps, in their order; a month at a time is in memory."""
    for _, month in held.groupby(held["day"].dt.strftime("%Y-%m")):
        yield from map(edges.of, store.load(month["day"], month["layer"], month["map_id"]))
