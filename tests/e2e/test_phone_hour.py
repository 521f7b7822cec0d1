"""An hour without a signal, by a clock that is wrong: what arrives bears the times at which it was done.

The hour is virtual on both sides: the core's clock is moved by hand, the page gets another `Date`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from dashboards.app import create_app
from dashboards.server import serve
from dashboards.web import WebOptions
from gateway.adapters.attachments import Attachments
from gateway.adapters.clock import ManualClock
from gateway.model import Command
from tests.e2e.pages_support import PHONE, Demo, Visit, Wire, browser, until
from tests.e2e.phone_support import next_step, picture, sent
from tests.support.web_desk import WebDesk, order
from tests.support.web_site import HASHER, PASSWORD, Site

pytestmark = [pytest.mark.browser, pytest.mark.slow]
__all__ = ["browser"]

MIN, HOUR = 60, 3600
WRONG_S = 3 * HOUR
"""The phone's clock is so far ahead."""


@dataclass
class Server:
    """A web over a small core whose clock a test moves."""

    url: str
    desk: WebDesk
    clock: ManualClock

    def sent(self) -> list[Command]:
        return [c for c in self.desk.commands if c.kind.startswith("order.")]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    clock = ManualClock()
    desk = WebDesk(tmp_path, clock)
    app = create_app(
        desk, desk.state, clock, WebOptions(hasher=HASHER, files=Attachments(tmp_path / "photos"))
    )
    Site(app, desk, clock).person("chen", "technician", duties=["LM"])
    desk.put("order", order("o1", "lift-1", "LM", checklist=[], photos=[], needs=[], alarms=[]))
    found: list[int] = []
    ended = threading.Event()

    async def run() -> None:
        task = asyncio.create_task(serve(app, "127.0.0.1", 0, lambda _, port: found.append(port)))
        await asyncio.to_thread(ended.wait)
        task.cancel()
        await asyncio.wait([task])

    thread = threading.Thread(target=asyncio.run, args=(run(),), daemon=True)
    thread.start()
    until("server", lambda: found)
    yield Server(f"http://127.0.0.1:{found[0]}", desk, clock)
    ended.set()
    thread.join(20)
    desk.close()


def test_an_hour_in_airplane_mode_leaves_the_stamps_true(browser: Browser, server: Server) -> None:
    wire = Wire(server.url)
    context = browser.new_context(viewport={"width": PHONE[0], "height": PHONE[1]}, locale="zh-CN")
    there = Demo(wire.url, {"chen": PASSWORD}, None, Path())  # type: ignore[arg-type] # there is no child
    visit = Visit(there, context, context.new_page())
    page = visit.page
    try:
        visit.watch()
        visit.log_in("chen")
        began = server.clock.now()
        device = page.evaluate("Date.now()")

        def later(seconds: int) -> None:
            server.clock.step(seconds)
            gone = (server.clock.now() - began) // 1000
            page.clock.set_fixed_time(device / 1000 + WRONG_S + gone)

        page.locator("body[data-kept]").wait_for()
        later(0)
        page.locator('.job[data-order="o1"] .job-open').click()
        wire.cut()
        for minutes, act in ((1, "accept"), (14, "arrive"), (20, "photo")):
            later(minutes * MIN)
            if act == "photo":
                page.locator(".photo-button input").first.set_input_files(picture(400, 300))
                continue
            next_step(page).click()
            if act == "arrive":
                page.locator("dialog .without").click()
        expect(page.locator("#queue")).to_have_text("3 项待上传")
        page.reload()
        later(25 * MIN)
        expect(page.locator("#queue")).to_have_text("3 项待上传", timeout=15_000)
        assert server.sent() == []
        wire.mend()
        sent(page)
        stamps = [(c.kind, round((c.done_at - began) / 1000 / MIN)) for c in server.sent()]
        assert stamps == [("order.accept", 1), ("order.arrive", 15), ("order.photo", 35)]
        # Real seconds of the test pass on the phone and not on the core's clock; nothing else may differ.
        assert all(c.received_at == began + HOUR * 1000 for c in server.sent())
    finally:
        context.close()
        wire.close()
