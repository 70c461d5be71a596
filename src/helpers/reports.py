"""A report of one day: notebooks run, pages written, everything recorded, put in place at once."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from nbformat import NotebookNode

from helpers import (
    archive,
    crate,
    findings,
    pages,
    provenance,
    reference,
    runner,
)
from helpers.errors import ReportError, WorkspaceError
from helpers.files import put_in_place, recover, write_atomic
from helpers.forkserver import ForkServer
from helpers.plans import Request, command, folder_of, made_from, plan
from helpers.schema import parse_day
from helpers.workspace import Workspace

_LOCK_WAIT_S = 30
Progress = Callable[[str, int, int], None]


def make(
    ws: Workspace,
    asked: Request,
    *,
    lanes: int = 2,
    server: ForkServer | None = None,
    progress: Progress = lambda _name, _done, _all: None,
) -> Path:
    """Make the report and put it in place.

    Parameters
    ----------
    ws
        The workspace.
    asked
        A checked request.
    lanes
        How many notebooks run at the same time.
    server
        Forks the kernels; None starts ordinary ones.
    progress
        Called after each code cell, from any thread: name of the run, cells done, cells in all.

    Returns
    -------
    pathlib.Path
        The report's ``index.html``.

    Raises
    ------
    ReportError
        If a notebook fails. The failed notebooks are kept in ``reports/failed/<name>``; an earlier
        report of that day stays as it was.
    WorkspaceError
        If another run is making the same report, or it cannot be written.
    """
    target = folder_of(ws, asked)
    lock = ws.reports / f".{target.name}.lock"
    try:
        ws.reports.mkdir(parents=True, exist_ok=True)
        with FileLock(lock, timeout=_LOCK_WAIT_S):
            return _make_locked(ws, asked, target, lanes=lanes, server=server, progress=progress)
    except Timeout:
        raise WorkspaceError(
            f"Another run has been making {target} for more than {_LOCK_WAIT_S} s "
            f"(lock file {lock}). Wait for it to end, then run again."
        ) from None
    except OSError as error:
        shutil.rmtree(ws.reports / f".{target.name}.building", ignore_errors=True)
        raise WorkspaceError(
            f"Cannot write {error.filename or target}: {error.strerror or error}. What was there "
            "before is whole; make room, or get permission, and run again."
        ) from None


def _make_locked(ws: Workspace, asked: Request, target: Path, **options: Any) -> Path:
    building = ws.reports / f".{target.name}.building"
    retired = ws.reports / f".{target.name}.retired"
    recover(target, retired)
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir()
    jobs = plan(ws, asked)
    source = made_from(ws, asked, jobs)
    environment = os.environ | {"FRONTLINE_ROOT": str(ws.root), "FRONTLINE_OUTPUT": str(building)}
    try:
        notebooks = runner.run_all(
            jobs, building / "notebooks", environment, **options, at_last=pages.prepare
        )
    except ReportError as failure:
        kept = ws.reports / "failed" / target.name
        shutil.rmtree(kept, ignore_errors=True)
        kept.parent.mkdir(exist_ok=True)
        building.rename(kept)
        raise ReportError(
            f"{failure}\nThe notebooks are kept in {kept / 'notebooks'} for inspection; "
            + (f"{target} is as it was." if target.exists() else "no report was made.")
        ) from None
    _write_pages(ws, asked, building, notebooks, source)
    put_in_place(target, building, retired)
    return target / "index.html"


def _page_file(name: str) -> str:
    return "index.html" if name == "briefing" else f"{name}.html"


def _write_pages(
    ws: Workspace,
    asked: Request,
    folder: Path,
    notebooks: dict[str, NotebookNode],
    source: dict[str, str],
) -> None:
    records = {
        name: json.loads((folder / "results" / f"{name}.json").read_text()) for name in notebooks
    }
    downloads = _downloads(asked, folder)
    pictures = pages.figures(folder / "figures", data=downloads)
    for name, notebook in notebooks.items():
        record = records[name]
        page = pages.Page(
            name=name,
            title=record["title"],
            description=f"{record['title']}. {asked.source.caveat}",
            dateline=_dateline(record["parameters"]),
            caveat=asked.source.caveat,
            attribution=asked.source.attribution,
            licence=asked.source.licence,
            positional_error=findings.metres(asked.source.positional_error_m),
            command=command(asked),
            folder=folder_of(ws, asked).name,
            links=_links(ws, records, name),
            downloads=downloads if name == "briefing" else [d for d in downloads if name in d],
            notebook=f"notebooks/{name}.ipynb",
            inputs=record["inputs"],
        )
        text = pages.render(notebook, page, pictures)
        write_atomic(folder / _page_file(name), text.encode())
    manifest = _manifest(asked, records) | {"made_from": source}
    shutil.rmtree(folder / "results")
    write_atomic(folder / crate.FILE, provenance.to_json(crate.metadata(folder, manifest)))
    manifest["files"] = provenance.tree_sha256(folder)
    write_atomic(folder / "manifest.json", provenance.to_json(manifest))


def _dateline(parameters: Mapping[str, Any]) -> str:
    """The days of a page in words: two maps, or one, or the start and the end of a series."""
    if "compare_to" in parameters:
        after, before = (parse_day(parameters[name]) for name in ("report_date", "compare_to"))
        return f"{findings.day(after)}, compared with {findings.day(before)}"
    if "report_date" in parameters:
        return findings.day(parse_day(parameters["report_date"]))
    return f"{findings.day(parse_day(parameters['start']))} to " + findings.day(
        parse_day(parameters["end"])
    )


def _downloads(asked: Request, folder: Path) -> list[str]:
    """The data files that a page may offer: polygons only where the source lets them be shared."""
    found = sorted(path.relative_to(folder).as_posix() for path in (folder / "data").glob("*.*"))
    if asked.source.redistributable:
        return found
    return [path for path in found if not path.endswith(".geojson")]


def _links(ws: Workspace, records: dict[str, Any], current: str) -> list[dict[str, Any]]:
    known = reference.sectors(ws.sectors_file)

    def text(name: str) -> str:
        sector = records[name]["parameters"].get("sector")
        fixed = {"briefing": "Briefing", "advance-series": "Series"}
        fixed |= {"claims": "Claims", "agreement": "Sources"}
        return known[sector].name if sector in known else fixed.get(name, name)

    return [
        {"href": _page_file(name), "text": text(name), "current": name == current}
        for name in records
    ]


def _manifest(asked: Request, records: dict[str, Any]) -> dict[str, Any]:
    inputs = {item["path"]: item for record in records.values() for item in record["inputs"]}
    return {
        "schema": archive.REPORT_SCHEMA,
        "title": records["briefing"]["title"],
        "day": asked.day.isoformat(),
        "compare_to": asked.compare_to.isoformat(),
        "source": records["briefing"]["source"],
        "command": command(asked),
        "inputs": [inputs[path] for path in sorted(inputs)],
        "newest_input_day": max(item["assessed_day"] for item in inputs.values()),
        "software": provenance.software(),
        "git_commit": provenance.git_commit(),
        "runs": {
            name: {key: record[key] for key in ("title", "parameters", "numbers")}
            for name, record in records.items()
        },
    }
