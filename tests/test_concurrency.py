"""Two people at once: correct, or plainly "busy"; and a lock outlives nobody."""

import shutil
import signal
import subprocess
import sys

import pytest

from test_crash import finish, read, sample, start, tree

REPORT = ["report", "2025-01-08"]


def together(root, *several):
    """Start commands at the same moment; their exit statuses and words."""
    running = [start(root, words) for words in several]
    said = [process.communicate(timeout=120)[0].decode() for process in running]
    return [(p.returncode, words) for p, words in zip(running, said, strict=True)]


@pytest.mark.parametrize(
    ("make", "several"),
    [
        (sample, [["ingest"], ["ingest"]]),
        (read, [REPORT, REPORT]),
        (sample, [["ingest"], REPORT]),
        (sample, [["backfill", "2025-01-07", "2025-01-08"], REPORT]),
    ],
    ids=["two-ingests", "two-reports", "ingest-report", "backfill-report"],
)
def test_two_commands_at_once_end_as_one_after_the_other(make, several, tmp_path):
    alone = make(tmp_path / "alone")
    together_ = tmp_path / "together"
    shutil.copytree(alone, together_)
    for words in several:
        finish(alone, words)
    for status, said in together(together_, *several):
        assert status == 0, said
    assert tree(together_) == tree(alone)


@pytest.mark.parametrize(
    ("lock", "words", "wait"),
    [
        ("data/processed/reconstruction/.lock", ["ingest"], "ingest._LOCK_WAIT_S"),
        ("reports/.2025-01-08.lock", REPORT, "reports._LOCK_WAIT_S"),
    ],
)
def test_a_lock_is_waited_for_and_a_dead_ones_is_taken_over(lock, words, wait, tmp_path):
    root = read(tmp_path / "ws")
    (root / lock).parent.mkdir(exist_ok=True)
    hold = f"import time; from filelock import FileLock; held = FileLock({str(root / lock)!r})"
    holder = subprocess.Popen(
        [sys.executable, "-c", f"{hold}; held.acquire(); print(1, flush=True); time.sleep(600)"],
        stdout=subprocess.PIPE,
    )
    assert holder.stdout.readline()
    module, name = wait.split(".")
    code = f"import sys; from helpers import {module}; {module}.{name} = 0.2\n"
    code += "from helpers.cli import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", code, "--root", str(root), *words]
    busy = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert busy.returncode == 1
    assert "Error: Another run has been" in busy.stderr
    assert str(root / lock) in busy.stderr
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    finish(root, words)
