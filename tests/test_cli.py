import shutil

import pandas as pd
import pytest
from click.testing import CliRunner

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
