"""Pieces of work that are done here or, sent by `cluster`, on another machine.

Dask's scheduler imports this, too: what only a worker needs is imported where it is used.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import date
from functools import cache
from typing import TYPE_CHECKING

import pandas as pd

from helpers import daybook, measures, reference
from helpers.forkserver import ForkServer, possible
from helpers.startup import skip_grammar
from helpers.workspace import Workspace

if TYPE_CHECKING:
    from helpers.plans import Request


def measure(
    ws: Workspace, source_id: str, days: tuple[date, date], keys: Sequence[str], tier: str = ""
) -> pd.DataFrame:
    """Measure sectors day by day from the store, which is up to date.

    Parameters
    ----------
    ws, source_id
        The workspace and the source.
    days
        First and last assessed day.
    keys
        Sectors, boxes, or "all" for the whole map.
    tier
        What to measure; empty for each sector's own.

    Returns
    -------
    pandas.DataFrame
        As `daybook.daily`; the first row of a sector knows the day before, if there is one.

    Raises
    ------
    ParameterError, SnapshotError
        As `daybook.daily`.
    """
    table = daybook.daily(
        ws,
        source_id,
        [reference.sector(key, ws.sectors_file) for key in keys if key != measures.WHOLE],
        days,
        tier=tier,
        whole=measures.WHOLE in keys,
    )
    return table[table["day"] >= str(days[0])]


def make_report(ws: Workspace, asked: Request, lanes: int = 1) -> str:
    """Make a report with kernels forked from a process that this one keeps for the next.

    Parameters
    ----------
    ws
        The workspace.
    asked
        A checked request.
    lanes
        How many notebooks run at the same time.

    Returns
    -------
    str
        Where it is.

    Raises
    ------
    ReportError, WorkspaceError
        As `reports.make`.
    """
    skip_grammar()
    from helpers import reports

    return str(reports.make(ws, asked, lanes=lanes, server=_server()))


@cache
def _server() -> ForkServer | None:
    """Ends with this process."""
    return ForkServer(os.environ, many=True) if possible() else None
