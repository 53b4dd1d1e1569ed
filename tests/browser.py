"""A real browser, driven over its debugging pipe: it logs in, opens pages, reads and pictures them."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tracking_server.containers import CannotRun

Json = dict[str, Any]  # Any: as JSON is
NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe",
)  # fmt: skip

# The charts' own tools lie over the curves.
HIDE_TOOLS = "document.head.insertAdjacentHTML('beforeend', '<style>.modebar {display: none}</style>')"


class Page:
    """One tab, which logs in wherever it is asked to."""

    def __init__(
        self, commands: int, answers: int, account: tuple[str, str], size: dict[str, int], is_dark: bool
    ) -> None:
        self._commands = commands
        self._answers = os.fdopen(answers, "rb")
        self._account = account
        self._last = 0
        self._session = ""
        self.logins = 0
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._call("Fetch.enable", handleAuthRequests=True)
        # A window of this size with a mouse, as a person has it.
        self._call("Emulation.setDeviceMetricsOverride", **size, deviceScaleFactor=1, mobile=False)
        mouse = [{"name": "hover", "value": "hover"}, {"name": "pointer", "value": "fine"}]
        colours = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[*mouse, colours])

    def open(self, url: str) -> None:
        """Go to a page."""
        self._call("Page.navigate", url=url)

    def run_first(self, script: str) -> None:
        """Run JavaScript in each page that is opened from now on, before the page's own."""
        self._call("Page.enable")
        self._call("Page.addScriptToEvaluateOnNewDocument", source=script)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        return self._call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get(
            "value"
        )

    def wait(self, expression: str, within_s: float) -> None:
        """Return when the expression is true; raises `AssertionError` with the page's text otherwise."""
        give_up = time.monotonic() + within_s
        while not self.evaluate(expression):
            assert time.monotonic() < give_up, self.evaluate("document.body.innerText")
            time.sleep(0.2)

    def pause(self, seconds: float) -> None:
        """Let the page go on; its questions for a login are answered meanwhile."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.evaluate("1")
            time.sleep(0.1)

    def choose(self, field: str, file: Path) -> None:
        """Choose a file in the field that the selector finds, as in the browser's dialog."""
        root = self._call("DOM.getDocument")["root"]["nodeId"]
        node = self._call("DOM.querySelector", nodeId=root, selector=field)["nodeId"]
        self._call("DOM.setFileInputFiles", nodeId=node, files=[str(file)])

    def press(self, key: str) -> None:
        """Press a key: Tab, Enter, or one of a letter."""
        text = {"Enter": "\r", "Tab": ""}.get(key, key)
        code = {"Enter": 13, "Tab": 9}.get(key, ord(key[0]))
        self._call("Input.dispatchKeyEvent", type="keyDown", key=key, text=text, windowsVirtualKeyCode=code)
        self._call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def picture(self) -> bytes:
        """The page as a PNG."""
        return base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"])

    def _call(self, method: str, **parameters: object) -> Json:
        number = self._send(method, parameters)
        while True:
            message = self._read()
            if message.get("id") == number:
                assert "error" not in message, (method, message)
                result: Json = message["result"]
                return result
            self._react(message)

    def _react(self, message: Json) -> None:
        if message.get("method") == "Fetch.authRequired":
            self.logins += 1
            user, password = self._account
            answer = {"response": "ProvideCredentials", "username": user, "password": password}
            self._send(
                "Fetch.continueWithAuth",
                {"requestId": message["params"]["requestId"], "authChallengeResponse": answer},
            )
        elif message.get("method") == "Fetch.requestPaused":
            self._send("Fetch.continueRequest", {"requestId": message["params"]["requestId"]})

    def _send(self, method: str, parameters: Json) -> int:
        self._last += 1
        payload: Json = {"id": self._last, "method": method, "params": parameters}
        if self._session:
            payload["sessionId"] = self._session
        os.write(self._commands, json.dumps(payload).encode() + b"\0")
        return self._last

    def _read(self) -> Json:
        text = bytearray()
        while (byte := self._answers.read(1)) != b"\0":
            assert byte, "the browser is gone"
            text += byte
        message: Json = json.loads(text)
        return message


@contextmanager
def page(
    account: tuple[str, str] = ("", ""), width: int = 1400, height: int = 900, *, is_dark: bool = False
) -> Iterator[Page]:
    """A page in a browser with a profile of its own, gone at the end."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        raise CannotRun("there is no Chromium; apt-get install chromium")
    to_browser, commands = os.pipe()
    answers, from_browser = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        # The browser reads commands from descriptor 3 and writes answers to 4.
        process = subprocess.Popen(
            ["bash", "-c", f'exec "$0" "$@" 3<&{to_browser} 4>&{from_browser}', program, *FLAGS,
             f"--user-data-dir={profile}"],
            pass_fds=(to_browser, from_browser), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(to_browser)
        os.close(from_browser)
        try:
            yield Page(commands, answers, account, {"width": width, "height": height}, is_dark)
        finally:
            process.kill()
            process.wait()
            os.close(commands)
