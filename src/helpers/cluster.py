"""Work on other machines: Dask's workers, over a folder that all of them share."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers import provenance
from helpers.errors import ParameterError, WorkspaceError
from helpers.workspace import Workspace

_WAIT_S = 30


@dataclass(frozen=True)
class Cluster:
    """Workers that can be given work.

    Attributes
    ----------
    pool
        Takes work as any executor of `concurrent.futures` does. Work whose worker dies is given to
        another one, three times at most.
    workers
        How many there were when it was opened; more may come.
    """

    pool: Executor
    workers: int


@contextmanager
def connected(scheduler: str, ws: Workspace) -> Iterator[Cluster]:
    """Reach a Dask scheduler for as long as a block of code runs.

    Parameters
    ----------
    scheduler
        Its address, such as ``tcp://HOST:8786``.
    ws
        The workspace, in a folder that every worker sees under the same path.

    Yields
    ------
    Cluster
        With workers that see the workspace and have the same software.

    Raises
    ------
    ParameterError
        If Dask is not installed, no scheduler answers or it has no worker, or a worker has other
        software or helpers: it would make other bytes.
    WorkspaceError
        If a worker does not see what this machine writes to the workspace.
    """
    try:
        from distributed import Client
    except ImportError:
        raise ParameterError(
            "--scheduler needs Dask: install the project with its extra 'cluster' "
            "(pip install '.[cluster]') here and on the workers."
        ) from None
    try:
        client = Client(scheduler, timeout=_WAIT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ParameterError(
            f"No Dask scheduler answers at {scheduler} ({error}). Start one with `dask scheduler`; "
            "docs/scaling.md says how."
        ) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=_WAIT_S)
        except TimeoutError:
            raise ParameterError(
                f"The scheduler at {scheduler} has no worker. Start some with `dask worker "
                f"{scheduler}`; docs/scaling.md says how."
            ) from None
        from distributed.scheduler import KilledWorker

        found = _asked(client, ws)
        try:
            yield Cluster(client.get_executor(pure=False), len(found))
        except KilledWorker as error:
            raise WorkspaceError(
                f"The workers died that were given this work ({error}). Their logs say why; too "
                "little memory is the usual cause."
            ) from None


def _asked(client: Any, ws: Workspace) -> dict[str, Any]:
    """What every worker sees and has, if it is what this machine sees and has."""
    ws.processed.mkdir(parents=True, exist_ok=True)
    token = uuid.uuid4().hex
    mark = ws.processed / f".cluster-{token}"
    mark.write_text(token, encoding="utf-8")
    try:
        found: dict[str, Any] = client.run(_look, mark)
    finally:
        mark.unlink()
    here = _has()
    for worker, (seen, has) in found.items():
        if seen != token:
            raise WorkspaceError(
                f"The worker {worker} does not see what this machine writes to {ws.root}. All of "
                "them must share that folder, under the same path."
            )
        other = [name for name in here if has.get(name) != here[name]]
        if other:
            told = ", ".join(f"{name} {has.get(name, 'none')}, here {here[name]}" for name in other)
            raise ParameterError(
                f"The worker {worker} has other software and would make other files: {told}. "
                "Install the same lock and the same commit there."
            )
    return found


def _look(mark: Path) -> tuple[str, dict[str, str]]:
    """Run by a worker: the mark's text as it sees it, and what software it has."""
    try:
        seen = mark.read_text(encoding="utf-8")
    except OSError:
        seen = ""
    return seen, _has()


def _has() -> dict[str, str]:
    return {"helpers": provenance.helpers_digest()} | provenance.software()
