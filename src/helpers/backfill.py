"""Many reports: those that are stale, several at a time; what fails is told and does not stop."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import date
from typing import Literal

from helpers import plans, publishers, snapshots
from helpers.errors import FrontlineError
from helpers.workspace import Workspace

Result = Literal["made", "up to date", "stale", "failed"]


@dataclass(frozen=True)
class Outcome:
    """What became of one date.

    Attributes
    ----------
    day
        The assessed day.
    result
        "made", "up to date", "stale" (of a dry run: would be made) or "failed".
    told
        Why it was made, or what went wrong; the folder's name where it is up to date.
    """

    day: date
    result: Result
    told: str


def prepare(
    ws: Workspace, days: Iterable[date], source_id: str, *, force: bool = False
) -> tuple[list[tuple[plans.Request, str]], list[Outcome]]:
    """Sort dates into those to be made, with the reason, and those that are done with.

    Parameters
    ----------
    ws
        The workspace; new raw files are read first.
    days
        The dates.
    source_id
        The source; empty takes the workspace's own default.
    force
        Whether to make what is up to date, too.

    Returns
    -------
    tuple
        Requests with why they are stale; outcomes of the dates that are up to date, or that no
        report can be made of.

    Raises
    ------
    ParameterError, WorkspaceError
        If there is no such source, or it has no files.
    """
    source = publishers.source(ws, source_id or publishers.default(ws))
    snapshots.ensure(ws, source.id)
    wanted, settled = [], []
    for day in days:
        try:
            asked = plans.request(ws, day, source_id=source.id)
            why = ["asked for"] if force else plans.stale(ws, asked)
        except FrontlineError as error:
            settled.append(Outcome(day, "failed", str(error)))
            continue
        if why:
            wanted.append((asked, "; ".join(why)))
        else:
            settled.append(Outcome(day, "up to date", plans.folder_of(ws, asked).name))
    return wanted, settled


def run(
    wanted: Sequence[tuple[plans.Request, str]],
    make: Callable[[plans.Request, int], object],
    pool: Executor,
    *,
    jobs: int = 1,
) -> Iterator[Outcome]:
    """Make reports, several at a time.

    Parameters
    ----------
    wanted
        From `prepare`.
    make
        Makes one, so many notebooks at a time; called from several threads, or on several machines.
    pool
        Where it is called.
    jobs
        How many the pool makes at a time. The last ones run several notebooks at a time, so that
        nobody is idle while others come to their end.

    Yields
    ------
    Outcome
        As the dates come, in their order. A date that fails does not stop the others, nor does a
        worker of the pool that is lost with it.
    """
    left = len(wanted) % jobs
    lanes = [1] * len(wanted)
    lanes[-jobs:] = [min(jobs, 2)] * len(lanes[-jobs:])
    if left:
        lanes[-left:] = [max(jobs // left, lanes[-1])] * left
    futures = [
        (asked.day, pool.submit(_attempt, make, asked, why, count))
        for (asked, why), count in zip(wanted, lanes, strict=True)
    ]
    for day, future in futures:
        try:
            yield future.result()
        except _lost() as error:
            yield Outcome(day, "failed", f"{type(error).__name__}: {error}")


def _attempt(
    make: Callable[[plans.Request, int], object], asked: plans.Request, why: str, lanes: int
) -> Outcome:
    try:
        make(asked, lanes)
    except FrontlineError as error:
        return Outcome(asked.day, "failed", str(error))
    return Outcome(asked.day, "made", why)


def _lost() -> tuple[type[Exception], ...]:
    """What a pool raises for work whose workers died."""
    distributed = sys.modules.get("distributed")
    return (distributed.scheduler.KilledWorker,) if distributed else ()


def summary(outcomes: Sequence[Outcome]) -> list[str]:
    """Count the results, and list the dates that failed with their reasons."""
    counts = {
        result: sum(o.result == result for o in outcomes)
        for result in ("made", "stale", "up to date", "failed")
    }
    told = ", ".join(f"{count} {result}" for result, count in counts.items() if count)
    failed = sorted((o for o in outcomes if o.result == "failed"), key=lambda o: o.day)
    return [told or "nothing to do", *(f"  {o.day}  {o.told}" for o in failed)]
