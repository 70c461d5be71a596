import gc
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import pytest

from helpers import ingest, publishers, snapshots
from helpers.errors import ParameterError, SnapshotError, WorkspaceError
from helpers.provenance import tree_sha256
from helpers.workspace import Workspace

FIRST, SECOND, THIRD = "20250101", "20250102", "20250105"


def put(ws, stamp, east=37.1):
    ring = [[37.0, 48.0], [east, 48.0], [east, 48.1], [37.0, 48.1], [37.0, 48.0]]
    geometry = {"type": "Polygon", "coordinates": [ring]}
    feature = {"type": "Feature", "properties": {}, "geometry": geometry}
    path = ws.raw / "deepstate" / f"deepstatemap_data_{stamp}.geojson"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    return path


def stored(ws) -> dict[str, str]:
    return tree_sha256(ws.processed, skip={"deepstate/.lock", "deepstate/.seen.json"})


@pytest.fixture
def three(workspace):
    put(workspace, FIRST)
    put(workspace, SECOND)
    put(workspace, THIRD, east=37.2)
    return workspace


@pytest.fixture
def looked_into(three, monkeypatch):
    """How often the store of three maps was looked into; the disk's times have settled."""
    monkeypatch.setattr(ingest, "_SETTLED_NS", -1)
    monkeypatch.setattr(snapshots, "_CURRENT", {})
    runs, run = [], ingest.run
    monkeypatch.setattr(ingest, "run", lambda *asked: runs.append(asked) or run(*asked))
    snapshots.ensure(three, "deepstate")
    assert len(runs) == 1
    return runs


def test_a_store_is_not_looked_into_again_while_nothing_was_written(three, looked_into):
    for _ in range(3):
        snapshots.ensure(three, "deepstate")
    snapshots.ensure(three.known_by(date(2025, 1, 2)), "deepstate")
    assert len(looked_into) == 1


def overwrite(path, ws):
    put(ws, THIRD, east=37.3)


def cut(path, ws):
    path.write_bytes(path.read_bytes()[:100])


@pytest.mark.parametrize(
    ("where", "what"),
    [
        ("data/raw/deepstate", lambda _, ws: put(ws, "20250106")),
        ("data/raw/deepstate", overwrite),
        (f"data/raw/deepstate/deepstatemap_data_{THIRD}.geojson", lambda path, _: path.unlink()),
        (
            "data/raw/deepstate/overrides.csv",
            lambda path, _: path.write_text("day,verdict,reason\n2025-01-02,quarantine,seen\n"),
        ),
        ("data/processed/deepstate/days.parquet", lambda path, _: path.unlink()),
        ("data/processed/deepstate/files.parquet", cut),
        ("data/processed/deepstate/verdicts.parquet", cut),
        ("data/processed/deepstate/maps", lambda path, _: next(path.rglob("*.parquet")).unlink()),
        ("data/processed/deepstate/maps", lambda path, _: cut(next(path.rglob("*.parquet")), _)),
        ("data/processed/deepstate/.unfinished", lambda path, _: path.touch()),
    ],
)
def test_a_store_is_looked_into_again_when_something_was_written(three, looked_into, where, what):
    what(three.root / where, three)
    snapshots.ensure(three, "deepstate")
    assert len(looked_into) == 2


def test_a_store_is_looked_into_again_on_another_day(three, looked_into, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1767225600")
    snapshots.ensure(three, "deepstate")
    assert len(looked_into) == 2


def test_a_file_that_was_written_only_just_now_may_change_again_without_a_trace(
    three, looked_into, monkeypatch
):
    monkeypatch.setattr(ingest, "_SETTLED_NS", 10**12)
    for _ in range(2):
        snapshots.ensure(three, "deepstate")
    assert len(looked_into) == 3


def test_of_a_page_of_an_answer_the_disk_does_not_tell_enough(three, looked_into):
    assert ingest.given(three, "deepstate")
    path = three.raw / "deepstate" / f"deepstatemap_data_{THIRD}.geojson"
    path.rename(path.with_suffix(".page-1.geojson"))
    assert ingest.given(three, "deepstate") is None


def test_a_raw_file_that_cannot_be_asked_is_told_as_ever(three, looked_into):
    (three.raw / "deepstate" / "deepstatemap_data_20250107.geojson").symlink_to("nowhere")
    with pytest.raises(WorkspaceError, match="No such file"):
        snapshots.ensure(three, "deepstate")


def test_a_map_file_that_goes_while_it_is_asked_makes_the_store_be_looked_into(three, looked_into):
    kept = next((three.processed / "deepstate" / "maps").rglob("*.parquet"))
    kept.with_name("2024-01.parquet").symlink_to("nowhere")
    snapshots.ensure(three, "deepstate")
    assert len(looked_into) == 2


def test_a_map_that_somebody_holds_is_not_loaded_again(three, monkeypatch):
    ingest.run(three)
    window = three, "deepstate", date(2024, 12, 31), date(2025, 1, 4)
    first = snapshots.load(three, "deepstate", date(2025, 1, 1))
    first.kept["known"] = True
    held = snapshots.window(*window)
    assert held[1] is first
    # Maps that are the same share their geometry, whoever held one of them.
    assert held[0].layers["assessed_control"] is first.layers["assessed_control"]
    monkeypatch.setattr(snapshots.Store, "load", None)
    assert [a is b for a, b in zip(snapshots.window(*window), held, strict=True)] == [True] * 3
    assert snapshots.load(three, "deepstate", date(2025, 1, 1)).kept == {"known": True}
    assert first.copy_of == date(2024, 12, 31)


def test_a_map_that_nobody_holds_is_forgotten_and_one_that_changed_is_another(three):
    ingest.run(three)
    day = three, "deepstate", date(2025, 1, 4)
    snapshots.load(*day).kept["known"] = True
    gc.collect()
    held = snapshots.load(*day)
    assert "known" not in held.kept
    put(three, THIRD, east=37.3)
    ingest.run(three)
    assert snapshots.load(*day).layers["assessed_control"].bounds[2] == 37.3
    assert held.layers["assessed_control"].bounds[2] == 37.2


def test_ingest_reads_what_is_new_and_only_that(three, monkeypatch):
    read = []
    plain = publishers.READERS["deepstate"]
    monkeypatch.setattr(
        publishers, "READERS", {"deepstate": lambda p: (read.append(p.name), plain(p))[1]}
    )
    (done,) = ingest.run(three)
    assert (done.new, done.unchanged, done.removed, done.failed) == (3, 0, 0, [])
    assert len(read) == 3
    put(three, "20250106", east=37.3)
    (done,) = ingest.run(three)
    assert (done.new, done.unchanged) == (1, 3)
    assert read[3:] == ["deepstatemap_data_20250106.geojson"]


def test_days_copies_and_gaps(three):
    snapshots.ensure(three, "deepstate")
    assert snapshots.days(three, "deepstate") == [
        date(2024, 12, 31),
        date(2025, 1, 1),
        date(2025, 1, 4),
    ]
    first, second, third = snapshots.window(three, "deepstate", date(2024, 1, 1), date(2025, 2, 1))
    assert (first.copy_of, second.copy_of, third.copy_of) == (None, date(2024, 12, 31), None)
    assert second.tier("presence") is first.tier("presence")
    assert (second.published, second.retrieved) == (None, date(2025, 1, 2))
    assert second.inputs[0].path == "data/raw/deepstate/deepstatemap_data_20250102.geojson"


def test_a_window_may_begin_with_the_map_before_it(three):
    snapshots.ensure(three, "deepstate")
    window = (three, "deepstate", date(2025, 1, 1), date(2025, 1, 4))
    assert [s.day.day for s in snapshots.window(*window)] == [1, 4]
    assert [s.day.day for s in snapshots.window(*window, lead_in=True)] == [31, 1, 4]
    # Whether a day is a copy does not depend on where the window begins.
    assert snapshots.window(*window)[0].copy_of == date(2024, 12, 31)


def test_a_missing_day_names_the_nearest(three):
    snapshots.ensure(three, "deepstate")
    message = r"no deepstate snapshot for 2025-01-03. Nearest: 2025-01-01 and 2025-01-04. .* 3 days"
    with pytest.raises(SnapshotError, match=message):
        snapshots.load(three, "deepstate", date(2025, 1, 3))
    with pytest.raises(SnapshotError, match=r"Nearest: 2025-01-04\."):
        snapshots.load(three, "deepstate", date(2025, 3, 1))
    with pytest.raises(SnapshotError, match=r"no deepstate snapshot between"):
        snapshots.window(three, "deepstate", date(2025, 1, 2), date(2025, 1, 3))


def test_baseline(three):
    snapshots.ensure(three, "deepstate")
    day = date(2025, 1, 4)
    assert snapshots.baseline(three, "deepstate", day) == date(2024, 12, 31)
    assert snapshots.baseline(three, "deepstate", day, "2025-01-01") == date(2025, 1, 1)
    with pytest.raises(SnapshotError, match="Nearest"):
        snapshots.baseline(three, "deepstate", day, "2025-01-03")
    with pytest.raises(ParameterError, match="not earlier"):
        snapshots.baseline(three, "deepstate", date(2024, 12, 31))
    with pytest.raises(ParameterError, match="not a day"):
        snapshots.baseline(three, "deepstate", day, "2025-13-01")


def test_a_month_before_the_last_of_march():
    assert snapshots.month_before(date(2025, 3, 31)) == date(2025, 2, 28)
    assert snapshots.month_before(date(2025, 1, 8)) == date(2024, 12, 8)


def test_a_bad_file_is_named_and_the_others_go_on(three):
    bad = three.raw / "deepstate" / "deepstatemap_data_20250107.geojson"
    bad.write_text('{"type": "Feat')
    (done,) = ingest.run(three)
    assert done.new == 4
    ((path, message),) = done.failed
    assert path == "data/raw/deepstate/deepstatemap_data_20250107.geojson"
    assert "not JSON at byte" in message
    assert len(snapshots.days(three, "deepstate")) == 3
    # It is named each time until it is mended.
    assert ingest.run(three)[0].failed == done.failed
    put(three, "20250107")
    assert ingest.run(three)[0].failed == []
    assert len(snapshots.days(three, "deepstate")) == 4


def test_two_files_for_one_day_are_not_merged(three, monkeypatch):
    plain = publishers.READERS["deepstate"]
    day = plain(put(three, FIRST))[0].day
    same = {"deepstate": lambda p: [m._replace(day=day, retrieved=None) for m in plain(p)]}
    monkeypatch.setattr(publishers, "READERS", same)
    (done,) = ingest.run(three)
    # The second is a copy of the first; the third differs, and nothing says which is later.
    assert [path[-16:-8] for path, _ in done.failed] == [THIRD]
    assert "already holds the layer 'assessed_control' of 2024-12-31" in done.failed[0][1]
    assert snapshots.days(three, "deepstate") == [date(2024, 12, 31)]


def test_the_store_depends_on_the_files_alone(three, tmp_path):
    ingest.run(three)
    at_once = stored(three)
    shutil.rmtree(three.processed)
    later = put(three, THIRD, east=37.2).rename(tmp_path / "later")
    ingest.run(three)
    assert stored(three) != at_once
    later.rename(three.raw / "deepstate" / f"deepstatemap_data_{THIRD}.geojson")
    ingest.run(three)
    assert stored(three) == at_once
    put(three, "20250301", east=37.4)
    ingest.run(three)
    (three.raw / "deepstate" / "deepstatemap_data_20250301.geojson").unlink()
    assert ingest.run(three)[0].removed == 1
    assert stored(three) == at_once


@pytest.mark.parametrize("damaged", ["days.parquet", "files.parquet"])
def test_a_damaged_store_is_made_again(three, damaged):
    ingest.run(three)
    whole = stored(three)
    (three.processed / "deepstate" / damaged).write_bytes(b"PAR1 nothing")
    ingest.run(three)
    assert stored(three) == whole


def test_nothing_there_says_what_to_do(workspace):
    with pytest.raises(WorkspaceError, match="No source has files below"):
        ingest.run(workspace)
    with pytest.raises(WorkspaceError, match="There are no files of deepstate"):
        ingest.run(workspace, "deepstate")
    with pytest.raises(SnapshotError, match="run `frontline ingest`"):
        snapshots.days(workspace, "deepstate")
    with pytest.raises(
        ParameterError, match=r"Unknown source 'deepstat'. Did you mean 'deepstate'"
    ):
        ingest.run(workspace, "deepstat")


def test_a_folder_that_cannot_be_looked_into_is_named(workspace):
    folder = workspace.raw / "deepstate"
    folder.symlink_to(folder)
    with pytest.raises(WorkspaceError, match=f"Cannot look into {folder}: Too many levels"):
        ingest.run(workspace, "deepstate")


def test_a_killed_ingest_leaves_nothing_broken(three):
    for number in range(60):
        put(three, f"202406{number % 30 + 1:02d}" if number < 30 else f"202407{number - 29:02d}")
    ingest.run(three)
    whole = stored(three)
    code = "import sys; from helpers import ingest; from helpers.workspace import Workspace\n"
    code += "w = Workspace.at(sys.argv[1]); print(1, flush=True); ingest.run(w)"
    moments = random.Random(0)
    for _ in range(8):
        shutil.rmtree(three.processed)
        child = subprocess.Popen(
            [sys.executable, "-c", code, str(three.root)], stdout=subprocess.PIPE
        )
        assert child.stdout.readline()
        time.sleep(moments.uniform(0, 0.25))
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
        ingest.run(three)
        assert stored(three) == whole


@pytest.mark.real
def test_all_real_deepstate_days_are_there(deepstate: Workspace):
    known = snapshots.days(deepstate, "deepstate")
    assert len(known) == 205
    missing = {date(2024, 8, 17), date(2024, 8, 18), date(2024, 12, 31)}
    assert not missing & set(known)
    size = sum(p.stat().st_size for p in deepstate.processed.rglob("*") if p.is_file())
    assert size < 1_000_000
    window = snapshots.window(deepstate, "deepstate", known[0], known[-1])
    assert sum(s.copy_of is not None for s in window) == 11
    assert Path(deepstate.root / window[0].inputs[0].path).is_file()
