import importlib.util
import re
from pathlib import Path

import pandas as pd
import pytest

from grounds import marked

PROJECT = Path(__file__).parents[1]
SPEC = importlib.util.spec_from_file_location(
    "compare_published", PROJECT / "scripts" / "compare_published.py"
)
compare_published = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(compare_published)


@marked
def test_the_page_of_published_figures_is_that_of_the_maps(shared_data):
    page = (PROJECT / "docs" / "published.md").read_text(encoding="utf-8")
    assert page == compare_published.page(shared_data)
    months = re.findall(
        r"\| DeepState, .*\| net gain, Ukraine \| (\d+) \| net ([\d.]+), gained ([\d.]+)", page
    )
    assert len(months) == 3
    for published, net, gained in months:
        assert float(net) == pytest.approx(float(published), rel=0.03)
        assert float(gained) >= float(net)


def test_a_period_without_maps_near_its_ends_is_left_out():
    days = pd.DatetimeIndex(["2025-01-05", "2025-01-25"], name="day")
    known = {"Ukraine": pd.DataFrame({"net_km2": 1.0, "gained_km2": 1.0}, index=days)}
    figure = pd.Series(
        {
            "publisher": "P",
            "measure": "gain",
            "scope": "Ukraine",
            "value_km2": 5,
            "period_start": pd.Timestamp("2025-01-01"),
            "period_end": pd.Timestamp("2025-01-31"),
        }
    )
    assert compare_published.row(figure, known) is None
    figure["period_start"], figure["period_end"] = days + pd.Timedelta(days=1)
    line = compare_published.row(figure, known)
    assert line["measured"] == "net 1.0, gained 1.0"
    figure["period_start"] = pd.Timestamp("2024-01-01")
    assert compare_published.row(figure, known) is None
