"""Write environment.yml from pyproject.toml and requirements.lock: conda users get these versions.

The interpreter comes from conda; every direct dependency comes at the locked version. The test
tests/test_environment.py compares the three files.
"""

from __future__ import annotations

import re
import tomllib
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

HEAD = """\
# Made by scripts/environment.py from pyproject.toml and requirements.lock (make lock).
# conda env create -f environment.yml && conda activate frontline
name: frontline
channels:
  - conda-forge
dependencies:
  - python=3.11
  - pip
  - pip:
"""


def locked(lock: str) -> dict[str, list[str]]:
    """Name -> pinned requirements with their markers, as in the lock."""
    pins: dict[str, list[str]] = {}
    for line in re.findall(r"^[a-z0-9].*$", lock, flags=re.MULTILINE):
        requirement = line.rstrip(" \\")
        pins.setdefault(requirement.split("==")[0], []).append(requirement)
    return pins


def direct(project: dict) -> list[str]:
    """Names of the direct dependencies, extras included, sorted."""
    listed = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    return sorted({re.split(r"[^A-Za-z0-9-]", text)[0].lower() for text in listed})


def environment() -> str:
    """Text of environment.yml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = locked((ROOT / "requirements.lock").read_text())
    lines = [f'      - "{pin}"' for name in direct(project) for pin in pins[name]]
    return HEAD + "\n".join(lines) + "\n      - -e .\n"


if __name__ == "__main__":
    (ROOT / "environment.yml").write_text(environment())
