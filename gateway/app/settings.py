"""What people change while Steward runs: matrix rows and shifts; seeded from the site file once.

Each record carries its version, author and time; each change is an event with the record before and after.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from alerts.desk import Dispatch, Outcome
from alerts.matrix_proof import holes
from alerts.matrix_rows import row_dict
from gateway.app.dispatch import matrix_of, roster_of
from gateway.app.setup import Setup
from gateway.errors import BadInput, Conflict
from gateway.model import Command, Event, Ms
from gateway.ports import Commit, StateStore

EDITABLE = ("matrix", "shifts")
META: Mapping[str, tuple[str, ...]] = {
    "matrix": ("author", "changed_at"),  # a row has a version of its own, which orders keep
    "shifts": ("version", "author", "changed_at"),
}


class Settings:
    """Handles the commands that are neither alarm, order, asset nor drill (`Parts.other`)."""

    def __init__(self, setup: Setup, state: StateStore, dispatch: Dispatch) -> None:
        self._setup, self._state, self._dispatch = setup, state, dispatch

    def command(self, cmd: Command) -> tuple[Outcome, dict[str, Any]]:
        """`settings.put`, and `user.*` which only has to be written down. Raises BadInput, Conflict."""
        if cmd.kind.startswith("user."):
            return Outcome(events=self._noted(cmd)), {}
        if cmd.kind != "settings.put":
            raise BadInput(f"there is no command {cmd.kind!r}", field="kind", hint="settings.put, user.*")
        return self._put(cmd)

    def _noted(self, cmd: Command) -> list[Event]:
        t, estate = cmd.received_at, self._setup.site.file.estates[0].id
        event = Event(f"{cmd.kind}:{cmd.id}", estate, t, cmd.kind, cmd.subject, cmd.actor.id, data=cmd.data)
        return [event]

    def _put(self, cmd: Command) -> tuple[Outcome, dict[str, Any]]:
        kind, id_, body = (cmd.data.get(k) for k in ("kind", "id", "body"))
        if kind not in EDITABLE or not isinstance(id_, str) or not isinstance(body, Mapping):
            raise BadInput(
                f"{kind!r} cannot be changed yet", field="kind", hint=f"one of {', '.join(EDITABLE)}"
            )
        before = self._state.record(kind, id_)
        version = int(before["version"]) if before else 0
        if cmd.version is not None and cmd.version != version:
            who = before["author"] if before else "nobody"
            raise Conflict(f"{kind} {id_} has version {version} by {who}; look at it again")
        record = {
            **{k: v for k, v in body.items() if k not in META[kind]},
            "version": version + 1, "author": cmd.actor.id, "changed_at": cmd.received_at,
        }  # fmt: skip
        self._use(kind, {**self._records(kind), id_: record}, cmd.received_at)
        estate = str(body.get("estate") or self._setup.site.file.estates[0].id)
        change = {"before": before, "after": record}
        event = Event(
            f"settings.changed:{kind}:{id_}:{version + 1}", estate, cmd.received_at, "settings.changed",
            f"{kind}/{id_}", cmd.actor.id, data=change,
        )  # fmt: skip
        return Outcome(events=[event], records=[(kind, id_, estate, record)]), {"id": id_, "body": record}

    def _records(self, kind: str) -> dict[str, dict[str, Any]]:
        return dict(self._state.records(kind))

    def _use(self, kind: str, records: Mapping[str, Mapping[str, Any]], now: Ms) -> None:
        """Check the whole and let it hold from now on. Raises BadInput or Problems and changes nothing."""
        plain = [{k: v for k, v in r.items() if k not in META[kind]} for r in records.values()]
        if kind == "shifts":
            self._dispatch.use_roster(roster_of(self._setup, plain))
            return
        matrix = matrix_of(self._setup, plain)
        pairs = [
            (r, a) for a in self._setup.assets.values() for r in self._setup.rules if r.asset_kind == a.kind
        ]
        missing = holes(matrix, pairs, now)
        if missing:
            hint = f"rule {missing[0].rule}, asset {missing[0].asset}"
            raise BadInput(missing[0].text["en"], field="matrix", hint=hint)
        self._dispatch.use_matrix(matrix)

    def restore(self) -> None:
        """Let what is stored hold; on the first start store what the site file says."""
        if self._state.record("settings", "seeded") is None:
            self._seed()
        for kind in EDITABLE:
            self._use(kind, self._records(kind), 0)

    def _seed(self) -> None:
        meta = {"version": 1, "author": "site file", "changed_at": 0}
        rows = {r.id: row_dict(r) for r in self._setup.matrix}
        records: list[tuple[str, str, str, Mapping[str, Any] | None]] = [
            ("matrix", id_, "", {**row, **meta}) for id_, row in rows.items()
        ]
        for n, shift in enumerate(self._setup.site.file.shifts):
            records.append(("shifts", f"shift-{n + 1}", str(shift.get("estate", "")), {**shift, **meta}))
        records.append(("settings", "seeded", "", {"from": self._setup.site.path.name}))
        self._state.commit(Commit(records=records))
