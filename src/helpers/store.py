"""The processed maps of one source: distinct maps by content, a table of days, a table of files.

Below ``data/processed/<source>/``:

- ``maps/<layer>/YYYY-MM.parquet``: map_id (SHA-256 of the WKB), wkb; the distinct maps of that
  month's assessed days, in the order of their days;
- ``days.parquet``: one row an assessed day, layer and version;
- ``files.parquet``: one row a raw file, read or failed;
- ``verdicts.parquet``: one row a day, what the gate thinks of it;
- ``.seen.json``: what the disk said of each raw file when it was hashed, and the hash.

What stands there depends, but for the last, only on the raw files there are, never on the order or
the number of ingests: it may be deleted at any time, and comes back byte for byte. One thing is
known here alone: the earlier version of a file that was overwritten by hand.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from helpers.files import write_atomic

# A change of what is stored, or of how files are read, makes every source be read again.
VERSION = "4"

DAYS = pa.schema(
    {
        "day": pa.timestamp("s"),
        "published": pa.timestamp("s"),
        "retrieved": pa.timestamp("s"),
        "layer": pa.string(),
        "map_id": pa.string(),
        "area_km2": pa.float64(),
        "vertices": pa.int64(),
        "nulls": pa.int64(),
        "invalid": pa.int64(),
        "invalid_km2": pa.float64(),
        "doubled_km2": pa.float64(),
        "outside_km2": pa.float64(),
        "outside_bounds": pa.string(),
        "specks": pa.int64(),
        "specks_km2": pa.float64(),
        "note": pa.string(),
        "path": pa.string(),
        "sha256": pa.string(),
        # The day on which another version was found in this one's file.
        "superseded": pa.timestamp("s"),
    }
)
FILES = pa.schema(
    {
        "path": pa.string(),
        "size": pa.int64(),
        "sha256": pa.string(),
        "error": pa.string(),
        "day": pa.timestamp("s"),  # of a file that could not be read, where its name tells
    }
)
_VERDICTS = pa.schema(
    {
        "day": pa.timestamp("s"),
        "status": pa.string(),
        "reasons": pa.string(),
        "notes": pa.string(),
    }
)
_MAPS = pa.schema({"map_id": pa.string(), "wkb": pa.binary()})
_DAYS_ORDER = [(name, "ascending") for name in ("day", "layer", "path", "map_id")]
# There from before the first file is written until the last one is.
_UNFINISHED = ".unfinished"
_SEEN = ".seen.json"
# Beyond level 2 of zstd the maps become a twentieth smaller and take three times as long, and
# beyond 1 the tables become no smaller.
_MAPS_LEVEL, _TABLES_LEVEL = 2, 1


class Tables(NamedTuple):
    """The tables of days and files as they are stored, of the schemas `DAYS` and `FILES`."""

    days: pa.Table
    files: pa.Table


@dataclass(frozen=True)
class Store:
    """The processed folder of one source.

    Attributes
    ----------
    folder
        ``data/processed/<source>``; need not exist yet.
    """

    folder: Path

    def files(self) -> pd.DataFrame:
        """Raw files that were read: path (relative to the workspace), size, sha256, error, day.

        `error` is empty for a file that was read. The table is empty where nothing is stored, where
        it was stored by another version of this code, or where a part of the store is damaged: all
        files are then to be read again.
        """
        return self.tables().files.to_pandas(use_threads=False)

    def days(self) -> pd.DataFrame:
        """Assessed days, layers and versions; `superseded` tells of overwritten files."""
        return self.day_table().to_pandas(use_threads=False)

    def day_table(self) -> pa.Table:
        """What `days` returns, before it is turned into a data frame."""
        return self._table("days", DAYS)

    def tables(self) -> Tables:
        """What `days` and `files` return, before it is turned into data frames."""
        days, files = self.day_table(), self._table("files", FILES)
        read = {
            path
            for path, error in zip(*(files[c].to_pylist() for c in ("path", "error")), strict=True)
            if not error
        }
        maps = [self._maps_path(*key) for key in dict.fromkeys(_months(days))]
        whole = set(days["path"].to_pylist()) == read and all(path.is_file() for path in maps)
        return Tables(days, files if whole else files[:0])

    def verdicts(self) -> pd.DataFrame:
        """What the gate thinks: day, status, reasons and notes (a line each)."""
        return self.verdict_table().to_pandas(use_threads=False)

    def verdict_table(self) -> pa.Table:
        """What `verdicts` returns, before it is turned into a data frame."""
        return self._table("verdicts", _VERDICTS)

    def write_verdicts(self, verdicts: pa.Table) -> None:
        """Replace the verdicts, if they differ; they follow from `days` and can be made again."""
        path = self.folder / "verdicts.parquet"
        data = _table_bytes(verdicts.select(_VERDICTS.names).cast(_VERDICTS))
        if not path.exists() or path.read_bytes() != data:
            write_atomic(path, data)

    def stamp(self) -> tuple[tuple[int, int, int], ...]:
        """Tell when the tables were written: it differs when one of them may."""
        paths = [self.folder / f"{name}.parquet" for name in ("days", "files", "verdicts")]
        return _stamp(path for path in paths if path.exists())

    def whole(self) -> tuple[tuple[int, int, int], ...]:
        """`stamp` with the files of maps; empty while a run writes them, or if one was killed."""
        if (self.folder / _UNFINISHED).exists():
            return ()
        try:
            return self.stamp() + _stamp(sorted(self.folder.glob("maps/*/*.parquet")))
        except FileNotFoundError:  # it went just now
            return ()

    def seen(self) -> dict[str, str]:
        """What `see` was told; nothing where it is not whole."""
        try:
            found = orjson.loads((self.folder / _SEEN).read_bytes())
        except (OSError, orjson.JSONDecodeError):
            return {}
        known = found.items() if isinstance(found, dict) else ()
        return {path: said for path, said in known if isinstance(said, str)}

    def see(self, seen: Mapping[str, str]) -> None:
        """Keep what the disk said of raw files, and their hashes, in a line each."""
        write_atomic(self.folder / _SEEN, orjson.dumps(seen))

    def _table(self, name: str, schema: pa.Schema) -> pa.Table:
        try:
            with pq.ParquetFile(self.folder / f"{name}.parquet", pre_buffer=False) as file:
                if (file.schema_arrow.metadata or {}).get(b"version") == VERSION.encode():
                    return file.read(use_threads=False).replace_schema_metadata(None).cast(schema)
        except (OSError, ValueError, pa.ArrowInvalid):
            pass
        return schema.empty_table()

    def maps(self, layer: str, month: str) -> dict[str, bytes]:
        """WKB by map id of one layer and month ("2025-01"), in the order of their days."""
        path = self._maps_path(layer, month)
        if not path.exists():
            return {}
        return _blobs(path)

    def _maps_path(self, layer: str, month: str) -> Path:
        return self.folder / "maps" / layer / f"{month}.parquet"

    def load(
        self, days: Iterable[date], layers: Iterable[str], ids: Iterable[str]
    ) -> npt.NDArray[np.object_]:
        """Geometries of some rows of `days`.

        Parameters
        ----------
        days, layers, ids
            Assessed day (or timestamp), layer and map id of each.

        Returns
        -------
        numpy.ndarray
            (Multi)polygons in OGC:CRS84, shape ``(n,)``; rows with the same map share one object.
        """
        ids = list(ids)
        wanted: dict[tuple[str, str], set[str]] = {}
        for day, layer, map_id in zip(days, layers, ids, strict=True):
            wanted.setdefault((layer, f"{day:%Y-%m}"), set()).add(map_id)
        blobs: dict[str, bytes] = {}
        for (layer, month), some in sorted(wanted.items()):
            if not some <= blobs.keys():
                blobs |= _blobs(self._maps_path(layer, month), some - blobs.keys())
        found = dict(zip(blobs, shapely.from_wkb(list(blobs.values())), strict=True))
        out = np.empty(len(ids), dtype=object)
        out[:] = [found[map_id] for map_id in ids]
        return out

    def replace(self, old: Tables, new: Tables, blobs: Mapping[str, bytes]) -> Tables:
        """Make the store hold these days and files, writing only what differs.

        Parameters
        ----------
        old
            What it holds, from `tables` or an earlier `replace`.
        new
            What it shall hold, in any order.
        blobs
            WKB by map id of the maps that are not stored yet.

        Returns
        -------
        Tables
            `new` in the order in which it is stored.

        Notes
        -----
        The maps are written first and `files` last: a run that dies in between leaves tables that
        name only maps that are there, and the files it had read count as unread. It leaves a mark,
        too: whoever finds it looks into every file of maps, not only where the tables differ.
        """
        days = new.days.sort_by(_DAYS_ORDER)
        files = new.files.sort_by("path")
        mark = self.folder / _UNFINISHED
        known = {} if mark.exists() else _ids_by_month(old.days)
        mark.touch()
        wanted = _ids_by_month(days)
        for key, ids in wanted.items():
            path = self._maps_path(*key)
            if known.get(key) == ids and path.is_file():
                continue
            stored = self._stored(path)
            if list(stored) != ids:
                table = {"map_id": ids, "wkb": [blobs.get(i) or stored[i] for i in ids]}
                write_atomic(path, _parquet(pa.table(table, _MAPS)))
        write_atomic(self.folder / "days.parquet", _table_bytes(days))
        kept = {self._maps_path(*key) for key in wanted}
        for path in set(self.folder.glob("maps/*/*.parquet")) - kept:
            path.unlink()
        write_atomic(self.folder / "files.parquet", _table_bytes(files))
        mark.unlink()
        return Tables(days, files)

    def _stored(self, path: Path) -> dict[str, bytes]:
        try:
            return _blobs(path)
        except (OSError, pa.ArrowInvalid):
            return {}


def _stamp(paths: Iterable[Path]) -> tuple[tuple[int, int, int], ...]:
    found = (path.stat() for path in paths)
    return tuple((one.st_ino, one.st_mtime_ns, one.st_size) for one in found)


def _months(days: pa.Table) -> list[tuple[str, str]]:
    """Layer and month of each row."""
    months = days["day"].to_numpy().astype("datetime64[M]").astype(str).tolist()
    return list(zip(days["layer"].to_pylist(), months, strict=True))


def _ids_by_month(days: pa.Table) -> dict[tuple[str, str], list[str]]:
    """Distinct maps of each layer and month, in the order of the rows."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for key, map_id in zip(_months(days), days["map_id"].to_pylist(), strict=True):
        found.setdefault(key, {})[map_id] = None
    return {key: list(ids) for key, ids in sorted(found.items())}


def _blobs(path: Path, wanted: set[str] | None = None) -> dict[str, bytes]:
    """WKB by map id, all or some, in the order of the file."""
    with pq.ParquetFile(path, pre_buffer=False) as file:  # which starts threads
        table = file.read(use_threads=False)
    ids = table["map_id"].to_pylist()
    wkb = table["wkb"]
    return {
        map_id: wkb[i].as_py() for i, map_id in enumerate(ids) if wanted is None or map_id in wanted
    }


def _table_bytes(table: pa.Table) -> bytes:
    return _parquet(table.replace_schema_metadata({"version": VERSION}), _TABLES_LEVEL)


def _parquet(table: pa.Table, level: int = _MAPS_LEVEL) -> bytes:
    # No dictionary: WKB hardly repeats, but near-equal neighbours compress a hundredfold inside
    # one zstd window.
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", compression_level=level, use_dictionary=False)
    return buffer.getvalue()
