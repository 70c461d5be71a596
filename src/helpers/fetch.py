"""From the publisher to ``data/raw``: what to ask, what is there, and on what terms."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from types import MappingProxyType
from zoneinfo import ZoneInfo

from filelock import FileLock, Timeout

from helpers import arcgis, endpoints, publishers, raw, web
from helpers.endpoints import Endpoints, Way
from helpers.errors import FetchError, ParameterError, WorkspaceError
from helpers.files import write_atomic
from helpers.web import AbsentError, Answer, Client, LaterError, PassingError, Policy
from helpers.workspace import Workspace

TERMS_FILE = f"terms{raw.SIDECAR}"
_LOCK_WAIT_S = 5
# Without --since: days that failed, or came late, are asked for again as long as they are recent.
RECENT_DAYS = 14
# A publisher who fails this often in a row is left alone.
_MOST_FAILURES = 3
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Asked:
    """What to fetch.

    Attributes
    ----------
    source
        Its id.
    since, until
        First and last day; None for the last two weeks, and for today.
    way
        One of the source's ways; empty for the first.
    again
        Whether to ask for days that are there, too, and keep what has changed.
    """

    source: str
    since: date | None = None
    until: date | None = None
    way: str = ""
    again: bool = False


@dataclass(frozen=True)
class Fetched:
    """What one run did; paths are relative to the workspace.

    Attributes
    ----------
    source
        Its id.
    new, revised
        Answers for days that were not there, and that differ from what was there.
    kept
        How many answers were there and not asked for.
    same
        How many were asked for again and have not changed.
    absent
        Days for which the publisher has nothing.
    failed
        What could not be had, and why.
    notes
        What a person should know, such as a layer that has moved.
    """

    source: str
    new: list[str] = field(default_factory=list)
    revised: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    absent: list[date] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Piece:
    """One answer: its day, its file, how to ask for it, and when it was last edited."""

    day: date
    path: str
    ask: Callable[[Mapping[str, str]], list[Answer]]
    edited: datetime | None = None


@dataclass(frozen=True)
class _Plan:
    """What the planning of a run needs."""

    client: Client
    known: Endpoints
    way: Way
    since: date
    until: date
    done: Fetched

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.way.timezone)

    def days(self) -> Iterator[date]:
        for number in range((self.until - self.since).days + 1):
            yield self.since + timedelta(days=number)


# Terms ------------------------------------------------------------------------------------------


def terms(ws: Workspace, known: Endpoints) -> str:
    """What a person must have read before the first fetch of a source."""
    record = publishers.source(ws, known.source)
    lines = [
        f"Source:      {record.title} ({record.publisher})",
        f"Attribution: {record.attribution}",
        f"Licence:     {record.licence}",
        f"Stated at:   {known.terms_url}",
        "",
        known.terms.strip(),
    ]
    return "\n".join(lines)


def accepted(ws: Workspace, known: Endpoints) -> str:
    """ISO day on which the terms, as they are now, were accepted here; empty if they were not."""
    try:
        said = json.loads((ws.raw / known.source / TERMS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    same = isinstance(said, dict) and said.get("sha256") == _digest(terms(ws, known))
    return str(said.get("accepted", "")) if same else ""


def accept(ws: Workspace, known: Endpoints) -> None:
    """Remember in the workspace that a source's terms were accepted today."""
    text = terms(ws, known)
    about = {"accepted": web.now().date().isoformat(), "sha256": _digest(text), "terms": text}
    data = json.dumps(about, indent=2, ensure_ascii=False) + "\n"
    write_atomic(ws.raw / known.source / TERMS_FILE, data.encode())


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


# Fetching ---------------------------------------------------------------------------------------


def _silent(name: str, done: int, count: int) -> None:
    """No progress shown."""


def run(
    ws: Workspace, asked: Asked, *, policy: Policy | None = None, progress: Progress = _silent
) -> Fetched:
    """Fetch what is not there.

    Parameters
    ----------
    ws
        The workspace.
    asked
        Source and days.
    policy
        How to behave towards the publisher; None takes the source's own.
    progress
        Called with a file's name, the answers done and the answers there are.

    Returns
    -------
    Fetched
        What was done. A day that cannot be had does not stop the others, unless three in a row
        cannot, or the publisher asks to be left alone.

    Raises
    ------
    ParameterError
        If there is no such source or way, or the last day is before the first.
    FetchError
        If the terms were not accepted, or nothing could be planned.
    WorkspaceError
        If the files cannot be written, or another run is fetching the source.
    """
    known = endpoints.load(ws, asked.source)
    way = known.way(asked.way)
    since, until = _window(asked, way)
    if not accepted(ws, known):
        raise FetchError(
            f"The terms of {asked.source} were not accepted in {ws.root}.\n\n{terms(ws, known)}\n\n"
            f"If you accept them, run again with --accept-terms {asked.source}"
        )
    policy = policy or Policy(known.hosts, pause_s=known.pause_s, max_bytes=known.max_bytes)
    lock = ws.processed / asked.source / ".fetch.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(lock, timeout=_LOCK_WAIT_S), Client(policy) as client:
            raw.tidy(ws.raw / asked.source)
            plan = _Plan(client, known, way, since, until, Fetched(asked.source))
            _fetch(ws, plan, asked, progress)
            if plan.done.failed:
                checked = f"The addresses were last checked {known.checked or 'never'}"
                plan.done.notes.append(". ".join(filter(None, (checked, known.note))))
            return plan.done
    except Timeout:
        raise WorkspaceError(
            f"Another run is fetching {asked.source} (lock file {lock}). Wait for it to end."
        ) from None


def summary(fetched: Fetched) -> list[str]:
    """Say what was fetched, in lines for a terminal: counts, then notes and failures."""
    counts = (
        f"{fetched.source}: {len(fetched.new)} new, {len(fetched.revised)} revised, "
        f"{len(fetched.kept) + len(fetched.same)} unchanged, {len(fetched.absent)} days without "
        f"a file, {len(fetched.failed)} failed"
    )
    lines = [counts, *(f"  revised: {path}" for path in fetched.revised)]
    lines += [f"  note: {note}" for note in fetched.notes]
    return lines + [f"  failed: {name}: {fault}" for name, fault in fetched.failed]


def _window(asked: Asked, way: Way) -> tuple[date, date]:
    today = web.now().date()
    until = min(asked.until or today, today)
    since = asked.since or until - timedelta(days=RECENT_DAYS - 1)
    if since > until:
        raise ParameterError(f"--since {since} is after {until}, the last day to fetch.")
    return max(since, way.first or since), until


def _fetch(ws: Workspace, plan: _Plan, asked: Asked, progress: Progress) -> None:
    folder, done = ws.raw / asked.source, plan.done
    pieces = list(_PLANS[plan.way.kind](plan))
    failures = 0
    for number, piece in enumerate(pieces):
        progress(piece.path, number, len(pieces))
        path = folder / piece.path
        name = path.relative_to(ws.root).as_posix()
        there = bool(raw.standing(path))
        if there and not asked.again and not _stale(piece, raw.retrieved(path)):
            done.kept.append(name)
            continue
        try:
            answers = piece.ask(raw.conditions(path) if there else {})
            if answers[0].status == 304:
                done.same.append(name)
            else:
                kinds = {"new": done.new, "revised": done.revised, "same": done.same}
                kinds[raw.keep(path, answers, piece.day)].append(name)
            failures = 0
        except AbsentError:
            done.absent.append(piece.day)
            failures = 0
        except FetchError as error:
            done.failed.append((name, str(error)))
            failures = _MOST_FAILURES if isinstance(error, LaterError) else failures + 1
        if failures == _MOST_FAILURES:
            left = len(pieces) - number - 1
            done.notes.append(f"the publisher is left alone until the next run; {left} not asked")
            break
    progress("", len(pieces), len(pieces))


def _stale(piece: _Piece, retrieved: datetime | None) -> bool:
    return bool(piece.edited and retrieved and piece.edited > retrieved)


# Planning: one function a kind of service -------------------------------------------------------


def _one(client: Client, url: str, check: Callable[[bytes], object]) -> Callable[..., list[Answer]]:
    return lambda headers: [client.get(url, headers=headers, check=check)]


def _check(way: Way) -> Callable[[bytes], object]:
    """How an answer of this kind is told from a broken one."""
    if way.file.endswith((".json", ".geojson")):
        return partial(web.read_json, holds=way.holds)
    return _whole_archive if way.file.endswith(".zip") else _not_empty


def _whole_archive(body: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            archive.infolist()
    except zipfile.BadZipFile as error:
        raise PassingError(f"not a zip archive, or cut off ({error}).") from None


def _not_empty(body: bytes) -> None:
    if not body:
        raise PassingError("the answer is empty.")


def _files(plan: _Plan) -> Iterator[_Piece]:
    """A file a day, at an address that its day gives."""
    way, check = plan.way, _check(plan.way)
    for day in plan.days():
        url = endpoints.fill(way.url, day)
        yield _Piece(day, endpoints.fill(way.file, day), _one(plan.client, url, check))


def _history(plan: _Plan) -> Iterator[_Piece]:
    """A list of updates, each with a number and a time; the last of a day shows the day."""
    way, check = plan.way, _check(plan.way)
    listed = web.read_json(plan.client.get(way.index, check=web.read_json).body)
    if not isinstance(listed, list):
        raise FetchError(f"{way.index}: not a list of updates. Look at {plan.known.look}.")
    last: dict[date, tuple[datetime, int]] = {}
    odd = 0
    for update in listed:
        try:
            when = datetime.fromisoformat(update["createdAt"]).astimezone(plan.zone)
            one = (when, int(update["id"]))
        except (KeyError, TypeError, ValueError):
            odd += 1
            continue
        last[when.date()] = max(one, last.get(when.date(), one))
    if odd:
        plan.done.notes.append(f"{odd} of {len(listed)} updates have no number or time")
    for day in plan.days():
        if day in last:
            number = str(last[day][1])
            url = endpoints.fill(way.url, day, id=number)
            path = endpoints.fill(way.file, day, id=number)
            yield _Piece(day, path, _one(plan.client, url, check))
        else:
            plan.done.absent.append(day)


def _found(plan: _Plan, index: str) -> list[arcgis.Service]:
    """Layers that are there; the others are named as failed."""
    found = []
    for layer in plan.way.layers:
        try:
            found.append(arcgis.find(plan.client, layer, index, plan.known.look))
        except FetchError as error:
            plan.done.failed.append((layer.layer, str(error)))
    plan.done.notes.extend(service.moved for service in found if service.moved)
    return found


def _file(plan: _Plan, service: arcgis.Service, day: date) -> str:
    path = endpoints.fill(plan.way.file, day, layer=service.layer)
    return path.rpartition(".")[0] + f".{service.ending}"


def _live(plan: _Plan) -> Iterator[_Piece]:
    """Layers that show the present; all are of the day on which one of them was last edited."""
    services = _found(plan, plan.way.index)
    edited = [service.edited for service in services if service.edited]
    if not services:
        return
    if not edited:
        raise FetchError(
            f"{plan.known.source}: no layer tells when it was edited, so the day of the map is not "
            f"known. Look at {plan.known.look}."
        )
    day = max(edited).astimezone(plan.zone).date()
    if not plan.since <= day <= plan.until:
        plan.done.notes.append(f"the service shows {day}, a day that was not asked for")
        return
    for service in services:
        ask = partial(arcgis.features, plan.client, service, "1=1")
        yield _Piece(day, _file(plan, service, day), ask, service.edited)


def _days(plan: _Plan) -> Iterator[_Piece]:
    """Layers whose features each tell their day, in one service or a web map a month."""
    maps = plan.way.maps or (endpoints.WebMap(plan.way.index, plan.since, plan.until),)
    for one in maps:
        since, until = max(plan.since, one.since), min(plan.until, one.until)
        for service in _found(plan, one.url) if since <= until else []:
            try:
                there = arcgis.days(plan.client, service, since, until, plan.zone)
            except FetchError as error:
                plan.done.failed.append((service.layer, str(error)))
                continue
            for day in there:
                where = arcgis.between(service, day, day, plan.zone)
                ask = partial(arcgis.features, plan.client, service, where)
                yield _Piece(day, _file(plan, service, day), ask)


_PLANS: Mapping[str, Callable[[_Plan], Iterator[_Piece]]] = MappingProxyType(
    {"files": _files, "history": _history, "arcgis-live": _live, "arcgis-days": _days}
)
