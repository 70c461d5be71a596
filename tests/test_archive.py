import json
from datetime import date

import pytest

from fakereports import report
from helpers import archive
from helpers.errors import WorkspaceError


def test_reports_are_found_by_day_and_drafts_are_none(tmp_path):
    for day in ("2025-01-08", "2025-01-06"):
        report(tmp_path, day)
    report(tmp_path, "2025-01-08", source="deepstate", suffix="-deepstate")
    for other in ("drafts", "failed"):
        (tmp_path / "reports" / other).mkdir()
        (tmp_path / "reports" / other / "manifest.json").write_text("{}")
    found = archive.read(tmp_path / "reports")
    assert [r.name for r in found.reports] == ["2025-01-06", "2025-01-08", "2025-01-08-deepstate"]
    assert found.latest.name == "2025-01-08"
    assert found.latest.day == date(2025, 1, 8)
    assert found.sectors() == ["kurakhove", "kursk"]


def test_before_and_after_are_of_the_same_source(tmp_path):
    for day in ("2025-01-06", "2025-01-07", "2025-01-08"):
        report(tmp_path, day)
    report(tmp_path, "2025-01-07", source="deepstate", suffix="-deepstate")
    found = archive.read(tmp_path / "reports")
    names = [
        tuple(other.name if other else None for other in found.beside(r)) for r in found.reports
    ]
    assert names == [
        (None, "2025-01-07"),
        ("2025-01-06", "2025-01-08"),
        (None, None),
        ("2025-01-07", None),
    ]


def test_a_day_of_several_reports_stands_once_with_its_change(tmp_path):
    report(tmp_path, "2025-01-06", nets={"2025-01-05": 1.0})
    # The later report begins where the earlier one had a change already.
    later = report(tmp_path, "2025-01-08", nets={"2025-01-05": 2.0})
    path = later / "data" / "measures.csv"
    path.write_text(
        path.read_text().replace(
            "2025-01-05,presence,100.0,,,2.000000,,1", "2025-01-05,presence,100.0,,,,,"
        )
    )
    table = archive.read(tmp_path / "reports").measures.set_index(["sector", "day"])
    assert table.index.is_unique
    assert table.loc[("kurakhove", "2025-01-05"), "net_km2"] == 1.0
    assert table.loc[("kursk", "2025-01-05"), "net_km2"] == 2.0
    assert len(table) == 2 * 4


def test_polygons_are_published_only_where_the_source_allows_it(tmp_path):
    own = archive.open_report(report(tmp_path, "2025-01-08"))
    other = archive.open_report(report(tmp_path, "2025-01-07", source="deepstate"))
    assert "data/change-kurakhove.geojson" in own.published()
    assert not [name for name in other.published() if name.endswith(".geojson")]
    assert "data/measures.csv" in other.published()
    manifest = {**own.manifest, "source": {"id": "somebody"}}
    assert not archive.Report(own.path, manifest, "").shares_polygons


def test_what_is_no_report_is_said(tmp_path):
    with pytest.raises(WorkspaceError, match=r"no reports in .* frontline report"):
        archive.read(tmp_path / "reports")
    with pytest.raises(WorkspaceError, match=r"has no manifest\.json"):
        archive.open_report(tmp_path)
    folder = report(tmp_path, "2025-01-08")
    (folder / "manifest.json").write_text("{")
    with pytest.raises(WorkspaceError, match="is not JSON"):
        archive.read(tmp_path / "reports")
    (folder / "manifest.json").write_text(json.dumps({"schema": "frontline-report/9"}))
    with pytest.raises(WorkspaceError, match="'frontline-report/9'"):
        archive.read(tmp_path / "reports")
