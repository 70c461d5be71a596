import json
import os
import subprocess
import sys
from datetime import date
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers import animation, findings, ingest, style
from helpers.errors import ParameterError, SnapshotError, WorkspaceError

SAMPLE = Path(__file__).parents[1] / "data" / "raw" / "reconstruction"
START, END = date(2024, 12, 30), date(2025, 1, 3)


@pytest.fixture
def days(workspace):
    """Five days of the sample; 1 January has no map."""
    folder = workspace.raw / "reconstruction"
    folder.mkdir()
    for day in ("2024-12-30", "2024-12-31", "2025-01-02", "2025-01-03"):
        (folder / f"{day}.geojson").symlink_to(SAMPLE / f"{day}.geojson")
    ingest.run(workspace, "reconstruction")
    return workspace


def made(ws, tmp_path, monkeypatch, *, path="", **options):
    monkeypatch.setenv("PATH", path)  # no ffmpeg but the test's own
    frames = options.pop("frames", False)
    film = animation.of_sector(ws, options.pop("sector", "kurakhove"), START, END, **options)
    seen = []
    paths = animation.write(
        film, tmp_path / "out", frames=frames, progress=lambda *at: seen.append(at)
    )
    return film, paths, seen


def test_a_frame_a_day_a_still_and_words(days, tmp_path, monkeypatch):
    film, paths, seen = made(days, tmp_path, monkeypatch, frames=True)
    assert [p.name for p in paths if p.parent == tmp_path / "out"] == [
        "sector-film-kurakhove.gif",
        "sector-film-kurakhove-still.png",
        "sector-film-kurakhove.json",
    ]
    assert seen == [(n, 5) for n in range(1, 6)]
    with Image.open(paths[0]) as gif, Image.open(paths[1]) as still:
        assert gif.n_frames == 5
        assert gif.size == still.size == (800, still.height)
    frames = sorted((tmp_path / "out" / "sector-film-kurakhove").iterdir())
    assert [p.stem for p in frames] == [str(day) for day in film.days]
    assert frames[-1].read_bytes() == paths[1].read_bytes()
    record = json.loads(paths[-1].read_text())
    assert record["days"][0] == "2024-12-30"
    assert "Animation of 4 maps of the Kurakhove sector" in record["alt"].replace("\u00a0", " ")


def test_only_the_ground_the_words_and_the_bar_move(days, tmp_path, monkeypatch):
    film, _, _ = made(days, tmp_path, monkeypatch, frames=True)
    frames = [rgb(path) for path in sorted((tmp_path / "out" / film.name).iterdir())]
    moved = np.zeros(frames[0].shape[:2], dtype=bool)
    for before, after in pairwise(frames):
        moved |= (before != after).any(axis=2)
    rows = np.flatnonzero(moved.any(axis=1))
    assert moved.mean() < 0.1
    page = film_map_rows(frames[0])
    assert rows.min() > 60  # not the title
    assert rows.max() <= page[1]  # not the foot
    # The gap shows the ground of the day before it, under other words and a longer bar.
    gap = (frames[1] != frames[2]).any(axis=2)
    inside = gap[page[0] + 2 : page[1] - 6]
    assert not inside.any()
    assert gap.any()


def rgb(path):
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def film_map_rows(frame):
    """First and last row of the map, which alone is as wide as the page's body."""
    white = (frame[:, 20:-20] == 255).all(axis=2).mean(axis=1)
    rows = np.flatnonzero(white < 0.3)
    return rows.min(), rows.max()


def test_colours_are_the_themes_in_every_frame(days, tmp_path, monkeypatch):
    _, paths, _ = made(days, tmp_path, monkeypatch)
    with Image.open(paths[0]) as gif:
        for number in range(gif.n_frames):
            gif.seek(number)
            colours = {rgb for _, rgb in gif.convert("RGB").getcolors(100_000)}
            for role in ("paper", "held", "land"):
                code = style.COLOURS[role]
                assert tuple(int(code[i : i + 2], 16) for i in (1, 3, 5)) in colours


def test_the_line_counts_and_tells_of_gaps(days):
    film = animation.of_sector(days, "kurakhove", START, END)
    assert film.days[2] == date(2025, 1, 1)
    changed = [
        animation.changes.in_sector(
            animation.reference.sector("kurakhove"),
            *pair,
            source=animation.publishers.source(days, "reconstruction"),
        )
        for pair in ends(days)
    ]
    later = date(2025, 1, 4)
    first, last = (findings.film_line(c, END).replace("\u00a0", " ") for c in changed)
    assert first == "3 January 2025: no map since 30 Dec"
    gap = findings.film_line(changed[1], later).replace("\u00a0", " ")
    assert gap.startswith("4 January 2025: no map; +")
    assert gap.endswith("km² by 3 Jan")
    assert last.startswith("3 January 2025: +")
    assert last.endswith("km² since 30 December 2024")


def ends(ws):
    first, last = (animation.snapshots.load(ws, "reconstruction", day) for day in (START, END))
    return (first, first), (first, last)


def test_of_kursk_the_line_counts_ukrainian_held_ground(workspace):
    folder = workspace.raw / "reconstruction"
    folder.mkdir()
    for day in ("2024-08-05", "2024-08-20"):
        (folder / f"{day}.geojson").symlink_to(SAMPLE / f"{day}.geojson")
    film = animation.of_sector(workspace, "kursk", date(2024, 8, 5), date(2024, 8, 20))
    assert len(film.days) == 16
    (change,) = [
        animation.changes.in_sector(
            animation.reference.sector("kursk"),
            *(
                animation.snapshots.load(workspace, "reconstruction", date(2024, 8, d))
                for d in (5, 20)
            ),
            source=animation.publishers.source(workspace, "reconstruction"),
        )
    ]
    assert change.net_km2 < -500
    assert ": +1" in findings.film_line(change, date(2024, 8, 20))


FFMPEG = """#!{python}
import sys
if {fails}:
    sys.exit("no such codec")
out = sys.argv[-1]
frames = sys.argv[sys.argv.index("-i") + 1]
assert frames.endswith("%05d.png")
open(out, "wb").write(b"film " + " ".join(a for a in sys.argv[1:-1] if a != frames).encode())
"""


def fake_ffmpeg(tmp_path, fails):
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "ffmpeg"
    program.write_text(FFMPEG.format(python=sys.executable, fails=fails))
    program.chmod(0o755)
    return str(folder)


def test_with_ffmpeg_there_is_an_mp4(days, tmp_path, monkeypatch):
    _, paths, _ = made(days, tmp_path, monkeypatch, path=fake_ffmpeg(tmp_path, fails=False))
    mp4 = paths[1]
    assert mp4.name == "sector-film-kurakhove.mp4"
    assert b"-framerate 5" in mp4.read_bytes()


def test_ffmpeg_that_fails_is_an_error(days, tmp_path, monkeypatch):
    with pytest.raises(WorkspaceError, match=r"status 1\): no such codec"):
        made(days, tmp_path, monkeypatch, path=fake_ffmpeg(tmp_path, fails=True))
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_animated(days):
    with pytest.raises(ParameterError, match="has no time"):
        animation.of_sector(days, "kurakhove", END, END)
    with pytest.raises(SnapshotError, match="no reconstruction snapshot"):
        animation.of_sector(days, "kurakhove", date(2023, 1, 1), date(2023, 2, 1))
    with pytest.raises(ParameterError, match="toretsk"):
        animation.of_sector(days, "torezk", START, END)


def test_the_same_bytes_in_another_process(days, tmp_path):
    outs = []
    for seed, zone in (("1", "UTC"), ("2", "Pacific/Auckland")):
        out = tmp_path / seed
        env = os.environ | {"PYTHONHASHSEED": seed, "TZ": zone, "PATH": ""}
        words = ["animate", str(START), str(END), "--sector", "toretsk", "--out", str(out)]
        command = [sys.executable, "-m", "helpers.cli", "--root", str(days.root), *words, "--phone"]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert f"{out / 'sector-film-toretsk.gif'}" in done.stdout
        outs.append({p.name: p.read_bytes() for p in out.iterdir()})
    assert outs[0] == outs[1]
    assert len(outs[0]) == 3
