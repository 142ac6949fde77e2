"""Pages in a headless Chromium, driven through its debugging pipe."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# It looks for nothing on the network but the page.
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
)


class Page:
    """A page; `read` and `write` are the ends of the pipe, whose messages end with a zero byte."""

    def __init__(self, read: int, write: int) -> None:
        self._answers = os.fdopen(read, "rb", buffering=0)
        self._calls = os.fdopen(write, "wb", buffering=0)
        self._numbers, self._left = count(1), b""
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        found = self._call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = {"sessionId": found["sessionId"]}

    def open(self, address: str, width: int = 1500, height: int = 900) -> None:
        """Goes to an address."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._call("Emulation.setDeviceMetricsOverride", **size)
        self._call("Page.navigate", url=address)

    def value(self, script: str) -> Any:
        """The value of an expression of JavaScript."""
        found = self._call("Runtime.evaluate", expression=script, returnByValue=True)
        return found["result"].get("value")

    def wait(self, script: str, seconds: float = 60.0) -> Any:
        """The value of an expression, as soon as it is true."""
        end = time.monotonic() + seconds
        while not (found := self.value(script)):
            if time.monotonic() > end:
                text = self.value("document.body.innerText")
                raise AssertionError(f"{script} was not true within {seconds:g} s:\n{text}")
            time.sleep(0.2)
        return found

    def screenshot(self, path: Path) -> None:
        """Writes what it looks like, as PNG."""
        path.write_bytes(base64.b64decode(self._call("Page.captureScreenshot")["data"]))

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        call = {"id": number, "method": method, "params": parameters}
        self._calls.write(json.dumps(call | getattr(self, "_session", {})).encode() + b"\0")
        while (answer := self._next()).get("id") != number:
            pass
        if "error" in answer:
            raise AssertionError(f"{method}: {answer['error']}")
        return answer["result"]

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._left:
            if not (more := self._answers.read(1 << 16)):
                raise AssertionError("Chromium ended")
            self._left += more
        text, _, self._left = self._left.partition(b"\0")
        return json.loads(text)


@contextmanager
def browser() -> Iterator[Page]:
    """A page of a Chromium that is started for it."""
    theirs, write = os.pipe()
    read, ours = os.pipe()
    with TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={profile}"]
        silent = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_WRONLY, 0) for fd in (1, 2)]
        # Numbers above those that it expects, lest one takes the other's place.
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 100) for fd in (theirs, ours)]
        pipes = [(os.POSIX_SPAWN_DUP2, fd, 3 + number) for number, fd in enumerate(high)]
        process = os.posix_spawn(
            command[0], command, os.environ, file_actions=[*silent, *pipes], setpgroup=0
        )
        for fd in (theirs, ours, *high):
            os.close(fd)
        try:
            yield Page(read, write)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process, signal.SIGKILL)
            os.waitpid(process, 0)
