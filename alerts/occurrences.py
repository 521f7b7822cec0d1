"""Every activation of a condition as a record of its own: what, when, who, how long, with what proof. Pure.

A record is open (kind `occurrence_open`) until it is cleared, acknowledged and its evidence is frozen; then
it moves to the kind `occurrence`, in one transaction. Its id is `alarm:onset`, so that the ids of one alarm
sort by time. Verdicts are records of their own under the same id.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from alerts.alarms import AlarmBook
from alerts.alarms_state import RANK
from alerts.books import Gone, Record
from alerts.rules_base import digest
from gateway.errors import BadInput
from gateway.model import Command, Event, Ms

OPEN, DONE, VERDICT, EVIDENCE = "occurrence_open", "occurrence", "verdict", "evidence"
AROUND_MS: Ms = 600_000
"""Raw samples are frozen from so long before the onset to so long after it."""
SETTLE_MS: Ms = 60_000
"""What was found late is frozen so long after it was found: the backlog is being stored then."""
MOST_OPEN = 100
"""Open records of one alarm; what nobody acknowledges beyond that is filed without an acknowledgement."""

VersionOf = Callable[[str], str]


def occurrence_id(alarm: str, onset: Ms) -> str:
    """Sorts by time within one alarm."""
    return f"{alarm}:{onset:013d}"


class Occurrences:
    """The open records of all alarms. See `alerts.books.Book`."""

    nouns: tuple[str, ...] = ()
    kinds: tuple[str, ...] = (OPEN,)

    def __init__(self, book: AlarmBook, config: str = "") -> None:
        """Start empty. config: hash of the configuration that is in force."""
        self._book, self._config = book, config
        self.open: dict[str, dict[str, dict[str, Any]]] = {}
        self._versions: dict[str, tuple[int, str]] = {}
        self._records: list[Record] = []
        self._changed: dict[str, str] = {}
        self._gone: list[Gone] = []
        self._fresh: set[str] = set()

    def command(self, cmd: Command) -> tuple[list[Event], dict[str, Any]]:
        """There is none."""
        raise BadInput(f"there is no command {cmd.kind!r}", field="kind")

    def tick(self, now: Ms) -> list[Event]:
        """Nothing by itself: the core asks for what is `due`."""
        del now
        return []

    # ── what happened ─────────────────────────────────────────────────────────────────────────────

    def step(self, events: Sequence[Event], now: Ms) -> list[Event]:
        """Write down what the events say about occurrences."""
        for e in events:
            write = _WRITES.get(e.kind)
            if write is not None:
                write(self, e, now)
        return []

    def _raised(self, e: Event, now: Ms) -> None:
        rows = self.open.setdefault(e.subject, {})
        self._put(e, self._row(e, now, e.t, found_at=int(e.data.get("found_at", e.t))))
        for id_ in list(rows)[:-MOST_OPEN]:
            self._file(rows.pop(id_))

    def _row(self, e: Event, now: Ms, onset: Ms, found_at: Ms) -> dict[str, Any]:
        d = e.data
        late = bool(d.get("late"))
        alarm = self._book.alarms.get(e.subject)
        return {
            "id": occurrence_id(e.subject, onset), "alarm": e.subject, "occurrence": d["occurrence"],
            "condition": d["condition"], "rule": d["rule"], "point": d["point"], "asset": e.asset,
            "estate": e.estate, "system": alarm.system if alarm else "", "event": d["event"],
            "priority": d["priority"], "life": d["life"], "mode": d.get("mode", "normal"),
            "drill": d["drill"], "late": late, "folded": bool(d.get("folded")), "state": d["state"],
            "start": onset, "found_at": found_at, "level": d["level"], "value": d["value"],
            "limit": d["limit"], "unit": d["unit"], "acked_at": None, "acked_by": "", "cleared_at": None,
            "duration_ms": None, "to_ack_ms": None, "cleared_value": None,
            "rule_version": self.version_of(d["rule"]), "config": self._config,
            "freeze_at": max(onset + AROUND_MS, now + SETTLE_MS if late else 0), "frozen": False,
        }  # fmt: skip

    def version_of(self, rule: str) -> str:
        """12 hex digits over everything that the rule says now."""
        known = self._book.rules.get(rule)
        if known is None:
            return ""
        held = self._versions.get(rule)
        if held is None or held[0] != id(known):
            held = self._versions[rule] = (id(known), digest(_plain(known)))
        return held[1]

    def _level(self, e: Event, now: Ms) -> None:
        row = self._newest(e)
        if row is not None and RANK.get(e.data["level"], 1) >= RANK.get(row["level"], 0):
            row |= {"level": e.data["level"], "value": e.data["value"], "limit": e.data["limit"]}
            self._touch(row)

    def _cleared(self, e: Event, now: Ms) -> None:
        row = self._newest(e)
        if row is not None:
            row |= {"cleared_at": e.t, "duration_ms": max(0, e.t - row["start"]),
                    "cleared_value": e.data["value"]}  # fmt: skip
            self._touch(row)

    def _acked(self, e: Event, now: Ms) -> None:
        if e.kind == "alarm.unshelved" and e.data.get("timed"):
            return
        at = int(e.data.get("at", e.t))
        for row in list(self.open.get(e.subject, {}).values()):
            if row["acked_at"] is None:
                row |= {"acked_at": at, "acked_by": e.actor, "to_ack_ms": max(0, at - row["start"])}
                self._touch(row)

    def _occurred(self, e: Event, now: Ms) -> None:
        """Began and ended unseen; an open one that had been thought to have begun then begins later again."""
        row = self._row(e, now, e.t, now)
        row |= {"cleared_at": e.data["cleared_at"], "duration_ms": e.data["duration_ms"]}
        running = self._newest(e)
        alarm = self._book.alarms.get(e.subject)
        if running is not None and alarm is not None and running["start"] == e.t:
            running["start"] = alarm.raised_at
            self._touch(running)
        self._put(e, row)

    def _backdated(self, e: Event, now: Ms) -> None:
        row = self._newest(e)
        if row is not None:
            row |= {"start": e.t, "late": True, "freeze_at": max(row["freeze_at"], now + SETTLE_MS)}
            self._touch(row)

    def _judged(self, e: Event, now: Ms) -> None:
        onset = int(str(e.data["occurrence"]).rpartition("@")[2])
        body = {"alarm": e.subject, "rule": e.data["rule"], "occurrence": e.data["occurrence"],
                "verdict": e.data["verdict"], "note": e.data["note"], "by": e.actor, "at": e.t}  # fmt: skip
        self._records.append((VERDICT, occurrence_id(e.subject, onset), e.estate, body))

    # ── small change ──────────────────────────────────────────────────────────────────────────────

    def _newest(self, e: Event) -> dict[str, Any] | None:
        rows = self.open.get(e.subject, {})
        return next((r for r in reversed(rows.values()) if r["cleared_at"] is None), None)

    def _put(self, e: Event, row: dict[str, Any]) -> None:
        self.open.setdefault(e.subject, {})[row["id"]] = row
        self._fresh.add(row["id"])
        self._touch(row)

    def _touch(self, row: Mapping[str, Any]) -> None:
        self._changed[str(row["id"])] = str(row["alarm"])

    def _done(self, row: Mapping[str, Any]) -> bool:
        seen = row["acked_at"] is not None or row["folded"] or row["late"]
        return bool(row["frozen"] and row["cleared_at"] is not None and seen)

    def _file(self, row: dict[str, Any]) -> None:
        self._records.append((DONE, row["id"], row["estate"], row))
        if row["id"] not in self._fresh:
            self._gone.append((OPEN, row["id"], row["estate"]))
        self._fresh.discard(row["id"])
        self._changed.pop(row["id"], None)

    # ── evidence ──────────────────────────────────────────────────────────────────────────────────

    def due(self, now: Ms, most: int) -> list[dict[str, Any]]:
        """Open records whose evidence is to be frozen now, oldest first, at most so many."""
        found = [
            r for rows in self.open.values() for r in rows.values()
            if not r["frozen"] and r["freeze_at"] <= now
        ]  # fmt: skip
        return sorted(found, key=lambda r: (r["freeze_at"], r["id"]))[:most]

    def postpone(self, row: Mapping[str, Any], until: Ms) -> None:
        """The raw samples are still on their way."""
        self.open[row["alarm"]][row["id"]]["freeze_at"] = until

    def frozen(self, row: Mapping[str, Any], evidence: Mapping[str, Any], now: Ms) -> Event:
        """The samples around the onset are kept from now on, whatever becomes of the raw data."""
        mine = self.open[row["alarm"]][row["id"]]
        mine["frozen"] = True
        self._touch(mine)
        self._records.append((EVIDENCE, row["id"], row["estate"], dict(evidence)))
        data = {k: evidence[k] for k in ("rows", "sha256", "rule_version", "config")}
        data["occurrence"] = row["occurrence"]
        key = f"alarm.frozen:{row['occurrence']}"
        return Event(key, row["estate"], now, "alarm.frozen", row["alarm"], asset=row["asset"], data=data)

    # ── keeping ───────────────────────────────────────────────────────────────────────────────────

    def drain(self) -> tuple[list[Record], list[Gone]]:
        """See `alerts.books.Book`."""
        changed, self._changed = self._changed, {}
        kept: list[Record] = []
        for id_, alarm in changed.items():
            row = self.open.get(alarm, {}).get(id_)
            if row is None:
                continue
            if self._done(row):
                del self.open[alarm][id_]
                self._file(row)
            else:
                kept.append((OPEN, id_, row["estate"], dict(row)))
                self._fresh.discard(id_)
        for alarm in {a for a in changed.values() if not self.open.get(a, True)}:
            del self.open[alarm]
        records, self._records = self._records, []
        gone, self._gone = self._gone, []
        return [*kept, *records], gone

    def dump(self) -> list[Record]:
        """See `alerts.books.Book`."""
        return [(OPEN, r["id"], r["estate"], dict(r)) for rows in self.open.values() for r in rows.values()]

    def load(self, kind: str, id_: str, body: Mapping[str, Any]) -> None:
        """See `alerts.books.Book`."""
        self.open.setdefault(str(body["alarm"]), {})[id_] = dict(body)


def _plain(rule: object) -> dict[str, Any]:
    slots = getattr(type(rule), "__dataclass_fields__", {})
    return {name: getattr(rule, name) for name in slots}


_WRITES: Mapping[str, Callable[[Occurrences, Event, Ms], None]] = {
    "alarm.raised": Occurrences._raised,  # noqa: SLF001 - the table of this class
    "alarm.level": Occurrences._level,  # noqa: SLF001
    "alarm.cleared": Occurrences._cleared,  # noqa: SLF001
    "alarm.acked": Occurrences._acked,  # noqa: SLF001
    "alarm.unshelved": Occurrences._acked,  # noqa: SLF001
    "alarm.occurred": Occurrences._occurred,  # noqa: SLF001
    "alarm.backdated": Occurrences._backdated,  # noqa: SLF001
    "alarm.judged": Occurrences._judged,  # noqa: SLF001
}
