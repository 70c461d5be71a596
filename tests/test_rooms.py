"""The one-way imports of the rooms: each module may import what stands here, and nothing else."""

import ast
import re
import textwrap
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "helpers"
DESCRIPTION = Path(__file__).parents[1] / "docs" / "rooms.md"

# Rooms in the order of their storeys: a room may import rooms of lower storeys only.
STOREYS = (
    {"errors"},
    {
        "cuts",
        "projection",
        "files",
        "workspace",
        "labels",
        "tables",
        "crate",
        "forkserver",
        "jobs",
        "limits",
        "panels",
        "startup",
        "typesetting",
    },
    {"schema", "sources", "style", "readers.names", "kernels", "edges"},
    {
        "export",
        "gate",
        "readers.geojson",
        "reference",
        "changes",
        "series",
        "basemap",
        "faces",
        "findings",
        "figures",
    },
    {"readers.deepstate", "readers.isw", "readers.liveuamap", "readers.polygons"}
    | {"readers.reconstruction", "reconstruction", "measures", "settlements"}
    | {"store", "outputs", "provenance", "sheet", "charts", "calendars"},
    {"publishers", "furniture", "pages", "archive", "claims", "agreement", "timelines"},
    {"ingest", "maps", "runner", "comparisons", "ledger"},
    {"snapshots"},
    {"daybook"},
    {"inspection", "webmap", "sitepages", "dossiers"},
    {"web", "endpoints", "plans"},
    {"arcgis", "raw"},
    {"fetch"},
    {"plates", "reports", "site"},
    {"guide", "doctor", "animation", "daily", "verify", "backfill", "tasks", "cluster"}
    | {"rehearsal"},
    {"cli"},
)

# Memory only: no file, no picture.
MEASURING = {
    "changes",
    "cuts",
    "edges",
    "gate",
    "measures",
    "series",
    "settlements",
    "claims",
    "agreement",
}
# Given what to draw; they never look for data.
DRAWING = {
    "basemap",
    "calendars",
    "charts",
    "figures",
    "furniture",
    "labels",
    "maps",
    "panels",
    "sheet",
    "style",
    "timelines",
    "typesetting",
}
DATA = {"snapshots", "store", "ingest", "publishers"}
# Only these ask another machine; the fork server talks to its own children.
ASKING = {"web", "basemap", "forkserver", "cluster", "doctor"}
SOCKETS = {"requests", "httpx", "urllib3", "socket", "http", "aiohttp", "contextily"} | {
    "distributed"
}


def storey(room: str) -> int:
    return next(number for number, rooms in enumerate(STOREYS) if room in rooms)


def modules() -> dict[str, Path]:
    paths = {p for p in SOURCE.rglob("*.py") if p.name not in ("__init__.py", "__main__.py")}
    return {".".join(p.relative_to(SOURCE).with_suffix("").parts): p for p in paths}


def imports(text: str) -> set[str]:
    """Dotted names that a module imports when it runs, wherever the statement stands."""
    tree = ast.parse(text)
    tree.body = [
        node
        for node in tree.body
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    ]
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return found


def rooms_of(names: set[str], known: set[str]) -> set[str]:
    found = set()
    for name in names:
        if name.startswith("helpers."):
            rest = name.removeprefix("helpers.")
            found |= {room for room in known if rest == room or rest.startswith(room + ".")}
    return found


def faults(room: str, text: str, known: set[str]) -> list[str]:
    names = imports(text)
    found = [
        f"{room} imports {other} of the same or a higher storey"
        for other in rooms_of(names, known)
        if storey(other) >= storey(room)
    ]
    found += [f"{room}: relative or star import {n}" for n in names if n[0] == "." or n[-1] == "*"]
    if room in MEASURING and any(n.split(".")[0] in ("matplotlib", "pathlib") for n in names):
        found.append(f"{room} measures: it touches memory only")
    used = rooms_of(names, known)
    if room in DRAWING and (used & DATA or any(u.startswith("readers.") for u in used)):
        found.append(f"{room} draws: it cannot look for data")
    if room not in ASKING and any(
        n.split(".")[0] in SOCKETS or n.startswith("urllib.request") for n in names
    ):
        found.append(f"{room} opens a socket")
    if any(n.startswith("matplotlib.pyplot") for n in names):
        found.append(f"{room} uses pyplot, whose state outlives a figure")
    return found


def test_every_room_has_a_storey():
    assert set(modules()) == set().union(*STOREYS)


def drawing() -> str:
    """The storeys, the highest first, with the rooms of each."""
    lines = [" · ".join(sorted(rooms)) for rooms in reversed(STOREYS)]
    wrapped = [textwrap.fill(line, 92, subsequent_indent="  ") for line in lines]
    return "```text\n" + "\n   ↓\n".join(wrapped) + "\n```"


def test_the_drawing_of_the_rooms_is_true():
    text = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text()
    drawn = text.split("<!-- storeys -->\n")[1].split("\n<!-- /storeys -->")[0]
    assert drawn == drawing()


def test_every_room_is_described():
    described = set(re.findall(r"`([a-z_.]+)`", DESCRIPTION.read_text()))
    assert set(modules()) - described == set()


@pytest.mark.parametrize("room", sorted(modules()))
def test_imports_go_one_way(room):
    assert faults(room, modules()[room].read_text(), set(modules())) == []


@pytest.mark.parametrize(
    ("room", "text", "fault"),
    [
        ("errors", "from helpers import schema", "same or a higher storey"),
        ("maps", "def f():\n    from helpers.snapshots import load", "cannot look for data"),
        ("measures", "import matplotlib.figure", "touches memory only"),
        ("charts", "import matplotlib.pyplot as plt", "pyplot"),
        ("fetch", "import requests", "opens a socket"),
        ("reports", "from urllib.request import urlopen", "opens a socket"),
        ("series", "from .schema import *", "relative or star"),
    ],
)
def test_a_forbidden_import_is_seen(room, text, fault):
    assert any(fault in found for found in faults(room, text, set(modules())))


def test_an_import_for_typing_only_is_allowed():
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from helpers import reports"
    assert faults("errors", text, set(modules())) == []
