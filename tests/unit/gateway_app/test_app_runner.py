"""How commands end: a signal at any moment, also beside an answer that a client library waits for."""

from __future__ import annotations

import asyncio

import pytest

from gateway.app.runner import run_until_signalled, wait_for


@pytest.fixture(autouse=True)
def _own_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio, "wait_for", asyncio.wait_for)


def test_a_signal_that_comes_together_with_an_answer_is_not_lost() -> None:
    reached: list[str] = []

    async def work() -> int:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[str] = loop.create_future()

        task = asyncio.current_task()
        assert task is not None
        loop.call_soon(answer.set_result, "here")
        loop.call_soon(task.cancel)  # what the signal's handler does
        await asyncio.wait_for(answer, 5)
        reached.append("went on")
        return 7

    assert run_until_signalled(work()) == 0
    assert reached == []


def test_time_is_over_and_answers_come_as_ever() -> None:
    async def work() -> int:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[int] = loop.create_future()
        done.set_result(3)
        assert await wait_for(done, None) == await wait_for(done, 5) == 3
        with pytest.raises(TimeoutError):
            await wait_for(loop.create_future(), 0)
        return 4

    assert run_until_signalled(work()) == 4
