"""What is to be run: a notebook, a name and parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


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
