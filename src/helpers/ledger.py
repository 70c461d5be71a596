"""The claims ledger: a CSV file that people keep, read and checked."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

import pandas as pd

from helpers import claims, reference
from helpers.errors import SchemaError, WorkspaceError
from helpers.limits import limit
from helpers.workspace import PROJECT, Workspace


def path(ws: Workspace) -> Path:
    """Where the ledger of a workspace is: its own, or else the one that ships."""
    own = ws.claims_file
    return own if own.is_file() else Workspace.at(PROJECT).claims_file


def read(ws: Workspace) -> pd.DataFrame:
    """Read and check the ledger.

    Parameters
    ----------
    ws
        The workspace; seen as of a day, later claims are not in it.

    Returns
    -------
    pandas.DataFrame
        As `helpers.claims.check`.

    Raises
    ------
    WorkspaceError
        If there is no ledger.
    SchemaError
        If it is no CSV in UTF-8, or has faults; all are named.
    """
    source = path(ws)
    if not source.is_file():
        raise WorkspaceError(f"There is no ledger {ws.claims_file}. docs/claims.md shows its form.")
    if source.stat().st_size > limit("FRONTLINE_MAX_LEDGER_MB") * 1_000_000:
        raise SchemaError(
            f"{source.name} is larger than FRONTLINE_MAX_LEDGER_MB "
            f"({limit('FRONTLINE_MAX_LEDGER_MB')}) allows."
        )
    table = _table(source)
    found = claims.check(table, _gazetteer(), reference.sectors(ws.sectors_file), source.name)
    if ws.as_of is not None:
        found = found[found["date"] <= pd.Timestamp(ws.as_of)].reset_index(drop=True)
    return found


@cache
def _gazetteer() -> claims.Gazetteer:
    return claims.Gazetteer(reference.settlements(), reference.place_names())


def _table(source: Path) -> pd.DataFrame:
    """All rows as text. A row of another length is a fault: its columns would be others."""
    try:
        rows = list(csv.reader(source.read_text(encoding="utf-8-sig").splitlines(), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise SchemaError(f"{source}: not a CSV table in UTF-8: {error}.") from None
    if not rows:
        raise SchemaError(f"{source}: not a CSV table in UTF-8: it is empty.")
    head, *rest = rows
    for number, row in enumerate(rest, start=2):
        if len(row) != len(head):
            raise SchemaError(
                f"{source}: line {number} has {len(row)} fields, the head has {len(head)}. Put "
                "texts with commas into quotation marks."
            )
    return pd.DataFrame(rest, columns=head, dtype=str)
