"""Many reports: what is stale is made, what fails is told and does not stop the rest."""

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import date

import pytest
from click.testing import CliRunner

from helpers import backfill, forkserver, jobs, plans, reports
from helpers.cli import main
from helpers.errors import ParameterError, ReportError
from helpers.workspace import PROJECT, Workspace
from test_plans import SAMPLE, pretend

DAYS = ("2024-12-01", "2024-12-08", "2025-01-01", "2025-01-07", "2025-01-08")


@pytest.fixture
def ws(tmp_path) -> Workspace:
    raw = tmp_path / "data" / "raw" / "reconstruction"
    raw.mkdir(parents=True)
    for day in DAYS:
        shutil.copy(SAMPLE / f"{day}.geojson", raw)
    shutil.copytree(PROJECT / "notebooks", tmp_path / "notebooks")
    return Workspace.at(tmp_path)


@pytest.fixture
def maker(monkeypatch):
    """Makes reports in no time, but not that of the days in `broken`."""

    class Maker:
        def __init__(self):
            self.broken, self.made = set(), []

        def make(self, ws, asked, **_options):
            if asked.day in self.broken:
                raise ReportError("Notebook 05-briefing.ipynb failed: no ink.")
            self.made.append(asked.day)
            shutil.rmtree(plans.folder_of(ws, asked), ignore_errors=True)
            pretend(ws, asked)

    maker = Maker()
    monkeypatch.setattr(reports, "make", maker.make)
    monkeypatch.setattr(forkserver, "started", lambda _environment, **_options: nullcontext())
    return maker


def run(ws, *words):
    return CliRunner().invoke(main, ["--root", str(ws.root), "backfill", *words])


def test_steps_in_days():
    found = jobs.dates(date(2024, 8, 1), date(2024, 8, 20), 7)
    assert found == [date(2024, 8, 1), date(2024, 8, 8), date(2024, 8, 15)]
    assert jobs.dates(date(2024, 8, 1), date(2024, 8, 1), 7) == [date(2024, 8, 1)]
    with pytest.raises(ParameterError, match="2024-08-01 is before 2024-08-02"):
        jobs.dates(date(2024, 8, 2), date(2024, 8, 1), 1)
    with pytest.raises(ParameterError, match="0 days is no step"):
        jobs.dates(date(2024, 8, 1), date(2024, 8, 2), 0)


@pytest.mark.parametrize("every", ["7", "d", "-7d", "7m", "1.5d", ""])
def test_a_step_that_is_none_is_said(ws, every):
    done = run(ws, "2025-01-07", "2025-01-08", "--every", every)
    assert done.exit_code == 1
    assert "Give days or weeks: 7d, 1w." in done.output
    assert not ws.reports.exists()


def test_goes_on_after_a_failure_and_then_does_only_the_rest(ws, maker):
    maker.broken = {date(2025, 1, 7)}
    done = run(ws, "2025-01-06", "2025-01-08", "--jobs", "1")
    assert done.exit_code == 1
    lines = done.output.strip().splitlines()
    assert lines[0] == "1 made, 2 failed"
    assert lines[1].startswith("  2025-01-06  There is no reconstruction snapshot")
    assert lines[2] == "  2025-01-07  Notebook 05-briefing.ipynb failed: no ink."
    assert maker.made == [date(2025, 1, 8)]
    maker.broken = set()
    done = run(ws, "2025-01-07", "2025-01-08")
    assert done.exit_code == 0, done.output
    assert done.output.strip() == "1 made, 1 up to date"
    assert maker.made == [date(2025, 1, 8), date(2025, 1, 7)]
    assert run(ws, "2025-01-07", "2025-01-08").output.strip() == "2 up to date"
    assert run(ws, "2025-01-07", "2025-01-08", "--force").output.strip() == "2 made"


def test_a_dry_run_says_why_and_makes_nothing(ws, maker):
    pretend(ws, plans.request(ws, date(2025, 1, 7)))
    done = run(ws, "2025-01-07", "2025-01-08", "--dry-run")
    assert done.exit_code == 0
    assert done.output.splitlines() == ["2025-01-08: there is none", "1 stale, 1 up to date"]
    assert maker.made == []


def test_several_at_a_time_come_in_their_order():
    meeting = threading.Barrier(2, timeout=20)

    def make(asked, _lanes):
        meeting.wait()  # Nobody gets past it alone.
        if asked.day.day == 2:
            raise ReportError("late")

    wanted = [
        (plans.Request(date(2025, 1, n), date(2024, 12, 1), source=None), "") for n in (1, 2, 3, 4)
    ]
    with ThreadPoolExecutor(2) as pool:
        found = list(backfill.run(wanted, make, pool))
    assert [outcome.day.day for outcome in found] == [1, 2, 3, 4]
    assert [outcome.result for outcome in found] == ["made", "failed", "made", "made"]


@pytest.mark.parametrize(
    ("count", "jobs", "lanes"),
    [(1, 2, [2]), (4, 2, [1, 1, 2, 2]), (3, 2, [1, 2, 2]), (2, 8, [4, 4]), (3, 1, [1, 1, 1])],
)
def test_the_last_dates_share_what_would_be_idle(count, jobs, lanes):
    given = {}
    wanted = [
        (plans.Request(date(2025, 1, n + 1), date(2024, 12, 1), source=None), "")
        for n in range(count)
    ]
    with ThreadPoolExecutor(jobs) as pool:
        list(backfill.run(wanted, lambda a, n: given.update({a.day: n}), pool, jobs=jobs))
    assert [given[day] for day in sorted(given)] == lanes


def test_a_fault_of_the_program_is_not_taken_for_a_failed_date(ws):
    def make(_asked, _lanes):
        raise TypeError("a bug")

    wanted = [(plans.Request(date(2025, 1, 1), date(2024, 12, 1), source=None), "")]
    with ThreadPoolExecutor(1) as pool, pytest.raises(TypeError, match="a bug"):
        list(backfill.run(wanted, make, pool))
