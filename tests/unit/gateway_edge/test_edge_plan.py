from __future__ import annotations

import pytest

from gateway.edge.plan import Range, Read, gap_between, pieces_of, plan
from gateway.ports import Area, Span


def spans(*addresses: int, count: int = 1, area: Area = "holding") -> list[Span]:
    return [Span(area, a, count) for a in addresses]


def shape(reads: list[Read]) -> list[tuple[int, int]]:
    return [(r.address, r.count) for r in reads]


def test_gap_at_the_break_even_is_merged_and_one_more_is_not() -> None:
    assert shape(plan(spans(0, 11), [1, 1], max_gap=10)) == [(0, 12)]
    assert shape(plan(spans(0, 12), [1, 1], max_gap=10)) == [(0, 1), (12, 1)]


def test_a_read_never_exceeds_what_the_device_allows() -> None:
    reads = plan(spans(*range(300)), [1.0] * 300)
    assert (len(reads), sum(r.count for r in reads), max(r.count for r in reads)) == (3, 300, 125)
    assert max(r.count for r in plan(spans(*range(50)), [1.0] * 50, max_registers=16)) == 16
    assert len(plan(spans(*range(2000), area="coil"), [1.0] * 2000)) == 1
    assert len(plan(spans(*range(2001), area="coil"), [1.0] * 2001)) == 2


def test_a_hundred_tags_cost_at_most_a_fifth_of_one_request_each() -> None:
    addresses = [(k * 37) % 400 for k in range(100)]
    assert len(plan(spans(*addresses), [1.0] * 100)) <= 20


def test_periods_and_areas_are_not_mixed() -> None:
    mixed = [*spans(0, 1), Span("input", 2)]
    reads = plan(mixed, [1, 5, 1])
    assert sorted((r.area, r.period_s, r.points) for r in reads) == [
        ("holding", 1, (0,)), ("holding", 5, (1,)), ("input", 1, (2,)),
    ]  # fmt: skip


def test_points_in_one_register_share_one_read() -> None:
    (read,) = plan(spans(7, 7, 7), [1, 1, 1])
    assert (read.address, read.count, read.points) == (7, 1, (0, 1, 2))


def test_a_read_with_side_effects_stays_alone() -> None:
    reads = plan([Span("holding", 0), Span("holding", 1, alone=True), Span("holding", 2)], [1, 1, 1])
    assert sorted(r.points for r in reads) == [(0, 2), (1,)]


def test_bad_ranges_are_not_crossed_and_points_inside_are_marked() -> None:
    reads = plan(spans(0, 5, 10), [1, 1, 1], bad_ranges=[Range("holding", 5, 6)])
    assert [(r.address, r.count, r.illegal) for r in reads] == [(0, 1, False), (5, 1, True), (10, 1, False)]


def test_a_cut_between_neighbours_is_not_crossed() -> None:
    reads = plan(spans(0, 1, 2, 3), [1] * 4, bad_ranges=[Range("holding", 2, 2)])
    assert shape(reads) == [(0, 2), (2, 2)]


def test_sentences_are_grouped_by_their_name() -> None:
    reads = plan(
        [Span("line", sentence="L1"), Span("line", sentence="L1"), Span("line", sentence="L2")], [1] * 3
    )
    assert sorted((r.sentence, r.points) for r in reads) == [("L1", (0, 1)), ("L2", (2,))]


def test_pieces_are_distinct_spans_and_the_gap_between_two_is_named() -> None:
    where = spans(0, 0, 4, 8, 9)
    (read,) = plan(where, [1] * 5)
    pieces = pieces_of(read, where)
    assert [p.points for p in pieces] == [(0, 1), (2,), (3,), (4,)]
    assert gap_between("holding", pieces[1], pieces[2]) == Range("holding", 5, 8)
    assert gap_between("holding", pieces[2], pieces[3]) == Range("holding", 9, 9)


def test_a_point_wider_than_the_limit_is_still_asked_for() -> None:
    assert shape(plan([Span("holding", 0, 20)], [1], max_registers=8)) == [(0, 20)]


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="shorter"):
        plan(spans(1, 2), [1])
