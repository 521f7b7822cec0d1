"""Several devices behind one unit number: one answer feeds them all, each with its own account."""

from __future__ import annotations

from gateway.ports import Answer, Decoded, Span
from tests.unit.gateway_edge.edge_bench import Bench
from tests.unit.gateway_edge.edge_fakes import FakeModel, FakeUnit, points


def rooms(n: int, step: int = 4) -> list[FakeModel]:
    """Room k has four registers from k × step."""
    return [FakeModel.dense(points(4, f"room-{k}"), step * k) for k in range(n)]


async def test_thirteen_devices_cost_one_request_a_round() -> None:
    b = Bench(rooms(13), [FakeUnit(value=lambda a: 1000 + a)], numbers=[1] * 13)
    async with b.running():
        await b.clock.advance(20.5)
    asked = [(x.unit, x.address, x.count) for _, x in b.driver.log]
    assert 20 <= len(asked) <= 21
    assert set(asked) == {(1, 0, 52)}
    assert all(b.sink.count[d] == 4 * len(asked) for d in range(13))
    assert all(v == 1000 + gid for gid, rows in b.sink.values.items() for _, v in rows)
    assert not b.sink.gaps
    (unit,) = b.line.stats().units
    assert unit.devices == tuple(f"d{n}" for n in range(1, 14))
    assert unit.requests == unit.answers == len(asked)


async def test_a_shared_unit_that_is_silent_is_probed_once_and_booked_for_each_device() -> None:
    b = Bench(rooms(5), [FakeUnit(silent=True)], numbers=[1] * 5)
    async with b.running():
        await b.clock.advance(60)
    assert len(b.driver.log) < 12
    assert b.line.silent_units == 1
    assert all(u.open for u in b.units)
    books = [{cause: n for (d, cause), n in b.sink.gaps.items() if d == k} for k in range(5)]
    assert all(book == books[0] for book in books)
    assert sum(books[0].values()) >= 59 * 4


async def test_a_refused_address_of_one_device_costs_the_others_nothing() -> None:
    b = Bench(rooms(4), [FakeUnit(illegal=frozenset({9}))], numbers=[1] * 4)
    async with b.running():
        await b.clock.advance(20.5)
    assert set(b.sink.values) == set(range(16)) - {9}
    assert set(b.sink.gaps) == {(2, "exception")}
    assert b.explained(2) == b.explained(0) == b.sink.count[3]
    assert b.sink.lessons[0] == b.sink.lessons[2]


async def test_a_defect_in_one_profile_leaves_the_other_devices_of_the_answer_alone() -> None:
    class Broken(FakeModel):
        def decode(self, answer: Answer) -> Decoded:
            raise ZeroDivisionError

    good, bad = rooms(2)
    b = Bench([good, Broken(bad.points, bad.spans)], [FakeUnit()], numbers=[1, 1])
    async with b.running():
        await b.clock.advance(5)
    assert b.sink.count[0] >= 16
    assert set(b.sink.gaps) == {(1, "error")}
    assert b.sink.gaps[1, "error"] == b.sink.count[0]


async def test_the_stricter_limit_of_two_profiles_holds_for_both() -> None:
    pts = points(40)
    wide = FakeModel.dense(pts)
    narrow = FakeModel(points(4, "narrow"), [Span("holding", 40 + k) for k in range(4)], max_registers=16)
    b = Bench([wide, narrow], [FakeUnit()], numbers=[1, 1])
    async with b.running():
        await b.clock.advance(3)
    assert max(x.count for _, x in b.driver.log) <= 16
    assert b.sink.count[0]
    assert b.sink.count[1]


async def test_devices_of_different_units_share_nothing() -> None:
    b = Bench(rooms(3), [FakeUnit(), FakeUnit(silent=True), FakeUnit()])
    async with b.running():
        await b.clock.advance(10)
    assert [u.open for u in b.units] == [False, True, False]
    assert {x.unit for _, x in b.driver.log} == {1, 2, 3}
