"""Days and page files as publishers write them into names; nothing is guessed."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from helpers.errors import SnapshotError

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = "|".join(_MONTHS)
# A year has four digits and a day two; what has more or fewer, such as 02FEB22024, is no day.
_FORMS = (
    re.compile(r"(?<!\d)(?P<y>\d{4})-(?P<m>\d{2})-(?P<d>\d{2})(?!\d)"),
    re.compile(r"(?<!\d)(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})(?!\d)"),
    re.compile(rf"(?<!\d)(?P<d>\d{{2}})(?P<n>{_MONTH})(?P<y>\d{{4}})(?!\d)", re.IGNORECASE),
    re.compile(rf"(?P<n>{_MONTH})(?P<d>\d{{2}})(?P<y>\d{{4}})(?!\d)", re.IGNORECASE),
)
_PAGE = re.compile(r"\.page-(\d+)$")


def day_in(text: str) -> date | None:
    """Find the one day that a name holds.

    Parameters
    ----------
    text
        Such as ``20250108_Layer``, ``2025-01-08`` or ``UkraineControlMapAO08JAN2025``.

    Returns
    -------
    datetime.date or None
        None where there is no day, or more than one.
    """
    found = set()
    for form in _FORMS:
        for match in form.finditer(text):
            parts = match.groupdict()
            named = parts.get("n")
            month = _MONTHS.index(named.lower()) + 1 if named else int(parts["m"])
            try:
                found.add(date(int(parts["y"]), month, int(parts["d"])))
            except ValueError:
                continue
    return found.pop() if len(found) == 1 else None


def day_of(path: Path, example: str) -> date:
    """Day in a file's name.

    Parameters
    ----------
    path
        The file.
    example
        How the publisher's files are named, for the message.

    Returns
    -------
    datetime.date
        The day.

    Raises
    ------
    SnapshotError
        If the name gives none, or more than one.
    """
    day = day_in(_stem(path))
    if day is None:
        raise SnapshotError(
            f"{path}: the name gives no day. Files of this source are named like {example}."
        )
    return day


def without_day(text: str) -> str:
    """Remove the day from a name: what stays is the name of a layer."""
    for form in _FORMS:
        text = form.sub("", text)
    return text


def _stem(path: Path) -> str:
    return _PAGE.sub("", path.stem)


def pages(path: Path) -> list[Path]:
    """Files that belong to one answer.

    Parameters
    ----------
    path
        A file, or the first page of an answer, ``<name>.page-1.<ext>``.

    Returns
    -------
    list of Path
        The file itself, or all its pages in order.
    """
    if not is_page(path.name):
        return [path]
    siblings = path.parent.glob(f"{_stem(path)}.page-*{path.suffix}")
    return sorted(siblings, key=lambda p: int(m[1]) if (m := _PAGE.search(p.stem)) else 0)


def is_page(name: str) -> bool:
    """Tell whether a file of this name is one of the pages of an answer."""
    return _page(name) is not None


def is_later_page(name: str) -> bool:
    """Tell whether a file of this name is read together with an earlier page of its answer."""
    match = _page(name)
    return match is not None and int(match[1]) > 1


def _page(name: str) -> re.Match[str] | None:
    # To look for the word first is quicker, and most files have none.
    return _PAGE.search(name.rpartition(".")[0]) if ".page-" in name else None


def to_day(value: Any) -> date | None:
    """Day of a property: an ISO date, with or without a time, or milliseconds since 1970 (UTC).

    Parameters
    ----------
    value
        What the publisher wrote.

    Returns
    -------
    datetime.date or None
        None where it is no day.
    """
    if isinstance(value, str):
        try:
            return date.fromisoformat(value[:10])
        except ValueError:
            return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return datetime.fromtimestamp(value / 1000, tz=UTC).date()
        except (OverflowError, OSError, ValueError):
            return None
    return None
