"""For the start notebook: which notebooks there are, what they take, and running one of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
from papermill.inspection import inspect_notebook

from helpers import forkserver, runner
from helpers.errors import unknown
from helpers.jobs import Job
from helpers.tables import Table
from helpers.workspace import Workspace


def notebooks(ws: Workspace | None = None) -> Table:
    """List the notebooks.

    Parameters
    ----------
    ws
        The workspace; None finds it.

    Returns
    -------
    helpers.tables.Table
        A row a notebook: its name, the question it answers, its parameters.
    """
    rows = [
        {"notebook": path.stem, "question": _question(path), "parameters": ", ".join(_taken(path))}
        for path in _paths(ws)
    ]
    return Table(pd.DataFrame(rows), "Notebooks; run one with guide.run(name, parameter=value)")


def parameters(name: str, ws: Workspace | None = None) -> Table:
    """Say what a notebook takes.

    Parameters
    ----------
    name
        The notebook's name, or the beginning of it: ``"01"``.
    ws
        The workspace; None finds it.

    Returns
    -------
    helpers.tables.Table
        A row a parameter: its name, its default, what it means.

    Raises
    ------
    ParameterError
        If there is no such notebook.
    """
    path = _path(name, ws)
    rows = [
        {"parameter": key, "default": found["default"], "meaning": found["help"]}
        for key, found in _taken(path).items()
    ]
    return Table(pd.DataFrame(rows), f"Parameters of {path.stem}")


def run(name: str, ws: Workspace | None = None, **values: Any) -> Path:
    """Run a notebook with parameters and keep the executed copy in ``reports/drafts``.

    Parameters
    ----------
    name
        The notebook's name, or the beginning of it: ``"01"``.
    ws
        The workspace; None finds it.
    **values
        Its parameters; those that are not given keep their defaults.

    Returns
    -------
    pathlib.Path
        The executed notebook, beside the figures and tables it made.

    Raises
    ------
    ParameterError
        If there is no such notebook or parameter, or a value is of another type.
    ReportError
        If a cell fails; the message names it, and the copy shows where.
    """
    ws = ws or Workspace.find()
    path = _path(name, ws)
    out = ws.output / "notebooks"
    environment = os.environ | {"FRONTLINE_ROOT": str(ws.root), "FRONTLINE_OUTPUT": str(ws.output)}
    with forkserver.started(os.environ) as server:
        runner.run_all([Job(path, path.stem, values)], out, environment, server=server)
    return out / f"{path.stem}.ipynb"


def _paths(ws: Workspace | None) -> list[Path]:
    return sorted((ws or Workspace.find()).notebooks.glob("[0-9][0-9]-*.ipynb"))


def _path(name: str, ws: Workspace | None) -> Path:
    known = {path.stem: path for path in _paths(ws)}
    found = [path for stem, path in known.items() if name and stem.startswith(name)]
    if len(found) != 1:
        raise unknown("notebook", name, known)
    return found[0]


def _taken(path: Path) -> dict[str, dict[str, str]]:
    return {str(key): found for key, found in inspect_notebook(str(path)).items()}


def _question(path: Path) -> str:
    """The title."""
    return str(nbformat.read(path, as_version=4).cells[0].source.splitlines()[0].strip("# "))
