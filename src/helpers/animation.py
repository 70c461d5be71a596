"""An animated map: from the days of a sector to GIF, MP4 where ffmpeg is there, and a still."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from helpers import changes, plates, publishers, reference, snapshots, style
from helpers.errors import ParameterError, WorkspaceError
from helpers.figures import image
from helpers.files import write_atomic
from helpers.plates import Film
from helpers.workspace import Workspace

# Smaller than a still: two thirds of the pixels of a figure.
_DPI = 100
WIDE, PHONE = (replace(theme, dpi=_DPI) for theme in (style.WIDE, style.PHONE))

_FRAME_MS = 200
_LAST_MS = 3000
_FFMPEG_S = 600

Progress = Callable[[int, int], None]


def of_sector(
    ws: Workspace, key: str, start: date, end: date, *, source_id: str = "", **options: Any
) -> Film:
    """Measure a sector from day to day, and set up its animation.

    Parameters
    ----------
    ws
        The workspace; new raw files are read first.
    key
        A sector, an oblast's id or a box (`helpers.reference.sector`).
    start, end
        First and last assessed day.
    source_id
        The source; empty takes the workspace's own default.
    options
        `tier` (empty for the sector's own) and `phone` (whether it is for narrow screens).

    Returns
    -------
    Film
        For `write`.

    Raises
    ------
    ParameterError, SnapshotError, WorkspaceError
        If the sector, the source, the days or the data are not there.
    """
    source = publishers.source(ws, source_id or publishers.default(ws))
    sector = reference.sector(key, ws.sectors_file)
    if start >= end:
        raise ParameterError(f"An animation from {start} to {end} has no time. Name a later end.")
    snapshots.ensure(ws, source.id)
    days = snapshots.window(ws, source.id, start, end)
    edges = reference.outer_edges()
    changed = [
        changes.in_sector(
            sector, days[0], day, source=source, tier=options.get("tier", ""), border=edges
        )
        for day in days
    ]
    return plates.film(changed, theme=PHONE if options.get("phone") else WIDE)


def write(film: Film, folder: Path, *, frames: bool = False, progress: Progress) -> list[Path]:
    """Write an animation.

    Parameters
    ----------
    film
        Its frames are drawn now.
    folder
        Where to; it is made.
    frames
        Whether to write the single frames too, ``<name>/<day>.png``.
    progress
        Called with the frames drawn, and the frames there will be.

    Returns
    -------
    list of pathlib.Path
        ``<name>.gif``; ``<name>.mp4`` where ffmpeg is there; ``<name>-still.png``, the last frame,
        for those who prefer no motion; ``<name>.json``, alt text and days, written last.

    Raises
    ------
    WorkspaceError
        If ffmpeg is there and fails.
    """
    with tempfile.TemporaryDirectory() as scratch:
        paths = [Path(scratch) / f"{number:05}.png" for number in range(len(film.days))]
        for number, (path, rgb) in enumerate(zip(paths, film.frames, strict=True)):
            Image.fromarray(rgb).save(path, "PNG", compress_level=1)
            progress(number + 1, len(paths))
        pictures = _steady(paths)
        written = {f"{film.name}.gif": _gif(pictures)}
        if ffmpeg := shutil.which("ffmpeg"):
            written[f"{film.name}.mp4"] = _mp4(ffmpeg, Path(scratch))
    written[f"{film.name}-still.png"] = _png(pictures[-1])
    if frames:
        for day, picture in zip(film.days, pictures, strict=True):
            written[f"{film.name}/{day}.png"] = _png(picture)
    record = {"name": film.name, "alt": film.alt, "days": [str(day) for day in film.days]}
    written[f"{film.name}.json"] = (
        json.dumps(record, ensure_ascii=False, indent=1) + "\n"
    ).encode()
    for name, data in written.items():
        write_atomic(folder / name, data)
    return [folder / name for name in written]


def _steady(paths: Sequence[Path]) -> list[Image.Image]:
    """Pictures of one palette: areas keep their colours, and what does not move stays the same."""
    some = np.vstack([_pixels(paths[i]) for i in (0, len(paths) // 2, -1)])
    palette = np.array(image(some).getpalette(), dtype=np.uint8).reshape(-1, 3)
    return [image(_pixels(path), palette) for path in paths]


def _pixels(path: Path) -> npt.NDArray[np.uint8]:
    with Image.open(path) as picture:
        return np.asarray(picture)


def _gif(pictures: Sequence[Image.Image]) -> bytes:
    buffer = io.BytesIO()
    pictures[0].save(
        buffer,
        "GIF",
        save_all=True,
        append_images=pictures[1:],
        duration=[_FRAME_MS] * (len(pictures) - 1) + [_LAST_MS],
        loop=0,
        optimize=False,
    )
    return buffer.getvalue()


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()


def _mp4(ffmpeg: str, scratch: Path) -> bytes:
    # Even sizes and 4:2:0 are what every player shows; bitexact leaves dates and versions out.
    out = scratch / "film.mp4"
    command = [ffmpeg, "-nostdin", "-y", "-loglevel", "error"]
    command += ["-framerate", str(1000 // _FRAME_MS), "-i", str(scratch / "%05d.png")]
    command += ["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-pix_fmt", "yuv420p", "-threads", "1"]
    command += ["-fflags", "+bitexact", "-flags:v", "+bitexact", "-movflags", "+faststart"]
    done = subprocess.run(
        [*command, str(out)], capture_output=True, text=True, timeout=_FFMPEG_S, check=False
    )
    if done.returncode or not out.is_file():
        raise WorkspaceError(
            f"{ffmpeg} could not make the MP4 (status {done.returncode}): {done.stderr.strip()} "
            "Repair ffmpeg or take it off the PATH; the GIF is made without it."
        )
    return out.read_bytes()
