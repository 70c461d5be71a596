"""Headless Chromium for the tests, driven over its debugging pipe: no port, no further package."""

import base64
import fcntl
import itertools
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import pytest

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
    "--disable-background-networking --disable-component-update --hide-scrollbars "
    "--remote-debugging-pipe"
)


class Browser:
    """One tab. `requests` are the addresses that it asked for, `errors` what its console said."""

    def __init__(self, write: IO[bytes], read: IO[bytes]) -> None:
        self._write, self._read = write, read
        self._numbers = itertools.count(1)
        self._buffer = b""
        self._session = ""
        self.requests: list[str] = []
        self.bytes: dict[str, int] = {}
        self.errors: list[str] = []
        self._loaded = False
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> Any:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._write.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            read = self._read.read1(1 << 20)
            if not read:
                raise RuntimeError("Chromium ended")
            self._buffer += read
        line, self._buffer = self._buffer.split(b"\0", 1)
        message = json.loads(line)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, event: str, params: dict[str, Any]) -> None:
        if event == "Network.requestWillBeSent":
            url = params["request"]["url"]
            if not url.startswith("data:"):
                self.requests.append(url)
        elif event == "Network.loadingFinished":
            self.bytes[params["requestId"]] = int(params["encodedDataLength"])
        elif event == "Page.loadEventFired":
            self._loaded = True
        elif event == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(params["exceptionDetails"])[:500])
        elif event == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(params["entry"]["text"])

    def open(self, address: str, width: int = 1280, *, dark: bool = False, **media: str) -> None:
        """Load a page to its end at a width of CSS pixels."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        features = {"prefers-color-scheme": "dark" if dark else "light", **media}
        listed = [{"name": name, "value": value} for name, value in features.items()]
        self.call("Emulation.setEmulatedMedia", features=listed)
        self.requests.clear()
        self.bytes.clear()
        self.errors.clear()
        self._loaded = False
        self.call("Page.navigate", url=address)
        while not self._loaded:
            self._next()

    def run(self, script: str) -> Any:
        """Evaluate an expression, promises awaited."""
        answer = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(json.dumps(answer["exceptionDetails"])[:2000])
        return answer["result"].get("value")

    def press(self, key: str, code: int) -> None:
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code
            )

    def settle(self, seconds: float = 0.3) -> None:
        """Give scripts time, then take in what happened."""
        time.sleep(seconds)
        self.run("1")

    def picture(self, path: Path, *, whole: bool = True) -> Path:
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=whole, **self._clip(whole))
        path.write_bytes(base64.b64decode(shot["data"]))
        return path

    def _clip(self, whole: bool) -> dict[str, Any]:
        if not whole:
            return {}
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        return {"clip": {**size, "scale": 1}}

    def pdf(self, path: Path) -> Path:
        printed = self.call("Page.printToPDF", preferCSSPageSize=True)
        path.write_bytes(base64.b64decode(printed["data"]))
        return path


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """Start Chromium, and end it."""
    chromium = shutil.which("chromium")
    if not chromium:
        pytest.skip("chromium is not installed")
    pipes = [os.pipe(), os.pipe()]
    # High numbers, so that putting them at 3 and 4 in the new process overwrites neither.
    theirs = (pipes[0][0], pipes[1][1])
    to_read, from_write = (fcntl.fcntl(end, fcntl.F_DUPFD, 20) for end in theirs)

    def place() -> None:
        os.dup2(to_read, 3)
        os.dup2(from_write, 4)

    process = subprocess.Popen(
        [chromium, *FLAGS.split(), f"--user-data-dir={profile}"],
        preexec_fn=place,
        pass_fds=(3, 4),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for end in (to_read, from_write, *theirs):
        os.close(end)
    with os.fdopen(pipes[0][1], "wb", buffering=0) as write, os.fdopen(pipes[1][0], "rb") as read:
        try:
            yield Browser(write, read)
        finally:
            with suppress(BrokenPipeError):
                write.write(b'{"id":0,"method":"Browser.close"}\0')
            process.wait(timeout=20)
