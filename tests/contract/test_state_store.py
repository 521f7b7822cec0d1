"""The contract of the state store and of the accounts beside it."""

from __future__ import annotations

import os
import random
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count, pairwise
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.adapters.state import SqlState, open_state
from gateway.errors import BadInput, NotFound
from gateway.model import Event, MessageKey, Notice
from gateway.ports import AccountStore, Commit, Session, StateStore

T0 = 1_790_000_000_000
_LANES = count()


@contextmanager
def postgres_database() -> Iterator[sa.URL]:
    """A database of its own on the server that STEWARD_POSTGRES names (postgresql+psycopg://…)."""
    server = os.environ.get("STEWARD_POSTGRES")
    if not server:
        pytest.skip("no PostgreSQL: name one in STEWARD_POSTGRES (postgresql+psycopg://…)")
    name = f"steward_test_{uuid.uuid4().hex}"
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as con:
        con.exec_driver_sql(f"create database {name}")
    yield sa.make_url(server).set(database=name)
    with engine.connect() as con:
        con.exec_driver_sql(f"drop database {name}")
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlState]:
    with ExitStack() as opened:
        if request.param == "sqlite":
            store = open_state(tmp_path / "state.db", durable=False)
        else:
            store = SqlState(opened.enter_context(postgres_database()))
        opened.callback(store.close)
        yield store


def event(n: int, estate: str = "lakeside", kind: str = "alarm.raised", **more: object) -> Event:
    return Event(f"{estate}-{n}", estate, T0 + n, kind, f"a{n % 3}", asset=f"lift-{n % 2}", data=more)


def notice(n: int, *, life: bool = False, priority: int = 3) -> Notice:
    text = {"zh": "电梯困人", "en": "Entrapment"}
    return Notice(f"n{n}", "lakeside", T0 + n, "TE", "sms", "a1", text, text, priority, life)


def test_it_is_both_ports(state: SqlState) -> None:
    as_state: StateStore = state
    as_accounts: AccountStore = state
    assert as_state.position() == 0
    assert as_accounts.users() == []


def test_events_are_numbered_per_estate_and_come_back_whole(state: SqlState) -> None:
    first = [
        event(0, value=1.5, note="水压低", deep={"b": [1, None, True], "a": {}}),
        event(1),
        event(0, "hill"),
    ]
    assert state.commit(Commit(events=first)) == [1, 2, 1]
    assert state.commit(Commit(events=[event(1, "hill"), event(2)])) == [2, 3]
    assert state.events(estate="lakeside") == [(1, first[0]), (2, first[1]), (3, event(2))]
    assert [e for _, e in state.events()] == [*first, event(1, "hill"), event(2)]


def test_a_known_event_is_left_out_and_keeps_its_number(state: SqlState) -> None:
    state.commit(Commit(events=[event(0), event(1)]))
    again = Event("lakeside-1", "lakeside", T0 + 99, "alarm.cleared", "other")
    assert state.commit(Commit(events=[again, event(5), event(5)])) == [2, 3, 3]
    assert state.events(estate="lakeside", after=1) == [(2, event(1)), (3, event(5))]
    assert state.verify("lakeside") is None


def test_events_are_found_by_everything_the_port_offers(state: SqlState) -> None:
    facts = [event(n, kind="alarm.raised" if n % 4 else "order.dispatched") for n in range(40)]
    state.commit(Commit(events=[*facts, *(event(n, "hill") for n in range(5))]))

    def numbers(**asked: object) -> list[int]:
        return [seq for seq, _ in state.events(estate="lakeside", **asked)]  # type: ignore[arg-type] # free choice of filters

    assert numbers(kinds=["order.dispatched"]) == [1, 5, 9, 13, 17, 21, 25, 29, 33, 37]
    assert numbers(subject="a2", asset="lift-1", limit=3) == [6, 12, 18]
    assert numbers(start=T0 + 3, end=T0 + 6) == [4, 5, 6]
    assert numbers(after=37) == [38, 39, 40]
    assert numbers(after=10, limit=2, newest_first=True) == [40, 39]
    assert len(state.events(limit=100)) == 45
    with pytest.raises(ValueError, match="estate"):
        state.events(after=3)


def test_a_commit_that_fails_leaves_nothing_behind(state: SqlState) -> None:
    state.commit(Commit(events=[event(0)], records=[("alarm", "a", "lakeside", {"n": 1})]))
    bad = Commit(
        events=[event(1), event(2)],
        records=[("alarm", "a", "lakeside", {"n": 2}), ("alarm", "b", "lakeside", {"x": {1, 2}})],
        notices=[notice(1)],
        applied=[MessageKey("g", "b", "live", 1)],
        journal=[("data", T0, b"x")],
        commands=["c1"],
    )
    with pytest.raises(BadInput, match="JSON"):
        state.commit(bad)
    assert len(state.events()) == 1
    assert state.records("alarm") == [("a", {"n": 1})]
    assert state.notice_counts() == {}
    assert state.applied() == {}
    assert state.position() == 0
    assert state.command("c1") is None
    assert state.verify("lakeside") is None
    assert state.commit(Commit(events=[event(1)])) == [2]


def test_records_are_replaced_and_deleted_and_the_last_change_counts(state: SqlState) -> None:
    state.commit(Commit(records=[("alarm", "b", "hill", {"n": 1}), ("alarm", "a", "lakeside", {"n": 1})]))
    state.commit(Commit(records=[("order", "a", "lakeside", {"o": 1}), ("alarm", "a", "lakeside", {"n": 2})]))
    assert state.records("alarm") == [("a", {"n": 2}), ("b", {"n": 1})]
    assert state.records("alarm", estate="hill") == [("b", {"n": 1})]
    assert state.record("order", "a") == {"o": 1}
    state.commit(
        Commit(
            records=[
                ("alarm", "a", "lakeside", {"n": 3}),
                ("alarm", "a", "lakeside", None),
                ("alarm", "b", "hill", None),
                ("alarm", "b", "hill", {"n": 9}),
                ("alarm", "never", "hill", None),
            ]
        )
    )
    assert state.records("alarm") == [("b", {"n": 9})]
    assert state.record("alarm", "a") is None
    state.put_record("settings", "matrix", "", {"version": 2})
    assert state.record("settings", "matrix") == {"version": 2}


def test_series_ids_are_given_once_and_never_again(state: SqlState) -> None:
    first = state.series([("lift-1", "lift.speed"), ("lift-1", "lift.trips"), ("lift-1", "lift.speed")])
    assert sorted(first.values()) == [1, 2]
    more = state.series([("lift-2", "lift.speed"), ("lift-1", "lift.speed")])
    assert more == {("lift-2", "lift.speed"): 3, ("lift-1", "lift.speed"): first["lift-1", "lift.speed"]}
    assert state.series([]) == {}


def test_series_ids_asked_for_by_several_threads_agree(state: SqlState) -> None:
    answers: list[dict[tuple[str, str], int]] = []
    points = [(f"pump-{n}", "ws.out_p") for n in range(50)]

    def ask(seed: int) -> None:
        answers.append(state.series(random.Random(seed).sample(points, 50)))

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 4
    assert all(answer == answers[0] for answer in answers)
    assert sorted(answers[0].values()) == list(range(1, 51))


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batches=st.lists(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 30)), max_size=12), max_size=8),
)
def test_applied_ranges_are_the_set_of_keys(state: SqlState, batches: list[list[tuple[str, int]]]) -> None:
    lane = str(next(_LANES))  # the store outlives the example
    for batch in batches:
        state.commit(Commit(applied=[MessageKey(g, "boot", lane, n) for g, n in batch]))
    seen = {pair for batch in batches for pair in batch}
    mine = {g: ranges for (g, _, at), ranges in state.applied().items() if at == lane}
    assert {(g, n) for g, rs in mine.items() for first, last in rs for n in range(first, last + 1)} == seen
    for ranges in mine.values():
        assert all(b[0] > a[1] + 1 for a, b in pairwise(ranges))  # joined, in order


def test_the_journal_keeps_its_numbers_over_trimming(state: SqlState) -> None:
    assert state.position() == 0
    state.commit(Commit(journal=[("data", T0, b"\x00\xff"), ("command", T0 + 1, b"two")]))
    assert state.journal(0) == [(1, "data", T0, b"\x00\xff"), (2, "command", T0 + 1, b"two")]
    state.trim_journal(2)
    assert state.journal(0) == []
    assert state.position() == 2
    state.commit(Commit(journal=[("data", T0, b"3")]))
    assert state.journal(1) == [(3, "data", T0, b"3")]
    assert state.position() == 3


def test_commands_give_their_first_answer_again(state: SqlState) -> None:
    state.commit(Commit(commands=["c1", "c2"], answers={"c2": {"state": "ACKED"}, "c3": {"n": 1}}))
    state.commit(Commit(commands=["c2"], answers={"c2": {"state": "NORM"}}))
    assert [state.command(c) for c in ("c1", "c2", "c3", "c4")] == [{}, {"state": "ACKED"}, {"n": 1}, None]


def test_notices_wait_are_retried_and_end_once(state: SqlState) -> None:
    queued = [notice(1), notice(2, priority=1), notice(3, life=True, priority=2), notice(4)]
    state.commit(Commit(notices=queued))
    state.commit(Commit(notices=[notice(2)]))
    assert [n.id for n, *_ in state.notices(["waiting"])] == ["n3", "n2", "n1", "n4"]
    assert state.notices(["waiting"], limit=1) == [(queued[2], "waiting", 0)]
    assert [n.id for n, *_ in state.notices(["waiting"], due=T0 + 2)] == ["n2", "n1"]

    state.notice_result("n1", ok=False, at=T0 + 10, detail="503", retry_at=T0 + 5000)
    state.notice_result("n2", ok=True, at=T0 + 11, detail="msg-77")
    state.notice_result("n2", ok=False, at=T0 + 12, detail="late time-out")
    state.notice_result("n4", ok=False, at=T0 + 13, detail="no such number", final=True)
    assert state.notice_counts() == {"waiting": 1, "failed": 1, "sent": 1, "given_up": 1}
    assert state.notices(["failed"]) == [(queued[0], "failed", 1)]
    assert state.notices(["waiting", "failed"], due=T0 + 4999) == [(queued[2], "waiting", 0)]
    assert state.receipts("n2") == [(T0 + 11, True, "msg-77"), (T0 + 12, False, "late time-out")]
    with pytest.raises(NotFound):
        state.notice_result("n9", ok=True, at=T0, detail="")


def test_people_and_sessions(state: SqlState) -> None:
    state.put_user("li", {"name": "李", "role": "operator"}, "$argon2id$1")
    state.put_user("li", {"name": "李", "role": "supervisor"})
    state.put_user("wall", {"role": "display"})
    found = state.user("li")
    assert found is not None
    assert (found.body["role"], found.password_hash) == ("supervisor", "$argon2id$1")
    assert [u.id for u in state.users()] == ["li", "wall"]
    assert state.user("nobody") is None

    sessions = [Session(f"h{n}", "li", "web", T0, T0, T0 + n) for n in range(4)]
    for session in sessions:
        state.put_session(session)
    with pytest.raises(NotFound, match="nobody"):
        state.put_session(Session("x", "nobody", "web", T0, T0, T0))
    state.touch_session("h3", T0 + 7, T0 + 99)
    assert state.session("h3") == Session("h3", "li", "web", T0, T0 + 7, T0 + 99)
    state.drop_session("h0")
    assert state.session("h0") is None
    assert state.drop_sessions(expired_at=T0 + 1) == 1
    assert state.drop_sessions(user="li") == 2
    with pytest.raises(ValueError, match="which"):
        state.drop_sessions()
    state.put_session(sessions[1])
    state.drop_user("li")
    assert state.session("h1") is None


def test_readers_see_whole_commits_while_the_writer_works(state: SqlState) -> None:
    done = threading.Event()
    torn: list[tuple[int, int]] = []

    def read() -> None:
        while not done.is_set():
            with state.reading() as con:
                a, b = (
                    con.exec_driver_sql(f"select count(*) from {table}").scalar_one()
                    for table in ("events", "journal")
                )
            if a != b:
                torn.append((a, b))

    readers = [threading.Thread(target=read) for _ in range(2)]
    for thread in readers:
        thread.start()
    for n in range(150):
        state.commit(Commit(events=[event(n)], journal=[("data", T0, b"")]))
    done.set()
    for thread in readers:
        thread.join()
    assert torn == []
