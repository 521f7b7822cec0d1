"""The read plan against the brute-force optimum over all partitions."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.edge.plan import Range, plan
from gateway.edge.wire import TCP, Wire
from gateway.ports import Area, Span

SPANS = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 3)), min_size=1, max_size=6)


def partitions(items: list[int]) -> Iterator[list[list[int]]]:
    if not items:
        yield []
        return
    first, *rest = items
    for parts in partitions(rest):
        yield [[first], *parts]
        for k in range(len(parts)):
            yield [*parts[:k], [first, *parts[k]], *parts[k + 1 :]]


def hull(part: list[int], where: list[tuple[int, int]]) -> tuple[int, int]:
    return min(where[n][0] for n in part), max(sum(where[n]) for n in part)


@given(
    SPANS, st.integers(0, 12), st.integers(3, 20), st.lists(st.tuples(st.integers(0, 30), st.integers(0, 2)))
)
def test_plan_is_the_cheapest_that_the_device_allows(
    where: list[tuple[int, int]], gap: int, limit: int, holes: list[tuple[int, int]]
) -> None:
    bad = [Range("holding", a, a + n) for a, n in holes]
    reads = plan([Span("holding", a, n) for a, n in where], [1.0] * len(where), limit, gap, bad)
    assert sorted(n for r in reads for n in r.points) == list(range(len(where)))
    asked = [r for r in reads if not r.illegal]
    for r in reads:
        assert all(r.address <= where[n][0] and sum(where[n]) <= r.stop for n in r.points)
        assert r.illegal == any(h.start < h.stop and h.crossed_by(r.address, r.stop) for h in bad)
        distinct = {where[n] for n in r.points}
        if len(distinct) > 1:
            assert r.count <= limit
            assert not any(h.crossed_by(r.address, r.stop) for h in bad)

    legal = sorted({n for r in asked for n in r.points})

    def allowed(part: list[int]) -> bool:
        start, stop = hull(part, where)
        if len({where[n] for n in part}) == 1:
            return True
        return stop - start <= limit and not any(h.crossed_by(start, stop) for h in bad)

    def cost(parts: list[list[int]]) -> tuple[int, int]:
        hulls = [hull(p, where) for p in parts]
        return sum(b - a for a, b in hulls) + gap * len(hulls), len(hulls)

    best = min(cost(p) for p in partitions(legal) if all(allowed(x) for x in p))
    assert cost([list(r.points) for r in asked]) == best


# ── any mix of areas, wide values, bits and reads with side effects, in seconds on the wire ───────────────

AREAS: tuple[Area, ...] = ("holding", "input", "coil", "discrete")
MIXED = st.lists(
    st.builds(
        Span,
        st.sampled_from(AREAS),
        st.integers(0, 300),
        st.sampled_from([1, 2, 4]),
        alone=st.sampled_from([False, False, False, True]),
    ),
    min_size=1,
    max_size=6,
)
WIRES = st.builds(
    Wire.serial, st.sampled_from([1200, 9600, 19200, 38400, 115200]), st.sampled_from([10, 11]),
    st.sampled_from([0.0, 0.002, 0.005, 0.02]),
) | st.just(TCP)  # fmt: skip


def seconds(wire: Wire, spans: list[Span], parts: list[list[int]]) -> float:
    """Time on the wire of one read per part; infinite when a part cannot be one read."""
    total = 0.0
    for part in parts:
        area = spans[part[0]].area
        where = {(spans[n].address, spans[n].count) for n in part}
        stop = max(spans[n].address + spans[n].count for n in part)
        count = stop - min(spans[n].address for n in part)
        mixed = len({spans[n].area for n in part}) > 1 or (
            len(part) > 1 and any(spans[n].alone for n in part)
        )
        if mixed or (count > (2000 if area in ("coil", "discrete") else 125) and len(where) > 1):
            return math.inf
        total += wire.request_s + wire.register_s * (count / 16 if area in ("coil", "discrete") else count)
    return total


@given(MIXED, WIRES)
def test_no_partition_of_any_mix_takes_less_time_on_the_wire(spans: list[Span], wire: Wire) -> None:
    reads = plan(spans, [1.0] * len(spans), max_gap=wire.max_gap)
    ours = [list(r.points) for r in reads]
    assert sorted(n for part in ours for n in part) == list(range(len(spans)))
    assert all(len(r.points) == 1 for r in reads if any(spans[n].alone for n in r.points))
    assert all(r.count <= (2000 if r.area in ("coil", "discrete") else 125) for r in reads)
    best = min(seconds(wire, spans, parts) for parts in partitions(list(range(len(spans)))))
    # The gap limit is a whole number of registers: less than one register's time a read is given away.
    assert seconds(wire, spans, ours) <= best + wire.register_s * len(ours)


@given(st.sets(st.integers(0, 399), min_size=100, max_size=100), st.sampled_from([0, 5, 10, 26, 50]))
def test_a_hundred_tags_take_as_few_requests_as_the_fill_limit_allows(tags: set[int], gap: int) -> None:
    where = sorted(tags)
    reads = plan([Span("holding", a) for a in where], [1.0] * 100, max_gap=gap)
    cost = [0.0] + [math.inf] * 100
    for j in range(1, 101):
        for i in range(j):
            count = where[j - 1] - where[i] + 1
            if count <= 125:
                cost[j] = min(cost[j], cost[i] + count + gap + 1e-6)
    assert sum(r.count + gap + 1e-6 for r in reads) == pytest.approx(cost[100], abs=1e-9)
    if gap >= 10:
        assert len(reads) <= 20
