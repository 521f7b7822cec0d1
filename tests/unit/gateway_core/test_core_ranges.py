"""The memory of exactly-once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.ranges import Applied
from gateway.model import MessageKey

LANE = ("g", "b", "live")


def key(seq: int) -> MessageKey:
    return MessageKey(*LANE, seq)


@given(st.lists(st.integers(1, 40), max_size=60))
def test_it_is_a_set_with_an_unbroken_front(seqs: list[int]) -> None:
    applied = Applied({})
    for seq in seqs:
        applied.add(key(seq))
    for seq in range(42):
        assert (key(seq) in applied) == (seq in seqs)
    front = 0
    while front + 1 in seqs:
        front += 1
    assert applied.upto(LANE) == front
    assert applied.count() == len(set(seqs))


def test_it_starts_from_what_the_store_kept() -> None:
    applied = Applied({LANE: [(5, 7), (1, 3)]})
    assert applied.upto(LANE) == 3
    applied.add(key(4))
    assert applied.upto(LANE) == 7
    assert key(8) not in applied
