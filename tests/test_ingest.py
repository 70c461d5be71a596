"""What happens between a raw file and a measure: versions, revisions, overrides, limits."""

import json
import os
from datetime import date

import pandas as pd
import pytest
import shapely

from helpers import ingest, inspection, publishers, snapshots, store
from helpers.errors import SnapshotError, SourceError, WorkspaceError
from helpers.projection import area_km2

WEST, MIDDLE, EAST = 37.1, 37.2, 37.3


def ring(east):
    return [[37.0, 48.0], [east, 48.0], [east, 48.1], [37.0, 48.1], [37.0, 48.0]]


def polygon(east, **properties):
    geometry = {"type": "Polygon", "coordinates": [ring(east)]}
    return {"type": "Feature", "properties": properties, "geometry": geometry}


def nzz(ws, asked, end, east, start="2025-01-01"):
    """An answer of NZZ's: asked for on one day, showing the end of a window."""
    folder = ws.raw / "liveuamap"
    folder.mkdir(exist_ok=True)
    window = {"type": "nochange", "_datefrom": start, "_dateto": end}
    features = {"type": "FeatureCollection", "features": [polygon(east, **window)]}
    (folder / f"{asked}.json").write_text(json.dumps({"value": features}))


def isw(ws, stamp, east):
    folder = ws.raw / "isw"
    folder.mkdir(exist_ok=True)
    path = folder / f"{stamp}_RussianAssessedCoTinUkraine.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [polygon(east)]}))
    return path


def level(ws, source, day):
    return area_km2(snapshots.load(ws, source, date.fromisoformat(day)).tier("control"))


def box_km2(east):
    return area_km2(shapely.Polygon(ring(east)))


def test_the_answer_fetched_last_speaks_for_a_day(workspace):
    nzz(workspace, "2025-01-08", "2025-01-07", WEST)
    nzz(workspace, "2025-01-10", "2025-01-07", MIDDLE)
    (done,) = ingest.run(workspace, "liveuamap")
    assert done.failed == []
    assert level(workspace, "liveuamap", "2025-01-07") == pytest.approx(box_km2(MIDDLE))
    earlier = workspace.known_by(date(2025, 1, 9))
    assert level(earlier, "liveuamap", "2025-01-07") == pytest.approx(box_km2(WEST))
    with pytest.raises(SnapshotError, match="as of 2025-01-05"):
        snapshots.days(workspace.known_by(date(2025, 1, 5)), "liveuamap")


def test_a_window_that_runs_backwards_does_not_speak_where_another_does(workspace):
    nzz(workspace, "2026-04-09", "2026-04-08", WEST)
    nzz(workspace, "2026-04-11", "2026-04-08", EAST, start="2026-04-09")
    ingest.run(workspace, "liveuamap")
    assert level(workspace, "liveuamap", "2026-04-08") == pytest.approx(box_km2(WEST))


def test_a_revision_is_known_in_both_versions(workspace):
    nzz(workspace, "2025-01-08", "2025-01-07", WEST)
    nzz(workspace, "2025-01-10", "2025-01-07", MIDDLE)
    nzz(workspace, "2025-01-11", "2025-01-07", MIDDLE)  # a copy is no revision
    ingest.run(workspace, "liveuamap")
    found = snapshots.revisions(workspace, "liveuamap")
    assert len(found) == 1
    row = found.iloc[0]
    assert row["earlier"].endswith("2025-01-08.json")
    assert row["added_km2"] == pytest.approx(box_km2(MIDDLE) - box_km2(WEST))
    assert row["removed_km2"] == 0


def test_a_file_overwritten_by_hand_keeps_its_earlier_version(workspace, monkeypatch):
    isw(workspace, "20250107", WEST)
    isw(workspace, "20250108", WEST)
    ingest.run(workspace, "isw")
    isw(workspace, "20250108", MIDDLE)
    monkeypatch.setattr(ingest, "today", lambda: date(2025, 2, 1))
    ingest.run(workspace, "isw")
    assert level(workspace, "isw", "2025-01-08") == pytest.approx(box_km2(MIDDLE))
    before = workspace.known_by(date(2025, 1, 31))
    assert level(before, "isw", "2025-01-08") == pytest.approx(box_km2(WEST))
    after = workspace.known_by(date(2025, 2, 1))
    assert level(after, "isw", "2025-01-08") == pytest.approx(box_km2(MIDDLE))
    (row,) = snapshots.revisions(workspace, "isw").itertuples()
    assert row.earlier.endswith(".geojson, until 2025-02-01")
    # A second ingest, and a third version, lose neither.
    isw(workspace, "20250108", EAST)
    monkeypatch.setattr(ingest, "today", lambda: date(2025, 3, 1))
    ingest.run(workspace, "isw")
    levels = [
        level(workspace.known_by(day), "isw", "2025-01-08")
        for day in (date(2025, 1, 31), date(2025, 2, 2), date(2025, 3, 2))
    ]
    assert levels == pytest.approx([box_km2(WEST), box_km2(MIDDLE), box_km2(EAST)])


def quarantine_case(ws):
    """A month of a large map, of which the 5 January lost nearly all."""
    for day in range(1, 11):
        path = isw(ws, f"202501{day:02d}", 37.0 + (0.4 if day == 5 else 1.5))
        path.write_text(path.read_text().replace("48.1", "49.0"))


def test_a_quarantined_day_is_in_no_measure_until_a_person_admits_it(workspace):
    quarantine_case(workspace)
    (done,) = ingest.run(workspace, "isw")
    assert done.quarantined == 1
    day = date(2025, 1, 5)
    assert day not in snapshots.days(workspace, "isw")
    message = r"2025-01-05 is quarantined: held ground fell .* Nearest: 2025-01-04 and 2025-01-06"
    with pytest.raises(SnapshotError, match=message):
        snapshots.load(workspace, "isw", day)
    window = snapshots.window(workspace, "isw", date(2025, 1, 4), date(2025, 1, 6))
    assert [s.day.day for s in window] == [4, 6]
    assert list(snapshots.quarantined(workspace, "isw", day, day)) == [day]
    (workspace.raw / "isw" / "overrides.csv").write_text(
        "day,verdict,reason\n2025-01-05,accept,the publisher confirmed it\n"
    )
    ingest.run(workspace, "isw")
    assert day in snapshots.days(workspace, "isw")
    notes = snapshots.verdicts(workspace, "isw").set_index("day").loc[pd.Timestamp(day), "notes"]
    assert "admitted by hand: the publisher confirmed it" in notes


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("2025-01-05,accept,\n", "line 2: reason is empty"),
        ("2025-01-05,ok,fine\n", "line 2: the verdict 'ok' is neither accept nor quarantine"),
        ("2025-02-31,accept,fine\n", "line 2: day '2025-02-31' is not a day"),
        ("2025-01-05,accept,a\n2025-01-05,quarantine,b\n", "line 3: 2025-01-05 has two rows"),
    ],
)
def test_an_override_without_a_reason_is_refused(workspace, rows, message):
    isw(workspace, "20250105", WEST)
    (workspace.raw / "isw" / "overrides.csv").write_text("day,verdict,reason\n" + rows)
    with pytest.raises(SourceError, match=message):
        ingest.run(workspace, "isw")


def test_sidecars_and_tables_are_no_maps(workspace):
    path = isw(workspace, "20250105", WEST)
    path.with_name(path.name + ".meta.json").write_text("{}")
    (path.parent / "daily_areas.json").write_text("[]")
    (path.parent / ".hidden.json").write_text("{}")
    assert publishers.files(workspace, publishers.source(workspace, "isw")) == [path]


def test_layers_have_days_of_their_own(workspace):
    isw(workspace, "20250107", WEST)
    path = workspace.raw / "isw" / "2025-01-08.geojson"
    regained = polygon(MIDDLE, date="2025-01-08", layer_type="kursk_russian_advances")
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [regained]}))
    ingest.run(workspace, "isw")
    control, kursk = snapshots.window(workspace, "isw", date(2025, 1, 1), date(2025, 1, 31))
    assert (control.tiers, kursk.tiers) == (("control",), ("regained",))
    # A layer that was not published is not an area of 0.
    with pytest.raises(SnapshotError, match="does not tell the tier 'control'"):
        kursk.tier("control")


def test_progress_counts_files(workspace):
    for day in range(1, 4):
        isw(workspace, f"2025010{day}", WEST)
    seen = []
    ingest.run(workspace, "isw", progress=lambda *told: seen.append(told))
    assert seen == [("isw", 0, 3), ("isw", 3, 3)]


def test_a_store_that_cannot_be_written_says_so(workspace, monkeypatch):
    isw(workspace, "20250101", WEST)

    def full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("helpers.store.write_atomic", full)
    with pytest.raises(WorkspaceError, match="No space left on device"):
        ingest.run(workspace, "isw")


def test_an_inspection_tells_every_state(workspace):
    quarantine_case(workspace)
    (workspace.raw / "isw" / "20250103_RussianAssessedCoTinUkraine.geojson").unlink()
    (workspace.raw / "isw" / "20250112_RussianAssessedCoTinUkraine.geojson").write_text("{")
    ingest.run(workspace, "isw")
    found = inspection.inspect(workspace, "isw")
    states = found.days.set_index(found.days["day"].dt.day)["state"]
    assert states[3] == "no map"
    assert states[5] == states[12] == "quarantined"
    assert states[9] == "no update"
    assert states[1] == "new map"
    lines = inspection.report(found)
    assert lines[0].startswith("isw: 1 new maps, 7 copies of the map before, 0 accepted with notes")
    assert any("2025-01-05 quarantined: held ground fell" in line for line in lines)
    assert any("2025-01-12 quarantined: unreadable" in line for line in lines)
    assert not any("2025-01-09" in line for line in lines)
    assert any("2025-01-09 no update" in line for line in inspection.report(found, verbose=True))


@pytest.mark.real
def test_everything_real_is_read_but_the_two_impossible_dates(everything):
    out = {}
    for source in ("deepstate", "isw", "liveuamap"):
        verdicts = snapshots.verdicts(everything, source)
        bad = verdicts[verdicts["status"] == "quarantined"]
        out |= {(source, str(d.date())): r for d, r in zip(bad["day"], bad["reasons"], strict=True)}
    assert list(out) == [("isw", "2202-02-02"), ("isw", "2202-02-03")]
    assert all("impossible date" in reason for reason in out.values())
    # September 2022 is asked about, not thrown away.
    notes = snapshots.verdicts(everything, "isw").set_index("day")["notes"]
    assert "Ask" in notes["2022-09-11"]
    assert len(snapshots.days(everything, "isw")) == 48
    assert len(snapshots.days(everything, "liveuamap")) == 28


@pytest.mark.real
@pytest.mark.parametrize(
    ("source", "day", "tier", "km2"),
    [
        # QUIRKS.md, section 2.6. NZZ leaves out Crimea, and ground held before 2022.
        ("deepstate", "2024-08-28", "presence", 109_807),
        ("deepstate", "2024-11-30", "presence", 111_485),
        ("deepstate", "2025-01-07", "presence", 111_938),
        ("isw", "2024-08-29", "control", 108_477),
        ("isw", "2025-01-08", "control", 110_493),
        ("liveuamap", "2024-11-30", "presence", 111_360 - 26_689 - 16_619),
        ("liveuamap", "2025-01-07", "presence", 111_932 - 26_689 - 16_619),
    ],
)
def test_the_levels_agree_with_the_table(everything, source, day, tier, km2):
    snapshot = snapshots.load(everything, source, date.fromisoformat(day))
    assert area_km2(snapshot.tier(tier)) == pytest.approx(km2, rel=1e-3)


def test_a_large_archive_is_never_in_memory_at_once(workspace, monkeypatch):
    for day in range(1, 29):
        for month in (1, 2, 3):
            isw(workspace, f"2025{month:02d}{day:02d}", WEST + day / 1000)
    sizes, update = [], ingest._update

    def watched(store, known, there, new):
        sizes.append(sum(file.size for file in new.values()))
        return update(store, known, there, new)

    monkeypatch.setattr(ingest, "_update", watched)
    monkeypatch.setattr(ingest, "_BATCH_BYTES", 2_000)
    ingest.run(workspace, "isw")
    assert len(sizes) > 5
    assert max(sizes) <= 2_000
    assert len(snapshots.days(workspace, "isw")) == 84


def test_only_a_file_that_was_touched_is_hashed_again(workspace, monkeypatch):
    hashed, sha256 = [], ingest.sha256

    def counted(path):
        hashed.append(path.name)
        return sha256(path)

    monkeypatch.setattr(ingest, "sha256", counted)
    paths = [isw(workspace, f"2025010{day}", WEST) for day in (1, 2, 3)]
    ingest.run(workspace, "isw")
    # What was written a moment ago may be written again without looking different.
    ingest.run(workspace, "isw")
    assert len(hashed) == 6
    monkeypatch.setattr(ingest, "_SETTLED_NS", -(10**12))
    ingest.run(workspace, "isw")
    ingest.run(workspace, "isw")
    assert len(hashed) == 9
    # As large as before, and with its old time: the disk knows better.
    was = paths[1].stat()
    isw(workspace, "20250102", MIDDLE)
    os.utime(paths[1], ns=(was.st_atime_ns, was.st_mtime_ns))
    assert paths[1].stat().st_size == was.st_size
    (done,) = ingest.run(workspace, "isw")
    assert hashed[9:] == [paths[1].name]
    assert (done.new, done.unchanged) == (1, 2)
    assert level(workspace, "isw", "2025-01-02") == pytest.approx(box_km2(MIDDLE))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"NAME": 1}'])
def test_what_the_disk_said_may_be_lost(workspace, content):
    path = isw(workspace, "20250101", WEST).relative_to(workspace.root).as_posix()
    ingest.run(workspace, "isw")
    seen = workspace.processed / "isw" / ".seen.json"
    seen.write_bytes(content.replace(b"NAME", path.encode()))
    (done,) = ingest.run(workspace, "isw")
    assert (done.new, done.unchanged) == (0, 1)


def test_what_a_killed_run_left_is_looked_through(workspace, monkeypatch):
    paths = [isw(workspace, f"2025010{day}", EAST) for day in (1, 2)]
    ingest.run(workspace, "isw")
    maps = workspace.processed / "isw" / "maps" / "assessed_control" / "2025-01.parquet"
    whole = maps.read_bytes()
    isw(workspace, "20250103", MIDDLE)
    write = store.write_atomic

    def dies(path, data):
        if path.name == "days.parquet":
            raise KeyboardInterrupt
        write(path, data)

    monkeypatch.setattr(store, "write_atomic", dies)
    with pytest.raises(KeyboardInterrupt):
        ingest.run(workspace, "isw")
    monkeypatch.undo()
    assert maps.read_bytes() != whole
    # The file that was being read is gone, and another month is read: the first is mended, too.
    paths[0].with_name("20250103_RussianAssessedCoTinUkraine.geojson").unlink()
    later = isw(workspace, "20250201", EAST)
    ingest.run(workspace, "isw")
    assert maps.read_bytes() == whole
    later.unlink()
    ingest.run(workspace, "isw")
    assert maps.read_bytes() == whole
