"""What kernels find in their memory, because the process that forks them looked at it before."""

import os
import shutil
import subprocess
import sys

import pytest

from helpers import forkserver
from helpers.workspace import PROJECT

# As the server does it; then, as a kernel would, with everything taken away that need not be done.
CODE = """
import importlib, resource, sys
from datetime import date
from pathlib import Path
from helpers import forkserver
for name in forkserver.PRELOAD:
    importlib.import_module(name)
from helpers import dossiers, publishers, reference, rehearsal, settlements, snapshots, store
from helpers.workspace import Workspace

for _ in rehearsal.steps(sys.argv[1], "reconstruction", "2025-01-07", "2025-01-08"):
    pass
print(forkserver._threads())

def pages(_):
    return len(b"x" * (40 << 20)) and resource.getrusage(resource.RUSAGE_SELF).ru_minflt

# What one picture took is kept for the next: the system hands out no pages again.
first, *_, last = map(pages, range(10))
assert last - first < 1000, last - first

def done_already(*_):
    raise AssertionError("done a second time")

settlements._shares = store.Store.load = done_already
ws = Workspace.at(Path(sys.argv[1]))
source, areas = publishers.source(ws, "reconstruction"), [*reference.sectors().values()]
for day in (date(2025, 1, 7), date(2025, 1, 8)):
    assert len(dossiers.on_claims(ws, source, day, areas).followed)
    pairs, faults = dossiers.on_sources(ws, ["reconstruction", "reconstruction-late"], day, areas)
    assert len(pairs) == 3
    dossiers.over_time(ws, pairs, date(2024, 10, 5), day)
print("found")
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("rehearsed")
    shutil.copytree(PROJECT / "data" / "raw", root / "data" / "raw")
    return root


def test_maps_of_many_reports_are_loaded_and_followed_once_and_without_threads(root):
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(root)],
        env={**os.environ, **forkserver.ENVIRONMENT, **forkserver._OWN},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["1", "found"], done.stderr
