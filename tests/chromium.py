"""A real browser, driven by its own protocol over a pipe: keys as a keyboard sends them, pictures, the page's state.

Needs Chromium or Chrome on the PATH, or its path in LLMGUIDE_CHROMIUM.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

__all__ = ["HEADLESS", "Browser", "find_chromium"]

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
HEADLESS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
)
_KEYS = {
    "Tab": (9, ""),
    "Enter": (13, "\r"),
    "Space": (32, " "),
    "ArrowDown": (40, ""),
    "ArrowUp": (38, ""),
    "ArrowLeft": (37, ""),
    "ArrowRight": (39, ""),
    "Escape": (27, ""),
}


def find_chromium() -> str | None:
    """Return the path of a browser, None where there is none."""
    return os.environ.get("LLMGUIDE_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One page of a headless browser, as a context manager; `console` holds errors and what the policy refused."""

    def __init__(self, path: str, profile: Path, *, width: int = 1280, height: int = 900) -> None:
        self.console: list[str] = []
        self.requests: list[str] = []
        to_read, self._write = os.pipe()
        self._read, to_write = os.pipe()

        def hand_over() -> None:
            """The browser reads its commands from 3 and answers on 4."""
            copies = os.dup(to_read), os.dup(to_write)
            os.dup2(copies[0], 3)
            os.dup2(copies[1], 4)

        self._process = subprocess.Popen(
            [path, *HEADLESS, "--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=hand_over,
            close_fds=False,
        )
        os.close(to_read)
        os.close(to_write)
        self._buffer, self._number, self._session = b"", 0, None
        targets = self._call("Target.getTargets")["targetInfos"]
        target = next(one["targetId"] for one in targets if one["type"] == "page")
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility"):
            self._call(f"{domain}.enable")
        self.resize(width, height)

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError, RuntimeError):
            self._session = None
            self._call("Browser.close")
        self._process.wait(timeout=30)
        os.close(self._read)
        os.close(self._write)

    def resize(self, width: int, height: int) -> None:
        """Give the page a screen of this size."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._call("Emulation.setDeviceMetricsOverride", **metrics)

    def shows(self, *, dark: bool = False, paper: bool = False) -> None:
        """Prefer a dark page or a light one, on a screen or as it is printed."""
        feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", media="print" if paper else "screen", features=[feature])

    def save_downloads(self, folder: Path) -> None:
        """Keep what the page gives to download in a folder."""
        session, self._session = self._session, None
        self._call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
        self._session = session

    def open(self, address: str) -> None:
        """Go to an address and wait until it is loaded."""
        self._call("Page.navigate", url=address)
        self.wait_for("document.readyState === 'complete' && !document.body.hasAttribute('aria-busy')")

    def press(self, *keys: str, ctrl: bool = False) -> None:
        """Press and release keys one after the other: names such as "Tab", or single letters and digits."""
        for key in keys:
            code, text = _KEYS[key] if key in _KEYS else (ord(key.upper()), key)
            what = {
                "key": " " if key == "Space" else key,
                "code": key if key in _KEYS else f"{'Digit' if key.isdigit() else 'Key'}{key.upper()}",
                "windowsVirtualKeyCode": code,
                "modifiers": 2 if ctrl else 0,
            }
            self._call("Input.dispatchKeyEvent", type="keyDown", text="" if ctrl else text, **what)
            self._call("Input.dispatchKeyEvent", type="keyUp", **what)

    def type(self, text: str) -> None:
        """Type a text into what has the focus."""
        self._call("Input.insertText", text=text)

    def value(self, expression: str) -> Any:
        """Return the JSON value of an expression in the page."""
        found = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"])
        return found["result"].get("value")

    def wait_for(self, expression: str, seconds: float = 60.0) -> Any:
        """Wait until an expression is true in the page, and return it."""
        end = time.monotonic() + seconds
        while True:
            with contextlib.suppress(RuntimeError):  # a page on its way has no document yet
                if found := self.value(expression):
                    return found
            if time.monotonic() > end:
                raise AssertionError(f"not true after {seconds} s: {expression}; console: {self.console}")
            time.sleep(0.03)

    def focus(self) -> str:
        """Return what has the focus: its id, or name and value."""
        return self.value(
            "(({id, name, value, tagName}) => id || [name, value].filter(Boolean).join(' ') || tagName)"
            "(document.activeElement)"
        )

    def names(self) -> list[tuple[str, str]]:
        """Return role and name of everything that a screen reader sees."""
        nodes = self._call("Accessibility.getFullAXTree")["nodes"]
        return [
            (node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node.get("ignored")
        ]

    def picture(self, path: Path) -> Path:
        """Save the whole page as a PNG file."""
        shot = self._call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))
        return path

    def _call(self, method: str, **given: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": given}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            reply = self._next()
            if reply.get("id") == self._number:
                if "error" in reply:
                    raise RuntimeError(f"{method}: {reply['error']}")
                return reply["result"]
            self._note(reply.get("method", ""), reply.get("params", {}))

    def _note(self, method: str, given: dict[str, Any]) -> None:
        if method == "Log.entryAdded":
            self.console.append(given["entry"]["text"])
        elif method == "Runtime.exceptionThrown":
            self.console.append(str(given["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and given["type"] == "error":
            self.console.append(str(given["args"]))
        elif method == "Network.requestWillBeSent":
            self.requests.append(given["request"]["url"])

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            more = os.read(self._read, 1 << 20)
            if not more:
                raise RuntimeError("the browser ended")
            self._buffer += more
        first, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(first)
