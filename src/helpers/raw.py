"""Raw files: exactly as served, each with a sidecar; a changed answer stands beside the old one.

``<stem>.<ext>`` is the first answer, ``<stem>.rev-01.<ext>`` the first that differed from it, and
so on. An answer in several pages is ``<stem>.page-1.<ext>``, …, complete when the first is there.
The sidecar is ``<name>.meta.json``. Nothing is ever written over.
"""

from __future__ import annotations

import glob
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal

from helpers.errors import WorkspaceError
from helpers.files import sha256, write_atomic
from helpers.web import Answer

SIDECAR = ".meta.json"
_PAGE = re.compile(r"\.page-(\d+)$")


def standing(path: Path) -> list[Path]:
    """Files of the newest version of an answer.

    Parameters
    ----------
    path
        ``<stem>.<ext>``, whether there is such a file or not.

    Returns
    -------
    list of Path
        The file or its pages in order, of the last revision; empty where there is no answer.
    """
    newest = _newest(path)
    return [] if newest is None else _version(path, newest)


def keep(path: Path, answers: Sequence[Answer], day: date) -> Literal["new", "revised", "same"]:
    """Write an answer, unless it is the one that stands.

    Parameters
    ----------
    path
        ``<stem>.<ext>``.
    answers
        Its pages in order, all with status 200.
    day
        The day that was asked for.

    Returns
    -------
    str
        What it is. A killed run leaves all of it or nothing that counts: the first page is written
        last, and each sidecar before its file.

    Raises
    ------
    WorkspaceError
        If it cannot be written.
    """
    newest = _newest(path)
    hashes = [hashlib.sha256(answer.body).hexdigest() for answer in answers]
    if newest is not None and [sha256(p) for p in _version(path, newest)] == hashes:
        return "same"
    revision = 0 if newest is None else newest + 1
    stem = _stem(path, revision)
    try:
        for rest in path.parent.glob(f"{glob.escape(stem)}.page-*"):  # of a run that was killed
            rest.unlink()
        for number in range(len(answers), 0, -1):
            page = f".page-{number}" if len(answers) > 1 else ""
            target = path.with_name(f"{stem}{page}{path.suffix}")
            about = _about(answers[number - 1], hashes[number - 1], day)
            write_atomic(_sidecar(target), about)
            write_atomic(target, answers[number - 1].body)
    except OSError as error:
        raise WorkspaceError(
            f"Cannot write {path}: {error.strerror or error}. Make room, or get permission, and "
            "run again: what is there is not asked for a second time."
        ) from None
    return "revised" if revision else "new"


def conditions(path: Path) -> dict[str, str]:
    """Headers that ask only for what differs from the version that stands.

    Parameters
    ----------
    path
        ``<stem>.<ext>``.

    Returns
    -------
    dict
        ``If-None-Match`` and ``If-Modified-Since``, as far as the publisher sent what they need;
        empty for an answer in pages, whose first page does not tell of the others, and for a file
        that is no longer as it was served.
    """
    files = standing(path)
    about = _read(files[0]) if len(files) == 1 else {}
    if not about or about.get("sha256") != sha256(files[0]):
        return {}
    served = about.get("headers", {})
    pairs = {"If-None-Match": "etag", "If-Modified-Since": "last-modified"}
    return {ask: served[told] for ask, told in pairs.items() if told in served}


def retrieved(path: Path) -> datetime | None:
    """When the version that stands was fetched (UTC); None where that is not known."""
    files = standing(path)
    said = _read(files[0]).get("retrieved") if files else None
    return datetime.fromisoformat(said) if isinstance(said, str) else None


def tidy(folder: Path) -> None:
    """Remove what killed runs left half-written below a folder; no other run may be writing."""
    for orphan in folder.rglob(".*.tmp"):
        orphan.unlink(missing_ok=True)


def _stem(path: Path, revision: int) -> str:
    return path.stem + (f".rev-{revision:02d}" if revision else "")


def _newest(path: Path) -> int | None:
    revision = 0
    while _version(path, revision):
        revision += 1
    return revision - 1 if revision else None


def _version(path: Path, revision: int) -> list[Path]:
    stem = _stem(path, revision)
    single = path.with_name(stem + path.suffix)
    if single.is_file():
        return [single]
    if not path.with_name(f"{stem}.page-1{path.suffix}").is_file():
        return []
    found = path.parent.glob(f"{glob.escape(stem)}.page-*{path.suffix}")
    numbered = {int(m[1]): p for p in found if (m := _PAGE.search(p.stem))}
    return [numbered[number] for number in sorted(numbered)]


def _sidecar(path: Path) -> Path:
    return path.with_name(path.name + SIDECAR)


def _about(answer: Answer, digest: str, day: date) -> bytes:
    about = {
        "url": answer.url,
        "day": day.isoformat(),
        "retrieved": answer.asked.isoformat(),
        "status": answer.status,
        "headers": {key.lower(): value for key, value in answer.headers.items()},
        "bytes": len(answer.body),
        "sha256": digest,
    }
    return (json.dumps(about, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _read(path: Path) -> Mapping[str, Any]:
    """A file's sidecar; empty where there is none, as for a file put there by hand."""
    try:
        content = json.loads(_sidecar(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
