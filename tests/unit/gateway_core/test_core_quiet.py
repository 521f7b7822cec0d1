"""Quiet hours of the records of people, at the sending end: now, at their end, or to the next person."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from alerts.bands import Week, band_of
from alerts.people import Person, Reach
from gateway.adapters.clock import ManualClock
from gateway.adapters.state import SqlState, open_state
from gateway.core.channels import Channel, Recipient
from gateway.core.sender import Sender
from gateway.model import Notice
from gateway.ports import Answered, Commit

ZONE = ZoneInfo("Asia/Shanghai")
WEEK = Week(ZONE)
NIGHT = "22:00-07:00"


class Phone:
    """Keeps what was sent."""

    def __init__(self, answer: str = "ok") -> None:
        self.sent: list[Notice] = []
        self.answer = answer

    def send(self, notice: Notice) -> str:
        self.sent.append(notice)
        return self.answer


@pytest.fixture
def state(tmp_path: Path) -> Iterator[SqlState]:
    opened = open_state(tmp_path / "state.db", durable=False)
    yield opened
    opened.close()


def ms(local: str) -> int:
    return int(datetime.fromisoformat(local).replace(tzinfo=ZONE).timestamp() * 1000)


def who(id_: str, quiet: str = "", *, way: str = "sms", substitute: str = "", own: bool = False) -> Recipient:
    """One on file, with quiet hours of one way; own: the same night set by the person."""
    reach = (Reach(way, "", band_of(quiet) if quiet else None),)
    record = Person(id_, id_.title(), reach=reach, substitute=substitute)
    hours = (22 * 3600, 7 * 3600) if own else None
    return Recipient(id_, id_.title(), "138", {}, hours, ZONE, record, WEEK)


def call(
    t: int,
    *,
    priority: int = 2,
    life: bool = False,
    person: str = "li",
    channel: str = "sms",
    step: str = "0",
) -> Notice:
    text = {"zh": "工单", "en": "order"}
    id_ = f"o1:{step}:TE@{person}:{channel}"
    return Notice(id_, "garden", t, "TE", channel, "o1", text, text, priority, life, person=person)


def desk(
    state: SqlState, clock: ManualClock, sms: Phone, *people: Recipient, push: Phone | None = None,
    link: Callable[[Notice, str], str] | None = None,
) -> Sender:  # fmt: skip
    channels = [Channel("sms", sms, personal=True, phone=True, default=False, link="https://x")]
    channels += [Channel("push", push)] if push is not None else []
    return Sender(state, channels, clock, directory={p.id: p for p in people}.get, link_of=link)


# band · now · P, life · goes out at ("": now)
TABLE = [
    (NIGHT, "2026-11-22T23:30:00", 2, False, "2026-11-23T07:00:00"),  # overnight, before midnight
    (NIGHT, "2026-11-23T02:00:00", 3, False, "2026-11-23T07:00:00"),  # and after it
    (NIGHT, "2026-11-22T22:00:00", 2, False, "2026-11-23T07:00:00"),  # its first second
    (NIGHT, "2026-11-23T06:59:59", 2, False, "2026-11-23T07:00:00"),  # its last
    (NIGHT, "2026-11-23T07:00:00", 2, False, ""),
    (NIGHT, "2026-11-22T21:59:59", 2, False, ""),
    (NIGHT, "2026-11-22T23:30:00", 1, False, ""),  # P1 knows no quiet hours
    (NIGHT, "2026-11-22T23:30:00", 2, True, ""),  # nor does life safety
    ("12:00-13:30", "2026-11-23T12:10:00", 3, False, "2026-11-23T13:30:00"),
    ("fri 22:00-08:00", "2026-11-28T02:00:00", 2, False, "2026-11-28T08:00:00"),  # Saturday, Friday's night
    ("fri 22:00-08:00", "2026-11-29T02:00:00", 2, False, ""),  # Sunday
    ("restday", "2026-11-28T10:00:00", 2, False, "2026-11-30T00:00:00"),  # to the end of Sunday
    ("restday", "2026-10-03T10:00:00", 2, False, "2026-10-08T00:00:00"),  # National Day
    ("restday", "2026-10-10T10:00:00", 2, False, ""),  # a Saturday that is worked
    ("workday 18:00-09:00", "2026-09-30T20:00:00", 2, False, "2026-10-01T09:00:00"),
]  # fmt: skip


@pytest.mark.parametrize(("band", "now", "priority", "life", "at"), TABLE)
async def test_a_notice_goes_out_when_the_quiet_hours_on_file_are_over(
    state: SqlState, band: str, now: str, priority: int, life: bool, at: str
) -> None:
    clock, sms = ManualClock(ms(now)), Phone()
    sender = desk(state, clock, sms, who("li", band))
    state.commit(Commit(notices=[call(clock.now(), priority=priority, life=life)]))
    await sender.once()
    if not at:
        assert [n.person for n in sms.sent] == ["li"]
        return
    assert not sms.sent
    await clock.advance((ms(at) - clock.now()) / 1000 - 0.001)
    await sender.once()
    assert not sms.sent, "not a moment before"
    await clock.advance(0.001)
    await sender.once()
    assert [n.person for n in sms.sent] == ["li"]
    assert len(state.receipts(sms.sent[0].id)) == 1, "waiting is no attempt"


async def test_the_stand_in_hears_it_instead_and_the_receipt_says_so(state: SqlState) -> None:
    clock, sms = ManualClock(ms("2026-11-22T23:30:00")), Phone()
    li, wu = who("li", NIGHT, substitute="wu"), who("wu")
    sender = desk(state, clock, sms, li, wu, link=lambda n, pages: f"{pages}/{n.person}")
    notice = call(clock.now())
    state.commit(Commit(notices=[notice]))
    await sender.once()
    (sent,) = sms.sent
    assert (sent.id, sent.person, sent.link) == (notice.id, "wu", "https://x/wu"), (
        "the link is the reader's own"
    )
    assert "to wu: quiet hours" in state.receipts(notice.id)[-1][2]
    await clock.advance(10 * 3600)
    await sender.once()
    assert len(sms.sent) == 1, "once, not again in the morning"


async def test_who_answers_for_the_sleeping_one_is_the_stand_in(state: SqlState) -> None:
    clock, sms = ManualClock(ms("2026-11-22T23:30:00")), Phone(Answered("key 1", key="1"))
    sender = desk(state, clock, sms, who("li", NIGHT, substitute="wu"), who("wu"))
    answered = []

    async def accepted(notice: Notice, key: str) -> None:
        answered.append((notice.person, key))

    sender.accepted = accepted
    state.commit(Commit(notices=[call(clock.now())]))
    await sender.once()
    assert answered == [("wu", "1")]


async def test_the_stand_in_of_the_stand_in_and_nobody_when_all_sleep(state: SqlState) -> None:
    clock, sms = ManualClock(ms("2026-11-22T23:30:00")), Phone()
    li, wu = who("li", NIGHT, substitute="wu"), who("wu", NIGHT, substitute="he")
    sender = desk(state, clock, sms, li, wu, who("he", "01:00-05:00"))
    state.commit(Commit(notices=[call(clock.now())]))
    await sender.once()
    assert [n.person for n in sms.sent] == ["he"]
    await clock.advance(2 * 3600)  # half past one: all three sleep
    state.commit(Commit(notices=[call(clock.now(), step="1")]))
    await sender.once()
    assert len(sms.sent) == 1
    await clock.advance(5.5 * 3600)
    await sender.once()
    assert [n.person for n in sms.sent] == ["he", "li"], "at seven it is the person's own again"


async def test_a_stand_in_who_was_called_for_the_same_is_not_called_twice(state: SqlState) -> None:
    clock, sms = ManualClock(ms("2026-11-22T23:30:00")), Phone()
    sender = desk(state, clock, sms, who("li", NIGHT, substitute="wu"), who("wu"))
    state.commit(Commit(notices=[call(clock.now()), call(clock.now(), person="wu")]))
    await sender.once()
    assert [n.person for n in sms.sent] == ["wu"]
    await clock.advance(7.5 * 3600)
    await sender.once()
    assert [n.person for n in sms.sent] == ["wu", "li"]


async def test_a_burst_to_a_sleeper_is_one_message_to_the_stand_in(state: SqlState) -> None:
    clock, sms = ManualClock(ms("2026-11-22T23:30:00")), Phone()
    sender = desk(state, clock, sms, who("li", NIGHT, substitute="wu"), who("wu"))
    state.commit(Commit(notices=[call(clock.now(), priority=3, step=str(n)) for n in range(7)]))
    await sender.once()
    assert [(n.person, len(n.keys)) for n in sms.sent] == [("wu", 7)]
    assert {k: v for k, v in state.notice_counts().items() if v} == {"sent": 7}


async def test_a_failing_way_is_not_replaced_by_one_that_sleeps(state: SqlState) -> None:
    clock, sms, push = ManualClock(ms("2026-11-22T23:30:00")), Phone(), Phone()
    li = who("li", NIGHT, way="push")
    sender = desk(state, clock, sms, Recipient("li", record=li.record, week=WEEK), push=push)
    state.commit(Commit(notices=[call(clock.now()), call(clock.now(), priority=1, step="9")]))
    await sender.once()
    assert not sms.sent, "nobody's number is known"
    assert [n.priority for n in push.sent] == [1], "but P1 goes any way"


async def test_quiet_hours_of_both_kinds_hold_until_the_later_end(state: SqlState) -> None:
    clock, sms = ManualClock(ms("2026-11-22T23:30:00")), Phone()
    sender = desk(state, clock, sms, who("li", "23:00-08:30", own=True))
    state.commit(Commit(notices=[call(clock.now())]))
    for hours, sent in ((7.6, 0), (1.5, 1)):  # past seven; past half past eight
        await sender.once()
        await clock.advance(hours * 3600)
        await sender.once()
        assert len(sms.sent) == sent


async def test_a_way_that_never_opens_waits_and_is_looked_at_again(state: SqlState) -> None:
    clock, sms = ManualClock(ms("2026-11-22T10:00:00")), Phone()
    people = {"li": who("li", "00:00-24:00")}
    sender = Sender(state, [Channel("sms", sms, personal=True, phone=True)], clock, directory=people.get)
    state.commit(Commit(notices=[call(clock.now())]))
    await sender.once()
    assert not sms.sent
    people["li"] = who("li")  # the record was mended
    await clock.advance(24 * 3600)
    await sender.once()
    assert len(sms.sent) == 1
