"""A headless Chromium that tests drive over its DevTools protocol, without further packages."""

import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PROGRAM = next(filter(None, map(shutil.which, NAMES)), None)

needs_chromium = pytest.mark.skipif(PROGRAM is None, reason=f"none of {', '.join(NAMES)} is there")

FLAGS = (
    "--headless",
    "--remote-debugging-pipe",
    "--no-sandbox",  # which root, as in containers, cannot have
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
)
PATIENCE = 60
"""Seconds that an answer may take."""


class Page:
    """An open page. Attributes: `requests` (URLs it asked for) and `complaints` (exceptions, and
    messages on its console)."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = commands, answers
        self._unread, self._last_id, self._session = b"", 0, {}
        self._has_loaded = False
        self.requests, self.complaints = [], []

    def open(self, path: Path, width: int = 1400, height: int = 900) -> None:
        """Open a file in a window of that size and wait until it has loaded."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = {"sessionId": attached["sessionId"]}
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.resize(width, height)
        self._has_loaded = False
        self.call("Page.navigate", url=path.resolve().as_uri())
        while not self._has_loaded:
            self._take_in(self._receive())
        self.wait_for_frame()

    def resize(self, width: int, height: int, scale: float = 1) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)

    def value(self, expression: str) -> Any:
        """What an expression (or the promise that it is) comes to in the page."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for_frame(self) -> None:
        """Wait until what was asked for has been drawn."""
        frame = "new Promise((done) => requestAnimationFrame(done))"
        self.value(f"{frame}.then(() => {frame}).then(() => true)")

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """Send a mouse event: "mouseMoved", "mousePressed", "mouseReleased" or "mouseWheel"."""
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)
        self.wait_for_frame()

    def click(self, x: float, y: float, count: int = 1) -> None:
        for number in range(1, count + 1):
            for kind in ("mousePressed", "mouseReleased"):
                self.mouse(kind, x, y, button="left", clickCount=number)

    def drag(self, x: float, y: float, to_x: float) -> None:
        """Press the left button, move to `to_x` and let go."""
        self.mouse("mousePressed", x, y, button="left", buttons=1, clickCount=1)
        self.mouse("mouseMoved", to_x, y, button="left", buttons=1)
        self.mouse("mouseReleased", to_x, y, button="left", clickCount=1)

    def press(self, key: str) -> None:
        text = {"text": key} if len(key) == 1 else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)
        self.wait_for_frame()

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command of the protocol; returns its answer."""
        self._last_id += 1
        command = {"id": self._last_id, "method": method, "params": params, **self._session}
        os.write(self._commands, json.dumps(command).encode() + b"\0")
        while True:
            message = self._receive()
            if message.get("id") == self._last_id:
                assert "error" not in message, f"{method}: {message['error']}"
                return message["result"]
            self._take_in(message)

    def _receive(self) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE
        while b"\0" not in self._unread:
            left = max(deadline - time.monotonic(), 0)
            assert select.select([self._answers], [], [], left)[0], "Chromium does not answer"
            read = os.read(self._answers, 1 << 20)
            assert read, "Chromium has ended"
            self._unread += read
        message, _, self._unread = self._unread.partition(b"\0")
        return json.loads(message)

    def _take_in(self, message: dict[str, Any]) -> None:
        params = message.get("params", {})
        match message["method"]:
            case "Page.loadEventFired":
                self._has_loaded = True
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])
            case "Runtime.exceptionThrown" | "Runtime.consoleAPICalled" | "Log.entryAdded":
                self.complaints.append(params)


@contextmanager
def chromium(profile: Path) -> Iterator[Page]:
    """Start Chromium with the new profile folder `profile`; yields a page that is still to open."""
    theirs_in, commands = os.pipe()
    answers, theirs_out = os.pipe()
    # Chromium reads from 3 and writes to 4, which may be ours for something else
    pipes = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (theirs_in, theirs_out)]
    script = f'exec "$0" "$@" 3<&{pipes[0]} 4>&{pipes[1]}'
    process = subprocess.Popen(
        ["bash", "-c", script, PROGRAM, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
        pass_fds=pipes,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for end in (theirs_in, theirs_out, *pipes):
        os.close(end)
    try:
        yield Page(commands, answers)
    finally:
        with suppress(OSError):
            os.write(commands, b'{"id": 0, "method": "Browser.close"}\0')
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(commands)
        os.close(answers)
