from __future__ import annotations

from collections import Counter

import pytest

from gateway.codec import Ack
from gateway.edge.courier import RESEND_S, Courier
from gateway.edge.outbox import Taken
from gateway.edge.pack import Row


class Bench:
    """A courier over rows in a list; `sent` is what the broker got."""

    def __init__(self, drain_per_s: float = 1000.0) -> None:
        self.courier = Courier("b2", drain_per_s)
        self.rows: list[Row] = []
        self.counts: Counter[tuple[str, str]] = Counter()
        self.sent: list[tuple[str, str, int]] = []
        self.window = 10_000
        self.now = 100.0

    def add(self, lane: str, count: int = 1, boot: str = "b2") -> None:
        for _ in range(count):
            seq = self.counts[lane, boot] = self.counts[lane, boot] + 1
            self.rows.append(Row(len(self.rows) + 1, boot, lane, seq, "topic", f"{lane} {seq}".encode()))

    def fill(self) -> None:
        wants = self.courier.wants()
        rows = {
            lane: [r for r in self.rows if r.lane == lane and r.n > w.after][: w.limit]
            for lane, w in wants.items()
        }
        tops = {lane: max((r.n for r in self.rows if r.lane == lane), default=0) for lane in rows}
        self.courier.accept(wants, Taken(rows, tops, Counter()))

    def publish(self, topic: str, payload: bytes, retain: bool) -> bool:
        if self.window == 0:
            return False
        self.window -= 1
        lane, _, seq = payload.decode().partition(" ")
        self.sent.append((topic, lane, int(seq or 0)))
        return True

    def go(self, seconds: float = 0.05) -> list[tuple[str, int]]:
        self.now += seconds
        self.fill()
        before = len(self.sent)
        self.courier.pump(self.publish, self.now)
        return [(lane, seq) for _, lane, seq in self.sent[before:]]

    def ack(self, lane: str, upto: int, boot: str = "b2") -> Ack | None:
        return self.courier.acked(Ack(boot, lane, upto), self.now)


@pytest.fixture
def bench() -> Bench:
    b = Bench()
    b.courier.connection(online=True)
    return b


def test_events_and_states_overtake_telemetry(bench: Bench) -> None:
    for lane in ("backlog", "live", "account", "state", "event", "table"):
        bench.add(lane, 2)
    assert [lane for lane, _ in bench.go()] == [
        lane for lane in ("table", "event", "state", "account", "live", "backlog") for _ in range(2)
    ]


def test_a_new_event_goes_ahead_of_a_long_backlog(bench: Bench) -> None:
    bench.add("backlog", 5000)
    bench.go()
    bench.add("event")
    bench.add("live")
    assert bench.go()[:2] == [("event", 1), ("live", 1)]


def test_the_backlog_is_rate_limited_and_complete() -> None:
    b = Bench(drain_per_s=200)
    b.courier.connection(online=True)
    b.add("backlog", 500)
    per_tick = []
    for _ in range(60):
        per_tick.append(len(b.go(0.05)))
        b.ack("backlog", sum(per_tick))
    assert max(per_tick[1:]) <= 20
    assert sum(per_tick) == 500
    assert sum(per_tick[:20]) <= 220


def test_a_full_window_stops_and_goes_on_in_order(bench: Bench) -> None:
    bench.add("live", 10)
    bench.window = 4
    assert len(bench.go()) == 4
    assert bench.courier.busy
    bench.window = 100
    assert bench.go() == [("live", k) for k in range(5, 11)]
    assert not bench.courier.busy


def test_what_has_no_receipt_is_sent_again_with_the_same_ids_less_and_less_often(bench: Bench) -> None:
    bench.add("live", 5)
    bench.go()
    assert bench.ack("live", 2) == Ack("b2", "live", 2)
    bench.now += RESEND_S[0] - 1
    assert not bench.courier.overdue(bench.now)
    bench.now += 2
    assert bench.courier.overdue(bench.now)
    assert bench.go() == [("live", 3), ("live", 4), ("live", 5)]
    assert bench.courier.resent == 3
    bench.now += RESEND_S[0] + 1
    assert not bench.courier.overdue(bench.now)
    bench.now += RESEND_S[0]
    assert bench.courier.overdue(bench.now)


def test_receipts_for_later_messages_show_a_loss_and_it_is_made_good_soon(bench: Bench) -> None:
    bench.add("live", 3)
    bench.go()
    bench.ack("live", 1)
    bench.now += 4
    assert not bench.courier.overdue(bench.now)
    bench.add("live", 1)
    bench.go()
    bench.ack("live", 1)
    assert bench.courier.overdue(bench.now)
    assert bench.go() == [("live", 2), ("live", 3), ("live", 4)]
    bench.now += 4
    bench.ack("live", 1)
    assert not bench.courier.overdue(bench.now)  # the pause doubles while that does not help
    bench.now += 3
    bench.ack("live", 1)
    assert bench.courier.overdue(bench.now)


def test_a_lost_event_is_sent_again_as_soon_as_anything_shows_that_the_core_is_there(bench: Bench) -> None:
    bench.add("event")
    bench.add("live", 2)
    bench.go()
    bench.now += 4
    bench.ack("live", 2)
    assert bench.courier.overdue(bench.now)
    assert bench.go() == [("event", 1)]


def test_a_busy_core_that_gets_on_is_not_pressed(bench: Bench) -> None:
    bench.add("live", 100)
    bench.add("event")
    bench.go()
    bench.ack("event", 1)
    for upto in range(1, 50):
        bench.now += 2
        bench.ack("live", upto)
        assert not bench.courier.overdue(bench.now)


def test_a_new_connection_sends_what_has_no_receipt(bench: Bench) -> None:
    bench.add("table")
    bench.add("event", 3)
    bench.go()
    bench.ack("event", 1)
    bench.courier.connection(online=False)
    bench.add("state")
    assert bench.go() == []
    bench.courier.connection(online=True)
    assert bench.go() == [("table", 1), ("event", 2), ("event", 3), ("state", 1)]


def test_a_receipt_for_more_than_was_sent_covers_only_what_was_sent(bench: Bench) -> None:
    bench.add("live", 2)
    bench.go()
    bench.add("live", 2)
    assert bench.ack("live", 999) == Ack("b2", "live", 2)
    assert bench.ack("live", 999) is None
    assert bench.ack("nonsense", 5) is None
    assert bench.ack("live", 7, boot="b1") == Ack("b1", "live", 7)


def test_rows_of_an_earlier_boot_go_first_and_are_confirmed_by_their_own_boot(bench: Bench) -> None:
    bench.add("live", 3, boot="b1")
    bench.add("live", 2)
    assert [seq for _, seq in bench.go()] == [1, 2, 3, 1, 2]
    bench.ack("live", 2)
    bench.courier.resend()
    assert bench.go() == [("live", 1), ("live", 2), ("live", 3)]


def test_a_core_that_confirms_nothing_closes_the_live_lane(bench: Bench) -> None:
    bench.add("live", 3000)
    for _ in range(40):
        bench.go()
    assert len(bench.sent) == 2000
    assert not bench.courier.live
    bench.ack("live", 500)
    assert bench.courier.live
    for _ in range(40):
        bench.go()
    assert len(bench.sent) == 2500


def test_offline_nothing_is_fetched_and_values_are_backlog() -> None:
    b = Bench()
    b.add("live")
    assert (b.courier.wants(), b.courier.busy, b.courier.live) == ({}, False, False)


def test_presence_goes_ahead_of_everything_and_not_into_another_connection(bench: Bench) -> None:
    bench.add("event")
    bench.courier.direct("status", b"status 0", retain=True)
    assert bench.go() == [("status", 0), ("event", 1)]
    bench.courier.direct("reply", b"reply 0", retain=False)
    bench.courier.connection(online=False)
    bench.courier.connection(online=True)
    assert bench.go() == [("event", 1)]


def drained(bench: Bench, core_per_s: float, ticks: int) -> list[int]:
    """Backlog in flight after each tick, with a core that confirms so many messages a second."""
    confirmed, flight = 0.0, []
    for _ in range(ticks):
        bench.go(0.05)
        sent = sum(lane == "backlog" for _, lane, _ in bench.sent)
        confirmed = min(sent, confirmed + core_per_s * 0.05)
        flight.append(sent - int(confirmed))
        bench.ack("backlog", int(confirmed))
    return flight


def test_a_slow_core_has_half_a_second_of_backlog_before_it_and_a_fast_one_more() -> None:
    slow, fast = Bench(drain_per_s=10_000), Bench(drain_per_s=10_000)
    for b in (slow, fast):
        b.courier.connection(online=True)
        b.add("backlog", 6000)
    late = drained(slow, 300, 100)[-20:]
    assert max(late) <= 0.6 * 300, "a live value waits for half a second of backlog at most"
    assert min(late) >= 64, "and the core is never without work"
    assert sum(lane == "backlog" for _, lane, _ in slow.sent) >= 300 * 5
    drained(fast, 8_000, 40)
    assert sum(lane == "backlog" for _, lane, _ in fast.sent) == 6000, "in two seconds"
