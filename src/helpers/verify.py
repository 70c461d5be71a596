"""Whether a report is what its manifest says, and whether it can be made again."""

from __future__ import annotations

import hashlib
import shlex
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from helpers import archive, pages, plans, reports
from helpers.archive import Report
from helpers.schema import parse_day
from helpers.workspace import Workspace

_MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Verdict:
    """What was found.

    Attributes
    ----------
    digest
        SHA-256 of the manifest, which names the whole report.
    checked
        How many files were compared.
    faults
        What differs, a sentence each; empty if all is well.
    notes
        What could not be compared, and why.
    """

    digest: str
    checked: int
    faults: tuple[str, ...]
    notes: tuple[str, ...] = ()


def files(ws: Workspace, folder: Path) -> Verdict:
    """Compare the files of a report, and those it read, with its manifest.

    Parameters
    ----------
    ws
        The workspace with the files that were read.
    folder
        The report, in ``reports`` or as an archive published it.

    Returns
    -------
    Verdict
        Files that the workspace does not have, and polygons that may not be published, are noted.

    Raises
    ------
    WorkspaceError
        If there is no report in the folder.
    """
    report = archive.open_report(folder)
    listed = report.manifest["files"]
    found = {name: _digest(path, name) for name, path in _tree(folder).items()}
    withheld = sorted(set(listed) - set(found) - set(report.published()))
    faults = [f"{name}: missing" for name in listed if name not in found and name not in withheld]
    faults += [
        f"{name}: differs" for name in listed if found.get(name, listed[name]) != listed[name]
    ]
    faults += [f"{name}: not in the manifest" for name in found if name not in listed]
    read, absent = _inputs(ws, report)
    notes = [f"{name}: not published, as its source does not allow it" for name in withheld]
    if absent:
        notes.append(f"{absent} of the files read are not in {ws.root}, and were not compared")
    return Verdict(
        report.digest,
        len(listed) + len(report.manifest["inputs"]) - absent - len(withheld),
        tuple(sorted([*faults, *read])),
        tuple(notes),
    )


def _tree(folder: Path) -> dict[str, Path]:
    named = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    return {name: path for name, path in named.items() if path.is_file() and name != _MANIFEST}


def _digest(path: Path, name: str) -> str:
    data = path.read_bytes()
    # What an archive says of other reports is no part of this one.
    return hashlib.sha256(pages.fill(data, {}) if name.endswith(".html") else data).hexdigest()


def _inputs(ws: Workspace, report: Report) -> tuple[list[str], int]:
    faults, absent = [], 0
    for item in report.manifest["inputs"]:
        path = ws.root / item["path"]
        if not path.is_file():
            absent += 1
        elif hashlib.sha256(path.read_bytes()).hexdigest() != item["sha256"]:
            faults.append(f"{item['path']}: differs from the file that was read")
    return faults, absent


def rerun(ws: Workspace, folder: Path, *, lanes: int = 2) -> Verdict:
    """Make a report again, elsewhere, and compare.

    Parameters
    ----------
    ws
        The workspace with the files that were read.
    folder
        The report.
    lanes
        How many notebooks run at the same time.

    Returns
    -------
    Verdict
        What differs, and as notes what software differs, which may be why.

    Raises
    ------
    FrontlineError
        If there is no report in the folder, or it cannot be made again from this workspace.
    """
    report = archive.open_report(folder)
    with tempfile.TemporaryDirectory() as scratch:
        elsewhere = _beside(ws, Path(scratch)).known_by(_as_of(report))
        asked = plans.request(
            elsewhere, report.day, source_id=report.source, compare_to=str(report.compare_to)
        )
        again = archive.open_report(reports.make(elsewhere, asked, lanes=lanes).parent)
    faults = _differences(report.manifest["files"], again.manifest["files"])
    notes = _software(report, again)
    return Verdict(again.digest, len(again.manifest["files"]), tuple(faults), tuple(notes))


def _as_of(report: Report) -> date | None:
    """The day as of which the maps were known to a report; its command says so."""
    words = shlex.split(report.manifest["command"])
    return parse_day(words[words.index("--as-of") + 1]) if "--as-of" in words else None


def _beside(ws: Workspace, root: Path) -> Workspace:
    """A workspace with the same data and notebooks, whose reports go nowhere else."""
    for name in ("data", "notebooks"):
        if (ws.root / name).is_dir():
            (root / name).symlink_to(ws.root / name)
    return Workspace.at(root)


def _differences(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    faults = [f"{name}: not made again" for name in sorted(set(then) - set(now))]
    faults += [f"{name}: new" for name in sorted(set(now) - set(then))]
    both = sorted(set(then) & set(now))
    return faults + [f"{name}: differs when made again" for name in both if then[name] != now[name]]


def _software(report: Report, again: Report) -> list[str]:
    then, now = report.manifest["software"], again.manifest["software"]
    notes = [
        f"{name}: {then.get(name, 'none')} then, {now.get(name, 'none')} now"
        for name in sorted({*then, *now})
        if then.get(name) != now.get(name)
    ]
    before, after = report.manifest["git_commit"], again.manifest["git_commit"]
    if before != after:
        notes.append(f"commit: {before or 'none'} then, {after or 'none'} now")
    return notes
