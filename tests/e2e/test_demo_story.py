"""The demonstration tells its story: on the wall while it plays, and afterwards in summary and event log."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from playwright.sync_api import Browser, expect

from gateway.adapters.state import open_state
from gateway.app.client import Client
from gateway.model import Event
from tests.e2e.cli_kit import COMMAND, environment, logged_in, processes_of, steward
from tests.e2e.pages_support import WALL, browser, until

pytestmark = [pytest.mark.browser, pytest.mark.slow]
__all__ = ["browser"]

ESTATE = "happiness-lane"
FOR_S = 130
"""The story takes 80 s after the start; a machine that many tests share starts slowly."""


@dataclass
class Told:
    """A demonstration that is telling its story and ends by itself."""

    process: subprocess.Popen[bytes]
    data: Path
    out: Path
    summary: Path

    def client(self, user: str) -> Client:
        """The person at the interface."""
        until("running demonstration", (self.data / "run" / "web.json").exists, 90)
        return logged_in(self.data, user, self.passwords[user])

    @property
    def passwords(self) -> dict[str, str]:
        return dict(orjson.loads((self.data / "demo-passwords.json").read_bytes()))

    @property
    def url(self) -> str:
        return str(orjson.loads((self.data / "run" / "web.json").read_bytes())["url"])

    def end(self) -> dict[str, Any]:
        """The summary, when it has ended well."""
        assert self.process.wait(FOR_S + 120) == 0, self.out.read_text(encoding="utf-8")[-4000:]
        return dict(orjson.loads(self.summary.read_bytes()))

    def log(self) -> list[tuple[int, Event]]:
        """The whole event log of the estate, from the state file."""
        state = open_state(self.data / "state.db")
        try:
            found: list[tuple[int, Event]] = []
            while page := state.events(estate=ESTATE, after=found[-1][0] if found else 0, limit=500):
                found += page
            return found
        finally:
            state.close()


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """One run for all tests of this module."""
    folder = tmp_path_factory.mktemp("story")
    data, out, summary = folder / "D", folder / "demo.out", folder / "summary.json"
    words = ["demo", "--port", "0", "--for", f"{FOR_S}s", "--data", str(data), "--summary", str(summary)]
    with out.open("wb") as sink:
        process = subprocess.Popen(
            [*COMMAND, *words], stdout=sink, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            env=environment({"NO_COLOR": "1"}), start_new_session=True,
        )  # fmt: skip
    try:
        yield Told(process, data, out, summary)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
        assert processes_of(data) == [], "it leaves nothing behind"


def test_the_wall_names_the_root_of_the_cascade(told: Told, browser: Browser) -> None:
    operator = told.client("operator")

    def followers() -> list[dict[str, Any]]:
        alarms = operator.get("/api/v1/snapshot")["alarms"]
        roots = {a["id"] for a in alarms if a["rule"] == "power.outage"}
        return [a for a in alarms if a["root"] in roots]

    until("consequences of the outage", lambda: len(followers()) >= 4, 120)
    context = browser.new_context(viewport={"width": WALL[0], "height": WALL[1]}, locale="zh-CN")
    try:
        page = context.new_page()
        page.goto(f"{told.url}/login")
        page.fill("#user", "operator")
        page.fill("#password", told.passwords["operator"])
        page.click("form .primary")
        page.wait_for_url(lambda url: "/login" not in url)
        page.goto(f"{told.url}/wall")
        row = page.locator(f'#alarms tbody tr[data-id="{followers()[0]["root"]}"]')
        expect(row).to_be_visible(timeout=20_000)
        row.click()
        expect(page.locator("#detail-body dd.root")).to_contain_text(
            re.compile(r"可能是另外 \d+ 条报警的根因"), timeout=20_000
        )
        # In a flood what follows is folded behind its root; one click shows it.
        more = row.locator(".more-of-it")
        if more.count():
            more.click()
        consequence = page.locator("#alarms tbody tr", has_text="电梯主电源断电").first
        expect(consequence.locator(".root-line")).to_contain_text("变配电室 市电停电", timeout=20_000)
    finally:
        context.close()


def test_the_summary_is_what_the_log_says(told: Told, tmp_path: Path) -> None:
    summary = told.end()
    assert summary["residual"] == 0
    assert summary["expected"]["missed"] == []
    checked = steward("verify", "--data", told.data, "--json", cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    log, story = [e for _, e in told.log()], summary["story"]

    def orders(kind: str, **data: Any) -> list[str]:
        found = [e for e in log if e.kind == kind and not e.data["drill"]]
        return [e.subject for e in found if all(e.data.get(k) == v for k, v in data.items())]

    assert story["escalated"]["count"] == len(orders("order.escalated")) >= 1
    assert story["refused"]["count"] == len(orders("order.close_refused")) == 1
    assert story["verified"]["count"] == len(orders("order.verified", by="sensor")) >= 1
    assert set(story["escalated"]["orders"]) == set(orders("order.escalated"))
    assert story["refused"]["orders"] == orders("order.close_refused")
    assert story["verified"]["orders"] == orders("order.verified", by="sensor")

    cascade, place = story["cascade_root"], {e.subject: e.asset for e in log if e.kind == "alarm.raised"}
    latest = {e.subject: e.data["root"] for e in log if e.kind == "alarm.assessed"}
    follow = [a for a, root in latest.items() if root == cascade["alarm"] and place[a] != cascade["asset"]]
    assert (cascade["asset"], cascade["rule"]) == ("pw-1", "power.outage")
    assert cascade["consequences"] == len(follow) >= 4
    assert {place[a].partition("-")[0] for a in follow} >= {"lift", "ws", "sump"}


def test_the_refused_order_is_repaired_verified_and_closed(told: Told) -> None:
    told.end()
    log = [e for _, e in told.log()]
    refused = next(e for e in log if e.kind == "order.close_refused")
    mine = [e for e in log if e.subject == refused.subject]
    kinds = [e.kind for e in mine]
    path = ["order.dispatched", "order.accepted", "order.arrived", "order.done", "order.close_refused",
            "order.verified", "order.closed"]  # fmt: skip
    assert [k for k in kinds if k in path] == path
    person = next(e for e in mine if e.kind == "order.dispatched").data["assignment"]["person"]
    assert refused.actor == person
    assert refused.data["active"], "the alarms that were still active"
    assert "still says abnormal" in refused.data["reason"]
    done = next(e for e in mine if e.kind == "order.done")
    cleared = [e for e in log if e.kind == "alarm.cleared" and e.subject in refused.data["active"]]
    assert len(cleared) == len(refused.data["active"])
    assert done.t <= refused.t < min(e.t for e in cleared)
    verified = next(e for e in mine if e.kind == "order.verified")
    assert verified.t == max(e.t for e in cleared) + 60_000, "normal for a minute, to the millisecond"
    assert next(e for e in mine if e.kind == "order.closed").data["measured"] is True


def test_what_escalated_waited_for_its_time_and_was_taken_by_the_one_who_was_called(told: Told) -> None:
    told.end()
    log = [e for _, e in told.log()]
    step = next(e for e in log if e.kind == "order.escalated" and e.asset == "fire-1")
    sent = next(e for e in log if e.kind == "order.dispatched" and e.subject == step.subject)
    accepted = next(e for e in log if e.kind == "order.accepted" and e.subject == step.subject)
    assert step.t == sent.t + 60_000
    assert (step.data["role"], accepted.actor) == ("PM", "supervisor")
    assert accepted.t > step.t
    assert sum(e.kind == "order.escalated" and e.subject == step.subject for e in log) == 1, "then it stops"
    voice = [orjson.loads(line) for line in (told.data / "voice.jsonl").read_bytes().splitlines()]
    assert any(n["to"] == "PM" and n["channel"] == "voice" for n in voice)


def test_orders_went_to_people_whose_certificates_were_valid(told: Told) -> None:
    told.end()
    site = yaml.safe_load((told.data / "site.yaml").read_bytes())
    valid = {
        s["id"]: {c["kind"]: date.fromisoformat(c["expires"]) for c in s.get("certificates", ())}
        for s in site["staff"]
    }
    given = [
        e for _, e in told.log()
        if e.kind == "order.dispatched" and e.data["assignment"]["outcome"] == "person"
    ]  # fmt: skip
    assert len(given) >= 5
    assert any(e.data["assignment"]["needs"] for e in given)
    for e in given:
        chosen, day = e.data["assignment"], datetime.fromtimestamp(e.t / 1000, UTC).date()
        for kind in chosen["needs"]:
            assert valid[chosen["person"]][kind] >= day, chosen


def test_the_terminal_told_it_with_places_to_look_at(told: Told) -> None:
    told.end()
    said = told.out.read_text(encoding="utf-8")
    for word in ("probable root", "escalated", "closing refused", "verified by the sensor", "closed"):
        assert re.search(rf"★ .*{word}.*http://\S+/alarm/\w+", said), word
