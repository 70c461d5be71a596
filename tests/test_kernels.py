"""A forked kernel is as fresh as an ordinary one, shows the same, and leaves nothing behind."""

import asyncio
import gc
import os
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest
import zmq
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError

from helpers import forkserver, kernels

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forked kernels are for Linux")

ENVIRONMENT = {**os.environ, **forkserver.ENVIRONMENT}


@pytest.fixture(scope="module")
def server():
    modules = (*forkserver.PRELOAD, "no_such_module")
    server = forkserver.ForkServer(os.environ, modules=modules, many=True)
    yield server
    server.close()


def notebook(*sources, kernel="python3"):
    v4 = nbformat.v4
    spec = {"display_name": "Python 3", "language": "python", "name": kernel}
    cells = [v4.new_code_cell(textwrap.dedent(source)) for source in sources]
    return v4.new_notebook(cells=cells, metadata={"kernelspec": spec})


def run(server, *sources, environment=ENVIRONMENT, folder=None, **options):
    """Outputs of a notebook's cells, run in a new event loop, as a lane of the runner does."""
    client = NotebookClient(
        notebook(*sources),
        kernel_manager_class=kernels.manager_class(server),
        extra_arguments=["--IPKernelApp.log_level=CRITICAL"],
        **options,
    )

    async def execute():
        await client.async_execute(env=environment, **({"cwd": str(folder)} if folder else {}))

    asyncio.run(execute())
    return [cell.outputs for cell in client.nb.cells]


def text(outputs):
    return "".join(o.get("text") or o["data"]["text/plain"] for o in outputs).strip()


def alive(pid):
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
    return "State:\tZ" not in status


def gone(*pids, within_s=2.0):
    end = time.monotonic() + within_s
    while time.monotonic() < end and any(map(alive, pids)):
        time.sleep(0.02)
    return not any(map(alive, pids))


def test_a_kernel_is_forked_and_finds_its_modules_there(server):
    cell = "import os, sys; print(os.getppid(), 'geopandas' in sys.modules)"
    assert text(run(server, cell)[0]) == f"{server.pid} True"
    (output,) = run(None, cell)
    assert text(output).split()[0] == str(os.getpid())


SPOIL = """
import os, random, sys, warnings, json
import numpy as np, pandas as pd, matplotlib, matplotlib.pyplot as plt
from helpers import style
left = 1
json.dumps = None
sys.modules["spoilt"] = json
pd.options.display.max_rows = 3
matplotlib.rcParams["lines.linewidth"] = 99
plt.figure()
warnings.simplefilter("ignore")
random.seed(1); np.random.seed(1)
np.seterr(all="raise")
os.environ["SPOILT"] = "1"
os.chdir("/")
sys.path.append("/spoilt")
style.spoilt = 1
"""
LOOK = """
import helpers.plates
import os, random, sys, warnings, json, signal
import numpy as np, pandas as pd, matplotlib, matplotlib.pyplot as plt
from helpers import style
state = {
    "variable": "left" in globals(), "patched": json.dumps is None,
    "modules": "spoilt" in sys.modules, "options": pd.options.display.max_rows,
    "rc": {k: str(v) for k, v in matplotlib.rcParams.items()}, "figures": plt.get_fignums(),
    "backend": matplotlib.get_backend(),
    "warnings": sorted({str((a, c.__name__, m)) for a, _, c, m, _ in warnings.filters}),
    "errors": np.geterr(), "environment": "SPOILT" in os.environ, "folder": os.getcwd(),
    "path": "/spoilt" in sys.path, "attribute": hasattr(style, "spoilt"),
    "signals": [str(signal.getsignal(s)) for s in (signal.SIGCHLD, signal.SIGTERM, signal.SIGPIPE)],
    "session": os.getsid(0) == os.getpid(), "name": __name__,
    "main": sys.modules["__main__"].__dict__ is globals(),
    "flags": sys.flags, "path entries": sys.path,
}
print(json.dumps(state, indent=1))
"""


def test_nothing_leaks_from_one_kernel_to_the_next(server, tmp_path):
    environment = {**ENVIRONMENT, "MPLBACKEND": ""}
    run(server, SPOIL, folder=tmp_path, environment=environment)
    looks = [
        text(run(which, LOOK, folder=tmp_path, environment=environment)[0])
        for which in (server, None)
    ]
    assert looks[0] == looks[1]
    assert '"patched": false' in looks[0]
    assert f'"folder": "{tmp_path}"' in looks[0]


FIGURE = """
from datetime import date
from hashlib import sha256
from helpers import findings, plates, reference, sources
missing = findings.NoData(
    reference.sector("kursk"), sources.get("deepstate"), date(2024, 8, 1), "not_covered"
)
made = plates.no_data_map(missing)
print(*(sha256(files[kind]).hexdigest() for files in (made.png, made.svg) for kind in files))
"""


def test_a_figure_is_the_same_after_a_rehearsal(server):
    rehearsed, ordinary = (text(run(which, FIGURE)[0]) for which in (server, None))
    assert len(rehearsed.split()) == 4
    assert rehearsed == ordinary


REHEARSAL = """
import os, time, warnings
def steps(*about):
    for number in range(20):
        with open(os.environ["STEPS"], "a") as told:
            told.write("".join(("step", *about)) + "\\n")
        warnings.warn("said in the rehearsal")
        yield
        time.sleep(0.2)
    raise ValueError("a fault in the rehearsal")
"""


def test_a_server_that_nobody_asked_does_not_finish_its_imports():
    server = forkserver.ForkServer(os.environ, rehearsal="")
    server.close()
    assert server._process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("many", [False, True])
def test_the_first_waits_for_no_rehearsal_and_the_others_for_a_step_or_all_of_it(tmp_path, many):
    (tmp_path / "rehearsing.py").write_text(REHEARSAL)
    told = tmp_path / "told"
    environment = ENVIRONMENT | {"STEPS": str(told), "PYTHONPATH": str(tmp_path)}
    server = forkserver.ForkServer(
        environment,
        modules=["ipykernel.kernelapp"],
        rehearsal="rehearsing:steps",
        about=["-of", "-maps"],
        many=many,
    )
    try:
        cell = "import os, rehearsing; s = next(rehearsing.steps()); print(os.getppid())"
        for number in (1, 2):
            outputs = run(server, cell, environment=environment)[0]
            said = "".join(output.get("text", "") for output in outputs)
            assert str(server.pid) in said
            # What was warned of in the rehearsal is warned of again.
            assert "said in the rehearsal" in said
            said = told.read_text().split()
            steps = said.count("step-of-maps")
            assert len(said) == steps + number
        assert steps == 20 if many else 1 <= steps < 20
    finally:
        server.close()


class Asked:
    """A client's end on which somebody asks once a step was done."""

    def __init__(self, monkeypatch, *, after: int):
        self.done: list[str] = []
        ready = lambda *_: ([1] if self.done.count("step") >= after else [], [], [])  # noqa: E731
        monkeypatch.setattr(forkserver.select, "select", ready)
        monkeypatch.setattr(forkserver._Server, "_answer", lambda _: not self.done.append("asked"))
        monkeypatch.setattr(forkserver.pkgutil, "resolve_name", lambda _: self.steps)
        monkeypatch.setattr(forkserver._Server, "__post_init__", lambda _: None)

    def steps(self):
        for _ in range(4):
            self.done.append("step")
            yield


@pytest.mark.parametrize(
    ("how_much", "after", "done"),
    [
        (forkserver._UNTIL_ASKED, 0, "asked step"),
        (forkserver._UNTIL_ASKED, 2, "step step asked step"),
        (forkserver._WHOLE, 0, "asked step step step step"),
        (forkserver._WHOLE, 2, "step step asked step step"),
    ],
)
def test_who_asks_first_is_answered_before_the_next_step(how_much, after, done, monkeypatch):
    asked = Asked(monkeypatch, after=after)
    forkserver._Server(None, (None, None), {}).rehearse("a:b", (), how_much)
    assert " ".join(asked.done) == done


def test_a_rehearsal_ends_with_its_client(tmp_path):
    (tmp_path / "rehearsing.py").write_text(REHEARSAL.replace("0.2", "0.05").replace("20", "2000"))
    told = tmp_path / "told"
    environment = ENVIRONMENT | {"STEPS": str(told), "PYTHONPATH": str(tmp_path)}
    server = forkserver.ForkServer(environment, modules=[], rehearsal="rehearsing:steps", many=True)
    while not told.exists():
        time.sleep(0.01)
    server.close()
    assert gone(server.pid)
    assert len(told.read_text().split()) < 100


def test_a_kernel_that_comes_later_is_found_at_once():
    for end in (kernels.KernelManager(), kernels.KernelClient()):
        with end.context.socket(zmq.DEALER) as socket:
            assert socket.getsockopt(zmq.RECONNECT_IVL) == 10
        end.context.term()


def test_random_numbers_differ_from_kernel_to_kernel(server):
    cell = "import random, numpy, uuid; print(random.random(), numpy.random.random(), uuid.uuid4())"
    seen = [text(run(server, cell)[0]).split() for _ in range(3)]
    for drawn in zip(*seen, strict=True):
        assert len(set(drawn)) == 3


def test_environment_time_zone_and_streams_are_the_kernels_own(server, capfd):
    cell = """
    import os, time
    print(os.environ["MARK"], time.localtime(0).tm_hour, os.environ.get("HOME"))
    os.system("echo from a shell; echo to the terminal >&2")
    """
    environment = {**ENVIRONMENT, "MARK": "seen", "TZ": "Asia/Kolkata"}
    environment.pop("HOME", None)
    assert text(run(server, cell, environment=environment)[0]).startswith("seen 5 None\n")


def test_a_plain_pyplot_figure_is_shown_as_by_an_ordinary_kernel(server):
    cell = "import matplotlib.pyplot as plt\nplt.plot([1, 3, 2]);"
    environment = {k: v for k, v in ENVIRONMENT.items() if k != "MPLBACKEND"}
    pictures = [run(which, cell, environment=environment)[0] for which in (server, None)]
    png = [next(o.data["image/png"] for o in out if "data" in o) for out in pictures]
    assert png[0] == png[1]


def test_no_descriptor_of_the_server_is_handed_down(server):
    cell = """
    import os
    for number in sorted(map(int, os.listdir("/proc/self/fd"))):
        try:
            print(number, os.readlink(f"/proc/self/fd/{number}"))
        except OSError:
            pass
    """
    sockets = [text(run(which, cell)[0]).count("socket:") for which in (server, None)]
    assert sockets[0] <= sockets[1]


def test_an_exit_handler_runs_and_threads_and_processes_work(server, tmp_path):
    cell = f"""
    import atexit, pathlib, multiprocessing, concurrent.futures, asyncio
    atexit.register(pathlib.Path({str(tmp_path / "done")!r}).touch)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        print(list(pool.map(abs, (-1, -2))))
    with multiprocessing.get_context("fork").Pool(2) as pool:
        print(pool.map(abs, (-1, -2)))
    print(await asyncio.sleep(0, "waited"))
    """
    assert text(run(server, cell)[0]) == "[1, 2]\n[1, 2]\nwaited"
    assert (tmp_path / "done").exists()


THREADS = """
import atexit
from ipykernel.kernelapp import IPKernelApp
app = IPKernelApp.instance()
def tell():
    with open("threads", "w") as told:
        told.write(f"{app.control_thread.is_alive()} {app.iopub_thread.thread.is_alive()}")
atexit.register(tell)
"""


def test_what_is_printed_last_has_a_thread_to_print_it(server, tmp_path):
    run(server, THREADS, folder=tmp_path)
    assert (tmp_path / "threads").read_text() == "False True"


def test_an_error_has_the_same_traceback(server):
    cells = ("def f(x):\n    return 1 / x", "f(0)")
    results = [run(which, *cells, allow_errors=True)[1][0] for which in (server, None)]
    traces = [re.sub(r"ipykernel_\d+|<ipython[^>]*>", "", str(r.traceback)) for r in results]
    assert results[0].ename == "ZeroDivisionError"
    assert traces[0] == traces[1]


def test_several_kernels_at_once(server):
    cell = "import os, time; time.sleep(0.2); print(os.getppid())"
    with ThreadPoolExecutor(4) as pool:
        parents = list(pool.map(lambda _: text(run(server, cell)[0]), range(8)))
    assert parents == [str(server.pid)] * 8


def test_a_time_out_interrupts_and_ends_the_kernel(server):
    cells = ("import os; open('/dev/null'); pid = os.getpid()", "import time; time.sleep(60)")
    with pytest.raises(CellTimeoutError):
        run(server, *cells, timeout=1)
    with pytest.raises(CellTimeoutError):
        run(server, "import time\nwhile True: pass", timeout=1)
    outputs = run(server, *cells, timeout=1, interrupt_on_timeout=True, allow_errors=True)
    assert outputs[1][0].ename == "KeyboardInterrupt"
    assert gone(*children(server.pid))


def children(pid):
    return [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize("death", ["os._exit(3)", "os.kill(os.getpid(), 9)", "os.abort()"])
def test_a_crash_is_an_error_and_the_next_kernel_works(server, death):
    with pytest.raises(DeadKernelError):
        run(server, f"import os; {death}")
    assert text(run(server, "print(1)")[0]) == "1"
    assert gone(*children(server.pid))


STUCK = {
    "sleeping": "import time; time.sleep(600)",
    "a loop": "while True: pass",
    "a regular expression": "import re; re.match('(a+)+$', 'a' * 60 + 'b')",
    "a shell": "import os; os.system('sleep 600')",
}
CLIENT = """
import contextlib, os, sys
from helpers import cli, forkserver
modules = ("ipykernel.kernelapp", "ipykernel.ipkernel")
server = forkserver.ForkServer(os.environ, modules=modules, rehearsal="")
with contextlib.closing(server):
    import nbformat
    from nbclient import NotebookClient
    from helpers import kernels
    sources = ["import os\\nfile = open(os.environ['MARK'] + '.tmp', 'w')\\n"
               "print(os.getpid(), os.getppid(), file=file, end='', flush=True)\\n"
               "os.rename(file.name, os.environ['MARK'])", sys.argv[1]]
    cells = [nbformat.v4.new_code_cell(s) for s in sources]
    NotebookClient(
        nbformat.v4.new_notebook(cells=cells), kernel_name="python3",
        kernel_manager_class=kernels.manager_class(server),
    ).execute(env={**os.environ, **forkserver.ENVIRONMENT})
"""


@pytest.mark.parametrize("stuck", STUCK)
@pytest.mark.parametrize("killed", ["client", "server"])
def test_sigkill_leaves_no_process_behind(tmp_path, stuck, killed):
    mark = tmp_path / "mark"
    client = subprocess.Popen(
        [sys.executable, "-c", CLIENT, STUCK[stuck]],
        env={**os.environ, "MARK": str(mark)},
        stderr=subprocess.DEVNULL,
    )
    end = time.monotonic() + 60
    while not mark.exists() and time.monotonic() < end:
        time.sleep(0.05)
    kernel, server = map(int, mark.read_text().split())
    time.sleep(0.3)
    assert alive(kernel)
    below = children(kernel)
    os.kill(client.pid if killed == "client" else server, signal.SIGKILL)
    try:
        # What a notebook started outlives the death of the server, which is the one to kill it.
        assert gone(kernel, server, *(below if killed == "client" else ()))
    finally:
        client.kill()
        client.wait()
        for pid in filter(alive, (*below, kernel)):
            os.kill(pid, signal.SIGKILL)


def test_closing_the_server_ends_it_and_its_kernels():
    server = forkserver.ForkServer(os.environ, modules=("ipykernel.kernelapp",))

    async def start():
        return await server.fork(
            ["x", "--no-such=1"], environment=ENVIRONMENT, folder="/", streams=(1, 2)
        )

    child = asyncio.run(start())
    assert alive(child.pid)
    server.close()
    assert gone(server.pid, child.pid, within_s=1)
    assert child.poll() is not None


def test_a_server_that_cannot_start_gives_way_with_one_warning(tmp_path):
    environment = {**os.environ, "PYTHONPATH": "", "PYTHONHOME": str(tmp_path)}
    server = forkserver.ForkServer(environment)
    suited = {**ENVIRONMENT, "PYTHONPATH": "", "PYTHONHOME": str(tmp_path)}
    provisioner = kernels.ForkProvisioner()
    provisioner.server = server
    words = [sys.executable, "-m", "ipykernel_launcher", "-f", "x"]
    with pytest.warns(UserWarning, match="of no use.*ordinary kernels"):
        assert asyncio.run(provisioner._fork(words, {"env": suited})) is None
    assert asyncio.run(provisioner._fork(words, {"env": suited})) is None
    server.close()


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        (["/usr/bin/python3", "-m", "ipykernel_launcher"], {}),
        ([sys.executable, "-m", "bash_kernel"], {}),
        ([sys.executable, "-m", "ipykernel_launcher"], {"preexec_fn": print}),
        ([sys.executable, "-m", "ipykernel_launcher"], {"env": {"PYTHONHASHSEED": "1"}}),
        ([sys.executable, "-m", "ipykernel_launcher"], {"env": {"OMP_NUM_THREADS": "9"}}),
    ],
)
def test_what_a_fork_cannot_give_gets_an_ordinary_kernel(server, words, extra):
    provisioner = kernels.ForkProvisioner()
    provisioner.server = server
    given = {**extra, "env": {**ENVIRONMENT, **extra.get("env", {})}}
    assert asyncio.run(provisioner._fork([*words, "-f", "x"], given)) is None


@pytest.mark.parametrize(
    ("platform", "asked", "expected"),
    [
        ("linux", None, True),
        ("linux", "0", False),
        ("darwin", None, False),
        ("darwin", "1", True),
    ],
)
def test_where_forking_is_done(monkeypatch, platform, asked, expected):
    monkeypatch.setattr(forkserver.sys, "platform", platform)
    monkeypatch.delenv("FRONTLINE_FORK", raising=False)
    if asked:
        monkeypatch.setenv("FRONTLINE_FORK", asked)
    assert forkserver.possible() is expected


def test_without_forking_there_is_no_server(monkeypatch):
    monkeypatch.setenv("FRONTLINE_FORK", "0")
    with forkserver.started(os.environ) as server:
        assert server is None
    assert kernels.manager_class(None) is kernels.KernelManager


@pytest.mark.parametrize("forked", [True, False])
def test_a_kernel_is_spoken_to_without_ports_and_leaves_no_socket(
    server, forked, tmp_path, monkeypatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    [said] = run(
        server if forked else None,
        "from ipykernel import get_connection_info; "
        "print(get_connection_info(unpack=True)['transport'])",
    )
    assert text(said) == "ipc"
    gc.collect()
    assert not list(tmp_path.iterdir())


def test_where_the_path_of_a_socket_would_be_too_long_a_kernel_has_ports(
    server, tmp_path, monkeypatch
):
    long = tmp_path / ("a" * 100)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    assert kernels.manager_class(server)().transport == "tcp"
    [said] = run(server, "1 + 1")
    assert text(said) == "2"
