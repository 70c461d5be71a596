"""What a report is made of, where it goes, and whether it is there already.

Nothing here runs a notebook, so that a command which has nothing to do is done at once.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from helpers import dossiers, ledger, provenance, publishers, reference, snapshots
from helpers.errors import FrontlineError
from helpers.jobs import Job
from helpers.sources import Source
from helpers.workspace import Workspace

# How many months the series of a report reaches back.
_SERIES_MONTHS = 5


@dataclass(frozen=True)
class Request:
    """What a report is asked for.

    Attributes
    ----------
    day, compare_to
        The two assessed days.
    source
        The publisher.
    as_of
        Only what was known by the end of this day; None for everything.
    """

    day: date
    compare_to: date
    source: Source
    as_of: date | None = None


def request(ws: Workspace, day: date, *, source_id: str = "", compare_to: str = "") -> Request:
    """Check what is asked for against the snapshots there are, before anything starts.

    Parameters
    ----------
    ws
        The workspace; new raw files are read first. Seen as of an earlier day, so is the report.
    day
        The assessed day.
    source_id
        The source; empty takes the workspace's own default.
    compare_to
        The earlier day; empty takes a month before, or the last snapshot before that.

    Returns
    -------
    Request
        With days that have a snapshot.

    Raises
    ------
    ParameterError, SnapshotError, WorkspaceError
        If the source, a day or the data are not there.
    """
    source = publishers.source(ws, source_id or publishers.default(ws))
    snapshots.ensure(ws, source.id)
    snapshots.load(ws, source.id, day)
    for other in dossiers.others(ws, source.id)[1:]:
        with suppress(FrontlineError):  # what is wrong with another source is not this report's
            snapshots.ensure(ws, other)
    return Request(day, snapshots.baseline(ws, source.id, day, compare_to), source, ws.as_of)


def plan(ws: Workspace, asked: Request) -> list[Job]:
    """List the notebooks of a report with their parameters; the briefing is the first."""
    days = {"report_date": asked.day.isoformat(), "compare_to": asked.compare_to.isoformat()}
    source = {"source": asked.source.id}
    if asked.as_of:
        source["as_of"] = asked.as_of.isoformat()
    told = [snapshots.load(ws, asked.source.id, day).tiers for day in (asked.compare_to, asked.day)]
    covered = [
        sector
        for sector in reference.sectors(ws.sectors_file).values()
        if all(asked.source.tier_for(sector.measure) in tiers for tiers in told)
    ]
    month = asked.day.year * 12 + asked.day.month - 1 - _SERIES_MONTHS
    start = min(date(month // 12, month % 12 + 1, 1), asked.compare_to)
    first = snapshots.days(ws, asked.source.id)[0]
    series = {
        "sectors": ", ".join(sector.key for sector in covered),
        "start": max(start, first).isoformat(),
        "end": asked.day.isoformat(),
    }
    folder = ws.notebooks
    return [
        Job(folder / "05-briefing.ipynb", "briefing", days | source),
        *(
            Job(
                folder / "01-sector-map.ipynb",
                f"sector-map-{sector.key}",
                {"sector": sector.key} | days | source,
            )
            for sector in covered
        ),
        Job(folder / "02-advance-series.ipynb", "advance-series", series | source),
        *_comparisons(ws, asked, series),
    ]


def _comparisons(ws: Workspace, asked: Request, series: Mapping[str, str]) -> list[Job]:
    """Claims against maps, and source against source where another has a map of the day."""
    if not series["sectors"]:
        return []
    day = {"sectors": series["sectors"], "report_date": series["end"]}
    known = {"as_of": asked.as_of.isoformat()} if asked.as_of else {}
    source = {"source": asked.source.id} | known
    jobs = [Job(ws.notebooks / "03-claims.ipynb", "claims", day | source)]
    compared = _compared(ws, asked)
    if len(compared) > 1:
        sources = {"sources": ", ".join(compared), "start": series["start"]} | known
        jobs.append(Job(ws.notebooks / "04-agreement.ipynb", "agreement", day | sources))
    return jobs


def _compared(ws: Workspace, asked: Request) -> list[str]:
    """The source of a report, and those that have a map to set beside its own."""
    found = [asked.source.id]
    for other in dossiers.others(ws, asked.source.id)[1:]:
        with suppress(FrontlineError):
            if dossiers.recent(ws, other, asked.day):
                found.append(other)
    return found


def folder_of(ws: Workspace, asked: Request) -> Path:
    """Where a report goes: ``reports/<day>``, with the source's id if it is not the default one.

    A report as of an earlier day has that day in its name too.
    """
    name = asked.day.isoformat()
    if asked.source.id != publishers.default(ws):
        name += f"-{asked.source.id}"
    if asked.as_of:
        name += f"-as-of-{asked.as_of}"
    return ws.reports / name


def command(asked: Request) -> str:
    """The command that makes this report again."""
    words = ["frontline", "report", asked.day.isoformat(), "--source", asked.source.id]
    words += ["--compare-to", asked.compare_to.isoformat()]
    return shlex.join([*words, *(["--as-of", asked.as_of.isoformat()] if asked.as_of else [])])


# What there is already ------------------------------------------------------------------------


def made_from(ws: Workspace, asked: Request, jobs: Sequence[Job]) -> dict[str, str]:
    """Hash everything that the bytes of a report depend on.

    Parameters
    ----------
    ws
        The workspace.
    asked
        A checked request.
    jobs
        Its `plan`.

    Returns
    -------
    dict
        SHA-256 of the "parameters", the "snapshots" of all compared sources up to the day, the
        "notebooks", the "helpers" (code, words, base layers), the "software" and other "files":
        sectors and claims.
    """
    parameters = [[job.notebook.name, job.name, dict(job.parameters)] for job in jobs]
    # One that is not there is the runner's to tell.
    paths = [job.notebook for job in jobs if job.notebook.is_file()]
    notebooks = {path.name: path.read_bytes() for path in paths}
    maps = [snapshots.fingerprint(ws, source, asked.day) for source in _compared(ws, asked)]
    read = (ws.sectors_file, ledger.path(ws))
    files = {path.name: path.read_bytes() for path in read if path.is_file()}
    return {
        "parameters": provenance.digest(
            json.dumps([command(asked), parameters], sort_keys=True).encode()
        ),
        "snapshots": provenance.digest("\n".join(maps).encode()),
        "notebooks": provenance.digest_all(notebooks),
        "helpers": provenance.helpers_digest(),
        "software": provenance.digest(provenance.to_json(provenance.software())),
        "files": provenance.digest_all(files),
    }


def stale(ws: Workspace, asked: Request) -> list[str]:
    """Say why a report has to be made.

    Parameters
    ----------
    ws
        The workspace.
    asked
        A checked request.

    Returns
    -------
    list of str
        What differs from the report that is there, or that there is none; empty if it would be made
        of the same and all its files are there.
    """
    folder = folder_of(ws, asked)
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        then, listed = manifest["made_from"], manifest["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return ["there is none"]
    now = made_from(ws, asked, plan(ws, asked))
    changed = [f"other {name}" for name in now if then.get(name) != now[name]]
    gone = [name for name in listed if not (folder / name).is_file()]
    return changed + [f"{name} is missing" for name in gone]
