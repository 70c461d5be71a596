"""Files written whole or not at all, and their hashes."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that a reader, or a killed run, sees the old one or the new one.

    Parameters
    ----------
    path
        Where to; missing folders are made.
    data
        The whole content.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(
        prefix=f".{path.name}.", suffix=".tmp", dir=path.parent
    )
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes it private; published files follow the user's mask as others do.
        mask = os.umask(0)
        os.umask(mask)
        Path(temporary).chmod(0o666 & ~mask)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def sha256(path: Path) -> str:
    """SHA-256 of a file's content, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def put_in_place(target: Path, building: Path, retired: Path) -> None:
    """Replace a folder by one that was built beside it.

    Parameters
    ----------
    target
        The folder; need not exist.
    building
        Its complete successor, on the same disk.
    retired
        Where the old one stands for the moment between two renames. A run that dies in that moment
        is mended by `recover`.
    """
    if target.exists():
        target.rename(retired)
    building.rename(target)
    shutil.rmtree(retired, ignore_errors=True)


def recover(target: Path, retired: Path) -> None:
    """Bring back the old folder if a run died between the two renames of `put_in_place`."""
    if retired.exists():
        if target.exists():
            shutil.rmtree(retired)
        else:
            retired.rename(target)
