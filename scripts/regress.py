"""Compare the numbers of committed example reports with fresh ones: `make regress`.

    python scripts/regress.py [--accept]

Makes the reports of `EXAMPLES` from the embedded sample in a folder of its own, takes every number
that a cell of their notebooks shows and every headline number of the manifest, and compares them
with `docs/example/numbers.json`. Each that differs is told with its date, notebook, cell and by how
much, and the exit status is 1. `--accept` keeps the fresh ones, if CHANGELOG.md has a new line that
says "numbers change".
"""

from __future__ import annotations

import argparse
import difflib
import html
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
COMMITTED = ROOT / "docs" / "example" / "numbers.json"
EXAMPLES = {
    "2024-11-15": ("--compare-to", "2024-10-15"),
    "2025-01-08": ("--compare-to", "2024-12-08"),
}
HEADLINES = "headline numbers"
# Numbers as texts, with spaces between them: by the day, the run of a notebook, the cell.
Numbers = Mapping[str, Mapping[str, Mapping[str, str]]]
_NUMBER = re.compile(r"(?<![\w.])[-−+±]?\d[\d,]*(?:\.\d+)?(?![\w])")
_TAG = re.compile(r"<style.*?</style>|<[^>]*>", re.DOTALL)


def of_notebook(notebook: Mapping[str, Any]) -> dict[str, str]:
    """Every number that the cells show, by the cell: its place and first line."""
    found = {}
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for place, cell in enumerate(code, 1):
        numbers = _NUMBER.findall(" ".join(_texts(cell["outputs"])))
        if numbers:
            source = "".join(cell["source"]).strip()
            found[f"cell {place}, {source.splitlines()[0][:60]}"] = " ".join(numbers)
    return found


def _texts(outputs: list[Mapping[str, Any]]) -> Iterator[str]:
    for output in outputs:
        data = output.get("data", {})
        shown = data.get("text/html") or data.get("text/markdown")
        if shown is None and not any(kind.startswith("image/") for kind in data):
            shown = output.get("text") or data.get("text/plain")
        yield html.unescape(_TAG.sub(" ", "".join(shown or "")))


def of_report(folder: Path) -> dict[str, dict[str, str]]:
    """The numbers of a report: by the run of a notebook, by the cell."""
    manifest = json.loads((folder / "manifest.json").read_text())
    found = {}
    for path in sorted((folder / "notebooks").glob("*.ipynb")):
        cells = of_notebook(json.loads(path.read_text()))
        headline = manifest["runs"][path.stem]["numbers"]
        cells |= {f"{HEADLINES}, {name}": f"{value:.6f}" for name, value in headline.items()}
        found[path.stem] = cells
    return found


def differences(old: Numbers, new: Numbers) -> list[str]:
    """Say which numbers differ: date, notebook, cell, from what to what, by how much."""
    told = []
    for day, run, cell in sorted(
        {(d, r, c) for of in (old, new) for d in of for r in of[d] for c in of[d][r]}
    ):
        was, now = (of.get(day, {}).get(run, {}).get(cell, "").split() for of in (old, new))
        for tag, a, b, c, d in difflib.SequenceMatcher(
            None, was, now, autojunk=False
        ).get_opcodes():
            if tag != "equal":
                told.append(f"{day} {run}, {cell}: {_step(was[a:b], now[c:d])}")
    return told


def _step(was: list[str], now: list[str]) -> str:
    if len(was) != len(now):
        return f"{' '.join(was) or 'nothing'} → {' '.join(now) or 'nothing'}"
    steps = (
        f"{a} → {b} ({_value(b) - _value(a):+,.6g})"
        for a, b in zip(was, now, strict=True)
        if a != b
    )
    return ", ".join(steps)


def _value(number: str) -> float:
    return float(number.replace(",", "").replace("−", "-").replace("±", ""))


def announced() -> int:
    """How many lines of the changelog say that numbers change."""
    return (ROOT / "CHANGELOG.md").read_text().lower().count("**numbers change**:")


def fresh() -> dict[str, dict[str, dict[str, str]]]:
    """Make the reports and take their numbers."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        (root / "data").mkdir()
        (root / "data" / "raw").symlink_to(ROOT / "data" / "raw")
        command = [sys.executable, "-m", "helpers.cli", "--root", str(root), "report"]
        for day, options in EXAMPLES.items():
            subprocess.run([*command, day, *options], check=True, stdout=subprocess.DEVNULL)
        return {day: of_report(root / "reports" / day) for day in EXAMPLES}


def main(arguments: list[str]) -> int:
    """Compare, or accept."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--accept", action="store_true", help="keep the fresh numbers")
    accept = parser.parse_args(arguments).accept
    committed = json.loads(COMMITTED.read_text()) if COMMITTED.is_file() else {}
    numbers, count = fresh(), announced()
    told = differences(committed.get("numbers", {}), numbers)
    print("\n".join(told) or "No number of the example reports has changed.")
    if not told:
        return 0
    if not accept:
        print(
            f"{len(told)} differences. If they are meant, say in CHANGELOG.md what and why "
            "('**numbers change**: ...'), and run: make regress ACCEPT=1",
            file=sys.stderr,
        )
        return 1
    if committed and count <= committed["announced"]:
        print(
            "CHANGELOG.md has no new line with '**numbers change**:'. Say what and why.",
            file=sys.stderr,
        )
        return 1
    content = {"announced": count, "numbers": numbers}
    COMMITTED.write_text(json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
