"""Commands killed in the middle: the next run completes, and ends as if nothing had happened.

`make crash` does it at 100 moments, twenty for each command; the tests at a few.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

import fakereports
from helpers import ingest
from helpers.workspace import PROJECT, Workspace
from test_cluster import notebooks
from test_fetch import played, ws  # noqa: F401  # the fixtures of a played publisher

COMMANDS = ("ingest", "report", "backfill", "fetch", "site")
KILLS = int(os.environ.get("FRONTLINE_KILLS", "5")) // len(COMMANDS)
SAMPLE = PROJECT / "data" / "raw" / "reconstruction"
DAYS = [f"2024-12-{n:02d}" for n in range(8, 32)] + ["2025-01-07", "2025-01-08"]


def tree(root: Path) -> dict[str, bytes]:
    """Every file; locks stay for good, empty, and what the disk says of raw files is its own."""
    aside = ("lock", ".seen.json")
    files = [p for p in sorted(root.rglob("*")) if p.is_file() and not p.name.endswith(aside)]
    return {p.relative_to(root).as_posix(): content(p) for p in files}


def content(path: Path) -> bytes:
    """The bytes of a file; of the sidecar of an answer without when and how it came."""
    data = path.read_bytes()
    if not path.name.endswith(".meta.json"):
        return data
    told = json.loads(data)
    stays = {k: v for k, v in told.items() if k not in ("headers", "retrieved", "checked")}
    return json.dumps(stays, sort_keys=True).encode()


def sample(root: Path) -> Path:
    raw = root / "data" / "raw" / "reconstruction"
    raw.mkdir(parents=True)
    for day in DAYS:
        shutil.copy(SAMPLE / f"{day}.geojson", raw)
    notebooks(root / "notebooks")
    return root


def read(root: Path) -> Path:
    ingest.run(Workspace.at(sample(root)))
    return root


def archive(root: Path) -> Path:
    """Reports of three dates and the sample that the maps that move are drawn from."""
    sample(root)
    for day in ("2024-12-20", "2025-01-01", "2025-01-08"):
        fakereports.report(root, day)
    return root


def start(root: Path, words: list[str]) -> subprocess.Popen:
    command = [sys.executable, "-m", "helpers.cli", "--root", str(root), *words]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=os.environ | {"TZ": "UTC"}
    )


def finish(root: Path, words: list[str]) -> None:
    running = start(root, words)
    out, _ = running.communicate(timeout=120)
    assert running.returncode == 0, out.decode()


def still_running(root: Path) -> list[psutil.Process]:
    """Processes that work on a workspace."""
    found = []
    for process in psutil.process_iter(["cmdline", "environ"]):
        said = " ".join(process.info["cmdline"] or ())
        if str(root) in said or (process.info["environ"] or {}).get("FRONTLINE_ROOT") == str(root):
            found.append(process)
    return found


def killed(before: Path, place: Path, words: list[str]) -> None:
    """Kill a command at random moments; each time the next run must mend it."""
    undisturbed = place / "undisturbed"
    shutil.copytree(before, undisturbed, symlinks=True)
    spent = time.monotonic()
    finish(undisturbed, words)
    spent = time.monotonic() - spent
    after = tree(undisturbed)
    assert len(after) > len(tree(before))
    moments = random.Random(f"{words[0]}")
    for number in range(KILLS):
        root = place / f"{number}"
        shutil.copytree(before, root, symlinks=True)
        running = start(root, words)
        # Imports take about the first half second, in which nothing can be lost.
        time.sleep(moments.uniform(0.3, spent))
        running.send_signal(signal.SIGKILL)
        running.communicate()
        deadline = time.monotonic() + 10
        while still_running(root) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert still_running(root) == [], f"kill {number} left processes behind"
        finish(root, words)
        found = tree(root)
        assert set(found) == set(after), f"kill {number}"
        assert [name for name in after if found[name] != after[name]] == [], f"kill {number}"
        shutil.rmtree(root)


CASES = {
    "ingest": (sample, ["ingest"]),
    "report": (read, ["report", "2025-01-08"]),
    "backfill": (read, ["backfill", "2025-01-07", "2025-01-08"]),
    "site": (archive, ["site", "--base-url", "https://example.org/"]),
}


@pytest.mark.parametrize("command", CASES)
def test_a_killed_command_is_made_good_by_the_next(command, tmp_path):
    make, words = CASES[command]
    killed(make(tmp_path / "before"), tmp_path, words)


def test_a_killed_fetch_is_made_good_by_the_next(ws, tmp_path):  # noqa: F811
    own = ws.raw / "deepstate" / "endpoints.toml"
    own.write_text("pause_s = 0.0\n" + own.read_text())
    words = ["fetch", "deepstate", "--since", "2024-12-09", "--until", "2025-01-09"]
    before = tmp_path / "before"
    shutil.copytree(ws.root / "data", before / "data")
    killed(before, tmp_path, words)
