"""Bursts, limits, quiet hours, services that hang, and what a restart finds."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from gateway.adapters.clock import ManualClock
from gateway.adapters.state import SqlState, open_state
from gateway.core.channels import Channel, Recipient
from gateway.core.grouping import KIND
from gateway.core.sender import Sender
from gateway.errors import Permanent, Retryable
from gateway.model import Notice
from gateway.ports import Answered, Commit

ZONE = ZoneInfo("Asia/Shanghai")
T0 = ManualClock().now()


class Phone:
    """Keeps what was sent; `hang` holds a call until it is let go."""

    def __init__(self) -> None:
        self.sent: list[Notice] = []
        self.error: Exception | None = None
        self.answer = "ok"
        self.hang: threading.Event | None = None
        self.entered = threading.Event()

    def send(self, notice: Notice) -> str:
        self.entered.set()
        if self.hang is not None:
            self.hang.wait(30)
        if self.error is not None:
            raise self.error
        self.sent.append(notice)
        return self.answer

    @property
    def ids(self) -> list[str]:
        return [n.id for n in self.sent]


@pytest.fixture
def state(tmp_path: Path) -> Iterator[SqlState]:
    opened = open_state(tmp_path / "state.db")
    yield opened
    opened.close()


def notice(
    n: int, *, priority: int = 3, channel: str = "push", person: str = "", life: bool = False
) -> Notice:
    at = f"TE@{person}" if person else "TE"
    text = {"zh": f"工单 {n}", "en": f"order {n}"}
    return Notice(
        f"o{n:04}:0:{at}:{channel}", "garden", T0 + n, "TE", channel, f"o{n:04}", text, text, priority, life,
        person=person,
    )  # fmt: skip


def states(state: SqlState) -> dict[str, int]:
    return {k: v for k, v in state.notice_counts().items() if v}


async def test_a_burst_to_one_person_is_one_message_with_a_count_and_p1_goes_alone_and_first(
    state: SqlState,
) -> None:
    push, clock = Phone(), ManualClock(T0 + 100_000)
    sender = Sender(state, [Channel("push", push)], clock)
    state.commit(Commit(notices=[*(notice(n) for n in range(40)), notice(77, priority=1)]))
    assert await sender.once() == 41
    assert push.ids[0] == "o0077:0:TE:push"
    (_, group) = push.sent
    assert len(group.keys) == 40
    assert group.title == {"zh": "40 条通知", "en": "40 notices"}
    assert group.body["en"].splitlines()[0] == "order 0"
    assert group.body["en"].splitlines()[-1] == "… and 30 more"
    assert states(state) == {"sent": 41}
    assert state.records(KIND) == []
    assert "group-" in state.receipts("o0003:0:TE:push")[-1][2]


async def test_a_group_keeps_its_key_over_failures_and_a_restart(state: SqlState) -> None:
    push, clock = Phone(), ManualClock(T0 + 100_000)
    state.commit(Commit(notices=[notice(n) for n in range(5)]))
    push.error = Retryable("no network")
    await Sender(state, [Channel("push", push)], clock).once()
    assert states(state) == {"failed": 5}
    (before,) = state.records(KIND)
    push.error = None
    state.commit(Commit(notices=[notice(n) for n in range(50, 53)]))
    await clock.advance(6)
    await Sender(state, [Channel("push", push)], clock).once()
    assert before[0] in push.ids
    first = next(n for n in push.sent if n.id == before[0])
    assert list(first.keys) == before[1]["members"]
    assert len(push.sent) == 2, "what came later is a group of its own"
    assert states(state) == {"sent": 8}


async def test_a_service_that_hangs_is_left_after_its_time_and_the_next_one_is_used(
    state: SqlState,
) -> None:
    push, sms, clock = Phone(), Phone(), ManualClock(T0 + 100_000)
    push.hang = threading.Event()
    channels = [Channel("push", push), Channel("sms", sms)]
    sender = Sender(state, channels, clock)
    state.commit(Commit(notices=[notice(1, priority=1)]))
    job = asyncio.create_task(sender.once())
    await asyncio.to_thread(push.entered.wait, 30)
    began = clock.now()
    await clock.advance(19.9)
    assert not sms.sent
    await clock.advance(0.2)
    await job
    assert sms.ids == ["o0001:0:TE:push"]
    assert clock.now() - began <= 30_000
    health = channels[0].health()
    assert (health["healthy"], health["failures"], health["last_error"]) == (
        False,
        1,
        "no answer within 20 s",
    )
    assert health["since"] == began + 20_000
    push.hang.set()


async def test_an_urgent_one_does_not_wait_behind_slow_ones(state: SqlState) -> None:
    slow, sms, clock = Phone(), Phone(), ManualClock(T0 + 100_000)
    slow.hang = threading.Event()
    sender = Sender(state, [Channel("push", slow), Channel("sms", sms)], clock)
    state.commit(Commit(notices=[notice(n, person=f"p{n}") for n in range(8)]))
    running = asyncio.create_task(sender.run())
    await asyncio.to_thread(slow.entered.wait, 30)
    state.commit(Commit(notices=[notice(99, priority=1, channel="sms")]))
    sender.wake()
    assert await asyncio.to_thread(sms.entered.wait, 30)
    assert sms.ids == ["o0099:0:TE:sms"]
    slow.hang.set()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_limit_holds_back_what_can_wait_and_sends_what_cannot_elsewhere(state: SqlState) -> None:
    robot, sms, clock = Phone(), Phone(), ManualClock(T0 + 1_000_000)
    channels = [Channel("push", robot, per_minute=8), Channel("sms", sms)]
    sender = Sender(state, channels, clock)
    many = [notice(n, person=f"p{n}") for n in range(20)]
    state.commit(Commit(notices=many))
    await sender.once()
    assert len(robot.sent) == 6, "a quarter is kept for what is urgent"
    assert not sms.sent
    state.commit(Commit(notices=[notice(100 + n, priority=1) for n in range(4)]))
    await sender.once()
    assert len(robot.sent) == 8
    assert len(sms.sent) == 2, "urgent ones do not wait for a minute to pass"
    for _ in range(3):
        await clock.advance(61)
        await sender.once()
    assert states(state) == {"sent": 24}
    assert len(set(robot.ids)) == len(robot.ids) == 22


async def test_one_person_has_a_pause_between_messages_and_then_gets_the_rest_together(
    state: SqlState,
) -> None:
    push, clock = Phone(), ManualClock(T0 + 1_000_000)
    sender = Sender(state, [Channel("push", push, pause_s=5)], clock)
    state.commit(Commit(notices=[notice(1)]))
    await sender.once()
    state.commit(Commit(notices=[notice(n) for n in range(2, 6)]))
    await sender.once()
    assert len(push.sent) == 1
    await clock.advance(5)
    await sender.once()
    assert [len(n.keys) for n in push.sent] == [0, 4]


@pytest.mark.parametrize(
    ("priority", "life", "at", "waits_until"),
    [
        (3, False, "2026-11-22T23:30:00", "2026-11-23T07:00:00"),
        (2, False, "2026-11-23T06:59:59", "2026-11-23T07:00:00"),
        (3, False, "2026-11-23T07:00:00", ""),
        (3, False, "2026-11-22T21:59:59", ""),
        (1, False, "2026-11-22T23:30:00", ""),
        (2, True, "2026-11-22T23:30:00", ""),
    ],
)
async def test_quiet_hours_of_a_person_hold_back_all_but_what_is_urgent(
    state: SqlState, priority: int, life: bool, at: str, waits_until: str
) -> None:
    clock, push = ManualClock(_ms(at)), Phone()
    li = Recipient("li", "Li", quiet=(22 * 3600, 7 * 3600), zone=ZONE)
    sender = Sender(state, [Channel("push", push)], clock, directory={"li": li}.get)
    state.commit(Commit(notices=[notice(1, priority=priority, life=life, person="li")]))
    await sender.once()
    assert bool(push.sent) != bool(waits_until)
    if waits_until:
        left = (_ms(waits_until) - clock.now()) / 1000
        await clock.advance(left - 0.001)
        await sender.once()
        assert not push.sent
        await clock.advance(0.001)
        await sender.once()
        assert push.ids == ["o0001:0:TE@li:push"]
        assert state.receipts(push.ids[0])[-1][1]
        assert len(state.receipts(push.ids[0])) == 1, "waiting is no attempt"


def _ms(local: str) -> int:
    return int(datetime.fromisoformat(local).replace(tzinfo=ZONE).timestamp() * 1000)


async def test_what_waits_is_not_read_anew_after_each_message(
    state: SqlState, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    read = state.notices

    def counted(*args: Any, **kwargs: Any) -> Any:
        found = read(*args, **kwargs)
        looks.append(len(found))
        return found

    monkeypatch.setattr(state, "notices", counted)
    push = Phone()
    sender = Sender(state, [Channel("push", push)], ManualClock(T0 + 1_000_000))
    state.commit(Commit(notices=[notice(n, priority=1) for n in range(300)]))
    sending = asyncio.create_task(sender.run())
    try:
        while states(state) != {"sent": 300}:  # noqa: ASYNC110 - the store is asked: nobody is told
            await asyncio.sleep(0.01)
        assert len(set(push.ids)) == len(push.ids) == 300, "each once"
        assert sum(n == 300 for n in looks) == 1
        before = len(looks)
        state.commit(Commit(notices=[notice(999, priority=1)]))
        sender.wake()
        while states(state) != {"sent": 301}:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)
        assert looks[before] == 1, "news is read at once"
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


async def test_two_people_of_a_role_are_called_and_the_group_reads_it_once(state: SqlState) -> None:
    push, sms, clock = Phone(), Phone(), ManualClock(T0 + 1_000_000)
    people = {"li": Recipient("li", phone="13800000001"), "wang": Recipient("wang")}
    channels = [Channel("push", push), Channel("sms", sms, personal=True, phone=True, default=False)]
    sender = Sender(state, channels, clock, directory=people.get)
    state.commit(
        Commit(
            notices=[
                notice(1, priority=1),
                notice(1, priority=1, channel="sms", person="li"),
                notice(1, priority=1, channel="sms", person="wang"),
            ]
        )
    )
    await sender.once()
    assert push.ids == ["o0001:0:TE:push"]
    assert [(n.id, n.address) for n in sms.sent] == [("o0001:0:TE@li:sms", "13800000001")]
    assert states(state) == {"sent": 3}
    assert "went there already" in state.receipts("o0001:0:TE@wang:sms")[-1][2]


async def test_a_channel_that_keeps_failing_is_tried_last_and_once_a_minute(state: SqlState) -> None:
    push, sms, clock = Phone(), Phone(), ManualClock(T0 + 1_000_000)
    push.error = Permanent("key is wrong")
    channel = Channel("push", push)
    sender = Sender(state, [channel, Channel("sms", sms)], clock)
    for n in range(5):
        state.commit(Commit(notices=[notice(n, priority=1)]))
        await sender.once()
    assert (channel.failures, channel.failed) == (3, 3)
    assert len(sms.sent) == 5
    push.error = None
    await clock.advance(61)
    state.commit(Commit(notices=[notice(9, priority=1)]))
    await sender.once()
    assert push.ids == ["o0009:0:TE:push"]
    assert channel.health()["healthy"] is True
    assert channel.health()["since"] == clock.now()


async def test_a_key_that_a_person_pressed_is_an_acceptance_and_a_receipt_alone_is_none(
    state: SqlState,
) -> None:
    voice, clock = Phone(), ManualClock(T0 + 1_000_000)
    taken: list[tuple[str, str]] = []

    async def accepted(n: Notice, key: str) -> None:
        taken.append((n.person, key))

    sender = Sender(state, [Channel("voice", voice)], clock, accepted=accepted)
    state.commit(Commit(notices=[notice(1, priority=1, channel="voice", person="li")]))
    await sender.once()
    assert not taken
    voice.answer = Answered("answered", "1")
    state.commit(Commit(notices=[notice(2, priority=1, channel="voice", person="li")]))
    await sender.once()
    assert taken == [("li", "1")]


async def test_a_mixed_burst_that_comes_while_it_is_sent_goes_out_once_and_whole(state: SqlState) -> None:
    push = Phone()
    sender = Sender(state, [Channel("push", push)], ManualClock(T0 + 10_000_000))
    running = asyncio.create_task(sender.run())
    ids = set()
    for batch in range(6):
        made = [notice(n, priority=1 + n * 7 % 4) for n in range(batch * 200, batch * 200 + 200)]
        ids |= {n.id for n in made}
        await asyncio.to_thread(state.commit, Commit(notices=made))
        sender.wake()
    async with asyncio.timeout(200):
        while states(state) != {"sent": 1200}:
            await asyncio.to_thread(push.entered.wait, 1)
            push.entered.clear()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    keys = [k for n in push.sent for k in (n.keys or (n.id,))]
    assert len(keys) == len(set(keys)) == 1200
    assert set(keys) == ids
    assert state.records(KIND) == []
