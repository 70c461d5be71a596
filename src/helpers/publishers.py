"""Which publishers a workspace has, which files are theirs, and how each is read."""

from __future__ import annotations

import csv
import fnmatch
import io
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial
from operator import attrgetter
from pathlib import Path
from types import MappingProxyType

from helpers import sources
from helpers.errors import ParameterError, SourceError, WorkspaceError, unknown
from helpers.gate import Override
from helpers.readers import deepstate, isw, liveuamap, names, polygons, reconstruction
from helpers.schema import LayerMap, parse_day
from helpers.sources import Source
from helpers.workspace import Workspace

Read = Callable[[Path], list[LayerMap]]
READERS: Mapping[str, Read] = MappingProxyType(
    {
        "deepstate": deepstate.read,
        "isw": isw.read,
        "liveuamap": liveuamap.read,
        "reconstruction": reconstruction.read,
    }
)
MAPPING, OVERRIDES = "source.toml", "overrides.csv"
_SUFFIXES = (".geojson", ".json", ".zip", ".gpkg", ".parquet", ".shp", ".fgb")
_OVERRIDE_COLUMNS = ["day", "verdict", "reason"]


@dataclass(frozen=True)
class Publisher:
    """A source in a workspace.

    Attributes
    ----------
    source
        Its record.
    read
        Its reader.
    """

    source: Source
    read: Read


def get(ws: Workspace, source_id: str) -> Publisher:
    """Look a source up: one of ours, or one that the workspace describes.

    Parameters
    ----------
    ws
        The workspace.
    source_id
        The key of a shipped source, or the name of a folder below ``data/raw`` with a
        ``source.toml``.

    Returns
    -------
    Publisher
        Its record and reader.

    Raises
    ------
    ParameterError
        Listing the known sources.
    SourceError
        If its description has faults.
    """
    if source_id in READERS:
        return Publisher(sources.get(source_id), READERS[source_id])
    if source_id not in known(ws):
        raise unknown("source", source_id, known(ws))
    mapping = polygons.load_mapping(ws.raw / source_id / MAPPING)
    return Publisher(mapping.source, partial(polygons.read, mapping=mapping))


def source(ws: Workspace, source_id: str) -> Source:
    """Record of a source; see `get`."""
    return get(ws, source_id).source


def known(ws: Workspace) -> list[str]:
    """Ids of all sources that can be read here, sorted."""
    described = {path.parent.name for path in ws.raw.glob(f"*/{MAPPING}")}
    return sorted({*READERS, *described})


def present(ws: Workspace) -> list[str]:
    """Ids of the sources that have files in the workspace, sorted."""
    return [key for key in known(ws) if files(ws, source(ws, key))]


def default(ws: Workspace) -> str:
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
            f"{ws.raw}/<source>/ (known: {', '.join(known(ws))}) and run `frontline ingest`."
        )
    return "reconstruction" if "reconstruction" in found else found[0]


def files(ws: Workspace, source: Source) -> list[Path]:
    """Raw files of a source, sorted by path; of a service's pages the first of each answer."""
    folder = ws.raw / source.id
    return [folder / name for name in file_names(ws, source)]


def file_names(ws: Workspace, source: Source) -> list[str]:
    """`files`, relative to ``data/raw/<source>``.

    Raises
    ------
    WorkspaceError
        If the folder may not be read.
    """
    folder = ws.raw / source.id
    if "/" in source.pattern:
        found = sorted(folder.glob(source.pattern), key=attrgetter("parts"))
        return [p.relative_to(folder).as_posix() for p in found if _is_map(p.name, source)]
    try:
        listed = os.listdir(folder)  # noqa: PTH208  # a publisher's days are many
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise WorkspaceError(
            f"Cannot look into {folder}: {error.strerror}. Make it a folder you may read, and "
            "run again."
        ) from None
    matching = sorted(fnmatch.filter(listed, source.pattern))
    return [name for name in matching if _is_map(name, source)]


def _is_map(name: str, source: Source) -> bool:
    return (
        name.endswith(_SUFFIXES)
        and not name.startswith(".")
        and not name.endswith(".meta.json")
        and name not in source.ignored
        and not names.is_later_page(name)
    )


def overrides(ws: Workspace, source_id: str) -> dict[date, Override]:
    """Read what a person decided of a source's days.

    Parameters
    ----------
    ws
        The workspace.
    source_id
        The source, with ``data/raw/<source>/overrides.csv``: day, verdict (accept or quarantine),
        reason.

    Returns
    -------
    dict
        By day; empty where there is no such file.

    Raises
    ------
    SourceError
        Naming the rows that cannot be used. A reason must be given.
    """
    path = ws.raw / source_id / OVERRIDES
    if not path.is_file():
        return {}
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"))))
    except (UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{path}: cannot be read: {error}. Save it as CSV in UTF-8.") from None
    found: dict[date, Override] = {}
    faults = []
    for number, row in enumerate(rows, 2):
        fault = _override_fault(row, found)
        if fault:
            faults.append(f"line {number}: {fault}")
        else:
            found[parse_day(row["day"])] = Override(row["verdict"] == "accept", row["reason"])
    if faults:
        raise SourceError(f"{path}: " + "; ".join(faults) + ".")
    return found


def _override_fault(row: Mapping[str, str | None], found: Mapping[date, Override]) -> str:
    missing = [name for name in _OVERRIDE_COLUMNS if not (row.get(name) or "").strip()]
    if missing:
        return f"{', '.join(missing)} is empty or not there"
    if row["verdict"] not in ("accept", "quarantine"):
        return f"the verdict {row['verdict']!r} is neither accept nor quarantine"
    try:
        day = parse_day(row["day"] or "", "day")
    except ParameterError as error:
        return str(error).rstrip(".")
    return f"{day} has two rows" if day in found else ""
