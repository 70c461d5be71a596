"""The committed notebooks: their shape, their outputs, and that nbval sees a changed number."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from papermill.inspection import inspect_notebook

from helpers import runner
from helpers.workspace import PROJECT

NOTEBOOKS = sorted((PROJECT / "notebooks").glob("*.ipynb"))
NBVAL = ["-p", "no:cacheprovider", "-W", "default", "--nbval"]
NBVAL += ["--nbval-current-env", "--nbval-sanitize-with", str(PROJECT / "tests" / "nbval.cfg")]


@pytest.fixture(params=NOTEBOOKS, ids=lambda p: p.stem)
def notebook(request):
    return nbformat.read(request.param, as_version=4)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_there_are_notebooks():
    assert {"00-snapshots", "01-sector-map", "02-advance-series", "05-briefing"} <= {
        path.stem for path in NOTEBOOKS
    }


def test_every_code_cell_was_run_in_order(notebook):
    assert [cell.execution_count for cell in code(notebook)] == list(
        range(1, len(code(notebook)) + 1)
    )
    assert sum(bool(cell.outputs) for cell in code(notebook)) >= 4
    assert notebook.metadata.kernelspec.name == "python3"


def test_outputs_hold_no_path_error_or_warning(notebook):
    text = nbformat.writes(notebook)
    assert str(PROJECT) not in text
    assert "/tmp/" not in text
    for cell in code(notebook):
        assert not [o for o in cell.outputs if o.output_type in ("error", "stream")]


def test_a_figure_is_followed_by_words_that_nbval_compares(notebook):
    for cell in code(notebook):
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                assert len(output.data["text/plain"]) > 60


def written(text):
    """The names of data files in a cell."""
    return re.findall(r'ws\.output / "data" / f?"([^"]+)"', text)


def test_no_two_notebooks_write_the_same_file():
    found = {}
    for path in NOTEBOOKS:
        cells = code(nbformat.read(path, as_version=4))
        for name in {name for cell in cells for name in written(cell.source)}:
            assert name not in found, f"{found[name]} and {path.stem} write {name}"
            found[name] = path.stem
    assert len(found) > 5


def test_cells_only_tell_the_story(notebook):
    for cell in code(notebook):
        tree = ast.parse(cell.source)
        for node in ast.walk(tree):
            assert not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Try), cell.source
        assert not re.search(r"rcParams|sys\.exit|#[0-9a-fA-F]{6}\b|Path\(", cell.source)


def test_parameters_are_literals_that_papermill_sees(notebook):
    (cell,) = (c for c in code(notebook) if "parameters" in c.metadata.get("tags", []))
    names = []
    for node in ast.parse(cell.source).body:
        assert isinstance(node, ast.Assign)
        ast.literal_eval(node.value)
        names.append(node.targets[0].id)
    assert all(line.count("=") == 1 and "#" in line for line in cell.source.splitlines())
    path = next(p for p in NOTEBOOKS if nbformat.read(p, as_version=4) == notebook)
    assert list(inspect_notebook(str(path))) == names


@pytest.mark.slow
def test_nbval_sees_one_changed_number(tmp_path):
    path = tmp_path / "changed.ipynb"
    text = (PROJECT / "notebooks" / "01-sector-map.ipynb").read_text()
    notebook = nbformat.reads(text, as_version=4)
    changed = 0
    for cell in code(notebook):
        for output in cell.outputs:
            html = output.get("data", {}).get("text/html", "")
            if not changed and (found := re.search(r"\+(\d)", html)):
                other = str((int(found[1]) + 1) % 10)
                output.data["text/html"] = html[: found.start(1)] + other + html[found.end(1) :]
                changed += 1
    assert changed == 1
    nbformat.write(notebook, path)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *NBVAL, "--rootdir", str(tmp_path), str(path)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stdout
    assert "1 failed" in done.stdout


@pytest.mark.slow
def test_papermill_alone_runs_a_notebook_for_another_day(tmp_path):
    papermill = Path(sys.executable).with_name("papermill")
    out = tmp_path / "out.ipynb"
    words = [papermill, "notebooks/01-sector-map.ipynb", out, "--no-progress-bar"]
    words += ["-p", "sector", "toretsk", "-p", "report_date", "2024-11-15", "-p", "compare_to", ""]
    subprocess.run(words, cwd=PROJECT, check=True, capture_output=True)
    text = out.read_text()
    assert "15\\u00a0November 2024" in text or "15\u00a0November 2024" in text


def test_refresh_leaves_a_notebook_as_it_was_when_it_fails(tmp_path):
    path = tmp_path / "01-bad.ipynb"
    shutil.copy(PROJECT / "notebooks" / "01-sector-map.ipynb", path)
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[2].source = "1 / 0"
    nbformat.write(notebook, path)
    before = path.read_bytes()
    with pytest.raises(runner.ReportError, match="ZeroDivisionError"):
        runner.refresh(tmp_path, PROJECT)
    assert path.read_bytes() == before
