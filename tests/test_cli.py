import json
import re
import shlex
import shutil
from contextlib import nullcontext

import pandas as pd
import pytest
from click.testing import CliRunner

import fakereports
from helpers import doctor, forkserver
from helpers.cli import main
from helpers.schema import MEASURE_COLUMNS
from helpers.workspace import PROJECT


def run(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture
def two_days(workspace):
    folder = workspace.raw / "reconstruction"
    folder.mkdir()
    for day in ("2025-01-07", "2025-01-08"):
        shutil.copy(PROJECT / "data" / "raw" / "reconstruction" / f"{day}.geojson", folder)
    return workspace


MEASURE = ("measures", "--source", "reconstruction", "--start", "2025-01-08", "--end", "2025-01-08")


def test_measures_writes_the_table(two_days, tmp_path):
    out = tmp_path / "out" / "measures.csv"
    sectors = ("--sector", "kurakhove", "--sector", "kursk", "--sector", "all")
    done = run("--root", two_days.root, *MEASURE, *sectors, "--out", out)
    assert done.exit_code == 0, done.output
    table = pd.read_csv(out)
    assert tuple(table.columns) == MEASURE_COLUMNS
    assert table["day"].tolist() == ["2025-01-08"] * 3
    rows = table.set_index("sector")
    # The map before the window is what the first day is compared with.
    assert rows.loc["kurakhove", "elapsed_days"] == 1
    assert rows.loc["kurakhove", "net_km2"] == pytest.approx(7.0, abs=0.5)
    assert rows.loc["kursk", "tier"] == "ukrainian_held"
    assert rows.loc["kursk", "area_km2"] == pytest.approx(472.7, abs=0.5)


def test_measures_to_the_terminal_is_the_same_csv(two_days, tmp_path):
    out = tmp_path / "m.csv"
    run("--root", two_days.root, *MEASURE, "--sector", "toretsk", "--out", out)
    done = run("--root", two_days.root, *MEASURE, "--sector", "toretsk")
    assert done.output == out.read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--sector", "kurahove"), "Did you mean 'kurakhove'? Known: kurakhove, kursk, toretsk"),
        (("--sector", "toretsk", "--tier", "held"), "Unknown tier 'held'"),
        (("--sector", "toretsk", "--end", "2025-02-31"), "--end '2025-02-31' is not a day"),
        (("--sector", "toretsk", "--source", "isw2"), "Unknown source 'isw2'"),
    ],
)
def test_a_wrong_word_is_answered_with_the_right_ones(two_days, words, message):
    done = run("--root", two_days.root, *MEASURE, *words)
    assert done.exit_code == 1
    assert message in done.output


def test_ingest_says_what_it_did_and_fails_with_a_bad_file(two_days):
    assert run("--root", two_days.root, "ingest").output == (
        "reconstruction: 2 new, 0 unchanged, 0 removed, 0 failed, 0 quarantined\n"
    )
    (two_days.raw / "reconstruction" / "2025-01-09.geojson").write_text("{")
    done = run("--root", two_days.root, "ingest")
    assert done.exit_code == 1
    assert "reconstruction: 1 new, 2 unchanged, 0 removed, 1 failed" in done.output
    assert "data/raw/reconstruction/2025-01-09.geojson: not JSON at byte" in done.output


def test_a_workspace_that_is_not_there_is_named(tmp_path):
    done = run("--root", tmp_path / "nowhere", "ingest")
    assert done.exit_code == 1
    assert "There is no folder" in done.output


def test_help_needs_no_workspace():
    for words in ((), ("report",), ("ingest",), ("measures",), ("reconstruct",), ("notebooks",)):
        done = run(*words, "--help")
        assert done.exit_code == 0
        assert len(done.output.splitlines()) <= 40


def commands():
    found = {}
    for name, command in main.commands.items():
        inner = getattr(command, "commands", None)
        found |= {f"{name} {k}": c for k, c in inner.items()} if inner else {name: command}
    return found


@pytest.mark.parametrize("name", commands())
def test_help_fits_a_screen_and_has_examples_that_parse(name):
    done = run(*name.split(), "--help")
    lines = done.output.splitlines()
    assert len(lines) <= 32
    assert max(map(len, lines)) <= 80
    text = done.output.replace("\\\n", " ")
    examples = re.findall(r"frontline((?: --\w+)? " + name + r".*?)\)?\"?$", text, re.MULTILINE)
    assert examples
    for example in examples:
        words = [w for w in shlex.split(example) if w != "--verbose" or name == "check"]
        with commands()[name].make_context(name, words[len(name.split()) :]) as context:
            assert context.args == []


def test_the_list_of_commands_is_not_cut_off():
    listed = run("--help").output.split("Commands:")[1]
    assert "..." not in listed


@pytest.mark.parametrize(
    "words",
    [
        ("ingest",),
        ("check",),
        ("claims", "check"),
        ("report", "2025-01-08", "--dry-run", "--compare-to", "2025-01-07"),
        ("backfill", "2025-01-08", "2025-01-08", "--dry-run"),
        (*MEASURE, "--sector", "toretsk"),
        ("doctor", "--offline"),
    ],
)
def test_json_is_one_document(two_days, words):
    done = run("--root", two_days.root, *words, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)
    assert done.stderr == ""


def test_quiet_says_results_only_and_verbose_every_step(two_days):
    loud = run("--root", two_days.root, "--verbose", "ingest")
    assert "reconstruction: file 2 of 2" in loud.stderr
    fakereports.report(two_days.root, "2025-01-08")
    quiet = run("--root", two_days.root, "--quiet", "site")
    assert quiet.stderr == ""
    assert quiet.stdout.strip().endswith("index.html")
    assert "files made" in run("--root", two_days.root, "site").stderr
    assert "exclude each other" in run("--quiet", "--verbose", "ingest").stderr


def test_colours_are_for_terminals_that_want_them(two_days, monkeypatch):
    words = ["--root", str(two_days.root), "doctor", "--offline"]
    runner = CliRunner()
    assert "\x1b[32m" in runner.invoke(main, words, color=True).output
    assert "\x1b[" not in runner.invoke(main, words).output
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in runner.invoke(main, words, color=True).output


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_can_complete(shell):
    assert "_FRONTLINE_COMPLETE" in run("completion", shell).output


@pytest.mark.parametrize(
    ("words", "incomplete", "found"),
    [
        (["measures", "--source"], "deep", ["deepstate"]),
        (["animate", "--sector"], "kur", ["kurakhove", "kursk"]),
        (["rep"], "rep", ["report"]),
    ],
)
def test_completion_knows_sources_and_sectors(two_days, words, incomplete, found):
    from click.shell_completion import ShellComplete

    completer = ShellComplete(main, {}, "frontline", "_FRONTLINE_COMPLETE")
    before = words if words[0] != "rep" else []
    given = ["--root", str(two_days.root), *before]
    assert [one.value for one in completer.get_completions(given, incomplete)] == found


def test_a_doctor_finds_what_is_wrong_and_says_what_to_do(two_days, monkeypatch):
    done = run("--root", two_days.root, "doctor", "--offline")
    assert done.exit_code == 0, done.output
    assert "note  data: reconstruction not read yet" in done.output
    run("--root", two_days.root, "ingest")
    done = run("--root", two_days.root, "doctor", "--offline")
    assert "ok    data: reconstruction 2 days to 2025-01-08" in done.output
    monkeypatch.setenv("PATH", "/nowhere")
    assert "apt install chromium" in run("--root", two_days.root, "doctor", "--offline").output
    monkeypatch.setattr(doctor, "_LEAST_FREE_GB", 1e9)
    shutil.rmtree(two_days.raw)
    two_days.raw.mkdir()
    done = run("--root", two_days.root, "doctor", "--offline")
    assert done.exit_code == 1
    assert "FAULT workspace: " in done.output
    assert "FAULT data: no files in" in done.output
    assert "frontline fetch deepstate" in done.output


def test_a_doctor_names_the_hosts_that_do_not_answer(two_days, monkeypatch):
    monkeypatch.setattr(doctor, "_answers", lambda host: "arcgis" not in host)
    done = run("--root", two_days.root, "doctor")
    assert done.exit_code == 0
    assert "note  network: no answer from services5.arcgis.com, www.arcgis.com" in done.output


def test_a_doctor_finds_an_old_package(two_days, monkeypatch):
    monkeypatch.setattr(doctor, "requires", lambda name: ["numpy>=99", "nosuchpackage"])
    done = run("--root", two_days.root, "doctor", "--offline", "--json")
    fault = next(one for one in json.loads(done.output) if one["what"] == "packages")
    assert fault["status"] == "fault"
    assert "not >=99; nosuchpackage is not installed" in fault["found"]


def test_kernels_are_prepared_only_where_a_report_is_sure_to_be_made(workspace, monkeypatch):
    (workspace.reports / "2025-01-08").mkdir(parents=True)
    (workspace.reports / "2025-01-08" / "index.html").touch()
    prepared = []
    monkeypatch.setattr(forkserver, "started", lambda *_, **__: nullcontext(prepared.append(1)))

    def count(*words):
        done = CliRunner().invoke(main, ["--root", str(workspace.root), "report", *words])
        assert done.exit_code == 1, done.output  # there is no source here
        return len(prepared)

    assert count("2025-01-08") == 0
    assert count("2025-01-07", "--dry-run") == 0
    assert count("2025-01-07") == 1
    assert count("2025-01-08", "--force") == 2


def test_many_reports_are_prepared_before_it_is_known_what_to_make(workspace, monkeypatch):
    """Those that are there already are not; nor are few, or a date that has a fault."""
    for day in (1, 2, 3):
        folder = workspace.reports / f"2025-01-{day:02}"
        folder.mkdir(parents=True)
        (folder / "index.html").touch()
    prepared = []

    def started(_, *, about, many):
        prepared.append([*about, many])
        return nullcontext()

    monkeypatch.setattr(forkserver, "started", started)

    def told(*words):
        done = CliRunner().invoke(main, ["--root", str(workspace.root), "backfill", *words])
        assert done.exit_code == 1, done.output  # there is no source here
        return prepared.pop() if prepared else None

    root = str(workspace.root)
    assert told("2025-01-01", "2025-01-08") == [root, "", "2025-01-04", "2025-01-08", True]
    assert told("2025-01-01", "2025-01-07") is None
    assert told("2025-01-01", "2025-01-07", "--force") == [
        root, "", "2025-01-01", "2025-01-07", True,
    ]  # fmt: skip
    weekly = told("2025-01-01", "2025-03-01", "--every", "7d", "--source", "isw")
    assert weekly == [root, "isw", "2025-01-08", "2025-02-26", True]
    assert told("2025-01-01", "2025-01-31", "--dry-run") is None
    assert told("2025-01-01", "2025-02-31") is None
    assert told("2025-01-01", "2025-01-31", "--every", "7") is None
