"""A demonstration in a child process and a Chromium to look at it, shared by the tests of the pages."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from playwright.sync_api import Error as PlaywrightError

from gateway.adapters.clock import SystemClock

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
START_S, END_S = 90.0, 30.0
FOLLOW = """
import ctypes, os, signal, sys
prctl = getattr(ctypes.CDLL(None), "prctl", None)
if prctl is not None:
    prctl(1, signal.SIGINT)  # PR_SET_PDEATHSIG: a test run that is killed leaves nothing behind
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
DESK, WALL, PHONE = (1366, 768), (1920, 1080), (390, 844)
CLOCK = SystemClock()


def until(what: str, look: Callable[[], Any], seconds: float = 30.0) -> Any:
    """What `look` gives, as soon as it is true; fails with `what` when the time is over."""
    end = CLOCK.monotonic() + seconds
    pause = threading.Event()
    while True:
        found = look()
        if found:
            return found
        if CLOCK.monotonic() > end:
            pytest.fail(f"within {seconds} s there was no {what}")
        pause.wait(0.1)


@dataclass
class Demo:
    """A running demonstration of two estates of two firms, where nothing breaks by itself."""

    url: str
    passwords: dict[str, str]
    child: subprocess.Popen[bytes]
    folder: Path

    @classmethod
    def start(cls) -> Demo:
        """Start it; returns when people can log in."""
        folder = Path(tempfile.mkdtemp(prefix="steward-pages-"))
        out = folder / "demo.out"
        command = [
            sys.executable, "-c", FOLLOW, "-m", "gateway", "demo",
            "--port", "0", "--estates", "2", "--scenario", "calm", "--data", str(folder / "data"),
        ]  # fmt: skip
        env = os.environ | {"COLUMNS": "300", "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"}
        with out.open("wb") as sink:
            child = subprocess.Popen(
                command, stdout=sink, stderr=subprocess.STDOUT, env=env, start_new_session=True
            )

        def ready() -> re.Match[str] | None:
            text = out.read_text("utf-8", "replace")
            assert child.poll() is None, f"the demonstration ended: {text[-3000:]}"
            return re.search(r"(http://[\d.]+:\d+)/wall[\s\S]*Ctrl-C[\s\S]*admin\s+admin", text)

        try:
            found = until("running demonstration", ready, START_S)
            passwords = orjson.loads((folder / "data" / "demo-passwords.json").read_bytes())
        except BaseException:
            cls("", {}, child, folder).stop()
            raise
        return cls(found[1], passwords, child, folder)

    def stop(self) -> None:
        """End it as Ctrl-C does; what does not end is killed with its group."""
        self.child.send_signal(signal.SIGINT)
        try:
            self.child.wait(END_S)
        except subprocess.TimeoutExpired:
            os.killpg(self.child.pid, signal.SIGKILL)
            self.child.wait(END_S)
        shutil.rmtree(self.folder, ignore_errors=True)


class Wire:
    """A line to the server that can be cut (refuses, ends what is open) or go dead (takes, says nothing)."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._there = (str(parts.hostname), int(parts.port or 80))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._flows = threading.Event()
        self._flows.set()
        self._ended = False
        self.cut_off = False
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while not self._ended:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self.cut_off:
                near.close()
                continue
            far = socket.create_connection(self._there)
            self._open += [near, far]
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(a, b), daemon=True).start()

    def _pump(self, a: socket.socket, b: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := a.recv(65536):
                self._flows.wait()
                b.sendall(data)
        for end in (a, b):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def cut(self) -> None:
        """End every connection and refuse new ones."""
        self.cut_off = True
        for end in self._open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def freeze(self) -> None:
        """Nothing passes any more, and nobody is told."""
        self._flows.clear()

    def mend(self) -> None:
        """Let everything through again."""
        self.cut_off = False
        self._flows.set()

    def close(self) -> None:
        """End for good."""
        self._ended = True
        self.mend()
        self.cut()
        self._listener.close()


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    """One demonstration for all tests of a module; one that lived on would slow down all that follow."""
    chromium_path()
    running = Demo.start()
    try:
        yield running
    finally:
        running.stop()


def chromium_path() -> str | None:
    """The system's Chromium, None for Playwright's own; skips the test when there is neither."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        path = shutil.which(name)
        if path:
            return path
    with sync_playwright() as p:
        if Path(p.chromium.executable_path).exists():
            return None
    pytest.skip("there is no Chromium on this machine")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser a module: an open sync_playwright keeps a loop running, in which async tests cannot."""
    path = chromium_path()
    with sync_playwright() as p:
        found = p.chromium.launch(executable_path=path, args=FLAGS)
        yield found
        found.close()


@pytest.fixture
def wire(demo: Demo) -> Iterator[Wire]:
    """A line to the demonstration that a test may cut."""
    found = Wire(demo.url)
    yield found
    found.close()


@dataclass
class Visit:
    """A person at a screen. `errors`: complaints of the console; `foreign`: requests to other origins."""

    demo: Demo
    context: BrowserContext
    page: Page
    errors: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Note every complaint and every request that leaves the origin."""
        self.page.on("pageerror", lambda e: self.errors.append(str(e)))
        self.page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)
        self.page.on("request", lambda r: self._asked(r.url))

    def _asked(self, url: str) -> None:
        if urlsplit(url).scheme in ("http", "https") and not url.startswith(self.demo.url):
            self.foreign.append(url)

    def log_in(self, user: str) -> None:
        """By the form, as people do."""
        self.page.goto(f"{self.demo.url}/login")
        self.page.fill("#user", user)
        self.page.fill("#password", self.demo.passwords[user])
        self.page.click("form .primary")
        self.page.wait_for_url(lambda url: "/login" not in url)

    def go(self, path: str) -> int:
        """Open a page of the application; its status."""
        try:
            answer = self.page.goto(f"{self.demo.url}{path}")
        except PlaywrightError as e:
            if "ERR_ABORTED" not in str(e):
                raise
            # The page was just loading itself anew after a form, and that came second.
            answer = self.page.goto(f"{self.demo.url}{path}")
        assert answer is not None
        return answer.status

    def get(self, path: str) -> Any:
        """An answer of the interface."""
        answer = self.context.request.get(f"{self.demo.url}{path}")
        assert answer.ok, (path, answer.status, answer.text())
        return answer.json()

    def post(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        """Status and answer of a call, with this person's session and token."""
        me = self.get("/api/v1/me")
        headers = {"X-CSRF-Token": me["csrf"], "Origin": self.demo.url}
        answer = self.context.request.post(f"{self.demo.url}{path}", data=body, headers=headers)
        return answer.status, answer.json()

    def alarms(self) -> list[dict[str, Any]]:
        """Open alarms that the person may see."""
        found: list[dict[str, Any]] = self.get("/api/v1/snapshot")["alarms"]
        return found


Enter = Callable[..., Visit]


@pytest.fixture
def enter(demo: Demo, browser: Browser) -> Iterator[Enter]:
    """Lets a person in: `enter("operator", size=WALL, lang="en")`; "" is a stranger."""
    contexts: list[BrowserContext] = []

    def come(
        user: str = "", size: tuple[int, int] = DESK, lang: str = "zh", url: str = "", **more: Any
    ) -> Visit:
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, locale={"zh": "zh-CN", "en": "en-GB"}[lang],
            **more,
        )  # fmt: skip
        contexts.append(context)
        visit = Visit(replace(demo, url=url) if url else demo, context, context.new_page())
        visit.watch()
        if user:
            visit.log_in(user)
        return visit

    yield come
    for context in contexts:
        context.close()


def break_it(visit: Visit, kind: str, asset: str) -> None:
    """Change the simulated plant behind the registers."""
    status, answer = visit.post("/api/v1/breakit", {"do": "fault", "kind": kind, "asset": asset})
    assert status == 200, answer


def mend(visit: Visit) -> None:
    """Put everything right again."""
    assert visit.post("/api/v1/breakit", {"do": "clear"})[0] == 200
