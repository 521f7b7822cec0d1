"""What an outbox gives up when nobody takes anything off it: in which order, and every point of it."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.codec import Account, Ack
from gateway.core.ranges import Applied
from gateway.edge import outbox
from gateway.edge.outbox import Turn, Want
from gateway.edge.pack import Row
from gateway.model import MessageKey, Point
from tests.unit.gateway_edge.edge_fakes import points
from tests.unit.gateway_edge.test_edge_outbox import T0, Store

LANES = ("table", "event", "state", "account", "live", "backlog")
DAY_MS = 86_400_000


def plant() -> list[Point]:
    alarm = [Point("siren", "call.active", kind="digital", life=True)]
    state = [Point("pump-1", "run", kind="digital")]
    return [*points(6), *points(6, "pump-2"), *state, *alarm]


def fast(path: Path, max_bytes: int = 10_000_000) -> Store:
    """Nothing here is about the power cut, so the disk need not be waited for."""
    s = Store(path, plant(), max_bytes)
    assert s.box._db is not None
    s.box._db.execute("PRAGMA synchronous=OFF")
    return s


@dataclass
class Core:
    """The core's half: each message once, numbers that an edge gave up, receipts for what has no hole."""

    applied: Applied = field(default_factory=lambda: Applied({}))
    points: Counter[str] = field(default_factory=Counter)
    accounts: dict[str, Account] = field(default_factory=dict)
    first: dict[MessageKey, Row] = field(default_factory=dict)
    last_t: dict[tuple[str, str], int] = field(default_factory=dict)

    def take(self, rows: list[Row]) -> list[Ack]:
        lanes = set()
        for r in rows:
            lanes.add((r.boot, r.lane))
            key = MessageKey("g", r.boot, r.lane, r.seq)
            if r.lane != "table" and key not in self.applied:
                self.applied.add(key)
                self._keep(key, r)
        return [Ack(b, lane, upto) for b, lane in sorted(lanes) if (upto := self._upto(b, lane))]

    def _upto(self, boot: str, lane: str) -> int:
        return self.applied.upto(("g", boot, lane))

    def _keep(self, key: MessageKey, r: Row) -> None:
        if r.lane == "account":
            account = Account.decode(r.payload)
            if account.seq > (self.accounts[r.boot].seq if r.boot in self.accounts else 0):
                self.accounts[r.boot] = account
            for boot, lanes in account.held.items():
                for lane, low in lanes.items():
                    for seq in self.applied.missing(("g", boot, lane), low, 100_000):
                        self.applied.add(MessageKey("g", boot, lane, seq))
            return
        t = int(orjson.loads(r.payload)["t"])
        assert t >= self.last_t.get((r.boot, r.lane), 0), "a device's order is kept"
        self.last_t[r.boot, r.lane] = t
        self.first[key] = r
        self.points[r.boot] += r.points


def account(s: Store, t: int) -> None:
    """As the edge writes it: counts, and the lowest numbers held."""
    a = Account(s.boot, 0, T0 + t, s.tally.devices(), held=s.box.held())
    turn = Turn(T0 + t, rows=[s.pack.account(a)], accounts=[a], delta=s.tally.delta())
    for old in s.box.closing():
        turn.rows.append(s.pack.account(old))
        turn.accounts.append(old)
    told(s, s.box.commit(turn, {}, s.now).thinned)


def told(s: Store, thinned: Counter[tuple[str, str]]) -> None:
    for (boot, device), n in thinned.items():
        if boot == s.boot:
            s.tally.thinned_in_store(s.names.index(device), n)


def everything(s: Store, core: Core, t: int) -> None:
    """The link is back: until nothing is left."""
    for k in range(50):
        account(s, t + k)
        rows = s.box.commit(Turn(T0 + t), {lane: Want(0, 100_000) for lane in LANES}, s.now).rows
        acks = [a for lane in LANES for a in core.take(rows[lane])]
        s.now += 10
        told(s, s.box.commit(Turn(T0 + t, acks=acks), {}, s.now).thinned)
        if s.box.points == 0 and k:
            account(s, t + k + 1)
            core.take(s.box.commit(Turn(T0 + t), {"account": Want(0, 100_000)}, s.now).rows["account"])
            return
    raise AssertionError(f"{s.box.points} points do not leave")


def residual(core: Core) -> dict[str, int]:
    """due - explained - what the core has, by boot; 0 when all is told."""
    out = {}
    for boot, a in core.accounts.items():
        d = list(a.devices.values())
        explained = sum(x.suppressed + x.thinned + sum(x.gaps.values()) for x in d)
        out[boot] = sum(x.due for x in d) - explained - core.points[boot]
    return out


def test_the_ladder_telemetry_then_accounts_then_states_alarms_last(tmp_path: Path) -> None:
    s = fast(tmp_path / "outbox.db", 200_000)
    first_gone: dict[str, int] = {}
    for k in range(2000):
        s.put(k * 1000, [float(k)] * 12 + [k % 2, k % 2], live=False)
        if k % 10 == 0:
            account(s, k * 1000)
        for lane in s.box.dropped:
            first_gone.setdefault(lane, k)
        assert s.box.bytes < 200_000
    assert list(first_gone) == ["backlog", "account", "state", "event"]
    rows = s.box.commit(Turn(T0), {lane: Want(0, 100_000) for lane in LANES}, s.now).rows
    seqs = [r.seq for r in rows["event"]]
    assert seqs == list(range(seqs[0], 2001)), "the newest alarms, without a hole"
    assert not rows["state"]
    core = Core()
    everything(s, core, 3_000_000)
    assert residual(core) == {s.boot: 0}
    assert core.points[s.boot] < 2000 * 14 == sum(d.due for d in core.accounts[s.boot].devices.values())
    s.box.close()


def test_the_file_is_as_bounded_as_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    s = fast(path, 1_000_000)
    for k in range(6000):
        s.put(k * 1000, [float(k)] * 12, live=False)
        if k % 60 == 0:
            account(s, k * 1000)
    assert s.box.dropped["backlog"] > 0
    assert path.stat().st_size < 1.5 * 1_000_000
    s.box.close()


def test_telemetry_and_states_go_by_age_and_alarms_do_not(tmp_path: Path) -> None:
    s = fast(tmp_path / "outbox.db")
    s.box._age = 2 * DAY_MS
    for day in range(5):
        s.now += 20
        s.put(day * DAY_MS, [float(day)] * 14, live=False)
        account(s, day * DAY_MS)
    rows = s.box.commit(Turn(T0 + 4 * DAY_MS), {lane: Want(0, 100) for lane in LANES}, s.now).rows
    assert {lane: len(rows[lane]) for lane in LANES} == {
        "table": 1, "event": 5, "state": 3, "account": 5, "live": 0, "backlog": 3,
    }  # fmt: skip
    core = Core()
    everything(s, core, 5 * DAY_MS)
    assert residual(core) == {s.boot: 0}
    assert sum(d.thinned for d in core.accounts[s.boot].devices.values()) == 2 * 13
    s.box.close()


def test_a_day_without_a_disk_stays_within_its_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "MEMORY_BYTES", 300_000)
    s = fast(tmp_path / "outbox.db")
    assert s.box._db is not None
    s.box._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    (pages,) = s.box._db.execute("PRAGMA page_count").fetchone()
    s.box._db.execute(f"PRAGMA max_page_count={pages}")
    for k in range(3000):
        s.put(k * 1000, [float(k)] * 12 + ([1.0, 1.0] if k % 100 == 0 else []), live=False)
        if k % 60 == 0:
            account(s, k * 1000)
        assert s.box.bytes < 300_000 + 10_000
    assert s.box.degraded
    assert s.box._memory is not None
    (used,) = s.box._memory.execute("PRAGMA page_count").fetchone()
    assert used * 4096 < 2 * 300_000, "accounts swallow the deltas in memory, too"
    assert set(s.box.dropped) <= {"backlog", "account"}
    s.box._db.execute("PRAGMA max_page_count=1000000")
    s.now += 10
    s.put(4_000_000, [1.0])
    assert not s.box.degraded
    core = Core()
    everything(s, core, 4_001_000)
    assert residual(core) == {s.boot: 0}
    s.box.close()


def test_the_last_word_of_an_earlier_boot_is_written_once_while_the_disk_is_full(tmp_path: Path) -> None:
    s = Store(tmp_path / "outbox.db")
    s.put(0, [1.0, 2.0])
    s = s.reopen()
    assert s.box._db is not None
    s.box._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    (pages,) = s.box._db.execute("PRAGMA page_count").fetchone()
    s.box._db.execute(f"PRAGMA max_page_count={pages}")
    for k in range(200):
        s.put(k, [float(k)] * 4)
        account(s, k)
    assert s.box.degraded
    s.box._db.execute("PRAGMA max_page_count=1000000")
    s.now += 10
    s.put(300, [1.0])
    core = Core()
    everything(s, core, 400)
    assert set(residual(core).values()) == {0}
    assert len(core.accounts) == 2
    s.box.close()


# ── whatever happens in whatever order ────────────────────────────────────────────────────────────────

STEP = st.one_of(
    st.tuples(st.just("put"), st.integers(1, 60), st.booleans()),
    st.tuples(st.just("send"), st.sampled_from(LANES), st.integers(1, 40)),
    st.tuples(st.just("account"), st.none(), st.none()),
    st.tuples(st.just("disk"), st.booleans(), st.none()),
    st.tuples(st.just("crash"), st.none(), st.none()),
    st.tuples(st.just("days"), st.integers(0, 3), st.none()),
)


class Life:
    """A store and a core; `sent` is how far each lane has been handed out, as the courier keeps it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.lives = folder, 0
        self.core = Core()
        self.t = 0
        self.sent: Counter[str] = Counter()
        self.fed = 0
        self.store = self._start(folder / "outbox-0.db")

    def _start(self, path: Path) -> Store:
        made = fast(path, 60_000)
        made.box._age = 2 * DAY_MS
        return made

    def put(self, n: int, live: bool) -> None:
        for _ in range(n):
            self.t += 1000
            self.fed += 14
            self.store.put(self.t, [float(self.t % 97)] * 12 + [self.t // 1000 % 2] * 2, live=live)

    def send(self, lane: str, n: int) -> None:
        """Some rows go out, their receipt comes back."""
        wants = {lane: Want(self.sent[lane], n)}
        taken = self.store.box.commit(Turn(T0 + self.t), wants, self.store.now)
        told(self.store, taken.thinned)
        rows = taken.rows[lane]
        if rows:
            self.sent[lane] = rows[-1].n
        told(
            self.store,
            self.store.box.commit(Turn(T0 + self.t, acks=self.core.take(rows)), {}, self.store.now).thinned,
        )

    def account(self) -> None:
        account(self.store, self.t)

    def disk(self, full: bool) -> None:
        db = self.store.box._db
        assert db is not None
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        db.execute(f"PRAGMA max_page_count={pages if full else 1_000_000}")
        self.store.now += 10

    def crash(self) -> None:
        """kill -9: the next process finds what is committed. Not while the disk is full (see the guide)."""
        box = self.store.box
        if box.degraded:
            return
        self.lives += 1
        path = self.folder / f"outbox-{self.lives}.db"
        for tail in ("", "-wal"):
            old = Path(f"{box._path}{tail}")
            if old.exists():
                shutil.copy(old, f"{path}{tail}")
        box.close()
        self.sent.clear()
        self.store = self._start(path)

    def days(self, n: int) -> None:
        self.t += n * DAY_MS
        self.store.now += 20


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEP, max_size=25))
def test_whatever_happens_the_sums_close_exactly(steps: list[tuple[str, Any, Any]]) -> None:
    with TemporaryDirectory() as folder:
        life = Life(Path(folder))
        try:
            for what, a, b in steps:
                getattr(life, what)(*[x for x in (a, b) if x is not None])
                assert life.store.box.bytes < 60_000 + 64_000_000 * life.store.box.degraded
            life.disk(full=False)
            life.put(1, True)
            life.days(0)
            everything(life.store, life.core, life.t + 1000)
            assert set(residual(life.core).values()) == {0}
            due = sum(d.due for a in life.core.accounts.values() for d in a.devices.values())
            assert due == life.fed
        finally:
            life.store.box.close()
