"""Notebooks run with papermill: strict parameters, clean outputs, a failure that says where."""

from __future__ import annotations

import ast
import asyncio
import os
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from jupyter_core.utils import ensure_event_loop
from nbformat import NotebookNode
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError
from papermill.execute import execute_notebook
from papermill.inspection import inspect_notebook

from helpers.errors import ParameterError, ReportError
from helpers.files import write_atomic

_ENGINE = "frontline"
_TYPES = {"str": str, "int": int, "float": float, "bool": bool, "list": list, "dict": dict}
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


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


class _Engine(NBClientEngine):  # type: ignore[misc]  # papermill has no types
    """papermill's own engine, with the kernel's environment and no clock in the result."""

    @classmethod
    def execute_managed_notebook(
        cls, nb_man: Any, kernel_name: str, *, environment: dict[str, str], **kwargs: Any
    ) -> NotebookNode:
        client = PapermillNotebookClient(
            nb_man,
            kernel_name=kernel_name,
            startup_timeout=kwargs.get("start_timeout", 60),
            timeout=kwargs.get("execution_timeout"),
            record_timing=False,
            coalesce_streams=True,
            # Its shutdown is logged as an error; a real failure is in the notebook.
            extra_arguments=["--IPKernelApp.log_level=CRITICAL"],
        )
        executed: NotebookNode = client.execute(env=environment)
        return executed


papermill_engines.register(_ENGINE, _Engine)


def check(job: Job) -> None:
    """Check a job's parameters against its notebook before anything starts.

    Parameters
    ----------
    job
        The job.

    Raises
    ------
    ParameterError
        If the notebook is not there or declares no parameters, if it has no parameter of a given
        name, or if a value is of another type than the default. Every fault is named.
    """
    if not job.notebook.is_file():
        raise ParameterError(f"There is no notebook {job.notebook}.")
    declared = inspect_notebook(str(job.notebook))
    faults = []
    for name, value in job.parameters.items():
        if name not in declared:
            known = ", ".join(declared) or "none"
            faults.append(f"it has no parameter {name!r} (it has: {known})")
            continue
        kind = declared[name]["inferred_type_name"]
        expected = _TYPES.get(kind) or type(ast.literal_eval(declared[name]["default"]))
        if type(value) is not expected:
            faults.append(
                f"{name} must be {expected.__name__}, not {type(value).__name__} {value!r}"
            )
    if faults:
        raise ParameterError(f"{job.notebook.name}: " + "; ".join(faults) + ".")


def run(job: Job, folder: Path, environment: Mapping[str, str]) -> NotebookNode:
    """Run one notebook and write the executed copy.

    Parameters
    ----------
    job
        A checked job.
    folder
        Where ``<name>.ipynb`` goes; it is written when the run fails, too, for inspection.
    environment
        Environment variables of the kernel.

    Returns
    -------
    nbformat.NotebookNode
        The executed notebook, without anything that differs between two runs.

    Raises
    ------
    ReportError
        Naming the notebook, the cell and the cause, if a cell fails or does not run.
    """
    target = folder / f"{job.name}.ipynb"
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        notebook: NotebookNode = execute_notebook(
            str(job.notebook),
            str(target),
            parameters=dict(job.parameters),
            engine_name=_ENGINE,
            progress_bar=False,
            request_save_on_cell_execute=False,
            kernel_name="python3",
            environment=dict(environment),
        )
    except PapermillExecutionError as failure:
        cause = _ANSI.sub("", f"{failure.ename}: {failure.evalue}")
        raise ReportError(
            f"Notebook {job.notebook.name} ({job.name}) failed in code cell "
            f"[{failure.exec_count}], which starts {_first_line(failure.source)!r}. {cause}"
        ) from None
    unrun = [cell.source for cell in notebook.cells if cell.cell_type == "code" and _skipped(cell)]
    if unrun:
        raise ReportError(
            f"Notebook {job.notebook.name} ({job.name}) stopped early: {len(unrun)} code cells did "
            f"not run, the first of them {_first_line(unrun[0])!r}."
        )
    clean(notebook)
    write_atomic(target, nbformat.writes(notebook).encode() + b"\n")
    return notebook


def _skipped(cell: NotebookNode) -> bool:
    return bool(cell.source.strip()) and cell.execution_count is None


def _first_line(source: str) -> str:
    return source.strip().splitlines()[0] if source.strip() else ""


def clean(notebook: NotebookNode) -> None:
    """Take out of an executed notebook, in place, what differs between two runs of the same thing.

    Parameters
    ----------
    notebook
        The executed notebook. Times, paths and random ids go; parameters and outputs stay.
    """
    parameters = notebook.metadata.get("papermill", {}).get("parameters", {})
    notebook.metadata["papermill"] = {"parameters": parameters}
    notebook.metadata.pop("widgets", None)
    # The interpreter's version is in the manifest; here it would only make the outputs differ.
    notebook.metadata.get("language_info", {}).pop("version", None)
    for number, cell in enumerate(notebook.cells):
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell["id"] = "injected-parameters"
        elif "id" not in cell:
            cell["id"] = f"cell-{number}"


def _run_in_lane(job: Job, folder: Path, environment: Mapping[str, str]) -> NotebookNode:
    """Run a job in a thread with an event loop of its own, and close that loop.

    jupyter_core makes a loop for each thread and leaves it open.
    """
    loop = ensure_event_loop()
    try:
        return run(job, folder, environment)
    finally:
        loop.close()
        asyncio.set_event_loop(None)


def refresh(folder: Path, root: Path) -> list[Path]:
    """Run the committed notebooks with their defaults and keep their outputs, in place.

    Parameters
    ----------
    folder
        The folder of the notebooks.
    root
        The workspace that they read.

    Returns
    -------
    list of pathlib.Path
        The notebooks, each replaced only after it ran to its end.

    Raises
    ------
    ReportError
        If one fails; the committed copies stay as they were.
    """
    paths = sorted(folder.glob("[0-9][0-9]-*.ipynb"))
    jobs = [Job(path, path.stem, {}) for path in paths]
    with tempfile.TemporaryDirectory() as scratch:
        environment = os.environ | {"FRONTLINE_ROOT": str(root), "FRONTLINE_OUTPUT": scratch}
        executed = run_all(jobs, Path(scratch) / "notebooks", environment)
    for path in paths:
        notebook = executed[path.stem]
        notebook.metadata.pop("papermill", None)
        write_atomic(path, nbformat.writes(notebook).encode() + b"\n")
    return paths


def run_all(
    jobs: Sequence[Job],
    folder: Path,
    environment: Mapping[str, str],
    *,
    lanes: int = 2,
    done: Callable[[Job], None] = lambda _job: None,
) -> dict[str, NotebookNode]:
    """Check all jobs, then run them, several at a time.

    Parameters
    ----------
    jobs
        What to run; the names differ.
    folder
        Where the executed notebooks go.
    environment
        Environment variables of the kernels.
    lanes
        How many run at the same time.
    done
        Called after each finished job, in this thread.

    Returns
    -------
    dict
        Name to executed notebook, in the order of `jobs`.

    Raises
    ------
    ParameterError
        Before anything runs.
    ReportError
        With the message of every notebook that failed; the others have run to their end.
    """
    for job in jobs:
        check(job)
    results: dict[str, NotebookNode] = {}
    failures: list[str] = []
    with ThreadPoolExecutor(max_workers=max(1, lanes)) as pool:
        futures = {pool.submit(_run_in_lane, job, folder, environment): job for job in jobs}
        for future in as_completed(futures):
            try:
                results[futures[future].name] = future.result()
            except ReportError as failure:
                failures.append(str(failure))
            done(futures[future])
    if failures:
        raise ReportError("\n".join(sorted(failures)))
    return {job.name: results[job.name] for job in jobs}
