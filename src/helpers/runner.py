"""Notebooks run with papermill: strict parameters, clean outputs, a failure that says where."""

from __future__ import annotations

import ast
import asyncio
import itertools
import os
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import lru_cache, partial
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

from helpers import forkserver, kernels
from helpers.errors import ParameterError, ReportError
from helpers.files import write_atomic
from helpers.forkserver import ForkServer
from helpers.jobs import Job

_ENGINE = "frontline"
_TYPES = {"str": str, "int": int, "float": float, "bool": bool, "list": list, "dict": dict}
Progress = Callable[[str, int, int], None]
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


class _Engine(NBClientEngine):  # type: ignore[misc]  # papermill has no types
    """papermill's own engine, with forked kernels and no clock in the result."""

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man: Any,
        kernel_name: str,
        *,
        environment: dict[str, str],
        server: ForkServer | None,
        cell_done: Callable[[], None],
        **kwargs: Any,
    ) -> NotebookNode:
        complete = nb_man.cell_complete

        def counted(cell: NotebookNode, *args: Any, **options: Any) -> None:
            complete(cell, *args, **options)
            if cell.cell_type == "code":
                cell_done()

        nb_man.cell_complete = counted
        client = PapermillNotebookClient(
            nb_man,
            kernel_name=kernel_name,
            kernel_manager_class=kernels.manager_class(server),
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
    declared, _ = _known(job.notebook, _stamp(job.notebook))
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


def _stamp(notebook: Path) -> tuple[int, int, int]:
    told = notebook.stat()
    return told.st_ino, told.st_mtime_ns, told.st_size


# Asked again for each date, and notebooks are kept with their outputs: much to read.
@lru_cache(maxsize=64)
def _known(notebook: Path, _stamp: tuple[int, int, int]) -> tuple[dict[str, Any], int]:
    """The parameters that a notebook declares, and how many code cells it has."""
    cells = nbformat.read(notebook, as_version=4).cells
    return inspect_notebook(str(notebook)), sum(cell.cell_type == "code" for cell in cells)


def run(
    job: Job,
    folder: Path,
    environment: Mapping[str, str],
    *,
    server: ForkServer | None = None,
    cell_done: Callable[[], None] = lambda: None,
) -> NotebookNode:
    """Run one notebook and write the executed copy.

    Parameters
    ----------
    job
        A checked job.
    folder
        Where ``<name>.ipynb`` goes; it is written when the run fails, too, for inspection.
    environment
        Environment variables of the kernel.
    server
        Forks the kernel; None starts an ordinary one.
    cell_done
        Called after each code cell.

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
            environment={**environment, **forkserver.ENVIRONMENT},
            server=server,
            cell_done=cell_done,
        )
    except PapermillExecutionError as failure:
        cause = _ANSI.sub("", f"{failure.ename}: {failure.evalue}")
        raise ReportError(
            f"Notebook {job.notebook.name} ({job.name}) failed in code cell "
            f"[{failure.exec_count}], which starts {_first_line(failure.source)!r}. {cause}"
        ) from None
    except RuntimeError as failure:  # nbclient's DeadKernelError, and a kernel that never answers
        raise ReportError(
            f"The kernel of notebook {job.notebook.name} ({job.name}) did not start, or died: "
            f"{failure}. Run it again; with FRONTLINE_FORK=0 it runs in an ordinary kernel."
        ) from failure
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


def _run_in_lane(
    job: Job,
    folder: Path,
    environment: Mapping[str, str],
    **options: Any,
) -> NotebookNode:
    """Run a job in a thread with an event loop of its own, and close that loop.

    jupyter_core makes a loop for each thread and leaves it open.
    """
    loop = ensure_event_loop()
    try:
        return run(job, folder, environment, **options)
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
    paths = sorted(folder.glob("*.ipynb"))
    jobs = [Job(path, path.stem, {}) for path in paths]
    with tempfile.TemporaryDirectory() as scratch, forkserver.started(os.environ) as server:
        environment = os.environ | {"FRONTLINE_ROOT": str(root), "FRONTLINE_OUTPUT": scratch}
        executed = run_all(jobs, Path(scratch) / "notebooks", environment, server=server)
    for path in paths:
        notebook = executed[path.stem]
        notebook.metadata.pop("papermill", None)
        write_atomic(path, nbformat.writes(notebook).encode() + b"\n")
    return paths


def cells(jobs: Sequence[Job]) -> int:
    """How many code cells the notebooks of some jobs have, that of the parameters twice."""
    count = 0
    for job in jobs:
        _, code = _known(job.notebook, _stamp(job.notebook))
        count += code + bool(job.parameters)
    return count


def _longest_first(jobs: Sequence[Job]) -> list[Job]:
    """Order jobs so that no lane is left alone with a long one at the end.

    A notebook is kept with what it made last: the larger that is, the longer it takes. One that
    runs several times does a part each time; its parts come last, and may find figures that others
    have drawn.
    """
    runs = Counter(job.notebook for job in jobs)
    return sorted(jobs, key=lambda job: (runs[job.notebook] > 1, -job.notebook.stat().st_size))


def run_all(  # noqa: PLR0913  # all but the first three are left out by most
    jobs: Sequence[Job],
    folder: Path,
    environment: Mapping[str, str],
    *,
    lanes: int = 2,
    server: ForkServer | None = None,
    progress: Progress = lambda _name, _done, _all: None,
    at_last: Callable[[], object] = lambda: None,
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
    server
        Forks the kernels; None starts ordinary ones.
    progress
        Called after each code cell, from any thread, with the name of the run, the cells done and
        the cells there are.
    at_last
        Called by the first lane that finds nothing more to run, while others may still be at it.

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
    count, numbers = cells(jobs), itertools.count(1)
    results: dict[str, NotebookNode] = {}
    failures: list[str] = []
    with ThreadPoolExecutor(max_workers=max(1, lanes)) as pool:
        futures = {}
        for job in _longest_first(jobs):

            def cell_done(name: str = job.name) -> None:
                progress(name, next(numbers), count)

            lane = partial(_run_in_lane, server=server, cell_done=cell_done)
            futures[pool.submit(lane, job, folder, environment)] = job
        last = pool.submit(at_last)
        for future in as_completed(futures):
            try:
                results[futures[future].name] = future.result()
            except ReportError as failure:
                failures.append(str(failure))
    if failures:
        raise ReportError("\n".join(sorted(failures)))
    last.result()
    return {job.name: results[job.name] for job in jobs}
