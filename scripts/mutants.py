"""Sum up what `make mutants` left in mutants/: how many were killed, and why the others live.

    python scripts/mutants.py [--write]

Prints the counts by room and every survivor that no rule explains. `--write` keeps the list of all
survivors in docs/mutants.csv. The exit status is 1 if fewer than 85 in a hundred were killed.
"""

from __future__ import annotations

import ast
import csv
import difflib
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
LIST = ROOT / "docs" / "mutants.csv"
ROOMS = ("changes", "cuts", "edges", "gate", "measures", "series")
LEAST_SHARE = 0.85
# Exit statuses of a run of the tests: they failed, broke off, ended by a signal, or took too long.
# Everything else lives: passed (0), and no test that reaches it (33).
_KILLED = {1, 3, 24, 36, 152, -9, -11, -24}

# A reason for those that live: function, what the mutation takes away and puts there.
_ANY = r".*"
RULES: tuple[tuple[str, str, str, str], ...] = (
    (
        r"of|hashes_of|_vertex_hashes|_edge_hashes|_keys|_among",
        _ANY,
        r".*(uint64|bits|hashes|vertex|keys|last|ending).*",
        "another hash function, which is as good: equal edges stay equal, and others rarely meet",
    ),
    (
        r"_cells|_nearest|_put_back|_boxes|_enclosed|_portions|merge|faces",
        _ANY,
        _ANY,
        "a grid or window of another size or order: candidates differ, what is found is the same",
    ),
    (
        r"clip|to_boxes|_to_box|slivers|overlap|_contact_km|contact_line|sides|_place|_cut|_depth_km",
        r".*(prepare|contains|equals|query|clip_box|_to_box|clip_by_rect|is_empty|narrow|wide|NOWHERE|margin|"
        r"intersects|local_crs|total_bounds|border is None|dtype|inside).*",
        _ANY,
        "a short cut before the exact cut: without it, or with another, the result is the same",
    ),
    (r"_Maps.*|_in_order|daily|since", _ANY, _ANY, "keeps or orders what is at hand; same rows"),
    (
        _ANY,
        r".*(strict=|ignore_index|dtype|astype|to_numpy|freq=|orient|how=|np\.full|unit=|as_unit"
        r"|asfreq|kind=|keep_collapsed).*",
        _ANY,
        "a default, or a type that is converted to the same one after",
    ),
    (
        _ANY,
        r".*([<>]=?|\bif\b).*",
        r".*[<>]=.*|.*[<>].*",
        "another side of a limit that no measured number meets exactly, or guarded elsewhere",
    ),
    (_ANY, r".*tolerance.*", _ANY, "a label's place, to the metre"),
    (r".*_(repr_html|shown)_*", _ANY, _ANY, "a word or a place in a table that a notebook shows"),
    (
        r"_specks|_measure|_levels|_reclassified|record_query|records|_to_box|_admits",
        r".*(= False|np\.nan|\* advance|\+= abs|flags|least_km2|iloc\[0\]|continue|clip_by_rect|"
        r"bool\(entry).*",
        _ANY,
        "the same by what surrounds it: None is False in an array of truths, a sign is 1 or -1, a "
        "first row is labelled so, all rows have the same name, a box of nothing is nothing",
    ),
    (_ANY, r".*(_E2|w \*\* ).*", _ANY, "beyond the seventh digit of a degree's length"),
    (_ANY, r".*/ 1000", _ANY, "one in a thousand of a distance that is told to a tenth"),
)


class Survivor(NamedTuple):
    """A mutant that no test killed."""

    room: str
    function: str
    was: str
    now: str
    reason: str


def results(room: str) -> dict[str, int | None]:
    """Exit status of the tests by mutant: 0 where they passed, None where they were not run."""
    path = ROOT / "mutants" / "src" / "helpers" / f"{room}.py.meta"
    return dict(json.loads(path.read_text())["exit_code_by_key"])


def survivors(room: str) -> Iterator[Survivor]:
    """The mutants of a room that live, with what differs."""
    text = (ROOT / "mutants" / "src" / "helpers" / f"{room}.py").read_text()
    functions = {
        node.name: ast.unparse(node).splitlines()[1:]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef)
    }
    for key, status in results(room).items():
        name = key.rpartition(".")[2]
        if status not in _KILLED:
            original = re.sub(r"__mutmut_\d+$", "__mutmut_orig", name)
            was, now = _apart(functions[original], functions[name])
            function = re.sub(r"^x[ǁ_]|__mutmut_\d+$", "", name)
            yield Survivor(room, function, was, now, _reason(function, was, now))


def _apart(was: list[str], now: list[str]) -> tuple[str, str]:
    lines = list(difflib.ndiff([w.strip() for w in was], [n.strip() for n in now]))
    return tuple(" ".join(line[2:] for line in lines if line[:2] == mark) for mark in ("- ", "+ "))  # type: ignore[return-value]


def _reason(function: str, was: str, now: str) -> str:
    for name, before, after, reason in RULES:
        if re.fullmatch(name, function) and re.fullmatch(before, was) and re.fullmatch(after, now):
            return reason
    return ""


def main(arguments: list[str]) -> int:
    """Count, and list."""
    open_ = [key for room in ROOMS for key, status in results(room).items() if status is None]
    if open_:
        print(f"{len(open_)} mutants were not run. Run it again: make mutants", file=sys.stderr)
        return 2
    living = [one for room in ROOMS for one in survivors(room)]
    lives = Counter(one.room for one in living)
    killed = count = 0
    for room in ROOMS:
        mutants = len(results(room))
        count, killed = count + mutants, killed + mutants - lives[room]
        print(
            f"{room}: {mutants - lives[room]} of {mutants} killed, {1 - lives[room] / mutants:.1%}"
        )
    print(f"all: {killed} of {count} killed, {killed / count:.1%}")
    for one in living:
        if not one.reason:
            print(f"unexplained: {one.room}.{one.function}: {one.was}  →  {one.now}")
    if "--write" in arguments:
        with LIST.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(Survivor._fields)
            writer.writerows(living)
    return int(killed < LEAST_SHARE * count)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
