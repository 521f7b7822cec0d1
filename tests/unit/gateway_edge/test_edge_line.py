"""Lines in virtual time: what the wire saw, what came out, and that every due point is explained."""

from __future__ import annotations

import itertools

import pytest

from gateway.ports import Answer, Decoded, Span
from tests.unit.gateway_edge.edge_bench import Bench, model
from tests.unit.gateway_edge.edge_fakes import FakeModel, FakeUnit, points


async def test_silent_exception_and_short_units_leave_the_schedule_of_the_others_alone() -> None:
    units = [FakeUnit(), FakeUnit(silent=True), FakeUnit(code=4), FakeUnit(short=True), FakeUnit()]
    async with Bench([model() for _ in units], units, timeout_s=0.3).running() as b:
        await b.clock.advance(120)
        for unit in (1, 5):
            at = b.asked(unit)[-100:]
            gaps = sorted(y - x for x, y in itertools.pairwise(at))
            assert gaps[int(0.95 * len(gaps))] <= 1.2
        assert b.sink.count[0] >= 119 * 20
        assert b.sink.count[1] == b.sink.count[2] == b.sink.count[3] == 0
        assert b.sink.gaps[2, "exception"] >= 119 * 20
        assert b.sink.gaps[1, "breaker"] > 100 * 20
        assert b.sink.gaps[3, "garbled"] > 0
        assert len(b.asked(2)) < 15  # 120 rounds, but only probes with a doubling pause
        assert all(b.explained(d) >= 119 * 20 for d in range(5))


async def test_a_silent_unit_costs_at_most_one_probe_a_cycle_and_comes_back_with_all_its_values() -> None:
    units = [FakeUnit(), FakeUnit(silent=True), FakeUnit(silent=True), FakeUnit(silent=True)]
    async with Bench([model() for _ in units], units).running() as b:
        await b.clock.advance(60)
        silent = sorted(t for u in (2, 3, 4) for t in b.asked(u) if t > 6)
        assert all(y - x >= 0.99 for x, y in itertools.pairwise(silent))
        assert b.line.silent_units == 3
        for unit in units:
            unit.silent = False
        await b.clock.advance(130)
        assert b.line.silent_units == 0
        before = dict(b.sink.count)
        await b.clock.advance(10)
        assert all(b.sink.count[d] - before[d] == 200 for d in range(4))


@pytest.mark.parametrize("period", [1.0, 20.0, 300.0])
async def test_a_silent_life_safety_unit_is_fresh_within_30_s_of_its_return(period: float) -> None:
    units = [FakeUnit(), *[FakeUnit(silent=True) for _ in range(4)]]
    models = [model(), *[model(4, period, life=True) for _ in range(4)]]
    async with Bench(models, units, timeout_s=0.2).running() as b:
        await b.clock.advance(1000)
        assert b.line.silent_units == 4
        for unit in units:
            unit.silent = False
        before = dict(b.sink.count)
        await b.clock.advance(31)
        assert all(b.sink.count[d] > before.get(d, 0) for d in range(1, 5))


async def test_values_follow_the_requested_address_whatever_chunk_fails() -> None:
    for failing in range(3):
        pts = points(48)
        spans = [Span("holding", 100 * (k // 16) + k % 16) for k in range(48)]
        unit = FakeUnit(value=lambda a: 1000 + a, busy_at=frozenset({100 * failing}))
        b = Bench([FakeModel(pts, spans)], [unit])
        async with b.running():
            await b.clock.advance(5)
        assert {g // 16 for g in b.sink.values} == {0, 1, 2} - {failing}
        wrong = [g for g, rows in b.sink.values.items() for _, v in rows if v != 1000 + spans[g].address]
        assert wrong == []


async def test_refused_addresses_are_learnt_once_and_no_legal_value_is_lost() -> None:
    holes = frozenset({7, 31, 60})
    pts = points(64)
    b = Bench([FakeModel.dense(pts)], [FakeUnit(illegal=holes)])
    async with b.running():
        await b.clock.advance(1.5)
        learning = len(b.driver.log)
        # The refused read, what the learnt plan reads, and log2(64) reads for each hole.
        assert learning <= 1 + 4 + 3 * 6
        assert set(b.sink.values) == set(range(64)) - holes
        await b.clock.advance(10)
        per_round = (len(b.driver.log) - learning) / 10
        assert per_round == 4
        assert not any(
            h in range(x.address, x.address + x.count) for _, x in b.driver.log[learning:] for h in holes
        )
    assert set(b.sink.values) == set(range(64)) - holes
    assert b.explained(0) == 64 * (b.sink.gaps[0, "exception"] // 3)
    assert {(x.range.start, x.range.stop) for x in b.sink.lessons[0]} == {(h, h + 1) for h in holes}


async def test_an_unused_illegal_register_in_a_gap_only_splits_the_read() -> None:
    pts = points(4)
    where = [Span("holding", a) for a in (0, 1, 5, 6)]
    b = Bench([FakeModel(pts, where)], [FakeUnit(illegal=frozenset({3}))])
    async with b.running():
        await b.clock.advance(5)
    assert set(b.sink.values) == {0, 1, 2, 3}
    assert not b.sink.gaps
    assert [(x.address, x.count) for _, x in b.driver.log[-2:]] == [(0, 2), (5, 2)]


async def test_a_device_that_refuses_everything_teaches_nothing() -> None:
    unit = FakeUnit(illegal=frozenset(range(100)))
    b = Bench([model(8)], [unit])
    async with b.running():
        await b.clock.advance(3)
        assert not b.sink.lessons
        unit.illegal = frozenset()
        await b.clock.advance(3)
    assert b.sink.count[0] >= 16


async def test_a_lesson_is_forgotten_after_a_day() -> None:
    unit = FakeUnit(illegal=frozenset({3}))
    b = Bench([model(8, 600.0)], [unit])
    async with b.running():
        await b.clock.advance(1300)
        assert 3 not in b.sink.values
        unit.illegal = frozenset()
        await b.clock.advance(86_400 + 1300)
    assert 3 in b.sink.values
    assert b.sink.lessons[0] == []


async def test_a_line_that_is_down_explains_its_rounds_and_comes_back() -> None:
    b = Bench([model(10)], [FakeUnit()])
    b.driver.down = True
    async with b.running():
        await b.clock.advance(60)
        assert b.sink.gaps[0, "line"] == 600
        assert not b.line.up
        b.driver.down = False
        await b.clock.advance(6)
        assert b.line.up
        assert b.sink.count[0] >= 10
        b.driver.down = True
        await b.clock.advance(5)
        assert not b.line.up
    assert set(b.sink.gaps) == {(0, "line")}


async def test_a_round_that_comes_too_late_is_a_gap_and_the_grid_stays() -> None:
    unit = FakeUnit(rtt_s=3.4)
    async with Bench([model(5)], [unit], timeout_s=10).running() as b:
        await b.clock.advance(34.5)
        assert b.sink.gaps[0, "missed"] > 0
        assert b.line.overloaded
        assert 30 <= b.explained(0) / 5 <= 35  # what the read in progress makes late is not booked yet
        starts = {round(at % 1, 3) for at in b.asked(1)}
        assert len(starts) > 1  # late reads start at once, their successors are due on the grid
        unit.rtt_s = 0.01
        await b.clock.advance(10)
        assert len({round(at % 1, 3) for at in b.asked(1)[-5:]}) == 1
        assert not b.line.overloaded


async def test_points_of_another_period_inside_a_gap_are_not_counted_twice() -> None:
    pts = [*points(1), *points(1, "other", period_s=10.0), *points(1, "third")]
    b = Bench([FakeModel.dense(pts)], [FakeUnit()])
    async with b.running():
        await b.clock.advance(20.5)
    assert len(b.sink.values[0]) == len(b.sink.values[2]) >= 20
    assert len(b.sink.values[1]) == 2


async def test_time_outs_are_learnt_from_the_answers() -> None:
    b = Bench([model(3)], [FakeUnit(rtt_s=0.02)], timeout_s=1.0)
    async with b.running():
        assert b.units[0].timeout_s() == 1.0
        await b.clock.advance(12)
        assert b.units[0].timeout_s() == pytest.approx(0.06)
        b.driver.units[1].silent = True
        await b.clock.advance(1.1)
        assert b.units[0].timeout_s() == pytest.approx(0.12)


async def test_a_defect_in_a_profile_costs_its_rounds_and_not_the_line() -> None:
    class Broken(FakeModel):
        def decode(self, answer: Answer) -> Decoded:
            raise ZeroDivisionError

    bad = Broken(points(3), [Span("holding", k) for k in range(3)])
    b = Bench([bad, model(4)], [FakeUnit(), FakeUnit()])
    async with b.running():
        await b.clock.advance(5)
    assert b.sink.gaps[0, "error"] >= 12
    assert b.sink.count[1] >= 16
    assert b.explained(0) == b.sink.gaps[0, "error"]


async def test_a_value_that_the_answer_lacks_is_a_gap() -> None:
    class Half(FakeModel):
        def decode(self, answer: Answer) -> Decoded:
            d = super().decode(answer)
            return Decoded(d.index[:2], d.v[:2], d.q[:2], {2: {"text": "low battery"}})

    pts = [*points(2), *points(2, "note", kind="text")]
    b = Bench([Half(pts, [Span("holding", k) for k in range(4)])], [FakeUnit()])
    async with b.running():
        await b.clock.advance(3)
    assert set(b.sink.values) == {0, 1, 2}
    assert b.sink.gaps[0, "no_value"] == len(b.sink.values[0])
