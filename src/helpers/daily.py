"""A day's work in one run: fetch, read, check, report, site; the exit status tells how it went."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from helpers.errors import FrontlineError
from helpers.fetch import Fetched, summary

# 2 is taken: the command line says with it that it was not understood.
MADE, FAILED, QUARANTINED, NOTHING_NEW = 0, 1, 3, 4


@dataclass(frozen=True)
class Steps:
    """What a run is made of.

    Attributes
    ----------
    fetch
        Fetches what is new.
    ingest
        Reads it; returns path and fault of every file that cannot be used.
    quarantined
        Days that are not credible.
    days
        Credible days, sorted.
    has_report
        Whether the report of a day is there.
    report
        Makes the report of a day and returns its first page.
    site
        Brings the site up to date and returns its first page.
    """

    fetch: Callable[[], Fetched]
    ingest: Callable[[], Collection[tuple[str, str]]]
    quarantined: Callable[[], Collection[date]]
    days: Callable[[], Collection[date]]
    has_report: Callable[[date], bool]
    report: Callable[[date], Path]
    site: Callable[[], Path]


def run(steps: Steps, say: Callable[[str], None]) -> int:
    """Do a day's work.

    Parameters
    ----------
    steps
        What to do.
    say
        Called with each line for the terminal.

    Returns
    -------
    int
        `FAILED` if a day could not be fetched or a fetched file not be read; else `QUARANTINED` if
        the newest day is not credible; else `MADE` if there is a new report; else `NOTHING_NEW`.
        Whatever it is, all that could be done was done.

    Raises
    ------
    FrontlineError
        If a step cannot be done at all.
    """
    fetched = steps.fetch()
    for line in summary(fetched):
        say(line)
    came = {*fetched.new, *fetched.revised}
    # A file of long ago that was never readable is no failure of today.
    unread = [(path, fault) for path, fault in steps.ingest() if path in came]
    for path, fault in unread:
        say(f"  not readable: {path}: {fault}")
    newest = max(steps.days(), default=None)
    held_back = sorted(day for day in steps.quarantined() if newest is None or day > newest)
    for day in held_back:
        say(f"  quarantined: {day}; see frontline check")
    made = newest is not None and (bool(came) or not steps.has_report(newest))
    if newest and made:
        say(f"report: {steps.report(newest)}")
        say(f"site: {steps.site()}")
    if fetched.failed or unread:
        return FAILED
    if held_back:
        return QUARANTINED
    return MADE if made else NOTHING_NEW


def attempt(steps: Steps, say: Callable[[str], None]) -> int:
    """Do a day's work, and tell what stopped it; see `run`."""
    try:
        return run(steps, say)
    except FrontlineError as error:
        say(f"Error: {error}")
        return FAILED
