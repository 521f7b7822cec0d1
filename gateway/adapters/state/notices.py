"""The outgoing notices and what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gateway.adapters.state.chain import canonical
from gateway.adapters.state.engine import Database
from gateway.adapters.state.tables import notices, receipts
from gateway.errors import NotFound
from gateway.model import Ms, Notice
from gateway.ports import NoticeResult

_RESULT = (
    sa.update(notices)
    .where(notices.c.id == sa.bindparam("which"))
    .values(
        attempts=notices.c.attempts + 1,
        state=sa.case((notices.c.state == "sent", "sent"), else_=sa.bindparam("became")),
        next_at=sa.bindparam("due"),
    )
)
"""Made once: to put it together costs more than to carry it out, and a burst needs it thousands of times."""


class Notices(Database):
    """States: waiting → sent; waiting → failed → … → sent or given_up. Sent is final."""

    def notices(
        self, states: Sequence[str], limit: int = 100, *, due: Ms | None = None
    ) -> list[tuple[Notice, str, int]]:
        """Notices in the given states: (notice, state, attempts).

        Life safety first, then by priority and age.
        """
        query = sa.select(notices.c.body, notices.c.state, notices.c.attempts)
        query = query.where(notices.c.state.in_(states))
        if due is not None:
            query = query.where(notices.c.next_at <= due)
        order = (notices.c.life.desc(), notices.c.priority, notices.c.t, notices.c.id)
        with self.reading() as con:
            rows = con.execute(query.order_by(*order).limit(limit)).all()
        return [(_notice(body), state, attempts) for body, state, attempts in rows]

    def notice_result(
        self,
        id: str,  # noqa: A002 - the word of the field
        *,
        ok: bool,
        at: Ms,
        detail: str,
        retry_at: Ms | None = None,
        final: bool = False,
    ) -> None:
        """A receipt or a failure of one attempt. Raises NotFound.

        A failure leaves it `failed`, due again at `retry_at` (at once when None), or `given_up` when `final`.
        A late failure does not take back a receipt.
        """
        self.notice_results([NoticeResult(id, ok, at, detail, retry_at, final)])

    def notice_results(self, results: Sequence[NoticeResult]) -> None:
        """Several results in one transaction. Raises NotFound with none of them kept."""
        rows = [{"notice": r.id, "t": r.at, "ok": int(r.ok), "detail": r.detail} for r in results]
        with self.writing() as con:
            for r in results:
                state = "sent" if r.ok else "given_up" if r.final else "failed"
                due = r.at if r.retry_at is None else r.retry_at
                if not con.execute(_RESULT, {"which": r.id, "became": state, "due": due}).rowcount:
                    raise NotFound(f"no notice {r.id}")
            if rows:
                con.execute(sa.insert(receipts), rows)

    def notice_wait(self, ids: Sequence[str], until: Ms) -> None:
        """Not due before `until`; no attempt is counted. Of what was sent nothing changes."""
        open_ = notices.c.state.in_(("waiting", "failed"))
        with self.writing() as con:
            for id_ in ids:
                con.execute(sa.update(notices).where(notices.c.id == id_, open_).values(next_at=until))

    def notice_counts(self) -> dict[str, int]:
        """How many notices are in each state."""
        query = sa.select(notices.c.state, sa.func.count()).group_by(notices.c.state)
        with self.reading() as con:
            return dict(con.execute(query).all())

    def receipts(self, id: str) -> list[tuple[Ms, bool, str]]:  # noqa: A002 - as above
        """Every attempt of a notice: (time, success, the channel's words)."""
        query = sa.select(receipts.c.t, receipts.c.ok, receipts.c.detail).where(receipts.c.notice == id)
        with self.reading() as con:
            return [(t, bool(ok), detail) for t, ok, detail in con.execute(query.order_by(receipts.c.n))]

    def _queue_notices(self, con: Connection, queued: Sequence[Notice]) -> None:
        rows = [
            {
                "id": n.id,
                "estate": n.estate,
                "t": n.t,
                "life": int(n.life),
                "priority": n.priority,
                "body": canonical(_body(n)),
                "state": "waiting",
                "attempts": 0,
                "next_at": n.t,
            }
            for n in queued
        ]
        if rows:
            con.execute(self.insert(notices).on_conflict_do_nothing(index_elements=["id"]), rows)


_SENT = ("address", "link", "keys")
"""Fields that are set when a notice is sent."""


def _body(notice: Notice) -> dict[str, Any]:
    return {k: v for k, v in asdict(notice).items() if k not in _SENT}


def _notice(body: str) -> Notice:
    return Notice(**orjson.loads(body))
