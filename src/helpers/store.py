"""The processed maps of one source: distinct maps by content, a table of days, a table of files.

Below ``data/processed/<source>/``:

- ``maps/<layer>/YYYY-MM.parquet``: map_id (SHA-256 of the WKB), wkb; the distinct maps of that
  month's assessed days, in the order of their days;
- ``days.parquet``: one row an assessed day, layer and version;
- ``files.parquet``: one row a raw file, read or failed;
- ``verdicts.parquet``: one row a day, what the gate thinks of it.

What stands there depends only on the raw files there are, never on the order or the number of
ingests: it may be deleted at any time, and comes back byte for byte. One thing is known here alone:
the earlier version of a file that was overwritten by hand.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from helpers.files import write_atomic

# A change of what is stored, or of how files are read, makes every source be read again.
VERSION = "2"

_DAYS = {
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
_FILES = {
    "path": pa.string(),
    "size": pa.int64(),
    "sha256": pa.string(),
    "error": pa.string(),
    "day": pa.timestamp("s"),  # of a file that could not be read, where its name tells
}
_VERDICTS = {
    "day": pa.timestamp("s"),
    "status": pa.string(),
    "reasons": pa.string(),
    "notes": pa.string(),
}
_MAPS = {"map_id": pa.string(), "wkb": pa.binary()}


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
        files, days = self._table("files", _FILES), self.days()
        months = days["day"].dt.strftime("%Y-%m")
        maps = {self._maps_path(*key) for key in zip(days["layer"], months, strict=True)}
        whole = set(days["path"]) == set(files.loc[files["error"] == "", "path"])
        return files if whole and all(path.is_file() for path in maps) else files[:0]

    def days(self) -> pd.DataFrame:
        """Assessed days, layers and versions; `superseded` tells of overwritten files."""
        return self._table("days", _DAYS)

    def verdicts(self) -> pd.DataFrame:
        """What the gate thinks: day, status, reasons and notes (a line each)."""
        return self._table("verdicts", _VERDICTS)

    def write_verdicts(self, verdicts: pd.DataFrame) -> None:
        """Replace the verdicts; they follow from `days` and can be computed again."""
        write_atomic(self.folder / "verdicts.parquet", _table_bytes(verdicts, _VERDICTS))

    def stamp(self) -> tuple[tuple[int, int, int], ...]:
        """Tell when the tables were written: it differs when one of them may."""
        paths = [self.folder / f"{name}.parquet" for name in ("days", "files", "verdicts")]
        found = [path.stat() for path in paths if path.exists()]
        return tuple((one.st_ino, one.st_mtime_ns, one.st_size) for one in found)

    def _table(self, name: str, fields: dict[str, pa.DataType]) -> pd.DataFrame:
        try:
            table = pq.read_table(self.folder / f"{name}.parquet")
            if (table.schema.metadata or {}).get(b"version") == VERSION.encode():
                return table.to_pandas()
        except (OSError, pa.ArrowInvalid):
            pass
        return pa.table({k: pa.array([], t) for k, t in fields.items()}).to_pandas()

    def maps(self, layer: str, month: str) -> dict[str, bytes]:
        """WKB by map id of one layer and month ("2025-01"), in the order of their days."""
        path = self._maps_path(layer, month)
        if not path.exists():
            return {}
        table = pq.read_table(path)
        return dict(zip(*(table[name].to_pylist() for name in _MAPS), strict=True))

    def _maps_path(self, layer: str, month: str) -> Path:
        return self.folder / "maps" / layer / f"{month}.parquet"

    def load(self, rows: pd.DataFrame) -> npt.NDArray[np.object_]:
        """Geometries of some rows of `days`.

        Parameters
        ----------
        rows
            Rows of `days`.

        Returns
        -------
        numpy.ndarray
            (Multi)polygons in OGC:CRS84, shape ``(n,)``; rows with the same map share one object.
        """
        months = rows["day"].dt.strftime("%Y-%m")
        found = {}
        for layer, month in sorted(set(zip(rows["layer"], months, strict=True))):
            wanted = set(rows.loc[(rows["layer"] == layer) & (months == month), "map_id"])
            for map_id, wkb in self.maps(layer, month).items():
                if map_id in wanted and map_id not in found:
                    found[map_id] = shapely.from_wkb(wkb)
        out = np.empty(len(rows), dtype=object)
        out[:] = [found[map_id] for map_id in rows["map_id"]]
        return out

    def replace(self, days: pd.DataFrame, files: pd.DataFrame, new: dict[str, bytes]) -> None:
        """Make the store hold these days and files, writing only what differs.

        Parameters
        ----------
        days, files
            The complete tables, as `days` and `files` return them.
        new
            WKB by map id of the maps that are not stored yet.

        Notes
        -----
        The maps are written first and `files` last: a run that dies in between leaves tables that
        name only maps that are there, and the files it had read count as unread.
        """
        days = days.sort_values(["day", "layer", "path", "map_id"], ignore_index=True)
        months = days["day"].dt.strftime("%Y-%m")
        kept = set()
        for (layer, month), rows in days.groupby(["layer", months], sort=True):
            path = self._maps_path(str(layer), str(month))
            kept.add(path)
            wanted = list(dict.fromkeys(rows["map_id"]))
            if self._stored_ids(path) == wanted:
                continue
            blobs = {**self._stored(str(layer), str(month)), **new}
            table = {"map_id": wanted, "wkb": [blobs[map_id] for map_id in wanted]}
            write_atomic(path, _parquet(pa.table(table, pa.schema(_MAPS))))
        write_atomic(self.folder / "days.parquet", _table_bytes(days, _DAYS))
        for path in set(self.folder.glob("maps/*/*.parquet")) - kept:
            path.unlink()
        files = files.sort_values("path", ignore_index=True)
        write_atomic(self.folder / "files.parquet", _table_bytes(files, _FILES))

    def _stored_ids(self, path: Path) -> list[str]:
        try:
            ids: list[str] = pq.read_table(path, columns=["map_id"])["map_id"].to_pylist()
        except (OSError, pa.ArrowInvalid):
            return []
        return ids

    def _stored(self, layer: str, month: str) -> dict[str, bytes]:
        try:
            return self.maps(layer, month)
        except (OSError, pa.ArrowInvalid):
            return {}


def _table_bytes(frame: pd.DataFrame, fields: dict[str, pa.DataType]) -> bytes:
    schema = pa.schema(fields)
    columns = [pa.array(frame[name], type=kind, from_pandas=True) for name, kind in fields.items()]
    table = pa.Table.from_arrays(columns, schema=schema)
    return _parquet(table.replace_schema_metadata({"version": VERSION}))


def _parquet(table: pa.Table) -> bytes:
    # No dictionary: WKB hardly repeats, but near-equal neighbours compress a hundredfold inside
    # one zstd window.
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", compression_level=9, use_dictionary=False)
    return buffer.getvalue()
