"""What data there is and whether it can be trusted: days, gaps, copies, quarantine, repairs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import pandas as pd

from helpers import gate, ingest, snapshots
from helpers.store import Store
from helpers.workspace import Workspace

# States of a calendar day, in the order in which a key lists them.
STATES = ("new map", "no update", "accepted with notes", "quarantined", "no map")


@dataclass(frozen=True)
class Inspection:
    """What was found of one source.

    Attributes
    ----------
    source
        Its id.
    days
        One row a calendar day from the first to the last credible one, and every quarantined day:
        day (datetime64), state (one of `STATES`), reasons, notes (a line each).
    files
        One row a file that could not be read: path, error.
    repairs
        One row a file whose polygons had to be repaired: day, layer, nulls, invalid, invalid_km2,
        doubled_km2, specks, specks_km2, path.
    revisions
        As `helpers.snapshots.revisions`.
    """

    source: str
    days: pd.DataFrame
    files: pd.DataFrame
    repairs: pd.DataFrame
    revisions: pd.DataFrame

    def count(self, state: str) -> int:
        """Number of days of a state."""
        return int((self.days["state"] == state).sum())

    def between(self, start: date, end: date) -> pd.DataFrame:
        """Rows of `days` from `start` to `end`, both included."""
        return self.days[self.days["day"].between(pd.Timestamp(start), pd.Timestamp(end))]


def inspect(ws: Workspace, source_id: str) -> Inspection:
    """Look at everything that was read of a source.

    Parameters
    ----------
    ws
        The workspace.
    source_id
        The source.

    Returns
    -------
    Inspection
        Tables, for the command line and the notebook.

    Raises
    ------
    SnapshotError
        If nothing was read.
    """
    verdicts = snapshots.verdicts(ws, source_id)
    store = Store(ws.processed / source_id)
    files = store.files()
    return Inspection(
        source_id,
        _days(verdicts),
        files.loc[files["error"] != "", ["path", "error"]].reset_index(drop=True),
        _repairs(ingest.versions(store.days(), ws.as_of)),
        snapshots.revisions(ws, source_id),
    )


def _days(verdicts: pd.DataFrame) -> pd.DataFrame:
    bad = verdicts["status"] == gate.QUARANTINED
    copies = verdicts["notes"].str.contains("no update since")
    # A copy says nothing that its first map has not said.
    noted = (verdicts["status"] == gate.NOTED) & ~copies
    state = pd.Series("new map", index=verdicts.index, dtype="str")
    state = state.mask(noted, "accepted with notes").mask(copies, "no update")
    found = verdicts.assign(state=state.mask(bad, "quarantined")).drop(columns="status")
    credible = found.loc[~bad, "day"]
    if not len(credible):
        return found
    span = pd.date_range(credible.min(), credible.max(), freq="D").astype("datetime64[s]")
    absent = span.difference(found["day"])
    empty = pd.DataFrame({"day": absent, "state": "no map", "reasons": "", "notes": ""})
    return pd.concat([found, empty]).sort_values("day", ignore_index=True)


def _repairs(table: pd.DataFrame) -> pd.DataFrame:
    counts = ["nulls", "invalid", "invalid_km2", "doubled_km2", "specks", "specks_km2"]
    # Less than a hundredth of a km² is the rounding of a union.
    touched = table[(table[counts].abs() >= 0.01).any(axis=1)]
    return touched[["day", "layer", *counts, "path"]].reset_index(drop=True)


def report(found: Inspection, *, verbose: bool = False) -> list[str]:
    """Say what was found, in lines for a terminal.

    Parameters
    ----------
    found
        From `inspect`.
    verbose
        Whether to list the notes of accepted days too.

    Returns
    -------
    list of str
        A line of counts, then a line each for what needs attention.
    """
    counts = ", ".join(f"{found.count(state)} {_PLURAL[state]}" for state in STATES)
    lines = [f"{found.source}: {counts}"]
    for day in found.days.itertuples(index=False):
        if day.state == "quarantined":
            lines.append(f"  {day.day.date()} quarantined: {_one_line(day.reasons)}")
        elif verbose and day.notes:
            lines.append(f"  {day.day.date()} {_one_line(day.notes)}")
    lines += [f"  unreadable: {error}" for error in found.files["error"]]
    for row in found.revisions.itertuples(index=False):
        lines.append(
            f"  {row.day.date()} {row.layer} revised: +{row.added_km2:.1f} and "
            f"-{row.removed_km2:.1f} km² from {row.earlier} to {row.later}"
        )
    repairs = found.repairs
    if len(repairs):
        lines.append(
            f"  repairs ({repairs['path'].nunique()} files): {repairs['nulls'].sum()} features "
            f"without geometry, {repairs['invalid'].sum()} polygons that crossed themselves "
            f"({repairs['invalid_km2'].sum():+.2f} km²), {repairs['doubled_km2'].sum():.2f} km² "
            f"drawn twice, {repairs['specks'].sum()} specks ({repairs['specks_km2'].sum():.1f} km²)"
        )
    return lines


_PLURAL = {
    "new map": "new maps",
    "no update": "copies of the map before",
    "accepted with notes": "accepted with notes",
    "quarantined": "quarantined",
    "no map": "days without a map",
}


def _one_line(text: str) -> str:
    return text.replace("\n", "; ")
