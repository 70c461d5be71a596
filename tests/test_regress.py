"""The alarm for numbers that drift: it tells which, where and by how much, and wants a reason."""

import copy
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

import regress  # noqa: E402

COMMITTED = json.loads(regress.COMMITTED.read_text())


def cell(source, **data):
    return {
        "cell_type": "code",
        "source": [source],
        "outputs": [{"output_type": "display_data", "data": data}],
    }


def test_numbers_are_taken_from_what_a_reader_sees():
    notebook = {
        "cells": [
            {"cell_type": "markdown", "source": ["42"]},
            cell("Markdown(x)", **{"text/markdown": ["grew by **1,286.5 km²** (± 14) in H2O, −3"]}),
            cell("table", **{"text/html": "<td style='width:9px'>+7</td>", "text/plain": "8"}),
            cell("figure", **{"image/png": "iVBOR1234", "text/plain": "<Figure 640x480>"}),
        ]
    }
    assert regress.of_notebook(notebook) == {
        "cell 1, Markdown(x)": "1,286.5 14 −3",
        "cell 2, table": "+7",
    }


@pytest.mark.parametrize(
    ("was", "now", "told"),
    [
        ("286 31", "290 31", "286 → 290 (+4)"),
        ("1,286 −3", "1,286 −4.5", "−3 → −4.5 (-1.5)"),
        ("1 2", "1 2 3", "nothing → 3"),
        ("5", "", "5 → nothing"),
    ],
)
def test_a_changed_number_is_told_with_its_place_and_step(was, now, told):
    old = {"2025-01-08": {"claims": {"cell 3, told": was, "cell 4, same": "9"}}}
    new = {"2025-01-08": {"claims": {"cell 3, told": now, "cell 4, same": "9"}}}
    assert regress.differences(old, new) == [f"2025-01-08 claims, cell 3, told: {told}"]


def test_the_committed_numbers_are_those_of_the_committed_notebooks():
    """Only `make regress` makes the reports again; here the two that are committed must agree."""
    shown = json.loads((ROOT / "notebooks" / "01-sector-map.ipynb").read_text())
    of_report = COMMITTED["numbers"]["2025-01-08"]["sector-map-kurakhove"]
    found = regress.of_notebook(shown)
    # The report has a cell more, with its parameters.
    headline = next(text for name, text in found.items() if "standfirst" in name)
    assert headline in of_report.values()


def run(monkeypatch, tmp_path, numbers, *arguments, lines=0):
    committed = tmp_path / "numbers.json"
    committed.write_text(json.dumps({"announced": 1, "numbers": COMMITTED["numbers"]}))
    monkeypatch.setattr(regress, "COMMITTED", committed)
    monkeypatch.setattr(regress, "fresh", lambda: numbers)
    monkeypatch.setattr(regress, "announced", lambda: 1 + lines)
    return regress.main(list(arguments)), json.loads(committed.read_text())["numbers"]


def test_a_drift_fails_and_is_kept_only_when_it_is_announced(monkeypatch, tmp_path, capsys):
    drifted = copy.deepcopy(COMMITTED["numbers"])
    runs = drifted["2025-01-08"]["sector-map-kurakhove"]
    runs["headline numbers, net_km2"] = "300.000000"
    same = COMMITTED["numbers"]
    assert run(monkeypatch, tmp_path, same) == (0, same)
    assert run(monkeypatch, tmp_path, drifted) == (1, same)
    assert "sector-map-kurakhove, headline numbers, net_km2: " in capsys.readouterr().out
    assert run(monkeypatch, tmp_path, drifted, "--accept") == (1, same)
    assert "no new line" in capsys.readouterr().err
    assert run(monkeypatch, tmp_path, drifted, "--accept", lines=1) == (0, drifted)


def test_the_changelog_announces_what_was_accepted():
    assert regress.announced() >= COMMITTED["announced"] > 0
