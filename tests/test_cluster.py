"""The same work on Dask's workers, really: a scheduler and two workers on this machine."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import nbformat
import pytest

from helpers.provenance import tree_sha256
from helpers.workspace import Workspace
from test_plans import SAMPLE

DAYS = ("2024-12-01", "2024-12-08", "2025-01-01", "2025-01-07", "2025-01-08")
PARAMETERS = {
    "01-sector-map": 'sector = "toretsk"\nreport_date = ""\ncompare_to = ""\nsource = ""\n',
    "02-advance-series": 'sectors = ""\nstart = ""\nend = ""\nsource = ""\n',
    "03-claims": 'sectors = ""\nreport_date = ""\nsource = ""\n',
    "05-briefing": 'report_date = ""\ncompare_to = ""\nsource = ""\n',
}
# Waits as long as there is a file `hold`, so that a worker can be killed while it runs.
BODY = """\
import time
from datetime import date

from helpers import provenance, publishers, snapshots
from helpers.workspace import Workspace

ws = Workspace.find()
record = publishers.source(ws, source)
last = globals().get("report_date") or end
(ws.root / f"started-{last}").touch()
while (ws.root / "hold").exists():
    time.sleep(0.05)
days = snapshots.window(ws, source, date(2024, 12, 1), date.fromisoformat(last))
print(len(days), "maps up to", last)
given = {key: globals()[key] for key in KEYS}
name = NAME
found = provenance.Record(name, f"Of {last}", given, tuple(days), record, {"days": len(days)})
_ = found.write(ws.output)
"""
NAMES = {"01-sector-map": 'f"sector-map-{sector}"', "02-advance-series": '"advance-series"'}
NAMES["03-claims"] = '"claims"'


def notebooks(folder: Path) -> None:
    """Small notebooks with the parameters of the real ones."""
    folder.mkdir()
    for name, stated in PARAMETERS.items():
        parameters = stated + 'as_of = ""\n'
        keys = [line.split(" ")[0] for line in parameters.splitlines()]
        body = BODY.replace("KEYS", repr(keys)).replace("NAME", NAMES.get(name, '"briefing"'))
        v4 = nbformat.v4
        cells = [
            v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}, id="parameters"),
            v4.new_code_cell(body, id="body"),
        ]
        metadata = {"kernelspec": {"display_name": "Python 3", "name": "python3"}}
        metadata["language_info"] = {"name": "python"}
        text = nbformat.writes(v4.new_notebook(cells=cells, metadata=metadata))
        (folder / f"{name}.ipynb").write_text(text)


def workspace(root: Path) -> Workspace:
    raw = root / "data" / "raw" / "reconstruction"
    raw.mkdir(parents=True)
    for day in DAYS:
        shutil.copy(SAMPLE / f"{day}.geojson", raw)
    notebooks(root / "notebooks")
    return Workspace.at(root)


def wait(done, seconds=60):
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


class Machines:
    """A scheduler and workers of one thread each, in processes of their own."""

    def __init__(self, folder: Path, workers: int = 2):
        self.folder, self.processes = folder, {}
        (folder / "logs").mkdir(parents=True)
        self.file = folder / "scheduler.json"
        self.start("scheduler", "scheduler", "--port", "0", "--host", "127.0.0.1")
        wait(self.file.exists)
        self.address = json.loads(self.file.read_text())["address"]
        for number in range(workers):
            self.start(f"worker-{number}", "worker", "--no-nanny", "--nthreads", "1")

    def start(self, name, *words):
        options = ["--scheduler-file", str(self.file), "--no-dashboard"]
        with (self.folder / "logs" / name).open("wb") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", "dask", *words, *options],
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )

    def close(self):
        for process in self.processes.values():
            process.kill()
            process.wait()


@contextmanager
def machines(folder, **options):
    found = Machines(folder, **options)
    try:
        yield found
    finally:
        found.close()


def run(ws, *words):
    """The command in a process of its own: Dask leaves threads and loops behind."""
    command = [sys.executable, "-m", "helpers.cli", "--root", str(ws.root), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
    return Done(done.returncode, done.stdout + done.stderr)


class Done(NamedTuple):
    exit_code: int
    output: str


# Reaches a scheduler, and says how that ended.
REACH = """\
import sys
from helpers import cluster, provenance
from helpers.errors import FrontlineError
from helpers.workspace import Workspace

cluster._WAIT_S = 1
address, root, change = sys.argv[1:]
exec(change)
try:
    with cluster.connected(address, Workspace.at(root)) as found:
        print("workers:", found.workers)
except FrontlineError as error:
    print(type(error).__name__, error)
"""


def reach(address, root, change=""):
    command = [sys.executable, "-c", REACH, address, str(root), change]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def here(tmp_path_factory) -> Workspace:
    """A workspace whose work was done by this machine."""
    ws = workspace(tmp_path_factory.mktemp("here"))
    done = run(ws, "backfill", "2025-01-07", "2025-01-08")
    assert done.output.strip() == "2 made", done.output
    return ws


def kept(ws: Workspace) -> dict[str, str]:
    """What ingest and reports left, without lock files and what the disk said of raw files."""
    trees = (tree_sha256(ws.processed), tree_sha256(ws.reports))
    aside = (".lock", ".seen.json")
    return {n: sha for tree in trees for n, sha in tree.items() if not any(a in n for a in aside)}


MEASURED = ("--source", "reconstruction", "--sector", "all", "--sector", "toretsk")
MEASURED += ("--sector", "kursk", "--start", "2025-01-01", "--end", "2025-01-08")


def test_a_worker_is_killed_and_the_result_is_the_same(here, tmp_path):
    ws = workspace(tmp_path / "there")
    with machines(tmp_path / "machines") as found:
        done = run(ws, "ingest", "--scheduler", found.address)
        assert done.output.startswith("reconstruction: 5 new"), done.output
        (ws.root / "hold").touch()
        words = ("backfill", "2025-01-07", "2025-01-08", "--scheduler", found.address)
        command = [sys.executable, "-m", "helpers.cli", "--root", str(ws.root), *words]
        with (tmp_path / "log").open("wb") as log:
            running = subprocess.Popen(command, stdout=log, stderr=log)
        # Both workers are in the middle of a report.
        wait(lambda: all((ws.root / f"started-2025-01-0{n}").exists() for n in (7, 8)))
        found.processes["worker-0"].send_signal(signal.SIGKILL)
        (ws.root / "hold").unlink()
        assert running.wait(120) == 0, (tmp_path / "log").read_text()
        assert (tmp_path / "log").read_text().strip().splitlines()[-1] == "2 made"
        there = run(ws, "measures", *MEASURED, "--scheduler", found.address)
    assert there.output == run(here, "measures", *MEASURED).output
    assert kept(ws) == kept(here)
    assert there.output.count("\n") == 10
    assert not list(ws.processed.glob(".cluster-*"))


@pytest.fixture(scope="module")
def one(tmp_path_factory) -> Iterator[Machines]:
    """A scheduler with one worker."""
    with machines(tmp_path_factory.mktemp("machines"), workers=1) as found:
        yield found


def test_one_report_and_a_failed_one(here, one, tmp_path):
    ws = workspace(tmp_path / "there")
    done = run(ws, "report", "2025-01-08", "--scheduler", one.address)
    assert done.output.strip() == str(ws.reports / "2025-01-08" / "index.html"), done.output
    assert tree_sha256(ws.reports / "2025-01-08") == tree_sha256(here.reports / "2025-01-08")
    body = ws.notebooks / "05-briefing.ipynb"
    body.write_text(body.read_text().replace("print(", "no.print("))
    done = run(ws, "backfill", "2025-01-08", "2025-01-08", "--scheduler", one.address)
    assert done.exit_code == 1
    assert "NameError: name 'no' is not defined" in done.output


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense", "tcp://nowhere.invalid:1"])
def test_no_scheduler_is_said(workspace, address):
    said = reach(address, workspace.root)
    assert said.startswith(f"ParameterError No Dask scheduler answers at {address} (")
    assert said.endswith("Start one with `dask scheduler`; docs/scaling.md says how.")


def test_no_worker_is_said(tmp_path):
    with machines(tmp_path, workers=0) as found:
        said = reach(found.address, tmp_path)
    assert said.startswith(f"ParameterError The scheduler at {found.address} has no worker.")


def test_workers_of_other_software_or_without_the_folder_are_refused(one, tmp_path):
    assert reach(one.address, tmp_path) == "workers: 1"
    other = reach(one.address, tmp_path, "provenance.helpers_digest = lambda: 'another'")
    # The mark is looked for where nobody wrote one.
    nowhere = "cluster.uuid.uuid4 = lambda: Nowhere()"
    nowhere = f"Nowhere = type('Nowhere', (), {{'hex': 'x\\r\\n'}}); {nowhere}"
    unseen = reach(one.address, tmp_path, nowhere)
    assert re.search(r"ParameterError .* other software .*helpers [0-9a-f]+, here another", other)
    assert "WorkspaceError The worker" in unseen
    assert "does not see what this machine writes" in unseen


def test_a_worker_builds_no_grammar_and_the_scheduler_imports_no_jupyter():
    code = """if True:
        import sys
        from helpers import tasks
        assert not {"nbformat", "helpers.reports"} & set(sys.modules)
        try:
            tasks.make_report(None, None)
        except AttributeError:
            pass  # there is no workspace
        assert {"nbformat", "helpers.reports"} < set(sys.modules)
        assert "lark" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_without_dask_it_says_what_to_install(workspace):
    said = reach("tcp://127.0.0.1:8786", workspace.root, "sys.modules['distributed'] = None")
    assert said.startswith("ParameterError --scheduler needs Dask")
    assert "(pip install '.[cluster]')" in said
