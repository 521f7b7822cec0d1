"""The read plan against the brute-force optimum over all partitions."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from gateway.edge.plan import Range, plan
from gateway.ports import Span

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
