"""What people change while Steward runs: matrix, shifts, records of people, calendars.

Seeded from the site file once. Each record carries its version, author and time; each change is an event with
the record before and after. What is refused is an event too, with who tried; what held before holds on.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Any

from alerts.calendars import default_calendars
from alerts.desk import Dispatch, Outcome
from alerts.matrix import Matrix, Row
from alerts.matrix_csv import Sheet, difference, import_matrix, numbered
from alerts.matrix_proof import Hole, lost, proof
from alerts.matrix_rows import row_dict
from alerts.staffing import StaffBook
from alerts.years import Years
from gateway.app import people
from gateway.app.dispatch import matrix_of
from gateway.app.setup import Setup
from gateway.errors import BadInput, Conflict, Forbidden, NotFound, Problems
from gateway.model import SYSTEMS, Command, Event, Ms, Role, Scope
from gateway.ports import Commit, StateStore

META: Mapping[str, tuple[str, ...]] = {
    "calendars": ("version", "author", "changed_at", "reason"),
    "staff": ("version", "author", "changed_at", "reason"),
    "matrix": ("author", "changed_at", "reason"),  # a row has a version of its own, which orders keep
    "shifts": ("version", "author", "changed_at", "reason"),
}
OWN_ID: Mapping[str, str] = {"staff": "id", "matrix": "id", "calendars": "year"}
"""Field of a record that says its id, too."""
log = logging.getLogger(__name__)
EDITABLE = tuple(META)
"""In the order in which they are read: shifts need the calendar and the people."""
MAY: frozenset[Role] = frozenset({"manager", "admin"})
"""Access roles that change settings, as the table of permissions says."""
Names = Callable[[], Mapping[str, str]]
Records = list[tuple[str, str, str, Mapping[str, Any] | None]]


class Settings:
    """Handles the commands that are neither alarm, order, asset nor drill (`Parts.other`).

    names: the people that exist now; without it those of the site file.
    """

    def __init__(
        self, setup: Setup, state: StateStore, dispatch: Dispatch, names: Names | None = None
    ) -> None:
        self._setup, self._state, self._dispatch = setup, state, dispatch
        self._names = names or (lambda: people.names_of(setup))
        self._book = next(b for b in dispatch.books if isinstance(b, StaffBook))
        self._editions: int | None = None

    def command(self, cmd: Command) -> tuple[Outcome, dict[str, Any]]:
        """`settings.put`, `matrix.import`, and `user.*` which only has to be written down.

        Raises Conflict, Forbidden and NotFound; wrong content is answered: {"refused": [faults]}.
        """
        if cmd.kind.startswith("user."):
            return Outcome(events=self._noted(cmd, cmd.kind, cmd.data)), {}
        act = {"settings.put": self._put, "matrix.import": self._import}.get(cmd.kind)
        if act is None:
            raise BadInput(f"there is no command {cmd.kind!r}", field="kind", hint="settings.put, user.*")
        if cmd.actor.role not in MAY:
            raise Forbidden(f"{cmd.actor.role} may not do {cmd.kind}; it takes {', '.join(sorted(MAY))}")
        try:
            return act(cmd)
        except (BadInput, Problems) as e:
            faults = fault_rows(e.problems if isinstance(e, Problems) else [e])
            if cmd.data.get("dry_run"):
                return Outcome(), {"refused": faults}
            facts = {"what": cmd.kind, "faults": faults[:50], "count": len(faults)}
            return Outcome(events=self._noted(cmd, "settings.refused", facts)), {"refused": faults}

    def _noted(self, cmd: Command, kind: str, data: Mapping[str, Any]) -> list[Event]:
        t, estate = cmd.received_at, self._setup.site.file.estates[0].id
        return [Event(f"{kind}:{cmd.id}", estate, t, kind, cmd.subject, cmd.actor.id, data=data)]

    def _reach(self, cmd: Command, estate: str) -> None:
        """What is of one estate needs that estate in scope; what is of none rules all: who sees all."""
        scope = cmd.actor.scope
        if not estate and scope != Scope():
            raise Forbidden("it holds for all estates: only who sees all may change it")
        if estate and not scope.allows(firm=self._setup.site.firm_of.get(estate, ""), estate=estate):
            raise NotFound(f"there is no estate {estate!r}")

    # ── one record ────────────────────────────────────────────────────────────────────────────────

    def _put(self, cmd: Command) -> tuple[Outcome, dict[str, Any]]:
        kind, id_, body = (cmd.data.get(k) for k in ("kind", "id", "body"))
        if kind not in EDITABLE or not isinstance(id_, str) or not isinstance(body, Mapping):
            raise BadInput(
                f"{kind!r} cannot be changed yet", field="kind", hint=f"one of {', '.join(EDITABLE)}"
            )
        own = OWN_ID.get(kind, "")
        if own and str(body.get(own, id_)) != id_:
            said = f"this record is kept as {id_}, not as {body[own]!r:.40}"
            raise BadInput(said, field=own, hint="give both the same id")
        before = self._state.record(kind, id_)
        for given in (body, before):
            if given is not None:
                self._reach(cmd, str(given.get("estate") or ""))
        version = int(before["version"]) if before else 0
        if cmd.version is not None and cmd.version != version:
            who = before["author"] if before else "nobody"
            raise Conflict(f"{kind} {id_} has version {version} by {who}; look at it again")
        record = {
            **{k: v for k, v in body.items() if k not in META[kind]},
            "version": version + 1, "author": cmd.actor.id, "changed_at": cmd.received_at,
            "reason": str(cmd.data.get("reason") or ""),
        }  # fmt: skip
        was = self._records(kind)
        matrix = self._checked(kind, id_, record, {**was, id_: record}, cmd.received_at)
        if kind == "calendars":  # shifts, bands and certificates follow the same holidays
            for other in EDITABLE[1:]:
                self._use(other, self._records(other), cmd.received_at, stored=True)
        estate = str(body.get("estate") or self._setup.site.file.estates[0].id)
        change = {"before": before, "after": record}
        event = Event(
            f"settings.changed:{kind}:{id_}:{version + 1}", estate, cmd.received_at, "settings.changed",
            f"{kind}/{id_}", cmd.actor.id, data=change,
        )  # fmt: skip
        records: Records = [(kind, id_, estate, record)]
        if matrix is not None:
            records.append(self._edition(matrix.rows, cmd, {"changed": [id_]}))
        return Outcome(events=[event], records=records), {"id": id_, "body": record}  # type: ignore[arg-type]  # no deletion

    def _checked(
        self,
        kind: str,
        id_: str,
        record: Mapping[str, Any],
        records: Mapping[str, Mapping[str, Any]],
        now: Ms,
    ) -> Matrix | None:
        """`_use` with faults that name the record by its id."""
        ids = [id_]
        try:
            if kind == "matrix":
                self._names_exist(matrix_of(self._setup, people.plain([record], META[kind])).rows)
            ids = list(records)
            return self._use(kind, records, now)
        except (BadInput, Problems) as e:
            raise Problems(by_id(kind, ids, e)) from e

    def _records(self, kind: str) -> dict[str, dict[str, Any]]:
        return dict(self._state.records(kind))

    def _use(
        self, kind: str, records: Mapping[str, Mapping[str, Any]], now: Ms, *, stored: bool = False
    ) -> Matrix | None:
        """Check the whole and let it hold from now on. Raises BadInput or Problems and changes nothing.

        stored: at the start, when what is stored has to hold: certificates that ended since do not stop it,
        and holes are told and go to the control room.
        """
        data = people.plain(records.values(), META[kind])
        setup, book, names = self._setup, self._book, self._names()
        if kind == "calendars":
            known = people.years(setup, data)
            book.use_years(known)
            self._dispatch.orders.calendars |= people.calendars_of(setup, known)
        elif kind == "staff":
            today = None if stored else book.staff.today(now)
            found = people.staff_of(setup, data, names, book.years, today, book.staff.people)
            book.use_staff(found, names)
        elif kind == "shifts":
            roles = None if stored else setup.roles
            book.use_shifts(people.roster_of(setup, data, names, book.years, roles=roles))
        else:
            matrix = matrix_of(setup, data, people.week(setup, book.years))
            if stored:
                self._doubt(matrix, now)
            else:
                self._prove(matrix, now)
            self._dispatch.use_matrix(matrix)
            return matrix
        return None

    def _prove(self, matrix: Matrix, now: Ms, sheet: Sheet | None = None) -> None:
        found = self.proof(matrix, now)
        if found:
            raise Problems(hole_rows(found, sheet))

    def _names_exist(self, rows: Iterable[Row], sheet: Sheet | None = None) -> None:
        """A row with the name of nothing would never fit, and nobody would notice. Raises Problems."""
        file, faults = self._setup.site.file, list[BadInput]()
        known: Mapping[str, Container[str]] = {
            "estate": {e.id for e in file.estates}, "city": {e.city for e in file.estates},
            "asset": self._setup.assets, "asset_kind": SYSTEMS, "boundary": ("property", "utility"),
            "calendar": default_calendars(self._setup.site.timezone),
        }  # fmt: skip
        for n, row in enumerate(rows):
            for name, names in known.items():
                given = getattr(row, name)
                if given is not None and given not in names:
                    said = f"there is no {name.replace('_', ' ')} {given!r:.40}"
                    at = f"matrix.{n}.{name}"
                    faults.append(sheet.fault(n, name, said) if sheet else BadInput(said, field=at))
        if faults:
            raise Problems(faults)

    def _doubt(self, matrix: Matrix, now: Ms) -> None:
        found = hole_rows(self.proof(matrix, now), None)
        if found:
            log.error(
                "matrix: holes=%d first=%r; mend it; till then the control room has them",
                len(found), str(found[0]),
            )  # fmt: skip

    def proof(self, matrix: Matrix, now: Ms) -> list[Hole]:
        """What is missing: holes, ties, circles, lost rows of the template."""
        setup = self._setup
        return [*proof(matrix, setup.rules, setup.assets.values(), now), *lost(matrix, setup.matrix)]

    # ── the whole matrix as a spreadsheet ─────────────────────────────────────────────────────────

    def _import(self, cmd: Command) -> tuple[Outcome, dict[str, Any]]:
        """data: text, file, reason, estate ("": everything), dry_run."""
        setup, data = self._setup, cmd.data
        zone = setup.site.timezone
        estate = str(data.get("estate") or "")
        self._reach(cmd, estate)
        new, sheet = import_matrix(
            str(data["text"]), str(data.get("file") or "matrix.csv"), setup.roles, zone
        )
        self._names_exist(new, sheet)
        stored = self._records("matrix")
        old = list(matrix_of(setup, people.plain(stored.values(), META["matrix"])).rows)
        if estate:
            foreign = [n for n, row in enumerate(new) if row.estate != estate]
            if foreign:
                raise Problems([sheet.fault(n, "estate", f"is not of estate {estate}") for n in foreign])
            others = [r for r in old if r.estate != estate]
            _own_ids(new, {r.id for r in others}, sheet)
            new = [*others, *new]
        else:
            _own_ids(new, set(), sheet)
        rows = numbered(old, new)
        matrix = matrix_of(setup, [row_dict(r) | {"version": r.version} for r in rows],
                           people.week(setup, self._book.years))  # fmt: skip
        self._prove(matrix, cmd.received_at, sheet)
        change = difference(old, rows)
        answer = {"difference": change, "rows": len(rows), "dry_run": bool(data.get("dry_run"))}
        if data.get("dry_run"):
            return Outcome(), answer
        self._dispatch.use_matrix(matrix)
        touched = {*change["added"], *(c["id"] for c in change["changed"])}
        meta = {
            "author": cmd.actor.id,
            "changed_at": cmd.received_at,
            "reason": str(data.get("reason") or ""),
        }
        first = setup.site.file.estates[0].id
        records: Records = [
            ("matrix", r.id, r.estate or first, {**row_dict(r), "version": r.version, **meta})
            for r in rows if r.id in touched
        ]  # fmt: skip
        edition = self._edition(rows, cmd, change)
        facts = {"edition": edition[1], "file": sheet.file, "reason": meta["reason"], **change}
        events = self._noted(cmd, "matrix.imported", facts)
        gone = [("matrix", id_, first) for id_ in change["removed"]]
        outcome = Outcome(events=events, records=[*records, edition], gone=gone)  # type: ignore[list-item]  # no None
        return outcome, {**answer, "edition": edition[1]}

    def _edition(
        self, rows: Iterable[Row], cmd: Command, change: Mapping[str, Any]
    ) -> tuple[str, str, str, dict[str, Any]]:
        """The whole matrix as it holds from now on: an order's row and version are found in it for ever."""
        if self._editions is None:  # counted once: each of them is a whole matrix
            self._editions = len(self._state.records("matrix_edition"))
        self._editions += 1
        number = self._editions
        body = {
            "edition": number, "author": cmd.actor.id, "at": cmd.received_at,
            "reason": str(cmd.data.get("reason") or ""), "change": dict(change),
            "rows": [row_dict(r) | {"version": r.version} for r in rows],
        }  # fmt: skip
        return ("matrix_edition", f"{number:06d}", "", body)

    # ── the start ─────────────────────────────────────────────────────────────────────────────────

    @property
    def years(self) -> Years:
        """The public calendar that holds."""
        return self._book.years

    def restore(self, now: Ms = 0) -> None:
        """Let what is stored hold; on the first start store what the site file says."""
        seeded = self._state.record("settings", "seeded")
        kinds = (seeded or {}).get("kinds", ["matrix", "shifts"] if seeded else [])
        if set(kinds) != set(EDITABLE):
            self._seed([k for k in EDITABLE if k not in kinds])
        for kind in EDITABLE:
            self._use(kind, self._records(kind), now, stored=True)

    def _seed(self, kinds: Iterable[str]) -> None:
        file, meta = self._setup.site.file, {"version": 1, "author": "site file", "changed_at": 0}
        found: dict[str, list[tuple[str, Mapping[str, Any]]]] = {
            "matrix": [(r.id, row_dict(r)) for r in self._setup.matrix],
            "shifts": [(f"shift-{n + 1}", s) for n, s in enumerate(file.shifts)],
            "staff": [(str(s["id"]), s) for s in file.staff],
            "calendars": [(str(c["year"]), c) for c in file.calendars],
        }
        records: Records = [
            (kind, id_, str(body.get("estate", "")), {**body, **meta})
            for kind in kinds
            for id_, body in found[kind]
        ]
        done = {"from": self._setup.site.path.name, "kinds": list(EDITABLE)}
        records.append(("settings", "seeded", "", done))
        self._state.commit(Commit(records=records))


def _own_ids(rows: Iterable[Row], taken: set[str], sheet: Sheet) -> None:
    """A row is kept under its id: one that another row has would take its place. Raises Problems."""
    seen, found = set(taken), []
    for n, row in enumerate(rows):
        if row.id in seen:
            found.append(sheet.fault(n, "id", f"there is a row {row.id} already", "give it another id"))
        seen.add(row.id)
    if found:
        raise Problems(found)


def hole_rows(found: Iterable[Hole], sheet: Sheet | None) -> list[BadInput]:
    """Holes as faults, each said once; those of a row of the spreadsheet with its row and column."""
    out: dict[str, BadInput] = {}
    for h in found:
        where = [n for n, row in enumerate(sheet.rows) if row.get("id") == h.about] if sheet else []
        need = f"; rule {h.rule}, asset {h.asset}" if h.rule else ""
        if sheet is not None and where:
            fault = sheet.fault(where[0], h.column or "id", h.text["en"] + need)
        else:
            file = sheet.file if sheet else ""
            fault = BadInput(h.text["en"] + need, file=file, line=1 if file else 0, field=f"matrix.{h.about}")
        out.setdefault(h.text["en"], fault)
    return list(out.values())


def by_id(kind: str, ids: Sequence[str], error: BadInput | Problems) -> list[BadInput]:
    """Faults of records by their ids: `shifts.9.from` becomes `shifts/night.from`."""
    out = []
    for p in error.problems if isinstance(error, Problems) else [error]:
        found = re.fullmatch(rf"{kind}\.(\d+)(.*)", p.field)
        at = f"{kind}/{ids[int(found[1])]}{found[2]}" if found else p.field
        out.append(BadInput(p.message, field=at, file=p.file, line=p.line, hint=p.hint))
    return out


def fault_rows(faults: Iterable[BadInput]) -> list[dict[str, Any]]:
    """Faults as JSON."""
    return [
        {"file": p.file, "row": p.line, "field": p.field, "message": p.message, "hint": p.hint}
        for p in faults
    ]
