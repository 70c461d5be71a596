"""Run docs/tutorial.md as it is written, in a clean clone, and time each step: `make walk`.

    python scripts/walk.py [--hard]

Every block marked ``sh`` is run by a shell, in the order of the page, with an empty home. `--hard`
does it the hard way: in a folder whose name has spaces and letters that are not Latin, whose parent
may not be written (not by root, either), with LANG=C and in another time zone.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# linux/prctl.h, linux/capability.h: without these two, root may write where anybody may.
_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 24, 1, 2
_BLOCK = re.compile(r"^(## .+?)$|^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def steps(page: str) -> list[tuple[str, str]]:
    """Heading and text of every block that is to be run."""
    found, heading = [], ""
    for match in _BLOCK.finditer(page):
        if match[1]:
            heading = match[1].lstrip("# ")
        else:
            found.append((heading, match[2]))
    return found


def main(arguments: list[str]) -> int:
    """Clone, walk, and say how long each step took."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--hard", action="store_true", help="a hard place and a strange machine")
    hard = parser.parse_args(arguments).hard
    with tempfile.TemporaryDirectory() as scratch:
        parent = Path(scratch, "Фронт і тил, à deux") if hard else Path(scratch, "walk")
        home = Path(scratch, "home")
        home.mkdir()
        clone = parent / "frontline notebooks" if hard else parent / "frontline"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        environment = {"HOME": str(home), "PATH": os.environ["PATH"]}
        for name in ("PIP_INDEX_URL", "PIP_FIND_LINKS", "PIP_CONFIG_FILE", "SSL_CERT_FILE"):
            environment |= {name: os.environ[name]} if name in os.environ else {}
        if hard:
            environment |= {"LANG": "C", "LC_ALL": "C", "TZ": "Pacific/Chatham"}
            parent.chmod(0o555)
        try:
            return _walk(clone, environment)
        finally:
            parent.chmod(0o755)


def _be_anybody() -> None:
    if os.getuid() == 0:
        for capability in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
            ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)


def _walk(clone: Path, environment: dict[str, str]) -> int:
    for heading, block in steps((clone / "docs" / "tutorial.md").read_text(encoding="utf-8")):
        start = time.monotonic()
        done = subprocess.run(
            ["sh", "-euc", block], cwd=clone, env=environment, check=False, preexec_fn=_be_anybody
        )
        print(f"{time.monotonic() - start:6.0f} s  {heading}: {block.splitlines()[0]}", flush=True)
        if done.returncode:
            print(f"exit status {done.returncode}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
