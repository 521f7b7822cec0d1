"""Addresses that a device refuses: what the search costs, what it learns, and from whom it learns nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.edge.outbox import Outbox, Turn
from gateway.edge.plan import Range, Read, plan
from gateway.edge.refusal import Refusal, Verdict
from gateway.edge.unit import Lesson
from gateway.ports import Span
from tests.unit.gateway_edge.edge_bench import Bench, model
from tests.unit.gateway_edge.edge_fakes import FakeModel, FakeUnit, points


def searched(
    spans: Sequence[Span], legal: Callable[[Read], bool], known: Sequence[Range] = ()
) -> tuple[list[Read], set[int], list[Range]]:
    """(reads made, points read, lessons) for a merged read of all spans that was refused."""
    (read,) = plan(spans, [1.0] * len(spans), max_gap=125)
    refusal = Refusal(read, spans, known)
    asked, values = [], set[int]()
    steps = refusal.steps()
    try:
        ask = next(steps)
        while True:
            asked.append(ask)
            if legal(ask):
                values.update(ask.points)
            ask = steps.send(Verdict.LEGAL if legal(ask) else Verdict.REFUSED)
    except StopIteration:
        return asked, values, refusal.lessons


def without(holes: set[int]) -> Callable[[Read], bool]:
    return lambda read: holes.isdisjoint(range(read.address, read.stop))


def learnt_plan(spans: Sequence[Span], lessons: Sequence[Range]) -> list[Read]:
    reads = plan(spans, [1.0] * len(spans), max_gap=125, bad_ranges=lessons)
    return [r for r in reads if not r.illegal]


@pytest.mark.parametrize("n", [2, 3, 64, 125])
def test_a_hole_costs_at_most_log2_n_reads_wherever_it_lies(n: int) -> None:
    spans = [Span("holding", a) for a in range(n)]
    for hole in range(n):
        asked, values, lessons = searched(spans, without({hole}))
        assert values == set(range(n)) - {hole}
        assert lessons == [Range("holding", hole, hole + 1)]
        assert len(asked) - len(learnt_plan(spans, lessons)) <= math.ceil(math.log2(n)), hole


@pytest.mark.parametrize("hole", range(1, 60, 2))
def test_an_unused_illegal_register_costs_no_more_and_loses_no_value(hole: int) -> None:
    spans = [Span("holding", a) for a in range(0, 61, 2)]
    asked, values, lessons = searched(spans, without({hole}))
    assert values == set(range(31))
    assert lessons == [Range("holding", hole, hole + 1)]
    assert len(asked) - len(learnt_plan(spans, lessons)) <= 5


@given(st.sets(st.integers(0, 90), min_size=1, max_size=12), st.sets(st.integers(0, 90), min_size=2))
def test_no_legal_value_is_ever_lost_and_the_learnt_plan_is_legal(holes: set[int], used: set[int]) -> None:
    spans = [Span("holding", a) for a in sorted(used)]
    (read,) = plan(spans, [1.0] * len(spans), max_gap=125)
    if not holes & set(range(read.address, read.stop)):
        return
    _, values, lessons = searched(spans, without(holes))
    assert {spans[n].address for n in values} == used - holes
    # Holes in further gaps may still be in the way of longer reads: each round finds at least one more.
    for _ in range(14):
        refused = [r for r in learnt_plan(spans, lessons) if not without(holes)(r)]
        if not refused:
            break
        for r in refused:
            refusal = Refusal(r, spans, lessons)
            steps = refusal.steps()
            got, ask = set[int](), next(steps)
            try:
                while True:
                    got.update(ask.points if without(holes)(ask) else ())
                    ask = steps.send(Verdict.LEGAL if without(holes)(ask) else Verdict.REFUSED)
            except StopIteration:
                lessons += refusal.lessons
            assert got == set(r.points)
    assert all(without(holes)(r) for r in learnt_plan(spans, lessons))
    illegal = {spans[n].address for n in range(len(spans))} & holes
    planned = {spans[n].address for r in learnt_plan(spans, lessons) for n in r.points}
    assert planned == used - illegal


def test_a_limit_of_length_is_learnt_in_few_rounds() -> None:
    limit = 32
    spans = [Span("holding", a) for a in range(120)]
    lessons: list[Range] = []
    for _ in range(4):
        for r in learnt_plan(spans, lessons):
            if r.count <= limit:
                continue
            refusal = Refusal(r, spans, lessons)
            steps = refusal.steps()
            got = set[int]()
            try:
                ask = next(steps)
                while True:
                    legal = ask.count <= limit
                    got.update(ask.points if legal else ())
                    ask = steps.send(Verdict.LEGAL if legal else Verdict.REFUSED)
            except StopIteration:
                lessons += refusal.lessons
            assert got == set(r.points)
    reads = learnt_plan(spans, lessons)
    assert max(r.count for r in reads) <= limit
    assert len(reads) <= 8


async def test_a_device_that_refuses_everything_is_not_searched_in_every_round() -> None:
    unit = FakeUnit(illegal=frozenset(range(100)))
    b = Bench([model(64)], [unit])
    async with b.running():
        await b.clock.advance(60)
        assert not b.sink.lessons
        assert (
            len(b.driver.log) < 60 + 4 * 80
        )  # searches after 10, 20 and 40 s, else one refused read a round
        assert b.explained(0) == 64 * (b.sink.gaps[0, "exception"] // 64)
        unit.illegal = frozenset()
        await b.clock.advance(3)
    assert b.sink.count[0] >= 128


async def test_a_wholly_refused_block_is_learnt_when_the_device_gives_its_other_values() -> None:
    pts = points(20)
    where = [Span("holding", a) for a in (*range(10), *range(100, 110))]
    b = Bench([FakeModel(pts, where)], [FakeUnit(illegal=frozenset(range(100, 110)))])
    async with b.running():
        await b.clock.advance(3)
        asked = len(b.driver.log)
        await b.clock.advance(10)
        assert len(b.driver.log) - asked == 10
    assert set(b.sink.values) == set(range(10))
    assert {x.range.start for x in b.sink.lessons[0]} == set(range(100, 110))


async def test_what_was_learnt_is_known_after_a_restart(tmp_path: Path) -> None:
    first = Bench([model(64)], [FakeUnit(illegal=frozenset({7, 31}))])
    async with first.running():
        await first.clock.advance(2)
    box = Outbox(tmp_path / "outbox.db", 1_000_000)
    box.open(first.clock.now())
    box.commit(Turn(first.clock.now(), lessons={"d1": first.sink.lessons[0]}), {}, 0)
    box.close()
    again = Outbox(tmp_path / "outbox.db", 1_000_000)
    again.open(first.clock.now())
    second = Bench([model(64)], [FakeUnit(illegal=frozenset({7, 31}))], lessons={0: again.lessons["d1"]})
    again.close()
    async with second.running():
        await second.clock.advance(1.5)
    assert [(x.address, x.count) for _, x in second.driver.log[:3]] == [(0, 7), (8, 23), (32, 32)]
    assert second.line.stats().units[0].exceptions == {}
    assert second.line.stats().units[0].holes == 2


async def test_retry_now_tries_refused_addresses_again() -> None:
    unit = FakeUnit(illegal=frozenset({3}))
    b = Bench([model(8)], [unit], lessons={0: [Lesson(Range("holding", 3, 4), 1_790_000_000_000)]})
    async with b.running():
        await b.clock.advance(3)
        assert 3 not in b.sink.values
        unit.illegal = frozenset()
        assert b.line.retry_now("d1")
        assert b.sink.lessons[0] == []
        await b.clock.advance(2)
    assert 3 in b.sink.values
    assert not b.line.retry_now("nobody")
