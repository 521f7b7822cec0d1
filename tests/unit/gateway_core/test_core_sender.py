"""One call over several channels of which some are missing or fail."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.adapters.clock import ManualClock
from gateway.adapters.state import SqlState, open_state
from gateway.core.sender import Channel, Sender
from gateway.errors import Retryable
from gateway.model import Notice
from gateway.ports import Commit

T0 = ManualClock().now()


class Phone:
    """Keeps what was sent."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.broken = False

    def send(self, notice: Notice) -> str:
        if self.broken:
            raise Retryable("no network")
        self.sent.append(notice.id)
        return "ok"


@pytest.fixture
def state(tmp_path: Path) -> Iterator[SqlState]:
    opened = open_state(tmp_path / "state.db")
    yield opened
    opened.close()


def call(state: SqlState, *channels: str, step: str = "0") -> list[str]:
    text = {"zh": "x", "en": "x"}
    notices = [
        Notice(f"o1:{step}:LM:{c}", "garden", T0, "LM", c, "o1", text, text, 1, life=True) for c in channels
    ]
    state.commit(Commit(notices=notices))
    return [n.id for n in notices]


def outcome(state: SqlState) -> dict[str, str]:
    return {n.id: status for n, status, _ in state.notices(["waiting", "failed", "sent"], 100)}


async def test_the_same_call_goes_over_one_channel_once(state: SqlState) -> None:
    push = Phone()
    sender = Sender(state, [Channel("push", push)], ManualClock())
    ids = call(state, "push", "sms", "voice")
    await sender.once()
    assert push.sent == [ids[0]], "three tones for one call teach people to look away"
    assert outcome(state) == dict.fromkeys(ids, "sent")
    (again,) = call(state, "sms", step="L1-0")
    await sender.once()
    assert push.sent == [ids[0], again], "another call is another matter"
    assert sender.counts


async def test_a_failing_channel_is_replaced_by_one_that_has_not_carried_the_call(state: SqlState) -> None:
    push, sms, radio = Phone(), Phone(), Phone()
    channels = [Channel("push", push), Channel("sms", sms), Channel("radio", radio)]
    sender = Sender(state, channels, ManualClock())
    sms.broken = True
    ids = call(state, "push", "sms")
    await sender.once()
    assert (push.sent, sms.sent, radio.sent) == ([ids[0]], [], [ids[1]])
    sms.broken = False
    (voice,) = call(state, "voice")
    await sender.once()
    assert sms.sent == [voice]
