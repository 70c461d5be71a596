"""Is this machine ready? One check each for what a run needs, and what to do where it is not."""

from __future__ import annotations

import re
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Literal, NamedTuple

from packaging.requirements import Requirement

from helpers import endpoints, forkserver, ledger, publishers, snapshots, style
from helpers.errors import FrontlineError
from helpers.workspace import PROJECT, Workspace

_TIMEOUT_S = 3
_LEAST_FREE_GB = 1.0
_CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


class Finding(NamedTuple):
    """What one check found.

    Attributes
    ----------
    what
        What was looked at.
    status
        "ok"; "note" where something optional is not there; "fault" where work would fail.
    found
        What there is.
    advice
        What to do about it; empty where nothing need be done.
    """

    what: str
    status: Literal["ok", "note", "fault"]
    found: str
    advice: str = ""


def examine(ws: Workspace, *, offline: bool = False) -> Iterator[Finding]:
    """Look at everything, one after another.

    Parameters
    ----------
    ws
        The workspace.
    offline
        Whether to leave out the checks that ask other hosts.

    Yields
    ------
    Finding
        As it is found. A check that fails itself is a fault with its reason.
    """
    checks: list[tuple[str, Callable[[], Finding]]] = [
        ("Python", _python),
        ("packages", _packages),
        ("fonts", _fonts),
        ("kernels", _kernels),
        ("Chromium", _chromium),
        ("ffmpeg", _ffmpeg),
        ("workspace", lambda: _folders(ws)),
        ("data", lambda: _data(ws)),
        ("claims", lambda: _claims(ws)),
    ]
    if not offline:
        checks.append(("network", lambda: _network(ws)))
    for what, check in checks:
        try:
            yield check()
        except (FrontlineError, OSError) as error:
            yield Finding(what, "fault", str(error))


def _python() -> Finding:
    return Finding("Python", "ok", f"{'.'.join(map(str, sys.version_info[:3]))}, {sys.executable}")


def _packages() -> Finding:
    wanted = [Requirement(text) for text in requires("frontline-notebooks") or ()]
    wanted = [one for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})]
    faults = []
    for one in wanted:
        try:
            there = version(one.name)
        except PackageNotFoundError:
            faults.append(f"{one.name} is not installed")
            continue
        if not one.specifier.contains(there, prereleases=True):
            faults.append(f"{one.name} is {there}, not {one.specifier}")
    if faults:
        return Finding("packages", "fault", "; ".join(faults), "make setup")
    differ = _unlike_the_lock(one.name for one in wanted)
    if differ:
        advice = "Figures may differ by a pixel from the tested ones; make setup takes the lock's."
        return Finding("packages", "note", f"not as locked: {', '.join(differ)}", advice)
    return Finding("packages", "ok", f"{len(wanted)} direct dependencies")


def _unlike_the_lock(names: Iterator[str]) -> list[str]:
    lock = PROJECT / "requirements.lock"
    if not lock.is_file():
        return []
    # One package may stand there in several versions, each for some versions of Python.
    locked = re.findall(r"^([a-z0-9._-]+)==([^\s;\\]+)", lock.read_text(), re.MULTILINE)
    return [name for name in names if (name.lower(), version(name)) not in locked]


def _fonts() -> Finding:
    with style.style():
        return Finding("fonts", "ok", "Fira Sans and Fira Sans Condensed, from their packages")


def _kernels() -> Finding:
    if forkserver.possible():
        return Finding("kernels", "ok", "forked from a process that is ready")
    advice = "Nothing, unless it is macOS: FRONTLINE_FORK=1 tries it."
    return Finding("kernels", "note", "ordinary: each notebook takes seconds to start", advice)


def _chromium() -> Finding:
    there = next(filter(None, map(shutil.which, _CHROMIUM)), None)
    if there:
        return Finding("Chromium", "ok", there)
    advice = "Only tests of the pages need it. Debian: apt install chromium"
    return Finding("Chromium", "note", "not found", advice)


def _ffmpeg() -> Finding:
    there = shutil.which("ffmpeg")
    if there:
        return Finding("ffmpeg", "ok", there)
    advice = "Only MP4 needs it; animations are GIF without. Debian: apt install ffmpeg"
    return Finding("ffmpeg", "note", "not found", advice)


def _folders(ws: Workspace) -> Finding:
    for folder in (ws.processed, ws.reports):
        place = next(path for path in (folder, *folder.parents) if path.exists())
        try:
            probe = place / ".frontline-doctor"
            probe.touch()
            probe.unlink()
        except OSError as error:
            advice = "Change its permissions, or name another workspace with --root."
            return Finding("workspace", "fault", f"{place}: {error.strerror}", advice)
    free_gb = shutil.disk_usage(ws.root).free / 1e9
    if free_gb < _LEAST_FREE_GB:
        advice = f"Make room: a report takes some MB, and {_LEAST_FREE_GB:.0f} GB is little."
        return Finding("workspace", "fault", f"{ws.root}: {free_gb:.1f} GB free", advice)
    return Finding("workspace", "ok", f"{ws.root}, {free_gb:,.0f} GB free")


def _data(ws: Workspace) -> Finding:
    told, unread = [], []
    for source_id in publishers.present(ws):
        try:
            days = snapshots.days(ws, source_id)
        except FrontlineError:
            unread.append(source_id)
            continue
        told.append(f"{source_id} {len(days)} days to {days[-1]}")
    if not (told or unread):
        advice = f"frontline fetch deepstate, or put a publisher's files into {ws.raw}/<source>/"
        return Finding("data", "fault", f"no files in {ws.raw}", advice)
    told += [f"{source_id} not read yet" for source_id in unread]
    advice = "The next run reads it; frontline check says whether it can be trusted."
    return Finding("data", "note" if unread else "ok", "; ".join(told), advice if unread else "")


def _claims(ws: Workspace) -> Finding:
    return Finding("claims", "ok", f"{len(ledger.read(ws))} in {ledger.path(ws)}")


def _network(ws: Workspace) -> Finding:
    hosts = sorted({host for key in endpoints.known(ws) for host in endpoints.load(ws, key).hosts})
    silent = [host for host in hosts if not _answers(host)]
    if not silent:
        return Finding("network", "ok", f"{len(hosts)} publishers' hosts answer")
    advice = "Only fetch and basemaps from tiles need it; everything else works offline."
    return Finding("network", "note", f"no answer from {', '.join(silent)}", advice)


def _answers(host: str) -> bool:
    try:
        socket.create_connection((host, 443), _TIMEOUT_S).close()
    except OSError:
        return False
    return True
