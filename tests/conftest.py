"""What several rooms' tests share."""

import os
from pathlib import Path

import pytest

# The command first: it keeps jsonschema from building a grammar, which takes seconds.
import helpers.cli  # noqa: F401
from helpers.workspace import Workspace

SHARED = os.environ.get("FRONTLINE_SHARED_DATA", "")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The publishers' real snapshots, which are not part of the project."""
    if not SHARED:
        pytest.skip("FRONTLINE_SHARED_DATA does not name a folder of publishers' snapshots")
    return Path(SHARED)


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    """An empty workspace."""
    (tmp_path / "data" / "raw").mkdir(parents=True)
    return Workspace.at(tmp_path)


@pytest.fixture(scope="session")
def deepstate(shared_data, tmp_path_factory) -> Workspace:
    """A workspace with all of the real DeepState days, read."""
    from helpers import snapshots

    root = tmp_path_factory.mktemp("deepstate")
    raw = root / "data" / "raw"
    raw.mkdir(parents=True)
    (raw / "deepstate").symlink_to(shared_data / "deepstate")
    ws = Workspace.at(root)
    snapshots.ensure(ws, "deepstate")
    return ws


@pytest.fixture(scope="session")
def everything(shared_data, tmp_path_factory) -> Workspace:
    """A workspace with all publishers' real files, read."""
    from helpers import ingest

    root = tmp_path_factory.mktemp("everything")
    raw = root / "data" / "raw"
    raw.mkdir(parents=True)
    for source in ("deepstate", "isw", "liveuamap"):
        (raw / source).symlink_to(shared_data / source)
    ws = Workspace.at(root)
    ingest.run(ws)
    return ws
