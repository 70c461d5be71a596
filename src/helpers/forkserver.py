"""A process that has imported and rehearsed what notebooks do, and forks fresh kernels on request.

Both ends are here: `ForkServer` starts the process and asks it, `serve` is the process. The server
has one thread, holds one end of a socket pair, and lives as long as the other end is open: when
that closes, for whatever reason, it kills its children and ends. A request carries the child's
words, environment, working directory, standard output and error, and a socket of the child's own,
on which its start and its end are told.

Nothing of Jupyter is imported here by the client, so that the server starts at once and imports
while the client does.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LENGTH = struct.Struct("!I")
_NEWS = struct.Struct("!ci")
_STARTED, _ENDED = b"s", b"e"
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_CLOSE_WAIT_S = 5
_START_WAIT_S = 60
# What the server imports: what the notebooks import, and what that imports when it is first used.
# Not matplotlib_inline: imported without a shell, it never shows a figure.
PRELOAD = (
    "ipykernel.kernelapp",
    "ipykernel.ipkernel",
    "ipykernel.debugger",
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "IPython.core.logger",
    "IPython.core.oinspect",
    "IPython.extensions.storemagic",
    "psutil",
    "pyarrow.dataset",
    "sqlite3",
    "tornado.platform.asyncio",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_svg",
    "helpers.claims",
    "helpers.dossiers",
    "helpers.outputs",
    "helpers.plates",
)
# The server's alone. pyarrow's allocator starts a thread otherwise, and a server with threads must
# not fork; debugpy says on import that it would be slow to debug it.
_OWN = {"JE_ARROW_MALLOC_CONF": "background_thread:false", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
_SERVE = "import sys; from helpers.forkserver import serve; serve(int(sys.argv[1]), *sys.argv[2:])"
# What the server does once it has imported: a function that yields between its steps.
REHEARSAL = "helpers.rehearsal:steps"
_WHOLE, _UNTIL_ASKED = "whole", "until-asked"
# What every kernel gets, forked or not: the same hashes, one thread a kernel, no window.
ENVIRONMENT: Mapping[str, str] = {
    "MPLBACKEND": "agg",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
}
# Read once, when the interpreter or a library is loaded: a child has the server's.
READ_ONCE = ("PYTHON", "LD_", "DYLD_", "OPENBLAS_", "OMP_", "MKL_")


class ForkError(RuntimeError):
    """The server is not there to fork."""


class Child:
    """A forked process, with the methods of `subprocess.Popen` that jupyter_client calls.

    Attributes
    ----------
    pid
        Process id; also that of its session and group.
    """

    stdin = stdout = stderr = None

    def __init__(self, pid: int, news: socket.socket) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._news = news

    def poll(self) -> int | None:
        """Exit status, or None while the process runs."""
        if self.returncode is None:
            try:
                self._ended(self._news.recv(_NEWS.size))
            except BlockingIOError:
                return None
        return self.returncode

    def wait(self) -> int | None:
        """Exit status of a process that has ended."""
        return self.poll()

    async def ended(self) -> int | None:
        """Wait for the end of the process, and return its exit status."""
        if self.returncode is None:
            loop = asyncio.get_running_loop()
            self._ended(await loop.sock_recv(self._news, _NEWS.size))
        return self.returncode

    def _ended(self, news: bytes) -> None:
        # Without a word from the server: it is gone, and its children with it.
        self.returncode = _NEWS.unpack(news)[1] if news else -signal.SIGKILL
        self._news.close()

    def send_signal(self, signum: int) -> None:
        """Send a signal to the process and those it started."""
        if self.poll() is None:
            os.killpg(self.pid, signum)

    def kill(self) -> None:
        """Kill the process and those it started."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask the process and those it started to end."""
        self.send_signal(signal.SIGTERM)


class ForkServer:
    """The client's end of a fork server, which starts at once and imports while others work.

    Parameters
    ----------
    environment
        The server's environment, to which `ENVIRONMENT` is added.
    modules
        What the server imports; one that is not there is left for the child to miss.
    rehearsal
        What it does then, "module:function"; nothing where it is empty.
    about
        What that function is given: what the kernels will be asked about.
    many
        Whether so many kernels will be asked for that all of the rehearsal is worth waiting for.
        The first to be asked for never waits.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        modules: Sequence[str] = PRELOAD,
        rehearsal: str = REHEARSAL,
        about: Sequence[str] = (),
        many: bool = False,
    ) -> None:
        self._environment = {**environment, **ENVIRONMENT}
        self._environment.pop("JPY_PARENT_PID", None)
        self._lock = threading.Lock()
        self._given_up = self._asked = False
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-c", _SERVE, str(theirs.fileno())),
                    *(json.dumps([rehearsal, *about]), _WHOLE if many else _UNTIL_ASKED, *modules),
                ],
                env=self._environment | _OWN,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                # A session of its own: a Ctrl-C in the terminal is the client's to handle.
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Process id of the server."""
        return self._process.pid

    def suits(self, environment: Mapping[str, str]) -> bool:
        """Tell whether a child can have this environment: what is read once must be the same."""
        if self._given_up:
            return False

        def once(variables: Mapping[str, str]) -> dict[str, str]:
            return {k: v for k, v in variables.items() if k.startswith(READ_ONCE)}

        return once(environment) == once(self._environment)

    async def fork(
        self,
        words: Sequence[str],
        *,
        environment: Mapping[str, str],
        folder: str,
        streams: tuple[int, int],
    ) -> Child:
        """Fork a child, waiting for the server's imports if they are not done.

        Parameters
        ----------
        words
            The kernel's command line, without the interpreter.
        environment, folder
            The child's environment and working directory.
        streams
            File descriptors of its standard output and error.

        Returns
        -------
        Child
            A process that leads a session of its own.

        Raises
        ------
        ForkError
            If the server is not there, or does not answer in time.
        """
        request = json.dumps([list(words), dict(environment), folder]).encode()
        ours, theirs = socket.socketpair()
        try:
            with theirs, self._lock:
                self._asked = True
                socket.send_fds(
                    self._socket, [_LENGTH.pack(len(request))], [*streams, theirs.fileno()]
                )
                self._socket.sendall(request)
            ours.settimeout(0)
            reply = asyncio.get_running_loop().sock_recv(ours, _NEWS.size)
            news = await asyncio.wait_for(reply, _START_WAIT_S)
            if not news:
                raise ConnectionResetError("it ended before it answered")
        except (OSError, TimeoutError) as error:
            ours.close()
            raise ForkError(f"The fork server is of no use: {error or 'no answer'}.") from error
        return Child(_NEWS.unpack(news)[1], ours)

    def give_up(self) -> bool:
        """Do not ask the server again; True for the first to say so."""
        with self._lock:
            first, self._given_up = not self._given_up, True
        return first

    def close(self) -> None:
        """End the server; it kills the children there still are."""
        self._socket.close()
        if not self._asked:
            self._process.kill()  # it may be in the middle of its imports
        try:
            self._process.wait(_CLOSE_WAIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def possible() -> bool:
    """Tell whether this platform can fork, and is asked to.

    FRONTLINE_FORK=0 says no anywhere. On macOS, whose frameworks do not survive a fork, only
    FRONTLINE_FORK=1 says yes.
    """
    default = "1" if sys.platform == "linux" else "0"
    able = hasattr(os, "fork") and hasattr(socket, "send_fds")
    return able and os.environ.get("FRONTLINE_FORK", default) == "1"


@contextlib.contextmanager
def started(
    environment: Mapping[str, str], *, about: Sequence[str] = (), many: bool = False
) -> Iterator[ForkServer | None]:
    """Start a fork server for as long as a block of code runs; None where it is not possible."""
    if not possible():
        yield None
        return
    server = ForkServer(environment, about=about, many=many)
    try:
        yield server
    finally:
        server.close()


@dataclass
class _Server:
    """The server's end: its sockets, and the children by process id with theirs."""

    client: socket.socket
    wake: tuple[socket.socket, socket.socket]
    children: dict[int, socket.socket]

    def __post_init__(self) -> None:
        signal.set_wakeup_fd(self.wake[1].fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def rehearse(self, name: str, about: Sequence[str], how_much: str) -> None:
        """Do what kernels will do, so that what a process remembers of it is there in each of them.

        Who asks first does not wait: with two lanes a core would be idle. Those after it wait for
        all of it, or for the step that follows. A fault is a kernel's to meet and to tell. Warnings
        are not remembered as given. There is no reason to go on when the client is gone.
        """
        with contextlib.suppress(Exception):
            steps, asked, going = pkgutil.resolve_name(name)(*about), False, True
            while going:
                if not asked and select.select([self.client], [], [], 0)[0]:
                    asked = self._answer()
                    if not asked:
                        return
                going = _step(steps) and not (asked and how_much == _UNTIL_ASKED)

    def run(self) -> None:
        """Answer requests until the client's end is closed, then kill what is left."""
        open_ = True
        while open_:
            ready, _, _ = select.select([self.client, self.wake[0]], [], [])
            if self.wake[0] in ready:
                self.wake[0].recv(4096)
                self._reap()
            if self.client in ready:
                open_ = self._answer()
        for pid in self.children:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)

    def _reap(self) -> None:
        for pid in list(self.children):
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                news = self.children.pop(pid)
                with news, contextlib.suppress(OSError):
                    news.sendall(_NEWS.pack(_ENDED, os.waitstatus_to_exitcode(status)))

    def _answer(self) -> bool:
        """Read one request and fork; False at the end of the connection."""
        head, received, _, _ = socket.recv_fds(self.client, _LENGTH.size, 3)
        if not head:
            return False
        request = json.loads(self._read(_LENGTH.unpack(head)[0]))
        stdout, stderr, news = received
        gc.freeze()  # so that a child, which looks for garbage, does not copy what is here
        pid = os.fork()
        if pid == 0:
            self._become(request, stdout, stderr, news)
        os.close(stdout)
        os.close(stderr)
        self.children[pid] = socket.socket(fileno=news)
        return True

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += self.client.recv(size - len(data))
        return data

    def _become(self, request: list[Any], stdout: int, stderr: int, news: int) -> None:
        """Be the child: never returns."""
        status = 1
        try:
            self._forget()
            os.setsid()
            _die_with_parent()
            for descriptor, standard in ((stdout, 1), (stderr, 2)):
                os.dup2(descriptor, standard)
                os.close(descriptor)
            words, environment, folder = request
            _enter(environment, folder)
            with socket.socket(fileno=news) as told:
                told.sendall(_NEWS.pack(_STARTED, os.getpid()))
            status = _run(words)
        except BaseException:
            # The end of the line: nobody above but the server's loop, which is not this process's.
            sys.__excepthook__(*sys.exc_info())
        finally:
            os._exit(status)

    def _forget(self) -> None:
        """Give up what is the server's own."""
        gc.enable()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for mine in (self.client, *self.wake, *self.children.values()):
            mine.close()
        self.children.clear()


def _die_with_parent() -> None:
    """Have Linux kill this process when the server dies; elsewhere only the server does."""
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


def _enter(environment: dict[str, str], folder: str) -> None:
    """Take over environment and folder, and what was read from them or drawn before the fork."""
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    os.chdir(folder)
    numpy = sys.modules.get("numpy")
    if numpy:  # `random` does it itself
        numpy.random.seed()
    matplotlib = sys.modules.get("matplotlib")
    if matplotlib:
        inline = "module://matplotlib_inline.backend_inline"  # what ipykernel sets, too late here
        matplotlib.rcParams["backend"] = os.environ.get("MPLBACKEND") or inline


def _run(words: list[str]) -> int:
    """Be a kernel, then do what an interpreter does at its end, but for taking itself apart."""
    from ipykernel.kernelapp import IPKernelApp

    sys.argv = words
    status = 0
    try:
        # The parent is the server, which watches the client itself: ipykernel is not to poll it.
        IPKernelApp.launch_instance([*words[1:], "--IPKernelApp.parent_handle=1"])
    except SystemExit as leave:
        status = leave.code if isinstance(leave.code, int) else int(leave.code is not None)
    finally:
        _end_control(IPKernelApp.instance())
        threading._shutdown()  # type: ignore[attr-defined]
        gc.freeze()  # IPython looks for garbage at its end: let there be little to look at
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
    return status


def _end_control(app: Any) -> None:
    """End the thread that was asked to shut down, before the one through which it prints.

    ipykernel ends them the other way round. If the first is then still to flush what was printed,
    it waits for the other in vain, and the kernel is killed after five seconds.
    """
    control = app.control_thread
    if control and control.is_alive():
        control.stop()
        control.join()


def _threads() -> int:
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.is_dir() else threading.active_count()


def _step(steps: Iterator[None]) -> bool:
    """Do one step of a rehearsal; False at its end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return next(steps, False) is None


def serve(descriptor: int, rehearsal: str, how_much: str, *modules: str) -> None:
    """Be the server: import, rehearse, then fork on request until the client is gone; then end.

    Parameters
    ----------
    descriptor
        This end of the socket pair.
    rehearsal, how_much
        "module:function" and what it is given, as JSON, and whether to do all of it, or to stop
        after the step that follows the first request.
    modules
        What to import first.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.path.remove("")  # of `-c`; ipykernel puts it back
    gc.disable()
    for name in modules:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    _stay_single()
    wake = socket.socketpair()
    for end in wake:
        end.settimeout(0)
    server = _Server(socket.socket(fileno=descriptor), wake, {})
    name, *about = json.loads(rehearsal)
    if name:
        server.rehearse(name, about, how_much)
        _stay_single()
    gc.enable()
    # What was sent meanwhile waits in the connection.
    server.run()
    os._exit(0)  # there is nothing to take apart that does not go with the process


def _stay_single() -> None:
    if _threads() > 1:
        sys.exit("What was preloaded has started threads, which do not survive a fork.")
