"""What the demonstration's story has shown so far, read from the event log alone, and how it is told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.markup import escape

from gateway.app.setup import Setup

TOLD_AT = (2, 6)
"""So many consequences of one root are told; more would fill the terminal."""
Fact = Mapping[str, Any]


class Chapters:
    """Feed it every event once, in order of the log; `told` gives lines, `summary` the figures."""

    def __init__(self, setup: Setup, url: str) -> None:
        """url: of the pages, for "look here"."""
        self._setup, self._url = setup, url
        self._names = {p.id: p.name for p in setup.site.file.people}
        self._alarms: dict[str, tuple[str, str]] = {}
        self._root: dict[str, str] = {}
        self._sure: dict[str, float] = {}
        self._orders: dict[str, list[str]] = {"escalated": [], "refused": [], "verified": [], "closed": []}

    # ── reading ───────────────────────────────────────────────────────────────────────────────────

    def hear(self, e: Fact) -> list[str]:
        """Take in one event; what is to be said about it."""
        kind, data = str(e["kind"]), e.get("data") or {}
        if kind == "alarm.raised":
            self._alarms[e["subject"]] = (str(e["asset"]), str(data.get("rule", "")))
        if kind == "alarm.assessed":
            return list(self._assessed(e, data))
        chapter = chapter_of(kind, data)
        if not chapter:
            return []
        self._orders[chapter].append(str(e["subject"]))
        return list(getattr(self, f"_{chapter}")(e, data))

    def summary(self) -> dict[str, Any]:
        """{"cascade_root": …, "escalated", "refused", "verified", "closed": {"count", "orders"}}.

        count: events in the log · orders: their ids, each once · cascade_root: the alarm that most alarms of
        other facilities were led back to, at least two; None when there was none.
        """
        return {"cascade_root": self._cascade()} | {
            name: {"count": len(ids), "orders": list(dict.fromkeys(ids))}
            for name, ids in self._orders.items()
        }

    def _cascade(self) -> dict[str, Any] | None:
        roots = dict.fromkeys(self._root.values())
        root = max(roots, key=lambda r: len(self._consequences(r)), default="")
        follow = self._consequences(root)
        if len(follow) < TOLD_AT[0]:
            return None
        asset, rule = self._alarms.get(root, ("", ""))
        mine = [self._sure[a] for a in follow]
        return {
            "alarm": root, "asset": asset, "rule": rule, "consequences": len(follow),
            "confidence": [min(mine), max(mine)],
        }  # fmt: skip

    def _consequences(self, root: str) -> list[str]:
        """Alarms on other facilities that are led back to it: more is wrong than one thing there."""
        place = self._alarms.get(root, ("", ""))[0]
        return [a for a, r in self._root.items() if r == root and self._alarms.get(a, ("", ""))[0] != place]

    # ── telling ───────────────────────────────────────────────────────────────────────────────────

    def _assessed(self, e: Fact, data: Fact) -> Iterator[str]:
        alarm, root = str(e["subject"]), str(data["root"])
        new = self._root.get(alarm) != root
        self._root[alarm], self._sure[alarm] = root, float(data["confidence"])
        count = len(self._consequences(root))
        if not new or count not in TOLD_AT:
            return
        asset, rule = self._alarms.get(root, ("", ""))
        found = self._setup.rules.by_id.get(rule)
        what = f"{self._asset(asset)}: {found.name['zh']} {found.name['en']}" if found else root
        yield (
            f"根因 probable root  {what} ← {count} 条报警 alarms"
            f"（置信度 confidence {data['confidence']:.0%}）  {self._look(root)}"
        )

    def _escalated(self, e: Fact, data: Fact) -> Iterator[str]:
        yield (
            f"升级 escalated  {self._asset(e['asset'])}: 无人按时响应，通知 {data['role']} · "
            f"{data['reason']}, {data['role']} is called by {data['channel']}"
            f"  {self._look(data.get('alarm'))}"
        )

    def _refused(self, e: Fact, data: Fact) -> Iterator[str]:
        who = self._names.get(str(e["actor"]), str(e["actor"]))
        yield (
            f"拒绝关闭 closing refused  {self._asset(e['asset'])}: {who}: {data['reason']}"
            f"  {self._look(data.get('alarm'))}"
        )

    def _verified(self, e: Fact, data: Fact) -> Iterator[str]:
        yield (
            f"传感器核实 verified by the sensor  {self._asset(e['asset'])}: "
            f"正常已满一分钟 · normal for a minute  {self._look(data.get('alarm'))}"
        )

    def _closed(self, e: Fact, data: Fact) -> Iterator[str]:
        who = self._names.get(str(e["actor"]), str(e["actor"]))
        proof = "传感器证实 measured" if data.get("measured") else "人工声明 declared"
        yield f"关闭 closed  {self._asset(e['asset'])}: {who}（{proof}）  {self._look(data.get('alarm'))}"

    def _asset(self, asset: str) -> str:
        found = self._setup.assets.get(asset)
        return f"{found.name['zh']} {found.name['en']}" if found else asset

    def _look(self, alarm: Any) -> str:
        return f"{self._url}/alarm/{alarm}" if alarm else f"{self._url}/wall"


def chapter_of(kind: str, data: Fact) -> str:
    """Which part of the story an event about an order belongs to; "" for none. Drills are no part of it."""
    if data.get("drill"):
        return ""
    if kind == "order.verified":
        return "verified" if data.get("by") == "sensor" else ""
    return {"order.escalated": "escalated", "order.close_refused": "refused", "order.closed": "closed"}.get(
        kind, ""
    )


def line_of(text: str) -> str:
    """A chapter as the terminal shows it."""
    return f"[bold cyan]★ {escape(text)}[/]"
