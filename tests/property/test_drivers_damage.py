"""Damaged answers, by the thousand and by Hypothesis: not one becomes a value that the device did not say."""

from __future__ import annotations

import os
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus_damage import DAMAGES, Exchange, exchanges, run_damage
from drivers.modbus_frames import ASCII, RTU, TCP, WIRES, Ask, Found, Refused, Wire, listen
from gateway.ports import DeviceException, NoAnswer

FRAMES = int(os.environ.get("STEWARD_DAMAGED_FRAMES", "6000"))
"""The nightly run sets ten million."""


@pytest.mark.parametrize("wire", WIRES.values(), ids=list(WIRES))
def test_no_damaged_answer_becomes_a_wrong_value(wire: Wire) -> None:
    report = run_damage(wire, FRAMES, seed=26875)
    assert (report.wrong, report.exceptions, report.examples) == (0, 0, [])
    assert report.frames == FRAMES == report.right + report.silent + report.refused.total()
    assert set(report.kinds) == set(DAMAGES)
    # Most of the damage cannot be mended; what stood beside a whole answer does not hide it.
    assert report.right < FRAMES / 5
    assert report.refused.total() > FRAMES * 4 / 5


def _without_crc(ask: Ask, transaction: int, heard: bytes) -> Found | None:
    """A judge that believes whatever has the right length."""
    size = RTU.chars(ask)
    return Found(heard[1 : size - 2], heard) if len(heard) >= size else None


def test_a_careless_judge_is_found_out() -> None:
    careless = Wire("rtu", _without_crc, RTU.explain, RTU.chars, RTU.speaker, RTU.head)
    sound = islice(exchanges(RTU, 5), 600)
    wrong = sum(_wrong(e, careless, n) for n, e in enumerate(sound))
    assert wrong > 100


def _wrong(e: Exchange, wire: Wire, n: int) -> bool:
    heard = DAMAGES[list(DAMAGES)[n % len(DAMAGES)]](e)
    try:
        return bool(listen(wire, e.block, e.transaction, [heard]).tolist() != e.words)
    except (Refused, NoAnswer, DeviceException):
        return False


def test_the_same_seed_gives_the_same_damage() -> None:
    assert run_damage(TCP, 500, seed=3) == run_damage(TCP, 500, seed=3)
    assert run_damage(TCP, 500, seed=3) != run_damage(TCP, 500, seed=4)


@given(st.integers(0, 2**32), st.sampled_from([TCP, RTU, ASCII]), st.lists(st.integers(1, 30), max_size=6))
def test_an_answer_in_any_pieces_is_the_answer(seed: int, wire: Wire, cuts: list[int]) -> None:
    e = next(exchanges(wire, seed))
    left, chunks = e.right, []
    for size in cuts:
        chunks.append(left[:size])
        left = left[size:]
    assert listen(wire, e.block, e.transaction, [*chunks, left]).tolist() == e.words


@given(st.integers(0, 2**32), st.binary(max_size=60), st.sampled_from([TCP, RTU, ASCII]))
def test_random_bytes_are_never_an_answer(seed: int, noise: bytes, wire: Wire) -> None:
    e = next(exchanges(wire, seed))
    with pytest.raises((Refused, NoAnswer)):
        listen(wire, e.block, e.transaction, [noise[: len(noise) // 2], noise[len(noise) // 2 :]])


def _earlier(transaction: int) -> range:
    return range(max(1, transaction - 5), transaction)


@given(st.integers(0, 2**32), st.data())
def test_a_late_answer_on_tcp_is_skipped_and_never_taken(seed: int, data: st.DataObject) -> None:
    """Any number of answers to earlier requests of the same shape, with other words, before and between."""
    e = next(exchanges(TCP, seed))
    late = [e.frame(e.pdu([w ^ 1 for w in e.words]), transaction=n) for n in _earlier(e.transaction)]
    others = data.draw(st.lists(st.sampled_from(late), max_size=4))
    assert listen(TCP, e.block, e.transaction, [*others, e.right]).tolist() == e.words
    if others:
        with pytest.raises(Refused) as caught:
            listen(TCP, e.block, e.transaction, others)
        assert caught.value.fault == "late"
