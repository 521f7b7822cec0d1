"""One key is one act: a repetition gets the first answer, other words under the same key are refused."""

from __future__ import annotations

import asyncio

import pytest

from gateway.core.asks import Asks, kept, same
from gateway.errors import BadInput, Conflict
from gateway.model import Actor, Command

WHO = Actor("li", "Li", "operator")


def note(words: str) -> Command:
    return Command("k1", "order.note", "wo-1", WHO, 1, 1, None, {"text": words}, said=words)


async def test_a_repetition_waits_for_the_same_answer_and_other_words_do_not() -> None:
    wake = asyncio.Event()
    asks = Asks(wake)
    first = asyncio.create_task(asks.put(note("one")))
    again = asyncio.create_task(asks.put(note("one")))
    await wake.wait()
    with pytest.raises(BadInput, match="used for something else"):
        await asks.put(note("two"))
    assert asks.take().data == {"text": "one"}
    assert asks.waiting == 0, "one command"
    asks.answer("k1", {"order": 1})
    assert [await first, await again, await asks.put(note("one"))] == [{"order": 1}] * 3
    with pytest.raises(BadInput, match="Idempotency-Key"):
        await asks.put(note("two"))


async def test_what_was_refused_may_be_said_better_under_the_same_key() -> None:
    wake = asyncio.Event()
    asks = Asks(wake)
    first = asyncio.create_task(asks.put(note("one")))
    await wake.wait()
    asks.refuse(asks.take().id, Conflict("not now"))
    with pytest.raises(Conflict):
        await first
    second = asyncio.create_task(asks.put(note("two")))
    wake.clear()
    await wake.wait()
    asks.answer(asks.take().id, {"order": 2})
    assert await second == {"order": 2}


def test_an_answer_of_the_store_knows_what_was_asked_and_an_old_one_does_not_ask() -> None:
    stored = kept(note("one"), {"order": 1})
    assert same(note("one"), stored) == {"order": 1}
    with pytest.raises(BadInput):
        same(note("two"), stored)
    assert same(note("two"), {"order": 1}) == {"order": 1}
