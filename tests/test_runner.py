import nbformat
import pytest

from helpers import runner
from helpers.errors import ParameterError, ReportError
from helpers.jobs import Job

PARAMETERS = 'sector = "toretsk"  # a sector\ncount = 3  # how many\n'


def write(path, *sources):
    v4 = nbformat.v4
    cells = [v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})]
    cells += [v4.new_code_cell(source) for source in sources]
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    notebook = v4.new_notebook(
        cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}}
    )
    path.write_text(nbformat.writes(notebook))
    return path


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sektor": "kursk"}, r"no parameter 'sektor' \(it has: sector, count\)"),
        ({"sector": 7}, "sector must be str, not int 7"),
        ({"count": "3"}, "count must be int, not str '3'"),
        ({"count": True}, "count must be int, not bool True"),
    ],
)
def test_a_wrong_parameter_is_an_error_before_anything_starts(tmp_path, given, message):
    path = write(tmp_path / "a.ipynb", "raise RuntimeError")
    with pytest.raises(ParameterError, match=message):
        runner.run_all([Job(path, "a", given)], tmp_path / "out", {})
    assert not (tmp_path / "out").exists()


def test_a_missing_notebook_is_named(tmp_path):
    with pytest.raises(ParameterError, match=r"There is no notebook .*nowhere.ipynb"):
        runner.check(Job(tmp_path / "nowhere.ipynb", "a", {}))


def environment():
    import os

    return dict(os.environ, MARK="seen by the kernel")


def test_runs_twice_to_the_same_bytes_with_parameters_and_environment(tmp_path):
    path = write(
        tmp_path / "a.ipynb",
        'import os\nprint(sector, count, os.environ["MARK"])',
        "print(1)\nprint(2)",
    )
    texts = []
    for folder in ("one", "two"):
        job = Job(path, "run", {"sector": "kursk"})
        notebook = runner.run_all([job], tmp_path / folder, environment())["run"]
        texts.append((tmp_path / folder / "run.ipynb").read_bytes())
    assert texts[0] == texts[1]
    assert notebook.cells[2].outputs[0].text == "kursk 3 seen by the kernel\n"
    assert notebook.metadata.papermill.parameters == {"sector": "kursk"}
    assert str(tmp_path).encode() not in texts[0]


def test_a_failing_cell_is_named_kept_and_the_others_run(tmp_path):
    bad = write(tmp_path / "bad.ipynb", "x = 1", "1 / 0  # here")
    good = write(tmp_path / "good.ipynb", "x = 1")
    jobs = [Job(bad, "bad", {}), Job(good, "good", {})]
    message = r"bad.ipynb \(bad\) failed in code cell \[3\].*'1 / 0  # here'. ZeroDivisionError"
    with pytest.raises(ReportError, match=message):
        runner.run_all(jobs, tmp_path / "out", environment())
    assert "ZeroDivisionError" in (tmp_path / "out" / "bad.ipynb").read_text()
    assert (tmp_path / "out" / "good.ipynb").is_file()


def test_a_lane_with_nothing_more_to_run_does_what_comes_next(tmp_path):
    mark = tmp_path / "mark"
    # The notebook waits for what the other lane is to do.
    path = write(
        tmp_path / "a.ipynb",
        f"import time; from pathlib import Path; mark = Path({str(mark)!r})",
        "for _ in range(500):\n    if not mark.exists():\n        time.sleep(0.02)",
        "assert mark.exists()",
    )
    asked = {"folder": tmp_path / "out", "environment": environment()}
    runner.run_all([Job(path, "a", {})], **asked, lanes=2, at_last=mark.touch)

    def fail():
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        runner.run_all([Job(path, "b", {})], **asked, at_last=fail)


def test_a_kernel_that_dies_is_an_error_that_names_the_notebook(tmp_path):
    bad = write(tmp_path / "bad.ipynb", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(
        ReportError, match=r"kernel of notebook bad.ipynb \(bad\) did not start, or"
    ):
        runner.run_all([Job(bad, "bad", {})], tmp_path / "out", environment())


def test_a_notebook_that_exits_early_is_an_error(tmp_path):
    path = write(tmp_path / "a.ipynb", "import sys; sys.exit(0)", "y = 2")
    with pytest.raises(ReportError, match=r"stopped early: .*'y = 2'"):
        runner.run_all([Job(path, "a", {})], tmp_path / "out", environment())
