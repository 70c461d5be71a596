"""In JupyterLab: what a newcomer sees of notebooks, of values, and of errors."""

from datetime import date

import nbformat
import pytest
from bs4 import BeautifulSoup
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from helpers import changes, gate, guide, reference, snapshots, sources
from helpers.errors import ParameterError
from helpers.workspace import PROJECT, Workspace
from test_crash import read

WS = Workspace.at(PROJECT)


def test_every_notebook_is_listed_with_its_question():
    frame = guide.notebooks(WS).frame
    paths = sorted((PROJECT / "notebooks").glob("0*.ipynb"))
    assert frame["notebook"].tolist() == [path.stem for path in paths]
    assert frame["question"].str.endswith("?").all()
    assert frame.loc[1, "parameters"].startswith("sector, report_date, compare_to")


def test_parameters_are_told_with_default_and_meaning():
    rows = guide.parameters("01", WS).frame.set_index("parameter")
    assert rows.loc["sector", "default"] == '"kurakhove"'
    assert rows["meaning"].str.len().min() > 5


@pytest.mark.parametrize("name", ["", "9", "0", "01-sector-mop"])
def test_a_notebook_that_is_not_one_of_them_is_said(name):
    with pytest.raises(ParameterError, match=r"Unknown notebook .*Known: 00-snapshots"):
        guide.parameters(name, WS)


def test_a_notebook_runs_with_parameters_into_drafts(tmp_path, monkeypatch):
    monkeypatch.delenv("FRONTLINE_OUTPUT", raising=False)
    ws = Workspace.at(read(tmp_path))
    values = {"sector": "toretsk", "source": "reconstruction", "report_date": "2025-01-08"}
    made = guide.run("01", ws, **values)
    assert made == ws.reports / "drafts" / "notebooks" / "01-sector-map.ipynb"
    given = nbformat.read(made, as_version=4).metadata.papermill.parameters
    assert given == values
    with pytest.raises(ParameterError, match="no parameter 'sektor'"):
        guide.run("01", ws, sektor="toretsk")


def rows(value):
    table = BeautifulSoup(value._repr_html_(), "html.parser")
    lines = [[c.get_text() for c in row.find_all(["th", "td"])] for row in table.find_all("tr")]
    return table.caption.get_text(), lines


def test_values_show_themselves(tmp_path):
    ws = Workspace.at(read(tmp_path))
    before, today = (
        snapshots.load(ws, "reconstruction", date.fromisoformat(day))
        for day in ("2024-12-08", "2025-01-08")
    )
    assert repr(today).splitlines()[1].split() == ["tier", "area,", "km²"]
    said, lines = rows(today)
    assert said.startswith("reconstruction, assessed day 2025-01-08")
    assert lines[0] == ["tier", "area, km²"]
    assert [line[0] for line in lines[1:]] == list(today.tiers)
    change = changes.in_sector(
        reference.sector("kurakhove"), before, today, source=sources.get("reconstruction")
    )
    said, (head, numbers) = rows(change)
    assert said.startswith("Kurakhove, presence, 2024-12-08 to 2025-01-08 (31 days)")
    shown = dict(zip(head, numbers, strict=True))
    assert shown["net, km²"] == f"+{change.net_km2:.1f}"
    assert shown["± change, km²"] == f"{change.change_error_km2:.1f}"
    assert f"{change.net_km2:+.1f}" in repr(change)
    verdict = gate.Verdict(date(2025, 1, 8), gate.QUARANTINED, ("too <large>",), ("a note",))
    said, lines = rows(verdict)
    assert said == "2025-01-08: quarantined"
    assert lines[1:] == [["too <large>"], ["a note"]]


def test_an_error_in_a_notebook_is_short_and_says_what_to_do():
    shell = InteractiveShell()
    source = "from helpers import reference; reference.sector('kurahove')"
    with capture_output() as shown:
        result = shell.run_cell(source)
    assert isinstance(result.error_in_exec, ParameterError)
    assert shown.stdout.strip() == (
        "ParameterError: Unknown sector 'kurahove'. Did you mean 'kurakhove'? "
        "Known: kurakhove, kursk, toretsk."
    )
