"""The demo's story in the terminal, and the sums at its end."""

from __future__ import annotations

import contextlib
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.markup import escape

from gateway.app.client import Client
from gateway.app.demo_chapters import Chapters, line_of
from gateway.app.setup import Setup
from gateway.errors import Retryable
from gateway.model import Ms

STYLE = {1: "bold red", 2: "bold dark_orange", 3: "yellow", 4: "blue"}
SHAPE = {1: "■", 2: "◆", 3: "▲", 4: "●"}
SILENT = frozenset({"order.reminded", "order.linked", "order.close_refused"})
"""Told otherwise, or too often to be told."""
LATE_MS = 2_000
"""Grace for an expected alarm: the story's times are exact, polls and delays are not."""


class Story:
    """Reads new events from the interface and prints them; remembers alarms for the sums."""

    def __init__(self, setup: Setup, console: Console, url: str = "") -> None:
        """url: of the pages, named where there is something to see."""
        self._setup, self._console = setup, console
        self._names = {p.id: p.name for p in setup.site.file.people}
        self.chapters = Chapters(setup, url)
        self._after: dict[str, int] = {}
        self.first_estate = setup.site.file.estates[0].id
        self.first_alarm_s: float | None = None
        self.kinds: Counter[str] = Counter()
        self.raised: list[dict[str, Any]] = []
        self._since: Ms | None = None

    def follow(self, client: Client, at_s: float, now: Ms) -> list[dict[str, Any]]:
        """Print what is new and give it; what an earlier run left is only counted.

        Raises Retryable without a core.
        """
        if self._since is None:
            self._since = now - 60_000
        fresh: list[dict[str, Any]] = []
        for estate in self._setup.site.file.estates:
            page = client.get(
                "/api/v1/events", estate=estate.id, after=self._after.get(estate.id, 0), limit=500
            )
            for e in sorted(page["events"], key=lambda e: int(e["seq"])):
                self._after[estate.id] = max(self._after.get(estate.id, 0), int(e["seq"]))
                if self._one(e, at_s):
                    fresh.append(e)
        return fresh

    def _one(self, e: dict[str, Any], at_s: float) -> bool:
        """Whether it is of this run."""
        self.kinds[e["kind"]] += 1
        fresh = self._since is None or bool(e["t"] >= self._since)
        if e["kind"] == "alarm.raised":
            self.raised.append(e)
            if self.first_alarm_s is None and fresh:
                self.first_alarm_s = round(at_s, 1)
        line = self._line(e)
        if not fresh:
            return False
        for text in (line, *map(line_of, self.chapters.hear(e))):
            if text:
                self._console.print(f"[dim]{at_s:6.1f}s[/dim] {text}", highlight=False, soft_wrap=True)
        return True

    def _line(self, e: dict[str, Any]) -> str:
        data = e.get("data") or {}
        asset = self._setup.assets.get(e.get("asset", ""))
        name = f"{asset.name['zh']} {asset.name['en']}" if asset else e.get("asset", "")
        priority = int(data.get("priority") or 4)
        rule = self._setup.rules.by_id.get(str(data.get("rule", "")))
        said = f"{rule.name['zh']} {rule.name['en']}" if rule else ""
        kind = e["kind"]
        if kind == "alarm.raised":
            return f"[{STYLE[priority]}]{SHAPE[priority]} {escape(name)}: {escape(said)}[/]"
        if kind in ("alarm.cleared", "alarm.acked", "alarm.shelved"):
            return f"  {kind.split('.')[1]:<10} {escape(name)} {escape(said)}"
        if kind.startswith("order.") and kind not in SILENT:
            who = data.get("role") or data.get("party") or e.get("actor", "")
            person = self._names.get(str(data.get("assignee") or ""), "")
            who = f"{person} ({who})" if person and kind != "order.escalated" else who
            return f"  [cyan]{kind.split('.')[1]:<10}[/] {escape(name)} → {escape(str(who))}"
        return f"  [magenta]{kind} {escape(e['subject'])}[/]" if kind.startswith("gateway.") else ""


def summarise(client: Client, story: Story, truth: Path, wall_s: float, now: Ms) -> dict[str, Any]:
    """The object of `--summary` (docs/architecture.md)."""
    with contextlib.suppress(Retryable):
        story.follow(client, wall_s, now)
    health = client.get("/api/v1/health")
    snapshot = client.get("/api/v1/snapshot")
    notices = health.get("notices", {})
    active = sum(1 for a in snapshot["alarms"] if a["active"])
    orders = Counter(o["state"] for o in client.get("/api/v1/orders", all=1)["orders"])
    return {
        **health["balance"],
        "alarms": {"raised": len(story.raised), "open": active, "closed": story.kinds["alarm.cleared"]},
        "orders": dict(orders),
        "notices": {
            "queued": sum(notices.values()),
            "receipts": notices.get("sent", 0),
            "failed": notices.get("failed", 0) + notices.get("given_up", 0),
            "waiting": notices.get("waiting", 0),
        },
        "expected": expected(truth, story.raised, now),
        "story": story.chapters.summary(),
        "first_alarm_s": story.first_alarm_s,
        "wall_s": round(wall_s, 1),
    }


def expected(truth: Path, raised: list[dict[str, Any]], now: Ms) -> dict[str, Any]:
    """Which alarms of the truth file came in time; one that may still come is neither met nor missed."""
    met, missed = 0, []
    for line in truth.read_bytes().splitlines() if truth.exists() else []:
        label = orjson.loads(line)
        wish = label.get("expect") or {}
        if not wish.get("rule"):
            continue
        hit = any(
            e["data"].get("rule") == wish["rule"]
            and e["asset"] == label["asset"]
            and label["t"] - LATE_MS <= e["t"] <= wish["by"] + LATE_MS
            for e in raised
        )
        met += hit
        if not hit and wish["by"] + LATE_MS <= now:
            missed.append({"asset": label["asset"], "fault": label["fault"], "rule": wish["rule"]})
    return {"met": met, "missed": missed}
