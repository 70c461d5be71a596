"""Making reports: ours against papermill and nbconvert one after another, in the same run.

    python benchmarks/bench_notebooks.py [--dates 12] [--plain-dates 1]

The plain way is what anybody would type: for each notebook of a date `papermill` with its
parameters, then `jupyter nbconvert --to html`. Ours is `frontline report` and `frontline backfill`,
each a new process that has to import everything. All run the same notebooks on the project's own
data/raw, and each in a workspace of its own where the maps are read and nothing is measured yet
("cold"); "warm" is the same date a second time, made anew with the measures kept. Ours writes the
manifest, the pages' own style and the hashes, too.

Printed are ratios of wall time, CPU time and peak memory (all processes of a run together), a date.
The plain way is run before and after ours: a machine that others use, too, may be quick or slow for
minutes, and the mean is compared.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

import psutil

from helpers import plans, publishers, snapshots
from helpers.workspace import PROJECT, Workspace

BIN = Path(sys.executable).parent
LAST = date(2025, 1, 18)  # the sample has the twelve days before it, too


class Cost(NamedTuple):
    """What a piece of work took: seconds and bytes."""

    wall: float
    cpu: float
    memory: float

    def over(self, other: Cost) -> str:
        """How many times as much as another."""
        wall, cpu, memory = (mine / theirs for mine, theirs in zip(self, other, strict=True))
        return f"{wall:.1f}x wall time, {cpu:.1f}x CPU time, {memory:.1f}x peak memory"


def measured(commands: Sequence[Sequence[str]], environment: dict[str, str]) -> Cost:
    """Run commands one after another; fail if one fails."""
    before, start = os.times(), time.monotonic()
    peak = 0
    for command in commands:
        running = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        watched = threading.Event()
        highest: list[int] = [0]
        watcher = threading.Thread(target=watch, args=(running.pid, watched, highest))
        watcher.start()
        _, errors = running.communicate()
        watched.set()
        watcher.join()
        if running.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{errors.decode()}")
        peak = max(peak, *highest)
    after = os.times()
    cpu = after.children_user + after.children_system
    return Cost(time.monotonic() - start, cpu - before.children_user - before.children_system, peak)


def watch(pid: int, done: threading.Event, highest: list[int]) -> None:
    """Keep the largest memory of a process and its children; shared pages count once.

    To count pages takes long, and who has all cores at work would be held up by it: so it is done
    no more often than takes 2 % of a core.
    """
    pause = 0.1
    while not done.wait(pause):
        start = time.monotonic()
        with suppress(psutil.Error):
            process = psutil.Process(pid)
            used = 0
            for one in (process, *process.children(recursive=True)):
                with suppress(psutil.Error):
                    used += one.memory_full_info().pss
            highest[0] = max(highest[0], used)
        pause = max(0.1, 50 * (time.monotonic() - start))


def workspace(root: Path) -> Workspace:
    """The project's own data, read."""
    shutil.copytree(PROJECT / "data" / "raw", root / "data" / "raw")
    ws = Workspace.at(root)
    for source_id in publishers.present(ws):
        snapshots.ensure(ws, source_id)
    return ws


def plain(ws: Workspace, day: date, out: Path) -> list[list[str]]:
    """Papermill and nbconvert for each notebook."""
    commands = []
    for job in plans.plan(ws, plans.request(ws, day)):
        executed = out / f"{job.name}.ipynb"
        given = [word for item in job.parameters.items() for word in ("-r", *map(str, item))]
        commands.append([str(BIN / "papermill"), str(job.notebook), str(executed), *given])
        commands.append([str(BIN / "jupyter"), "nbconvert", "--to", "html", str(executed)])
    return commands


def main() -> None:
    """Compare one date and a backfill."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dates", type=int, default=12, help="of the backfill")
    parser.add_argument("--plain-dates", type=int, default=1, help="made the plain way")
    asked = parser.parse_args()
    days = [LAST - timedelta(days=n) for n in range(asked.dates)]
    with tempfile.TemporaryDirectory() as scratch:
        read = workspace(Path(scratch) / "read")

        def ours(words: Sequence[str], *, root: Path | None = None) -> Cost:
            root = root or fresh()
            command = [str(BIN / "frontline"), "--root", str(root), *words]
            return measured([command], dict(os.environ))

        def fresh() -> Path:
            return Path(shutil.copytree(read.root, Path(tempfile.mkdtemp(dir=scratch)) / "ws"))

        def per_date(cost: Cost, count: int) -> Cost:
            return Cost(cost.wall / count, cost.cpu / count, cost.memory)

        def usual() -> Cost:
            theirs = Workspace.at(fresh())
            drafts = Path(tempfile.mkdtemp(dir=scratch))
            chosen = days[: asked.plain_dates]
            commands = [command for day in chosen for command in plain(theirs, day, drafts)]
            paths = {"FRONTLINE_ROOT": str(theirs.root), "FRONTLINE_OUTPUT": str(drafts)}
            return per_date(measured(commands, os.environ | paths), len(chosen))

        before = usual()
        root = fresh()
        report = ["report", str(LAST)]
        fill = ["backfill", str(days[-1]), str(LAST)]
        found = {
            "one date, cold": ours(report, root=root),
            "one date, there already": ours(report, root=root),
            "one date, warm": ours([*report, "--force"], root=root),
            f"one of {len(days)} dates in a backfill": per_date(ours(fill), len(days)),
        }
        after = usual()
        theirs = Cost(*((one + other) / 2 for one, other in zip(before, after, strict=True)))
        print(f"{os.cpu_count()} cores, {asked.plain_dates} dates made the plain way, twice")
        print(f"The plain way takes (the second time {after.over(before)})")
        for what, cost in found.items():
            print(f"{what}: {theirs.over(cost)}")


if __name__ == "__main__":
    main()
