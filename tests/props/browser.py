"""A real browser without a window, controlled by the Chrome DevTools Protocol through two pipes."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Browser:
    """A page of the browser. `problems` collects what the browser logs, and every uncaught exception."""

    def __init__(self, commands: BinaryIO, answers: BinaryIO) -> None:
        self.problems: list[Any] = []
        self._commands, self._answers = commands, answers
        self._rest = b""
        self._number = 0
        self._session: str | None = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "DOM"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method, and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._commands.write(json.dumps(message).encode() + b"\0")
        self._commands.flush()
        while (answer := self._read()).get("id") != self._number:
            if answer.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"):
                self.problems.append(answer["params"])
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def run(self, script: str) -> Any:
        """Evaluate an expression in the page, and wait for it if it is a promise."""
        options = {"returnByValue": True, "awaitPromise": True}
        result = self.call("Runtime.evaluate", expression=script, **options)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def open(self, url: str, *, width: int, scheme: str) -> None:
        """Open a page in a window of this width, in the light or dark color scheme, and wait until it is loaded."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600
        )
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    def wait(self, condition: str) -> None:
        """Wait until a condition is true in the page."""
        waiting = "requestAnimationFrame(check)"
        self.run(f"new Promise(done => {{ const check = () => ({condition}) ? done(true) : {waiting}; check(); }})")

    def choose(self, selector: str, path: Path) -> None:
        """Choose a file in a file input, as a user does."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", files=[str(path)], nodeId=node)

    def take_screenshot(self, path: Path) -> None:
        """Write the whole page as PNG."""
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            data = os.read(self._answers.fileno(), 2**16)
            assert data, "the browser ended"
            self._rest += data
        message, _, self._rest = self._rest.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer


@contextmanager
def browsing(profile: Path) -> Iterator[Browser]:
    """Start the browser with an empty profile. It reads commands from file descriptor 3 and answers on 4."""
    reads, commands = os.pipe()
    answers, writes = os.pipe()
    with subprocess.Popen(
        [
            "bash", "-c", f'exec "$@" 3<&{reads} 4>&{writes}', "bash", str(CHROMIUM), "--headless=new", "--no-sandbox",
            "--disable-gpu", f"--user-data-dir={profile}", "--remote-debugging-pipe",
        ],
        pass_fds=(reads, writes), stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        os.close(reads)
        os.close(writes)
        try:
            with os.fdopen(commands, "wb") as to, os.fdopen(answers, "rb") as back:
                yield Browser(to, back)
        finally:
            process.kill()
