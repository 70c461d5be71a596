from datetime import date

import pandas as pd
import pytest

from helpers.tables import Table

MINUS = "\N{MINUS SIGN}"


@pytest.fixture
def table() -> Table:
    frame = pd.DataFrame(
        {
            "sector": ["Toretsk", "<b>Kursk</b>"],
            "day": pd.to_datetime(["2025-01-07", "2025-01-08"]),
            "net_km2": [2.46, -14.0],
            "inside_share": [0.5, 1.0],
            "elapsed_days": [1, 31],
        }
    )
    return Table(frame, "What changed", labels={"net_km2": "net change"}, signed=("net_km2",))


def test_cells_are_formatted_with_unit_sign_and_true_minus(table):
    assert table.rows()[0] == ["Toretsk", "2025-01-07", "+2.5", "50", "1"]
    assert table.rows()[1][2] == f"{MINUS}14.0"
    assert table.header("net_km2") == "net change, km²"
    assert table.header("elapsed_days") == "elapsed, days"


def test_zero_has_no_sign_and_missing_is_a_dash():
    frame = pd.DataFrame({"net_km2": [-0.01, 0.0, None], "note": ["a", "b", None]})
    rows = Table(frame, "c", signed=("net_km2",)).rows()
    assert [row[0] for row in rows] == ["0.0", "0.0", "–"]
    assert rows[2][1] == "–"


def test_html_escapes_data_and_scopes_headers(table):
    html = table._repr_html_()
    assert "<b>Kursk</b>" not in html
    assert "&lt;b&gt;Kursk&lt;/b&gt;" in html
    assert html.count('scope="col"') == 5
    assert html.count('scope="row"') == 2
    assert "<caption>What changed</caption>" in html


def test_empty_table_says_none():
    empty = Table(
        pd.DataFrame({"name": pd.Series(dtype=str), "area_km2": pd.Series(dtype=float)}), "c"
    )
    assert "None." in empty._repr_html_()
    assert repr(empty).startswith("c\n")


def test_dates_as_objects_are_iso():
    assert Table(pd.DataFrame({"day": [date(2025, 1, 8)]}), "c").rows() == [["2025-01-08"]]
