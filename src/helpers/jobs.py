"""What is to be run: a notebook, a name and parameters; for which days.

Nothing heavy is imported here: commands ask before they import what runs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from helpers.errors import ParameterError


@dataclass(frozen=True)
class Job:
    """One notebook to run.

    Attributes
    ----------
    notebook
        The notebook's path.
    name
        Name of the run: the executed notebook is ``<name>.ipynb``.
    parameters
        Values for its parameters; the others keep their defaults.
    """

    notebook: Path
    name: str
    parameters: Mapping[str, Any]


def dates(start: date, end: date, every_days: int) -> list[date]:
    """List the dates from `start` to `end`, every so many days.

    Raises
    ------
    ParameterError
        If the end is before the start, or the step is not at least a day.
    """
    if end < start:
        raise ParameterError(f"{end} is before {start}. Name the earlier day first.")
    if every_days < 1:
        raise ParameterError(f"Every {every_days} days is no step. Give 1d or more.")
    return [start + timedelta(days=n) for n in range(0, (end - start).days + 1, every_days)]
