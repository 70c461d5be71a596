"""No room, no permission: a plain message, and what was there before stays whole.

A file that may not grow beyond a limit fails as on a full disk, in the middle of a write, and in
every process that a command starts.
"""

import ctypes
import os
import resource
import shutil
import subprocess
import sys

import pytest

import fakereports
from test_crash import CASES, finish, read, sample, tree

# Bytes that a file may have: none at all, or too few for the larger ones.
LIMITS = {"ingest": (0, 9_000), "report": (9_000,), "site": (9_000,)}
# linux/prctl.h, linux/capability.h: without these two, root may write where anybody may.
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 24, 1, 2


def limited(root, words, limit):
    def restrict():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        if os.getuid() == 0:
            libc = ctypes.CDLL(None)
            for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
                assert libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0

    command = [sys.executable, "-m", "helpers.cli", "--root", str(root), *words]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        preexec_fn=restrict,
    )
    return done.returncode, done.stdout + done.stderr


# A backfill writes through reports alone.
@pytest.mark.parametrize("command", LIMITS)
def test_a_full_disk_is_said_and_changes_nothing(command, tmp_path):
    make, words = CASES[command]
    before = make(tmp_path / "before")
    undisturbed = tmp_path / "undisturbed"
    shutil.copytree(before, undisturbed)
    finish(undisturbed, words)
    failures = 0
    for limit in LIMITS[command]:
        root = tmp_path / f"at-{limit}"
        shutil.copytree(before, root)
        status, said = limited(root, words, limit)
        assert "Traceback" not in said, said
        if status:
            failures += 1
            assert "File too large" in said, said
            whole = tree(root)
            for name, data in tree(before).items():
                assert whole[name] == data, f"{name} at {limit}"
        finish(root, words)
        assert tree(root) == tree(undisturbed), limit
    assert failures, "no limit was met"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("reports", ["report", "2025-01-08"]),
        ("data/processed", ["ingest"]),
        ("site", ["site"]),
    ],
)
def test_a_file_in_the_place_of_a_folder_is_said(name, words, tmp_path):
    root = read(tmp_path / "ws")
    place = root / name
    shutil.rmtree(place, ignore_errors=True)
    place.write_text("a file")
    status, said = limited(root, words, 10**9)
    assert status == 1, said
    assert "Traceback" not in said, said
    assert said.startswith("Error: "), said
    assert place.read_text() == "a file"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("data", ["ingest"]),
        ("reports", ["report", "2025-01-08"]),
        ("reports", ["backfill", "2025-01-08", "2025-01-08"]),
        (".", ["site"]),
    ],
)
def test_no_permission_is_said_and_changes_nothing(name, words, tmp_path):
    root = (sample if name == "data" else read)(tmp_path / "ws")
    fakereports.report(root, "2025-01-07")
    before = tree(root)
    place = root / name
    place.chmod(0o555)
    status, said = limited(root, words, 10**9)
    place.chmod(0o755)
    assert status == 1, said
    assert "Permission denied" in said
    assert "Traceback" not in said
    assert {name: data for name, data in tree(root).items() if name in before} == before
