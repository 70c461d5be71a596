"""The record of one run: inputs with their hashes, parameters, software, headline numbers."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from helpers.files import write_atomic
from helpers.schema import Snapshot
from helpers.sources import Source
from helpers.tables import Table
from helpers.workspace import PROJECT

_PACKAGE = Path(__file__).parent
# The packages whose version can move a number or a pixel.
_SOFTWARE = (
    "frontline-notebooks",
    "geopandas",
    "matplotlib",
    "numpy",
    "pandas",
    "papermill",
    "pyproj",
    "shapely",
)


@dataclass(frozen=True)
class Record:
    """What one notebook used and found.

    Attributes
    ----------
    name
        Name of the run, such as ``sector-map-kurakhove``; also the file's name.
    title
        The finding in one line.
    parameters
        The notebook's parameters as they were used.
    snapshots
        The snapshots that were read.
    source
        The publisher's record.
    numbers
        Headline numbers by name, with the unit in the name.
    """

    name: str
    title: str
    parameters: Mapping[str, Any]
    snapshots: tuple[Snapshot, ...]
    source: Source
    numbers: Mapping[str, Any]

    def inputs(self) -> pd.DataFrame:
        """The files read: path, assessed day, SHA-256; sorted, each once."""
        rows = {(f.path, s.day, f.sha256) for s in self.snapshots for f in s.inputs}
        table = pd.DataFrame(sorted(rows), columns=["path", "assessed_day", "sha256"])
        return table.drop_duplicates("path", ignore_index=True)

    def as_dict(self) -> dict[str, Any]:
        """Everything, as JSON types."""
        inputs = self.inputs()
        return {
            "name": self.name,
            "title": self.title,
            "parameters": dict(self.parameters),
            "source": {
                "id": self.source.id,
                "publisher": self.source.publisher,
                "title": self.source.title,
                "attribution": self.source.attribution,
                "licence": self.source.licence,
                "caveat": self.source.caveat,
                "positional_error_m": self.source.positional_error_m,
            },
            "numbers": {key: _plain(value) for key, value in self.numbers.items()},
            "inputs": [
                {"path": path, "assessed_day": day.isoformat(), "sha256": sha256}
                for path, day, sha256 in inputs.itertuples(index=False, name=None)
            ],
        }

    def write(self, folder: Path) -> Path:
        """Write the record to ``<folder>/results/<name>.json`` and return that path."""
        path = folder / "results" / f"{self.name}.json"
        write_atomic(path, to_json(self.as_dict()))
        return path

    def show(self) -> Table:
        """The inputs as a table to end a notebook with."""
        inputs = self.inputs()
        inputs["sha256"] = inputs["sha256"].str[:12]
        shown = inputs if len(inputs) <= 4 else inputs.iloc[[0, 1, -2, -1]]
        rest = f" ({len(inputs)}; first and last two shown)" if len(inputs) > 4 else ""
        return Table(
            shown.astype({"assessed_day": str}),
            f"Files read{rest}. {self.source.attribution}. Licence: {self.source.licence}.",
            labels={"path": "file", "sha256": "SHA-256 (first 12)"},
        )


def _plain(value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float):
        # A nanometre of area is noise of the last bit, not a finding.
        return round(value, 6)
    return value.item() if hasattr(value, "item") else value


def to_json(data: Any) -> bytes:
    """Serialise with sorted keys and a final newline, so that equal content is equal bytes."""
    text = json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode()


def software() -> dict[str, str]:
    """Versions of Python and of the packages that can move a number."""
    return dict(_software())


@cache
def _software() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: version(name) for name in _SOFTWARE}


def git_commit(root: Path = PROJECT) -> str:
    """Commit of a checkout, with ``-dirty`` if files differ from it; empty if it is none."""

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(root), *words], capture_output=True, text=True, check=False
        )
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        commit = git("rev-parse", "HEAD")
        return f"{commit}-dirty" if commit and git("status", "--porcelain", "-uno") else commit
    except OSError:  # git is not installed
        return ""


def tree_sha256(folder: Path, *, skip: Iterable[str] = ()) -> dict[str, str]:
    """SHA-256 of every file below a folder, by relative path, sorted."""
    left_out = set(skip)
    paths = sorted(p for p in folder.rglob("*") if p.is_file())
    named = {p.relative_to(folder).as_posix(): p for p in paths}
    return {name: digest(path.read_bytes()) for name, path in named.items() if name not in left_out}


def digest(data: bytes) -> str:
    """SHA-256 of some bytes, as hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def digest_all(contents: Mapping[str, bytes]) -> str:
    """SHA-256 of named contents, whatever their order."""
    lines = [f"{name} {digest(data)}" for name, data in sorted(contents.items())]
    return digest("\n".join(lines).encode())


@cache
def helpers_digest() -> str:
    """SHA-256 of this package's files: code, words, base layers; as they were when first asked."""
    return digest_all(
        {
            path.relative_to(_PACKAGE).as_posix(): path.read_bytes()
            for path in sorted(_PACKAGE.rglob("*"))
            if path.is_file() and "__pycache__" not in path.parts
        }
    )
