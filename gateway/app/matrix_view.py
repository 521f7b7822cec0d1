"""What pages ask about responsibility: the matrix as a sheet, why a row wins, the proof, who is on duty."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from alerts.assign import Work, assign
from alerts.desk import Dispatch
from alerts.matrix import Row
from alerts.matrix_csv import export_matrix
from alerts.matrix_rows import rows_of
from alerts.staffing import DAY, StaffBook
from gateway.app.settings import Settings, hole_rows
from gateway.app.setup import Setup
from gateway.errors import BadInput, NotFound
from gateway.model import Ms
from gateway.ports import StateStore


class MatrixView:
    """Implements `dashboards.web.MatrixDesk`. Reading only."""

    def __init__(self, setup: Setup, state: StateStore, dispatch: Dispatch, settings: Settings) -> None:
        self._setup, self._state, self._dispatch, self._settings = setup, state, dispatch, settings
        self._book = next(b for b in dispatch.books if isinstance(b, StaffBook))

    def sheet(self, language: str, estate: str, edition: int | None, sees: Callable[[str], bool]) -> str:
        """CSV of the matrix that holds, or of an edition; `estate`: its own rows alone. Raises NotFound.

        sees: whether rows of an estate are shown; those of no estate are everybody's.
        """
        rows: tuple[Row, ...] = self._dispatch.orders.matrix.rows
        if edition is not None:
            kept = self._state.record("matrix_edition", f"{edition:06d}")
            if kept is None:
                raise NotFound(f"there is no edition {edition} of the matrix")
            rows = tuple(rows_of(kept["rows"], self._setup.roles, zone=self._setup.site.timezone))
        mine = [r for r in rows if self._shown(r, sees) and (not estate or r.estate == estate)]
        return export_matrix(mine, self._setup.site.timezone, language)

    def _shown(self, row: Row, sees: Callable[[str], bool]) -> bool:
        asset = self._setup.assets.get(row.asset or "")
        named = {row.estate, asset.estate if asset else None} - {None}
        return all(sees(str(e)) for e in named)

    def explain(self, event: str, asset: str, priority: int, t: Ms, part: str) -> dict[str, Any]:
        """The rows of the event, why each won or lost, who is called in turn and who would get it now."""
        found = self._setup.assets.get(asset)
        if found is None:
            raise NotFound(f"there is no asset {asset!r}")
        matrix, asked = self._dispatch.orders.matrix, part or None
        rows = matrix.explain(event, found, priority, t, asked)
        if not rows:
            raise BadInput(f"no row has event {event!r}", field="event", hint="see the matrix")
        turn = matrix.in_turn(event, found, priority, t, asked)
        load = self._dispatch.orders.assigner.load() if self._dispatch.orders.assigner else {}
        who = [assign(d, Work(event, found, t, load), self._book.staff, self._book.roster) for d in turn]
        return {
            "rows": rows,
            "in_turn": [
                {"row": d.row, "version": d.version, "party": d.party, "name": dict(d.party_name),
                 "contacts": list(d.contacts), "assignment": a.as_dict()}
                for d, a in zip(turn, who, strict=True)
            ],
        }  # fmt: skip

    def proof(self, now: Ms) -> dict[str, Any]:
        """{"complete", "pairs", "holes": [sentences]} of the matrix that holds."""
        found = hole_rows(self._settings.proof(self._dispatch.orders.matrix, now), None)
        pairs = sum(r.asset_kind == a.kind for a in self._setup.assets.values() for r in self._setup.rules)
        return {"complete": not found, "pairs": pairs, "holes": [f.message for f in found[:200]]}

    def duty(self, estate: str, now: Ms, days: int) -> dict[str, Any]:
        """Who is on duty now and which shifts of the next `days` are empty."""
        roster = self._book.roster
        roles = dict.fromkeys(s.role for s in roster.shifts if s.estate in ("", estate))
        empty: list[Mapping[str, Any]] = [
            {"duty": role, "from": a, "to": b}
            for role in roles
            for a, b in roster.gaps(role, estate, now, now + days * DAY)
        ]
        return {"estate": estate, "on": roster.table(estate, now), "empty": empty}

    def certificates(self, now: Ms) -> list[dict[str, Any]]:
        """Those that end within 60 days or have ended, the nearest first."""
        staff = self._book.staff
        rows = [
            {"person": p.id, "name": p.name, "estate": p.estate, "kind": c.kind, "number": c.number,
             "kind_name": dict(staff.demands.name(c.kind)), "expires": str(c.expires), "days": left}
            for p, c, left in staff.expiring(now)
        ]  # fmt: skip
        return sorted(rows, key=lambda r: (r["days"], r["person"]))
