"""The state store (ports.StateStore): one transaction per turn of the core."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from itertools import groupby
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gateway.adapters.files import replaced
from gateway.adapters.state.accounts import Accounts
from gateway.adapters.state.chain import START, Row, canonical, first_bad, make_row
from gateway.adapters.state.engine import check_file
from gateway.adapters.state.notices import Notices
from gateway.adapters.state.tables import applied, chains, commands, events, journal, records, series
from gateway.errors import Permanent
from gateway.model import Event, MessageKey, Ms
from gateway.ports import Commit

FILE = "state.db"
_CHUNK = 500  # ids in one `in (…)`; far below every database's limit
_COLUMNS = [events.c[name] for name in Row._fields]


def open_state(path: str | Path, *, durable: bool = True) -> SqlState:
    """Open or make the SQLite file. Open it before the samples: see below.

    Raises StoreDamaged (also when the file is missing beside stored samples: it is never silently made
    anew), StoreTooNew, StoreLocked. `durable` False is for tests.
    """
    path = Path(path)
    check_file(path)
    return SqlState(sa.URL.create("sqlite", database=str(path)), durable=durable)


class SqlState(Accounts, Notices):
    """Events, records, series, journal, commands; people and notices come with the bases."""

    # ── step 5 ──

    def commit(self, commit: Commit) -> list[int]:
        """One durable transaction. Raises StoreFull, StoreLocked, StoreFailed with nothing kept."""
        with self.writing() as con:
            numbers = self._append(con, commit.events)
            self._put_records(con, commit.records)
            self._queue_notices(con, commit.notices)
            self._mark_applied(con, commit.applied)
            if commit.journal:
                rows = [{"kind": kind, "t": t, "blob": blob} for kind, t, blob in commit.journal]
                con.execute(sa.insert(journal), rows)
            done = dict.fromkeys([*commit.commands, *commit.answers])
            if done:
                answers = [{"id": id, "answer": canonical(commit.answers.get(id, {}))} for id in done]  # noqa: A001 - the word of the field
                con.execute(self.insert(commands).on_conflict_do_nothing(index_elements=["id"]), answers)
        return numbers

    def _append(self, con: Connection, facts: Sequence[Event]) -> list[int]:
        """Chain what is new; the number of each, of the first time when known."""
        numbers: dict[str, int] = {}
        for part in _chunks([e.id for e in facts]):
            known = con.execute(sa.select(events.c.id, events.c.seq).where(events.c.id.in_(part)))
            numbers.update((id, seq) for id, seq in known)  # noqa: A001 - as above
        heads: dict[str, tuple[int, bytes]] = {}
        for part in _chunks(list({e.estate for e in facts})):
            ends = con.execute(sa.select(chains).where(chains.c.estate.in_(part)))
            heads.update({estate: (seq, head) for estate, seq, head in ends})
        rows = []
        for event in facts:
            if event.id in numbers:
                continue
            seq, head = heads.get(event.estate, (0, START))
            row = make_row(event, seq + 1, head)
            numbers[event.id] = row.seq
            heads[event.estate] = (row.seq, row.head)
            rows.append(row._asdict())
        if rows:
            con.execute(sa.insert(events), rows)
            upsert = self.insert(chains)
            upsert = upsert.on_conflict_do_update(
                index_elements=["estate"], set_={"seq": upsert.excluded.seq, "head": upsert.excluded.head}
            )
            con.execute(upsert, [{"estate": e, "seq": s, "head": h} for e, (s, h) in heads.items()])
        return [numbers[e.id] for e in facts]

    def _put_records(
        self, con: Connection, changes: Sequence[tuple[str, str, str, Mapping[str, Any] | None]]
    ) -> None:
        """Replace or delete; of several changes of one record the last counts."""
        last = {(kind, id): (estate, body) for kind, id, estate, body in changes}  # noqa: A001 - as above
        for (kind, id), (_, body) in last.items():  # noqa: A001 - as above
            if body is None:
                con.execute(sa.delete(records).where(records.c.kind == kind, records.c.id == id))
        rows = [
            {"kind": kind, "id": id, "estate": estate, "body": canonical(body)}
            for (kind, id), (estate, body) in last.items()  # noqa: A001 - as above
            if body is not None
        ]
        if rows:
            upsert = self.insert(records)
            upsert = upsert.on_conflict_do_update(
                index_elements=["kind", "id"],
                set_={"estate": upsert.excluded.estate, "body": upsert.excluded.body},
            )
            con.execute(upsert, rows)

    def _mark_applied(self, con: Connection, keys: Sequence[MessageKey]) -> None:
        """Add the keys to the ranges of their lane, joining what touches."""
        ordered = sorted({(k.gateway, k.boot, k.lane, k.seq) for k in keys})
        for lane, group in groupby(ordered, key=lambda k: k[:3]):
            here = (applied.c.gateway == lane[0], applied.c.boot == lane[1], applied.c.lane == lane[2])
            for first, last in _runs([seq for *_, seq in group]):
                touching = (*here, applied.c.last >= first - 1, applied.c.first <= last + 1)
                found = con.execute(sa.select(applied.c.first, applied.c.last).where(*touching)).all()
                low = min([first, *(f for f, _ in found)])
                high = max([last, *(end for _, end in found)])
                if (low, high) in {tuple(row) for row in found}:
                    continue
                con.execute(sa.delete(applied).where(*touching))
                values = {"gateway": lane[0], "boot": lane[1], "lane": lane[2], "first": low, "last": high}
                con.execute(sa.insert(applied).values(values))

    # ── registry ──

    def series(self, points: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """Registry ids of (asset, tag), from 1; made when missing, never reused."""
        with self.reading() as con:
            known = self._series(con, points)
        missing = [p for p in dict.fromkeys(points) if p not in known]
        if missing:
            with self.writing() as con:
                rows = [{"asset": asset, "tag": tag} for asset, tag in missing]
                con.execute(self.insert(series).on_conflict_do_nothing(index_elements=["asset", "tag"]), rows)
                known |= self._series(con, missing)
        return known

    @staticmethod
    def _series(con: Connection, points: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
        wanted = set(points)
        found: dict[tuple[str, str], int] = {}
        for part in _chunks(sorted({asset for asset, _ in wanted})):
            rows = con.execute(sa.select(series).where(series.c.asset.in_(part)))
            found.update({(a, tag): id for id, a, tag in rows if (a, tag) in wanted})  # noqa: A001 - as above
        return found

    # ── records ──

    def put_record(self, kind: str, id: str, estate: str, body: Mapping[str, Any] | None) -> None:  # noqa: A002 - as above
        """One record by itself, for what changes outside a turn of the core; None deletes."""
        self.commit(Commit(records=[(kind, id, estate, body)]))

    def records(
        self, kind: str, *, estate: str | None = None, prefix: str = ""
    ) -> list[tuple[str, dict[str, Any]]]:
        """Current records of a kind, by id; with `prefix` only those whose id begins with it."""
        query = sa.select(records.c.id, records.c.body).where(records.c.kind == kind).order_by(records.c.id)
        if estate is not None:
            query = query.where(records.c.estate == estate)
        if prefix:
            query = query.where(records.c.id.startswith(prefix, autoescape=True))
            if self.is_sqlite:  # its LIKE does not use the key; text compares by bytes there
                query = query.where(records.c.id >= prefix, records.c.id < prefix + chr(0x10FFFF))
        with self.reading() as con:
            return [(id, orjson.loads(body)) for id, body in con.execute(query)]  # noqa: A001 - as above

    def record(self, kind: str, id: str) -> dict[str, Any] | None:  # noqa: A002 - as above
        """One current record."""
        query = sa.select(records.c.body).where(records.c.kind == kind, records.c.id == id)
        return self._json(query)

    def command(self, id: str) -> dict[str, Any] | None:  # noqa: A002 - as above
        """The answer of a command that was carried out; None when it is unknown."""
        return self._json(sa.select(commands.c.answer).where(commands.c.id == id))

    def _json(self, query: sa.Select[Any]) -> dict[str, Any] | None:
        with self.reading() as con:
            text = con.execute(query).scalar_one_or_none()
        if text is None:
            return None
        body: dict[str, Any] = orjson.loads(text)
        return body

    # ── events ──

    def events(
        self,
        *,
        estate: str | None = None,
        kinds: Sequence[str] = (),
        subject: str = "",
        asset: str = "",
        start: Ms | None = None,
        end: Ms | None = None,
        after: int | None = None,
        limit: int = 1000,
        newest_first: bool = False,
    ) -> list[tuple[int, Event]]:
        """Facts that match, with their number in their estate's chain; see the port."""
        if after is not None and estate is None:
            raise ValueError("`after` counts in one estate's chain: say which estate")
        wanted: list[tuple[Any, sa.ColumnElement[bool]]] = [
            (estate, events.c.estate == estate),
            (tuple(kinds) or None, events.c.kind.in_(kinds)),
            (subject or None, events.c.subject == subject),
            (asset or None, events.c.asset == asset),
            (start, events.c.t >= (start or 0)),
            (end, events.c.t < (end or 0)),
            (after, events.c.seq > (after or 0)),
        ]
        query = sa.select(*_COLUMNS).where(*(clause for value, clause in wanted if value is not None))
        query = query.order_by(events.c.n.desc() if newest_first else events.c.n).limit(limit)
        with self.reading() as con:
            rows = [Row(*row) for row in con.execute(query)]
        return [(row.seq, _event(row)) for row in rows]

    def estates(self) -> list[str]:
        """Estates that have a chain, or events without one (which is a finding of its own)."""
        with self.reading() as con:
            heads = con.execute(sa.select(chains.c.estate)).scalars().all()
            found = con.execute(sa.select(events.c.estate).distinct()).scalars().all()
        return sorted({*heads, *found})

    def verify(self, estate: str) -> int | None:
        """The first number at which the chain does not hold; None when it is sound."""
        query = sa.select(*_COLUMNS).where(events.c.estate == estate).order_by(events.c.seq)
        with self.reading() as con:
            end = con.execute(sa.select(chains.c.seq, chains.c.head).where(chains.c.estate == estate))
            last, head = end.one_or_none() or (0, START)
            rows = con.execution_options(yield_per=_CHUNK).execute(query)
            return first_bad((Row(*row) for row in rows), last, head)

    # ── input position ──

    def applied(self) -> dict[tuple[str, str, str], list[tuple[int, int]]]:
        """Applied ranges [first, last] per (gateway, boot, lane), in order."""
        ranges: dict[tuple[str, str, str], list[tuple[int, int]]] = {}
        with self.reading() as con:
            for gateway, boot, lane, first, last in con.execute(sa.select(applied).order_by(*applied.c)):
                ranges.setdefault((gateway, boot, lane), []).append((first, last))
        return ranges

    def journal(self, after: int) -> list[tuple[int, str, Ms, bytes]]:
        """Inputs committed after position `after`, in order."""
        query = sa.select(journal).where(journal.c.n > after).order_by(journal.c.n)
        with self.reading() as con:
            return [(n, kind, t, bytes(blob)) for n, kind, t, blob in con.execute(query)]

    def position(self) -> int:
        """Number of the newest journal entry ever written."""
        with self.reading() as con:
            newest = con.execute(sa.select(sa.func.max(journal.c.n))).scalar()
            if newest is None and self.is_sqlite:
                # All of it was trimmed: SQLite remembers the counter of an AUTOINCREMENT column here.
                given = sa.text("select seq from sqlite_sequence where name = 'journal'")
                newest = con.execute(given).scalar()
            elif newest is None:
                given = sa.text("select last_value from journal_n_seq where is_called")
                newest = con.execute(given).scalar()
        return int(newest or 0)

    def trim_journal(self, upto: int) -> None:
        """Forget inputs up to and including position `upto`."""
        with self.writing() as con:
            con.execute(sa.delete(journal).where(journal.c.n <= upto))

    # ── copies ──

    def backup(self, folder: str) -> None:
        """A consistent `state.db` in `folder`; writing goes on meanwhile. Raises Permanent on PostgreSQL."""
        if not self.is_sqlite:
            raise Permanent("a PostgreSQL state store is backed up with pg_dump")
        target = Path(folder) / FILE
        with (
            self.failures(),
            replaced(target) as half,
            closing(sqlite3.connect(half)) as copy,
            closing(sqlite3.connect(self.where)) as source,
        ):
            source.backup(copy)


def _event(row: Row) -> Event:
    return Event(
        id=row.id,
        estate=row.estate,
        t=row.t,
        kind=row.kind,
        subject=row.subject,
        actor=row.actor,
        asset=row.asset,
        data=orjson.loads(row.data),
    )


def _chunks(items: Sequence[str]) -> Iterator[Sequence[str]]:
    return (items[i : i + _CHUNK] for i in range(0, len(items), _CHUNK))


def _runs(ordered: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Stretches [first, last] of consecutive numbers in ascending ones without repeats."""
    for _, group in groupby(enumerate(ordered), key=lambda pair: pair[1] - pair[0]):
        run = [seq for _, seq in group]
        yield run[0], run[-1]
