"""One polite request at a time: limits in time and size, back-off, redirects only at home."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from typing import Any, Self
from urllib.parse import urljoin, urlsplit

import orjson
import requests

from helpers.errors import FetchError

# Answers that may be better in a moment; 498 and 499 are tokens that ArcGIS has let expire.
_PASSING = {408, 425, 429, 498, 499, 500, 502, 503, 504}
_GONE = {404, 410}
_MOVED = {301, 302, 303, 307, 308}
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}
_MOST_REDIRECTS = 5
_CHUNK_BYTES = 64 * 1024


class AbsentError(FetchError):
    """The publisher has nothing at this address."""


class LaterError(FetchError):
    """The publisher asks to be left alone for longer than a run waits."""


class PassingError(FetchError):
    """What went wrong may go right in a moment.

    Attributes
    ----------
    wait_s
        Seconds that the publisher asks to wait; None where it does not say.
    """

    def __init__(self, message: str, wait_s: float | None = None) -> None:
        super().__init__(message)
        self.wait_s = wait_s


@dataclass(frozen=True)
class Policy:
    """How to behave towards a publisher.

    Attributes
    ----------
    hosts
        Names of the hosts that may be asked, and redirected to.
    pause_s
        Least time between the end of an answer and the next question to the same host, seconds.
    connect_s, read_s, total_s
        Longest wait for a connection, for the next bytes, and for all of an answer, seconds.
    max_bytes
        Largest body, unpacked.
    tries
        How often a question is asked before it counts as failed.
    backoff_s
        Wait after the first failure, seconds; doubled after each further one.
    longest_wait_s
        A publisher who asks for a longer wait is left alone until the next run, seconds.
    """

    hosts: tuple[str, ...]
    pause_s: float = 2.0
    connect_s: float = 15.0
    read_s: float = 45.0
    total_s: float = 300.0
    max_bytes: int = 64 * 1024 * 1024
    tries: int = 4
    backoff_s: float = 2.0
    longest_wait_s: float = 300.0


@dataclass(frozen=True)
class Answer:
    """What a publisher served.

    Attributes
    ----------
    url
        The address that answered, after redirects.
    status
        200, or 304 when nothing has changed.
    headers
        As served, without cookies.
    body
        As served, after the transport's own packing is undone.
    asked
        When (UTC).
    """

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    asked: datetime


def now() -> datetime:
    """Present time (UTC, whole seconds), or what SOURCE_DATE_EPOCH says it is."""
    fixed = os.environ.get("SOURCE_DATE_EPOCH")
    return datetime.fromtimestamp(int(fixed) if fixed else int(time.time()), tz=UTC)


def identity() -> str:
    """User-Agent: the project and, from FRONTLINE_CONTACT, whom a publisher can write to."""
    contact = os.environ.get("FRONTLINE_CONTACT", "").strip()
    about = f" (daily map archive; {contact})" if contact else " (daily map archive)"
    return f"frontline-notebooks/{version('frontline-notebooks')}{about}"


def _accept(body: bytes) -> None:
    """Take any body."""


class Client:
    """Asks one question after the other.

    Parameters
    ----------
    policy
        How to behave.
    sleep
        How to wait; a test counts instead.
    """

    def __init__(self, policy: Policy, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self.policy = policy
        self._sleep = sleep
        self._session = self._connect()
        self._free: dict[str, float] = {}  # host: when it may be asked again

    def _connect(self) -> requests.Session:
        session = requests.Session()
        session.headers["User-Agent"] = identity()
        session.headers["Accept"] = "application/geo+json, application/json, */*;q=0.5"
        session.auth = lambda request: request  # else passwords from ~/.netrc are sent
        return session

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        check: Callable[[bytes], object] = _accept,
    ) -> Answer:
        """Ask, and ask again while it makes sense.

        Parameters
        ----------
        url
            Of one of the policy's hosts, with TLS unless it is this machine.
        headers
            Such as ``If-None-Match``.
        check
            Called with the body of a status 200; raises `PassingError` to have it asked again, or
            another `FetchError` to give up.

        Returns
        -------
        Answer
            Status 200, or 304.

        Raises
        ------
        AbsentError
            At a status 404 or 410.
        LaterError
            If the publisher asks for a longer wait than the policy's.
        FetchError
            With the address and the cause: every other status, an address that is not the
            publisher's, limits, and failures that did not pass.
        """
        for attempt in range(1, self.policy.tries + 1):
            try:
                answer = self._follow(url, dict(headers or {}))
                if answer.status == 200:
                    _try(check, answer)
                return answer
            except PassingError as error:
                wait = self.policy.backoff_s * 2 ** (attempt - 1)
                if error.wait_s is not None:
                    wait = max(error.wait_s, 0)
                if wait > self.policy.longest_wait_s:
                    raise LaterError(
                        f"{url}: {error} It asks to wait {wait:.0f} s: run again after that."
                    ) from None
                if attempt == self.policy.tries:
                    raise FetchError(
                        f"{url}: {error} Asked {attempt} times; run again later."
                    ) from None
                self._sleep(wait)
        raise FetchError(f"{url}: the policy allows no try.")

    def _follow(self, url: str, headers: dict[str, str]) -> Answer:
        for _ in range(_MOST_REDIRECTS + 1):
            self._allow(url)
            answer = self._ask(url, headers)
            if answer.status not in _MOVED:
                return self._judge(answer)
            url = urljoin(url, answer.headers.get("Location", ""))
        raise FetchError(f"{url}: redirects without end.")

    def _allow(self, url: str) -> None:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if host not in self.policy.hosts:
            raise FetchError(
                f"{url}: not one of the publisher's hosts ({', '.join(self.policy.hosts)}). "
                "If the publisher has moved there, add the host to the source's endpoints.toml."
            )
        if parts.scheme != "https" and not (parts.scheme == "http" and host in _LOOPBACK):
            raise FetchError(f"{url}: only https is asked.")

    def _judge(self, answer: Answer) -> Answer:
        status = answer.status
        if status in (200, 304):
            return answer
        if status in _GONE:
            raise AbsentError(f"{answer.url}: nothing is there (status {status}).")
        if status in _PASSING:
            wait = _retry_after(answer.headers, answer.asked)
            raise PassingError(f"status {status}.", wait)
        raise FetchError(
            f"{answer.url}: refused with status {status}. Look at the publisher's page: the "
            "address or the terms may have changed."
        )

    def _ask(self, url: str, headers: dict[str, str]) -> Answer:
        """One exchange, given up after `total_s` whatever the other side does."""
        host = urlsplit(url).netloc
        self._sleep(max(0.0, self._free.get(host, 0.0) - time.monotonic()))
        outcome: queue.SimpleQueue[Answer | Exception] = queue.SimpleQueue()
        session, given_up = self._session, threading.Event()

        def work() -> None:
            try:
                outcome.put(self._receive(session, url, headers, given_up))
            except (requests.RequestException, FetchError, OSError) as error:
                outcome.put(error)

        threading.Thread(target=work, daemon=True).start()
        try:
            found = outcome.get(timeout=self.policy.total_s)
        except queue.Empty:
            given_up.set()
            self._session = self._connect()  # the other thread still has the old one
            raise PassingError(f"not complete after {self.policy.total_s:g} s.") from None
        finally:
            self._free[host] = time.monotonic() + self.policy.pause_s
        if isinstance(found, Answer):
            return found
        raise _translated(found, url)

    def _receive(
        self,
        session: requests.Session,
        url: str,
        headers: dict[str, str],
        given_up: threading.Event,
    ) -> Answer:
        policy, asked = self.policy, now()
        limits = (policy.connect_s, policy.read_s)
        with session.get(
            url, headers=headers, stream=True, timeout=limits, allow_redirects=False
        ) as response:
            body = bytearray()
            if response.status_code == 200:
                size = response.headers.get("Content-Length", "")
                self._fits(int(size) if size.isdigit() else 0, url)
                for chunk in response.iter_content(_CHUNK_BYTES):
                    body += chunk
                    self._fits(len(body), url)
                    if given_up.is_set():
                        break
            served = {k: v for k, v in response.headers.items() if k.lower() != "set-cookie"}
            return Answer(url, response.status_code, served, bytes(body), asked)

    def _fits(self, size: int, url: str) -> None:
        if size > self.policy.max_bytes:
            raise FetchError(
                f"{url}: more than the {self.policy.max_bytes:,} bytes allowed. If the publisher's "
                "files have grown, raise max_bytes in the source's endpoints.toml."
            )


def _try(check: Callable[[bytes], object], answer: Answer) -> None:
    try:
        check(answer.body)
    except PassingError:
        raise
    except FetchError as error:
        raise type(error)(f"{answer.url}: {error}") from None


def _translated(error: Exception, url: str) -> FetchError:
    if isinstance(error, FetchError):
        return error
    if isinstance(error, requests.exceptions.SSLError):
        return FetchError(f"{url}: the certificate is not valid, so nothing was asked: {error}")
    if isinstance(error, requests.Timeout):
        return PassingError("no answer in time.")
    return PassingError(f"the connection failed or broke off ({type(error).__name__}).")


def _retry_after(headers: Mapping[str, str], asked: datetime) -> float | None:
    """Seconds to wait, from a number or a date; None where nothing usable is said."""
    said = headers.get("Retry-After", "").strip()
    if said.isdigit():
        return float(said)
    try:
        when = parsedate_to_datetime(said)
        since = parsedate_to_datetime(headers["Date"]) if "Date" in headers else asked
        return (when - since).total_seconds()
    except (ValueError, TypeError):
        return None


def read_json(body: bytes, holds: str = "") -> Any:
    """Parse a body, and tell an error that was sent with status 200.

    Parameters
    ----------
    body
        What was served.
    holds
        Name of a list that must be there, such as ``features``, or ``value.features``.

    Returns
    -------
    Any
        The parsed JSON.

    Raises
    ------
    PassingError
        If it is cut off, no JSON, or an error that may pass.
    AbsentError
        If the error says that there is no such layer.
    FetchError
        If it is another error, or the list is not there.
    """
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        start = body[:40].decode("utf-8", "replace")
        raise PassingError(f"not JSON, or cut off ({error}); it begins {start!r}.") from None
    if isinstance(content, dict) and "error" in content:
        _raise_error(content["error"])
    found = content
    for key in holds.split(".") if holds else ():
        found = found.get(key) if isinstance(found, dict) else None
    if holds and not isinstance(found, list):
        raise FetchError(
            f"the answer has no list {holds!r}; it begins {body[:60].decode('utf-8', 'replace')!r}."
        )
    return content


def _raise_error(error: Any) -> None:
    about = error if isinstance(error, dict) else {"message": error}
    code, message = about.get("code"), str(about.get("message") or about)[:200]
    if code in _PASSING:
        raise PassingError(f"an error with status 200: {code} {message}.")
    if code in _GONE or "invalid url" in message.lower():
        raise AbsentError(f"an error with status 200: {code} {message}.")
    raise FetchError(f"an error with status 200: {code} {message}.")
