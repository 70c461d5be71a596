"""The finished reports of a workspace: which there are, what they say, what stands beside each."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from helpers import sources
from helpers.errors import WorkspaceError
from helpers.schema import parse_day

REPORT_SCHEMA = "frontline-report/1"
# A report's folder: its day, and the source's id where it is not the workspace's own.
_FOLDER = re.compile(r"\d{4}-\d\d-\d\d(-[a-z0-9_-]+)?")
_MEASURE_KEYS = ["source", "sector", "tier", "day"]


@dataclass(frozen=True)
class Report:
    """A finished report.

    Attributes
    ----------
    path
        Its folder.
    manifest
        Content of its ``manifest.json``.
    digest
        SHA-256 of that file, which has those of all others: it names the whole report.
    """

    path: Path
    manifest: Mapping[str, Any]
    digest: str

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.path.name

    @property
    def day(self) -> date:
        """The assessed day."""
        return parse_day(self.manifest["day"])

    @property
    def compare_to(self) -> date:
        """The day it is compared with."""
        return parse_day(self.manifest["compare_to"])

    @property
    def newest_input(self) -> date:
        """The newest day that it read: the date of the report, as no clock is asked."""
        return parse_day(self.manifest["newest_input_day"])

    @property
    def source(self) -> str:
        """Id of its source."""
        return str(self.manifest["source"]["id"])

    @property
    def shares_polygons(self) -> bool:
        """Whether polygons of its source may be published; not, if the source is not known."""
        known = sources.SOURCES.get(self.source)
        return known is not None and known.redistributable

    @cached_property
    def sectors(self) -> dict[str, str]:
        """Key of a sector to the name of the run that maps it."""
        runs = self.manifest["runs"]
        return {
            run["parameters"]["sector"]: name
            for name, run in runs.items()
            if "sector" in run["parameters"]
        }

    def published(self) -> dict[str, str]:
        """Files that may be published, with their SHA-256: all but polygons that may not."""
        return {
            name: digest
            for name, digest in self.manifest["files"].items()
            if self.shares_polygons or not name.endswith(".geojson")
        }

    def findings(self) -> list[dict[str, Any]]:
        """Sentences of the briefing with their numbers."""
        path = self.path / "data" / "briefing.json"
        return list(json.loads(path.read_text())["findings"]) if path.is_file() else []


@dataclass(frozen=True)
class Archive:
    """The reports of a workspace.

    Attributes
    ----------
    reports
        Sorted by day, then by name.
    """

    reports: tuple[Report, ...]

    @property
    def latest(self) -> Report:
        """The report of the newest day; of two, the one of the workspace's own source."""
        newest = [r for r in self.reports if r.day == self.reports[-1].day]
        return min(newest, key=lambda report: report.name)

    def of_source(self, source: str) -> list[Report]:
        """Reports of a source, by day."""
        return [report for report in self.reports if report.source == source]

    def beside(self, report: Report) -> tuple[Report | None, Report | None]:
        """The report before and the report after one, of the same source."""
        same = self.of_source(report.source)
        at = same.index(report)
        return (same[at - 1] if at else None), (same[at + 1] if at + 1 < len(same) else None)

    def sectors(self) -> list[str]:
        """Keys of all sectors, in the order of the latest report."""
        ordered = dict.fromkeys(self.latest.sectors)
        for report in reversed(self.reports):
            ordered |= dict.fromkeys(report.sectors)
        return list(ordered)

    @cached_property
    def measures(self) -> pd.DataFrame:
        """Daily measures of all reports, each day once.

        Returns
        -------
        pandas.DataFrame
            The columns of `helpers.schema.MEASURE_COLUMNS`, sorted. A report's first day has
            nothing to be compared with, so a row with a change goes before one without; of such
            rows the newest report's is taken.
        """
        tables = [
            pd.read_csv(path, dtype={"note": str}, keep_default_na=False, na_values=[""])
            for report in self.reports
            if (path := report.path / "data" / "measures.csv").is_file()
        ]
        if not tables:
            return pd.DataFrame(columns=[*_MEASURE_KEYS, "area_km2", "net_km2"])
        every = pd.concat(tables, ignore_index=True)
        every["changed"] = every["net_km2"].notna()
        every = every.sort_values("changed", kind="stable").drop_duplicates(
            _MEASURE_KEYS, keep="last"
        )
        return every.drop(columns="changed").sort_values(_MEASURE_KEYS, ignore_index=True)


def read(folder: Path) -> Archive:
    """Read what reports there are.

    Parameters
    ----------
    folder
        The workspace's ``reports``.

    Returns
    -------
    Archive
        At least one report. Drafts and failed reports are none.

    Raises
    ------
    WorkspaceError
        If there is none, or a manifest cannot be read.
    """
    found = [
        _report(path)
        for path in sorted(folder.glob("*/manifest.json"))
        if _FOLDER.fullmatch(path.parent.name)
    ]
    if not found:
        raise WorkspaceError(
            f"There are no reports in {folder}. Make one first: frontline report 2025-01-08"
        )
    return Archive(tuple(sorted(found, key=lambda report: (report.day, report.name))))


def _report(path: Path) -> Report:
    data = path.read_bytes()
    try:
        manifest = json.loads(data)
    except ValueError as error:
        raise WorkspaceError(f"{path} is not JSON ({error}). Make this report again.") from None
    known = manifest.get("schema") if isinstance(manifest, dict) else None
    if known != REPORT_SCHEMA:
        raise WorkspaceError(
            f"{path} is of the schema {known!r}, not {REPORT_SCHEMA!r}. Make this report again."
        )
    return Report(path.parent, manifest, hashlib.sha256(data).hexdigest())


def open_report(folder: Path) -> Report:
    """Read one report.

    Parameters
    ----------
    folder
        The folder of a report.

    Returns
    -------
    Report
        With its manifest.

    Raises
    ------
    WorkspaceError
        If there is none, or its manifest cannot be read.
    """
    path = folder / "manifest.json"
    if not path.is_file():
        raise WorkspaceError(f"There is no report in {folder}: it has no manifest.json.")
    return _report(path)
