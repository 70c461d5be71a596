"""Every number in every sentence of the briefing, against the maps, on many kinds of day."""

import json
import re
from datetime import date

import nbformat
import pytest

from grounds import marked
from helpers import findings, publishers, reference, snapshots
from helpers.cuts import clip
from helpers.projection import area_km2
from helpers.workspace import PROJECT, Workspace
from test_plans import SAMPLE

NOTEBOOK = PROJECT / "notebooks" / "05-briefing.ipynb"
MONTHS = "|".join(findings.texts()["calendar"]["months"])
DAY = re.compile(rf"(between )?\d{{1,2}}( and \d{{1,2}})? ({MONTHS})( \d{{4}})?")
NUMBER = re.compile(r"(?<![\w.,])[+−]?\d[\d,]*(?:\.\d+)?")
WORDS = {"one": 1.0}


def told(ws, monkeypatch, day, source="reconstruction", compare_to=""):
    """Run the cells of the notebook up to the briefing; what they leave, without figures."""
    monkeypatch.setenv("FRONTLINE_ROOT", str(ws.root))
    monkeypatch.setenv("FRONTLINE_OUTPUT", str(ws.root / "out"))
    values = {}
    for cell in nbformat.read(NOTEBOOK, as_version=4).cells:
        if cell.cell_type != "code":
            continue
        exec(compile(cell.source, NOTEBOOK.name, "exec"), values)
        if "parameters" in cell.metadata.tags:
            values |= {"report_date": day, "source": source, "compare_to": compare_to}
        if "briefing" in values:
            return values
    raise AssertionError("the notebook makes no briefing")


def unexplained(text, numbers, aside):
    """Numbers of a sentence that are neither measured, nor a day, nor said by somebody."""
    text = text.replace("\N{NO-BREAK SPACE}", " ")
    for words in aside:
        text = text.replace(words.replace("\N{NO-BREAK SPACE}", " "), " ")
    text = DAY.sub(" ", text)
    found = []
    for match in NUMBER.findall(text):
        digits = match.replace(",", "").replace("−", "-")
        places = len(digits.partition(".")[2])
        step = 10.0**-places
        known = [v for value in numbers.values() for v in (value, -value, abs(value))]
        # An error is never rounded away: less than a step is written as one.
        written = {round(v, places) for v in known} | {step for v in known if 0 < v < step}
        if float(digits) not in written:
            found.append(match)
    return found


def check(ws, values):
    """All numbers of the sentences, and the numbers behind them against the maps themselves."""
    briefing, source = values["briefing"], values["publisher"]
    day, since = values["day"], values["since"]
    said = [str(c) for name in ("statement", "claimant") for c in values["dossier"].standing[name]]
    off = [findings.metres(source.positional_error_m), f"dates by {source.time_error_days} days"]
    sources = [publishers.source(ws, key) for key in publishers.present(ws)]
    aside = [*said, *off, *(s.publisher for s in sources), *(s.covers for s in sources)]
    assert len(briefing.findings) >= 3
    for finding in (briefing.headline, *briefing.findings):
        assert unexplained(finding.text, finding.numbers, aside) == [], finding.text
        assert "nan" not in finding.text.lower().split()
    for key, change in values["main"].items():
        finding = next(f for f in briefing.findings if f.sector == key)
        polygon = reference.sectors()[key].polygon
        before, after = (
            area_km2(clip(snapshots.load(ws, source.id, d).tier(change.tier), polygon))
            for d in (since, day)
        )
        sign = -1 if change.tier == "ukrainian_held" else 1
        assert finding.numbers["area_km2"] == pytest.approx(after, abs=1e-6)
        assert finding.numbers["net_km2"] == pytest.approx(sign * (after - before), abs=1e-6)
        assert finding.numbers["elapsed_days"] == (day - since).days
    content = json.loads((ws.root / "out" / "data" / "briefing.json").read_text())
    assert [f["text"] for f in content["findings"]] == [f.text for f in briefing.findings]
    return " ".join(f.text for f in briefing.findings).replace("\N{NO-BREAK SPACE}", " ")


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    root = tmp_path_factory.mktemp("sample")
    (root / "data").mkdir()
    (root / "data" / "raw").symlink_to(PROJECT / "data" / "raw")
    return Workspace.at(root)


@pytest.mark.parametrize(
    ("day", "compare_to"),
    [
        ("2024-08-02", ""),  # the second map there is
        ("2024-08-20", ""),
        ("2024-10-31", "2024-10-30"),
        ("2024-12-26", ""),
        ("2025-01-08", "2024-12-08"),
        ("2025-01-31", ""),
    ],
)
def test_days_of_the_sample(sample, monkeypatch, day, compare_to):
    check(sample, told(sample, monkeypatch, day, compare_to=compare_to))


def test_the_words_of_8_january(sample, monkeypatch):
    text = check(sample, told(sample, monkeypatch, "2025-01-08", compare_to="2024-12-08"))
    assert (
        "Russia says it has fully taken Kurakhove (Russia: Ministry of Defence, 6 January" in text
    )
    assert "contested, as lines may be off by 1.5 km and dates by 14 days" in text
    assert "captured" not in text


def place(ws, day, text, folder="reconstruction"):
    path = ws.raw / folder
    path.mkdir(exist_ok=True)
    (path / f"{day}.geojson").write_text(text.replace("2025-01-07", day))


def ground(day="2025-01-07"):
    return json.loads((SAMPLE / f"{day}.geojson").read_text())


def moved(days, east):
    """The map of 7 January, shifted."""
    content = ground()
    for feature in content["features"]:
        feature["geometry"]["coordinates"] = shifted(feature["geometry"]["coordinates"], east)
    return json.dumps(content)


def shifted(coordinates, east):
    if isinstance(coordinates[0], float):
        return [round(coordinates[0] + east, 5), coordinates[1]]
    return [shifted(part, east) for part in coordinates]


def test_no_change_a_copy_a_gap_and_a_redraw(workspace, monkeypatch):
    same = json.dumps(ground())
    for day in ("2024-12-01", "2024-12-07", "2025-01-06", "2025-01-07"):
        place(workspace, day, same)
    text = check(workspace, told(workspace, monkeypatch, "2025-01-07"))
    assert "had no update in the last day" in text or "no update" in text
    # A gap of eight days, and nothing changed since.
    place(workspace, "2025-01-15", moved("2025-01-15", 0.00002))
    check(workspace, told(workspace, monkeypatch, "2025-01-15"))
    # Moved by 2 km to the east: ground is lost in the west of each part, and gained in the east.
    place(workspace, "2025-01-16", moved("2025-01-16", 0.03))
    check(workspace, told(workspace, monkeypatch, "2025-01-16"))


def test_a_quarantined_day_is_in_no_number(workspace, monkeypatch):
    same = json.dumps(ground())
    days = [f"2024-12-{n:02d}" for n in range(1, 29)] + ["2025-01-07"]
    for day in days:
        place(workspace, day, same)
    small = ground()
    box = [[[[37.8, 48.4], [37.9, 48.4], [37.9, 48.45], [37.8, 48.4]]]]
    for feature in small["features"]:
        feature["geometry"] = {"type": "MultiPolygon", "coordinates": box}
    small["features"] = small["features"][:1]
    place(workspace, "2025-01-02", json.dumps(small))
    values = told(workspace, monkeypatch, "2025-01-07")
    check(workspace, values)
    held_back = snapshots.quarantined(
        workspace, "reconstruction", date(2024, 12, 1), date(2025, 1, 7)
    )
    assert list(held_back) == [date(2025, 1, 2)]
    assert date(2025, 1, 2) not in set(values["table"]["day"].dt.date)
    assert {c.before_day for of in values["periods"].values() for c in of.values()} <= {
        date.fromisoformat(day) for day in days
    }


def test_a_number_that_nothing_explains_is_seen():
    numbers = {"net_km2": 238.4, "error_km2": 0.02}
    fine = "Kurakhove grew by 238 km² (± 0.1 km²) since 8 December 2024, 12 km² of it claimed"
    assert unexplained(fine, numbers, ["12 km² of it claimed"]) == []
    assert unexplained(fine, numbers, []) == ["12"]
    assert unexplained("grew by 239 km²", numbers, []) == ["239"]


@marked
@pytest.mark.parametrize("day", ["2024-10-31", "2025-01-08", "2025-01-30"])
def test_days_of_deepstate_beside_the_others(everything, tmp_path, monkeypatch, day):
    root = tmp_path / "ws"
    root.mkdir()
    (root / "data").symlink_to(everything.root / "data")
    text = check(Workspace.at(root), told(Workspace.at(root), monkeypatch, day, "deepstate"))
    assert "Kursk" in text
    assert "could not be assessed" in text
