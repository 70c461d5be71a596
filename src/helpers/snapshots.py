"""Which days exist, reading what is new, and one day or a window of days as snapshots."""

from __future__ import annotations

import calendar
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd
import shapely
from filelock import FileLock, Timeout

from helpers import sources
from helpers.errors import FrontlineError, ParameterError, SnapshotError, WorkspaceError
from helpers.files import sha256
from helpers.projection import area_km2
from helpers.readers import deepstate, reconstruction
from helpers.schema import InputFile, LayerMap, Snapshot, parse_day
from helpers.sources import Source
from helpers.store import Store
from helpers.workspace import Workspace

READERS: Mapping[str, Callable[[Path], list[LayerMap]]] = MappingProxyType(
    {"deepstate": deepstate.read, "reconstruction": reconstruction.read}
)
_LOCK_WAIT_S = 60


@dataclass(frozen=True)
class Ingested:
    """What one ingest of one source did.

    Attributes
    ----------
    source
        Its id.
    new, unchanged, removed
        Files read now, files that were read before, and files that are gone.
    failed
        Path (relative to the workspace) and fault of every file that cannot be used.
    """

    source: str
    new: int
    unchanged: int
    removed: int
    failed: list[tuple[str, str]] = field(default_factory=list)


def present(ws: Workspace) -> list[str]:
    """Ids of the sources that have files in the workspace, sorted."""
    return [key for key in sorted(sources.SOURCES) if _raw_files(ws, sources.get(key))]


def default_source(ws: Workspace) -> str:
    """Source to take when none is named.

    Parameters
    ----------
    ws
        The workspace.

    Returns
    -------
    str
        The embedded reconstruction where it is there, else the first source by name.

    Raises
    ------
    WorkspaceError
        If no source has a file.
    """
    found = present(ws)
    if not found:
        raise WorkspaceError(
            f"No source has files below {ws.raw}. Put a publisher's files into "
            f"{ws.raw}/<source>/ (known: {', '.join(sources.SOURCES)}) and run `frontline ingest`."
        )
    return "reconstruction" if "reconstruction" in found else found[0]


def _raw_files(ws: Workspace, source: Source) -> list[Path]:
    return sorted((ws.raw / source.id).glob(source.pattern))


def ingest(ws: Workspace, source_id: str | None = None) -> list[Ingested]:
    """Read the files that are new or changed, and forget those that are gone.

    Parameters
    ----------
    ws
        The workspace.
    source_id
        One source; None takes every source with files.

    Returns
    -------
    list of Ingested
        One a source. A file that cannot be used does not stop the others.

    Raises
    ------
    ParameterError
        If there is no such source.
    WorkspaceError
        If there are no files, or another run holds the store for more than a minute.
    """
    if source_id is None:
        default_source(ws)  # raises if there is nothing
        return [_ingest(ws, sources.get(key)) for key in present(ws)]
    source = sources.get(source_id)
    if not _raw_files(ws, source):
        raise WorkspaceError(
            f"There are no files of {source.id} ({source.pattern}) in {ws.raw / source.id}. "
            "Put the publisher's files there and run again."
        )
    return [_ingest(ws, source)]


def ensure(ws: Workspace, source_id: str) -> None:
    """Bring the store of a source up to date, so that a notebook runs on its own.

    Parameters
    ----------
    ws
        The workspace.
    source_id
        The source. Files that cannot be used are passed over here; `ingest` names them.
    """
    ingest(ws, source_id)


def _ingest(ws: Workspace, source: Source) -> Ingested:
    store = Store(ws.processed / source.id)
    store.folder.mkdir(parents=True, exist_ok=True)
    lock = store.folder / ".lock"
    try:
        with FileLock(lock, timeout=_LOCK_WAIT_S):
            return _ingest_locked(ws, source, store)
    except Timeout:
        raise WorkspaceError(
            f"Another run has been reading {source.id} for more than {_LOCK_WAIT_S} s (lock file "
            f"{lock}). Wait for it to end, then run again."
        ) from None


def _ingest_locked(ws: Workspace, source: Source, store: Store) -> Ingested:
    for orphan in store.folder.rglob(".*.tmp"):  # of a run that was killed; this one has the lock
        orphan.unlink()
    paths = {p.relative_to(ws.root).as_posix(): p for p in _raw_files(ws, source)}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        hashes = dict(zip(paths, pool.map(sha256, paths.values()), strict=True))
        known = store.files()
        same = known[known["sha256"] == known["path"].map(hashes)]
        fresh = [name for name in paths if name not in set(same["path"])]
        read = dict(zip(fresh, pool.map(lambda n: _read(source, n, paths[n]), fresh), strict=True))
    removed = len(set(known["path"]) - set(paths))
    if fresh or removed:
        _update(store, same, {n: (hashes[n], paths[n].stat().st_size, read[n]) for n in fresh})
    files = store.files()
    failed = files[files["error"] != ""]
    return Ingested(
        source.id,
        new=len(fresh),
        unchanged=len(same),
        removed=removed,
        failed=list(zip(failed["path"], failed["error"], strict=True)),
    )


def _read(source: Source, name: str, path: Path) -> list[LayerMap] | str:
    """A file's maps, or the message of what is wrong with it."""
    try:
        return READERS[source.id](path)
    except FrontlineError as error:
        return str(error).replace(str(path), name)


def _update(store: Store, same: pd.DataFrame, fresh: Mapping[str, tuple[str, int, Any]]) -> None:
    """Store what was read now beside what stays from before."""
    days = store.days()
    kept = days[days["path"].isin(same["path"])]
    rows: list[dict[str, Any]] = []
    blobs: dict[str, bytes] = {}
    for name, (digest, _, result) in fresh.items():
        if not isinstance(result, str):
            rows += _day_rows(result, name, digest, blobs)
    files = [
        {"path": name, "size": size, "sha256": digest, "error": result}
        for name, (digest, size, result) in fresh.items()
    ]
    listed = pd.concat([same, pd.DataFrame(files, columns=same.columns)], ignore_index=True)
    read = listed["error"].map(lambda result: isinstance(result, list))
    listed["error"] = listed["error"].where(~read, "").astype(str)
    table = pd.concat([kept, pd.DataFrame(rows, columns=days.columns)], ignore_index=True)
    table = table.astype({"day": "datetime64[s]", "published": "datetime64[s]"})
    # The first file by name speaks for a day; a second one is named, not merged.
    table = table.sort_values("path", kind="stable", ignore_index=True)
    doubled = table.duplicated(["day", "layer"])
    for path, day, layer in table.loc[doubled, ["path", "day", "layer"]].itertuples(index=False):
        first = table.loc[(table["day"] == day) & (table["layer"] == layer), "path"].iloc[0]
        listed.loc[listed["path"] == path, "error"] = (
            f"{path}: {first} already holds the layer {layer!r} of {day.date()}. Remove one."
        )
    store.replace(table[~doubled], listed, blobs)


def _day_rows(
    maps: Sequence[LayerMap], name: str, digest: str, blobs: dict[str, bytes]
) -> list[dict[str, Any]]:
    rows = []
    for layer_map in maps:
        wkb = shapely.to_wkb(layer_map.geometry, byte_order=1)
        map_id = hashlib.sha256(wkb).hexdigest()
        blobs[map_id] = wkb
        rows.append(
            {
                "day": layer_map.day,
                "published": layer_map.published,
                "layer": layer_map.layer,
                "map_id": map_id,
                "area_km2": area_km2(layer_map.geometry),
                "vertices": int(shapely.get_num_coordinates(layer_map.geometry)),
                "path": name,
                "sha256": digest,
            }
        )
    return rows


def _days_table(ws: Workspace, source_id: str) -> pd.DataFrame:
    source = sources.get(source_id)
    table = Store(ws.processed / source.id).days()
    if table.empty:
        raise SnapshotError(
            f"Nothing of {source.id} has been read. Put its files into {ws.raw / source.id} and "
            "run `frontline ingest`."
        )
    return table


def days(ws: Workspace, source_id: str) -> list[date]:
    """Assessed days that have a map, sorted."""
    return [d.date() for d in sorted(set(_days_table(ws, source_id)["day"]))]


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
        raise SnapshotError(_no_day(source_id, day, known))
    return window(ws, source_id, day, day)[0]


def _no_day(source_id: str, day: date, known: Sequence[date]) -> str:
    near = [max((d for d in known if d < day), default=None)]
    near.append(min((d for d in known if d > day), default=None))
    nearest = " and ".join(d.isoformat() for d in near if d)
    return (
        f"There is no {source_id} snapshot for {day}. Nearest: {nearest}. The workspace has "
        f"{len(known)} days from {known[0]} to {known[-1]}."
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
    table = _days_table(ws, source_id)
    all_days = sorted(set(table["day"]))
    first, last = pd.Timestamp(start), pd.Timestamp(end)
    chosen = [d for d in all_days if first <= d <= last]
    if not chosen:
        raise SnapshotError(
            f"There is no {source_id} snapshot between {start} and {end}. The workspace has "
            f"{len(all_days)} days from {all_days[0].date()} to {all_days[-1].date()}."
        )
    # One more before the window tells whether its first map is a copy.
    earlier = [d for d in all_days if d < chosen[0]][-1:]
    rows = table[table["day"].isin([*earlier, *chosen])].reset_index(drop=True)
    rows["geometry"] = Store(ws.processed / source_id).load(rows)
    made = [
        _snapshot(source_id, group, previous)
        for group, previous in _with_previous(rows, [*earlier, *chosen])
    ]
    return made if lead_in or not earlier else made[1:]


def _with_previous(
    rows: pd.DataFrame, order: Sequence[pd.Timestamp]
) -> list[tuple[pd.DataFrame, pd.DataFrame | None]]:
    groups = [rows[rows["day"] == d] for d in order]
    return list(zip(groups, [None, *groups[:-1]], strict=True))


def _snapshot(source_id: str, rows: pd.DataFrame, previous: pd.DataFrame | None) -> Snapshot:
    published = rows["published"].iloc[0]
    ids = dict(zip(rows["layer"], rows["map_id"], strict=True))
    same = previous is not None and ids == dict(
        zip(previous["layer"], previous["map_id"], strict=True)
    )
    files = sorted(set(zip(rows["path"], rows["sha256"], strict=True)))
    return Snapshot(
        source=source_id,
        day=rows["day"].iloc[0].date(),
        layers=dict(zip(rows["layer"], rows["geometry"], strict=True)),
        tiers=sources.get(source_id).tiers,
        published=None if pd.isna(published) else published.date(),
        inputs=tuple(InputFile(*file) for file in files),
        copy_of=previous["day"].iloc[0].date() if same and previous is not None else None,
    )


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
            raise SnapshotError(_no_day(source_id, since, known))
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
    """List snapshots for a reader: assessed and published day, layers, file, hash."""
    return pd.DataFrame(
        {
            "assessed": [s.day.isoformat() for s in several],
            "published": [s.published.isoformat() if s.published else None for s in several],
            "layers": [", ".join(sorted(s.layers)) for s in several],
            "file": [", ".join(f.path for f in s.inputs) for s in several],
            "note": [f"no update since {s.copy_of}" if s.copy_of else "" for s in several],
        }
    )
