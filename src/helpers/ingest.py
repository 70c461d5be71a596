"""Reading what is new: files to distinct maps in the store, each day judged by the gate."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import partial
from itertools import groupby, pairwise
from operator import itemgetter
from pathlib import Path
from typing import Any

import pandas as pd
import shapely
from filelock import FileLock, Timeout

from helpers import changes, gate, publishers
from helpers.errors import FrontlineError, WorkspaceError
from helpers.files import sha256
from helpers.projection import area_km2
from helpers.publishers import Publisher
from helpers.readers import names
from helpers.schema import LayerMap
from helpers.store import Store
from helpers.workspace import Workspace

_LOCK_WAIT_S = 60
# Files in memory at a time: what was read of them is stored before the next are opened.
_BATCH = 32
_LARGE_BYTES = 200_000
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
        return [
            _ingest(ws, publishers.get(ws, key), progress, pool) for key in publishers.present(ws)
        ]
    publisher = publishers.get(ws, source_id)
    source = publisher.source
    if not publishers.files(ws, source):
        raise WorkspaceError(
            f"There are no files of {source.id} ({source.pattern}) in {ws.raw / source.id}. "
            "Put the publisher's files there and run again."
        )
    return [_ingest(ws, publisher, progress, pool)]


def _ingest(
    ws: Workspace, publisher: Publisher, progress: Progress, pool: Executor | None
) -> Ingested:
    store = Store(ws.processed / publisher.source.id)
    try:
        store.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(store.folder / ".lock", timeout=_LOCK_WAIT_S):
            return _ingest_locked(ws, publisher, store, progress, pool)
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
    store: Store,
    progress: Progress,
    pool: Executor | None,
) -> Ingested:
    for orphan in store.folder.rglob(".*.tmp"):  # of a run that was killed; this one has the lock
        orphan.unlink()
    source = publisher.source
    paths = {p.relative_to(ws.root).as_posix(): p for p in publishers.files(ws, source)}
    files = store.files()
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        # Threads share out large files; with small ones they only wait for each other.
        sizes = [path.stat().st_size for path in paths.values()]
        shared = threads.map if sum(sizes) > _LARGE_BYTES * len(sizes) else map
        reading = pool.map if pool else shared
        hashes = dict(zip(paths, shared(_digest, paths.values()), strict=True))
        same = files[files["sha256"] == files["path"].map(hashes)]
        fresh = sorted(set(paths) - set(same["path"]))
        removed = set(files["path"]) - set(paths)
        if removed:
            files = _update(store, files, set(paths), {})
        for done in range(0, len(fresh), _BATCH):
            progress(source.id, done, len(fresh))
            batch = fresh[done : done + _BATCH]
            read = reading(partial(_read, publisher), batch, [paths[name] for name in batch])
            new = {
                name: _File(hashes[name], paths[name].stat().st_size, *result)
                for name, result in zip(batch, read, strict=True)
            }
            files = _update(store, files, set(paths), new)
    if fresh:
        progress(source.id, len(fresh), len(fresh))
    verdicts = _judge(ws, publisher, store, files)
    failed = files[files["error"] != ""]
    return Ingested(
        source.id,
        new=len(fresh),
        unchanged=len(same),
        removed=len(removed),
        quarantined=int((verdicts["status"] == gate.QUARANTINED).sum()),
        failed=list(zip(failed["path"], failed["error"], strict=True)),
    )


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


def _update(
    store: Store, files: pd.DataFrame, present: set[str], fresh: Mapping[str, _File]
) -> pd.DataFrame:
    """Store what was read now beside what stays from before; the files there are now."""
    days = store.days()
    rows: list[dict[str, Any]] = []
    blobs: dict[str, bytes] = {}
    for name, file in fresh.items():
        rows += [_day_row(m, strays, name, file, blobs) for m, strays in file.maps]
    read = [
        {"path": n, "size": f.size, "sha256": f.sha256, "error": f.error, "day": f.day}
        for n, f in fresh.items()
    ]
    stay = files[files["path"].isin(present - set(fresh))]
    files = _joined(stay, read)
    kept = days[days["path"].isin(set(stay["path"]))]
    overwritten = days[days["path"].isin(set(fresh) & set(days["path"]))].copy()
    if len(overwritten):
        new_ids = {(row["path"], row["layer"], row["map_id"]) for row in rows}
        old = list(
            zip(overwritten["path"], overwritten["layer"], overwritten["map_id"], strict=True)
        )
        overwritten = overwritten[[key not in new_ids for key in old]]
        first = overwritten["superseded"].isna()
        overwritten.loc[first, "superseded"] = pd.Timestamp(today()).as_unit("s")
    table = _joined(pd.concat([kept, overwritten], ignore_index=True), rows)
    table, files = _settle(table, files)
    store.replace(table, files, blobs)
    return files.sort_values("path", ignore_index=True)


def _joined(table: pd.DataFrame, rows: list[dict[str, Any]]) -> pd.DataFrame:
    if not rows:
        return table.reset_index(drop=True)
    new = pd.DataFrame(rows, columns=table.columns).astype(
        {name: kind for name, kind in table.dtypes.items() if kind.kind == "M"}
    )
    return pd.concat([table, new], ignore_index=True) if len(table) else new


def _settle(table: pd.DataFrame, files: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Name the files that tell a day and layer differently, where no date says which is later."""
    table = table.sort_values("path", kind="stable", ignore_index=True)
    live = table[table["superseded"].isna() & table["retrieved"].isna()]
    first = live.groupby(["day", "layer"])[["map_id", "path"]].transform("first")
    clash = live[(live["map_id"] != first["map_id"]).to_numpy()]
    errors = {}
    for path, day, layer, index in zip(
        clash["path"], clash["day"], clash["layer"], clash.index, strict=True
    ):
        errors[path] = (
            f"{path}: {first['path'][index]} already holds the layer {layer!r} of {day.date()}, "
            "and differs. Remove one."
        )
    files = files.copy()
    said = files["path"].map(errors)
    files["error"] = said.where(said.notna(), files["error"]).astype(str)
    return table[~table.index.isin(clash.index)], files


def _day_row(
    layer_map: LayerMap, strays: gate.Strays, name: str, file: _File, blobs: dict[str, bytes]
) -> dict[str, Any]:
    ground = layer_map.geometry
    wkb = shapely.to_wkb(ground, byte_order=1)
    map_id = hashlib.sha256(wkb).hexdigest()
    blobs[map_id] = wkb
    return {
        "day": layer_map.day,
        "published": layer_map.published,
        "retrieved": layer_map.retrieved,
        "layer": layer_map.layer,
        "map_id": map_id,
        "area_km2": area_km2(ground),
        "vertices": int(shapely.get_num_coordinates(ground)),
        **layer_map.repairs._asdict(),
        "outside_km2": strays.outside_km2,
        "outside_bounds": strays.outside_bounds,
        "specks": strays.specks,
        "specks_km2": strays.specks_km2,
        "note": layer_map.note,
        "path": name,
        "sha256": file.sha256,
        "superseded": None,
    }


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
    else:
        known = known[known["superseded"].isna()]
    order = known.assign(
        forwards=~known["note"].str.contains("backwards"),
        fetched=known["retrieved"].fillna(pd.Timestamp(0)),
    ).sort_values(["day", "layer", "forwards", "fetched", "path"], kind="stable")
    chosen = order.drop_duplicates(["day", "layer"], keep="last")
    return chosen[list(table.columns)].reset_index(drop=True)


def _judge(ws: Workspace, publisher: Publisher, store: Store, files: pd.DataFrame) -> pd.DataFrame:
    verdicts = judge(ws, publisher.source.id, versions(store.days()), files)
    if not verdicts.equals(store.verdicts()):
        store.write_verdicts(verdicts)
    return verdicts


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
    found = gate.judge(
        _gate_days(table, files, steps or {}),
        today=today(),
        overrides=publishers.overrides(ws, source_id),
    )
    verdicts = {
        "day": pd.DatetimeIndex([v.day for v in found]).astype("datetime64[s]"),
        "status": pd.array([v.status for v in found], dtype="str"),
        "reasons": pd.array(["\n".join(v.reasons) for v in found], dtype="str"),
        "notes": pd.array(["\n".join(v.notes) for v in found], dtype="str"),
    }
    return pd.DataFrame(verdicts)


# Layer and two map ids that follow each other: gained and lost, km².
Steps = Mapping[tuple[str, str, str], tuple[float, float]]

_STRAYS = ("outside_km2", "outside_bounds", "specks", "specks_km2")


def _gate_days(table: pd.DataFrame, files: pd.DataFrame, steps: Steps) -> Iterator[gate.Day]:
    last: dict[str, str] = {}
    seen = set()
    rows = table.sort_values("day", kind="stable").to_dict("records")
    for day, several in groupby(rows, key=itemgetter("day")):
        layers, retrieved = {}, None
        for row in several:
            name, map_id = row["layer"], row["map_id"]
            gained, lost = steps.get((name, last.get(name, ""), map_id), (None, None))
            strays = gate.Strays(*(row[key] for key in _STRAYS))
            layers[name] = gate.Layer(row["area_km2"], map_id, gained, lost, strays, row["note"])
            last[name] = map_id
            retrieved = None if pd.isna(row["retrieved"]) else row["retrieved"].date()
        seen.add(day)
        yield gate.Day(day.date(), layers, retrieved)
    torn = files[(files["error"] != "") & files["day"].notna() & ~files["day"].isin(seen)]
    for day, rows in torn.groupby("day"):
        yield gate.Day(day.date(), {}, None, tuple(f"unreadable: {e}" for e in rows["error"]))


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
                step = changes.faces(old, new)
                gained, lost = (float(area_km2(side).sum()) for side in (step.gained, step.lost))
                found[layer, before, after] = gained, lost
    return found


def _edges(store: Store, held: pd.DataFrame) -> Iterator[changes.Edges]:
    """Edges of maps, in their order; a month at a time is in memory."""
    for _, month in held.groupby(held["day"].dt.strftime("%Y-%m")):
        yield from map(changes.edges, store.load(month))
