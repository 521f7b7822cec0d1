"""Sends notices from the state store's outbox: at least once, with the same key on every try."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

from gateway.core.channels import Channel, Directory, Recipient, call_of, said_to, urgent
from gateway.core.grouping import GROUP_FROM, KIND, MOST, Due, Group, calls, groupable, known, message, place
from gateway.core.quiet import QuietHours, sleeps
from gateway.core.writer import Writer
from gateway.errors import Permanent, Retryable, StewardError
from gateway.model import Notice
from gateway.ports import Answered, Clock, Commit, NoticeResult, StateStore

__all__ = ["Channel", "Sender"]

log = logging.getLogger(__name__)

FIRST_RETRY_S, LAST_RETRY_S, LAST_URGENT_S = 5.0, 300.0, 30.0
ATTEMPTS = 20
REMEMBERED = 10_000
"""Calls that are known to have gone over a channel; after a restart one may go there again."""
LOOK, LOOK_S = 500, 1.0
"""Waiting notices that are looked at together, and real seconds between two looks without news."""
URGENT_AT_ONCE, OTHERS_AT_ONCE = 16, 4

Accepted = Callable[[Notice, str], Awaitable[None]]
"""A person has answered a call with a key."""
LinkOf = Callable[[Notice, str], str]
"""(notice, address of the pages) → where the person accepts; "" when nobody in particular is meant."""


class Sender:
    """Takes waiting notices, life safety first, and tries the channels in order until one gives a receipt.

    A call for several channels (push, SMS, voice) of which some are not there, or fail, prefers a channel
    that has not carried it yet; where none is left it counts as delivered by the one that has. P1 goes
    alone and past everything else; of the rest, what waits together for one person goes as one message.
    `counts`: notices by state, as of the last look.
    """

    def __init__(
        self,
        state: StateStore,
        channels: Sequence[Channel],
        clock: Clock,
        *,
        directory: Directory | None = None,
        link_of: LinkOf | None = None,
        accepted: Accepted | None = None,
    ) -> None:
        self._state, self._channels, self._clock = state, list(channels), clock
        self._quiet, self._link_of, self.accepted = QuietHours(directory), link_of, accepted
        self._wake = asyncio.Event()
        self._writer = Writer(clock, lambda: None)
        self._reached: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._groups: dict[str, Group] | None = None
        self._jobs: dict[asyncio.Task[None], bool] = {}
        self._busy: set[str] = set()
        self._left: dict[str, Due] = {}
        self._looked = 0.0
        self._results: list[NoticeResult] = []
        self._recording = asyncio.Lock()
        # Threads of its own: services that hang must not take those in which the core writes.
        self._threads = ThreadPoolExecutor(URGENT_AT_ONCE + OTHERS_AT_ONCE, thread_name_prefix="notify")
        self.counts: Mapping[str, int] = {}

    def wake(self) -> None:
        """There is something to send."""
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        news = True
        try:
            while True:
                self._wake.clear()
                try:
                    await self._start_due(news=news)
                except Retryable as e:
                    log.error("notices cannot be read reason=%r; trying again", str(e))
                    await self._clock.sleep_real(1.0)
                    continue
                news = await self._rest()
        finally:
            for job in self._jobs:
                job.cancel()
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def _rest(self) -> bool:
        """Until there is news, a job has ended, or a second has passed; False when only a job has ended."""
        wake = asyncio.ensure_future(self._wake.wait())
        try:
            await asyncio.wait([wake, *self._jobs], timeout=LOOK_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            wake.cancel()
        return not self._reap() or self._wake.is_set()

    def _reap(self) -> int:
        ended = [j for j in self._jobs if j.done()]
        for job in ended:
            del self._jobs[job]
            job.result()
        return len(ended)

    async def once(self) -> int:
        """Try what is due, most urgent first, until nothing more may go now; how many were tried."""
        tried = 0
        while started := await self._start_due():
            tried += started
            await asyncio.wait(list(self._jobs))
            self._reap()
        return tried

    # ── what goes next ────────────────────────────────────────────────────────────────────────────

    async def _start_due(self, *, news: bool = True) -> int:
        """Start what may go now; how many notices. Without news what was seen last goes on first."""
        if not (self._free(hurry=True) or self._free(hurry=False)):
            return 0
        if news or not self._left or self._clock.monotonic() - self._looked >= LOOK_S:
            await self._look()
        due = list(self._left.values())
        started = 0
        for batch in calls(d for d in due if not groupable(d[0])):
            if not self._free(hurry=True):
                break
            started += self._start(self._call(batch), [n for n, _ in batch], hurry=True)
        return started + await self._start_others([d for d in due if groupable(d[0])])

    async def _look(self) -> None:
        """Read what waits: to read and parse hundreds after each message would cost more than sending."""
        if self._groups is None:
            self._groups = known(await asyncio.to_thread(self._state.records, KIND))
        busy = set(self._busy)  # what ends while we read still waits in what we read
        rows = await asyncio.to_thread(
            self._state.notices, ["waiting", "failed"], LOOK, due=self._clock.now()
        )
        self.counts = await asyncio.to_thread(self._state.notice_counts)
        self._left = {n.id: (n, attempts) for n, _, attempts in rows if n.id not in busy | self._busy}
        self._looked = self._clock.monotonic()
        await self._mend(list(self._left.values()), whole=len(rows) < LOOK and not busy)

    def _free(self, *, hurry: bool) -> int:
        running = sum(1 for urgent_ in self._jobs.values() if urgent_ == hurry)
        return (URGENT_AT_ONCE if hurry else OTHERS_AT_ONCE) - running

    def _start(self, job: Awaitable[None], notices: Sequence[Notice], *, hurry: bool) -> int:
        ids = {n.id for n in notices}
        self._busy |= ids
        for id_ in ids:
            self._left.pop(id_, None)

        async def work() -> None:
            try:
                await job
            finally:
                self._busy -= ids

        self._jobs[asyncio.ensure_future(work())] = hurry
        return len(ids)

    async def _start_others(self, due: Sequence[Due]) -> int:
        """What is not urgent: in groups where much waits for one person, as the channels have room."""
        if not self._free(hurry=False):
            return 0
        awake = await self._without_quiet(due)
        started, used = 0, set()
        for old, batch in self._bundles(awake):
            group = old
            if not self._free(hurry=False):
                break
            notice, now = batch[0][0], self._clock.monotonic()
            first = self._first(notice)
            if first is not None and (first.pause_s or first.per_minute):
                # Only what has begun is counted by the channel, so one at a time.
                if first.id in used or first.free_at(notice, now) > now:
                    continue
                used.add(first.id)
            found = batch
            if group is None and len({call_of(n) for n, _ in batch}) >= GROUP_FROM:
                group, found = await self._new_group(batch[:MOST])
            job = self._call(found) if group is None else self._group(group, found)
            started += self._start(job, [n for n, _ in found], hurry=False)
        return started

    async def _without_quiet(self, due: Sequence[Due]) -> list[Due]:
        """What may go out now; the rest waits for the end of the quiet hours."""
        awake, later = await self._quiet.awake(due, self._first, self._clock.now())
        for until, ids in later.items():
            await self._writer.insist(partial(self._state.notice_wait, ids, until), "notices")
            for id_ in ids:
                self._left.pop(id_, None)
        return awake

    def _first(self, notice: Notice) -> Channel | None:
        return next(iter(self._for(notice)), None)

    async def _mend(self, due: Sequence[Due], *, whole: bool) -> None:
        """Forget groups of which a part can never come: all that waits is in sight, and it is not there."""
        assert self._groups is not None
        if not whole or not self._groups:
            return
        waiting = {n.id for n, _ in due}
        torn = [g for g in self._groups.values() if 0 < len(waiting & set(g.members)) < len(g.members)]
        for group in torn:
            estate = next(n.estate for n, _ in due if n.id in group.members)
            kept = Commit(records=[group.gone(estate)])
            await self._writer.insist(partial(self._state.commit, kept), "notices")
            del self._groups[group.id]

    def _bundles(self, due: Sequence[Due]) -> list[tuple[Group | None, list[Due]]]:
        """Groups of before, what may become one, and calls that go by themselves; most urgent first."""
        assert self._groups is not None
        group_of = {m: g for g in self._groups.values() for m in g.members}
        places: dict[tuple[str, str, str] | str, list[Due]] = {}
        for d in due:
            old = group_of.get(d[0].id)
            channel = self._first(d[0])
            key = old.id if old else place(d[0], channel.id if channel else "")
            places.setdefault(key, []).append(d)
        out: list[tuple[Group | None, list[Due]]] = []
        for key, found in places.items():
            if isinstance(key, str):
                # The same key has to say the same: until all of it is in sight it waits.
                if len(found) == len(self._groups[key].members):
                    out.append((self._groups[key], found))
            elif len({call_of(n) for n, _ in found}) < GROUP_FROM:
                out += [(None, batch) for batch in calls(found)]
            else:
                out.append((None, found))
        return out

    async def _new_group(self, batch: list[Due]) -> tuple[Group, list[Due]]:
        assert self._groups is not None
        group = Group.of([n for n, _ in batch])
        kept = Commit(records=[group.record(batch[0][0].estate)])
        await self._writer.insist(partial(self._state.commit, kept), "notices")
        self._groups[group.id] = group
        return group, batch

    # ── one call, one group ───────────────────────────────────────────────────────────────────────

    async def _call(self, batch: Sequence[Due]) -> None:
        """The notices of one call: those for the role first, then those for its people at the same time.

        For one receiver one after the other: which way one went decides for the next.
        """
        one_by_one = asyncio.Lock()

        async def each(some: Sequence[Due]) -> None:
            for notice, attempts in some:
                ok, detail = await self._delivered(notice, one_by_one)
                await self._record([self._result(notice, attempts, ok=ok, detail=detail)])

        await each([d for d in batch if not d[0].person])
        people = dict.fromkeys(n.person for n, _ in batch if n.person)
        await asyncio.gather(*(each([d for d in batch if d[0].person == p]) for p in people))

    async def _group(self, group: Group, batch: Sequence[Due]) -> None:
        assert self._groups is not None
        one = message(group, [n for n, _ in batch])
        self._quiet.join(one.id, group.members)
        ok, detail = await self._delivered(one, asyncio.Lock())
        detail = f"{detail} (group {group.id})"
        attempts = min(a for _, a in batch)  # they end together: a group is never torn
        results = [self._result(n, attempts, ok=ok, detail=detail) for n, _ in batch]
        await self._record(results)
        if all(r.ok or r.final for r in results):
            gone = Commit(records=[group.gone(one.estate)])
            await self._writer.insist(partial(self._state.commit, gone), "notices")
            self._groups.pop(group.id, None)

    async def _delivered(self, notice: Notice, one_by_one: asyncio.Lock) -> tuple[bool, str]:
        """Over the first channel that takes it: whether one did, and its words or everybody's."""
        errors = []
        who = await self._quiet.who(notice)
        for channel in self._for(notice):
            if not channel.knows(who):
                errors.append(f"{channel.id}: no address of {notice.person or notice.to}")
                continue
            if sleeps(notice, channel, who, self._clock.now()) is not None:
                errors.append(f"{channel.id}: quiet hours of {notice.person}")
                continue
            # What all of a role read, two of its people must not cause twice.
            async with contextlib.nullcontext() if channel.personal else one_by_one:
                ok, detail = await self._over(channel, notice, who)
            if ok:
                other = f" (to {who.id}: quiet hours)" if who and who.id != notice.person else ""
                return True, f"{channel.id}: {detail}{other}"
            errors.append(f"{channel.id}: {detail}")
        return False, "; ".join(errors) or "no channel reaches this role"

    async def _over(self, channel: Channel, notice: Notice, who: Recipient | None) -> tuple[bool, str]:
        way, now = (said_to(notice, channel), channel.id), self._clock.monotonic()
        if way in self._reached and not notice.keys and (notice.person or channel.id != notice.channel):
            return True, "the same call went there already"
        if channel.free_at(notice, now) > now:
            return False, "at its limit"
        sent = self._addressed(notice, channel, who)
        try:
            receipt = await self._try(channel, sent)
        except StewardError as e:
            self._failed(channel, str(e), permanent=isinstance(e, Permanent))
            return False, str(e)
        if channel.worked(self._clock.now()):
            log.warning("channel works again channel=%s", channel.id)
        self._remember(way)
        await self._answered(sent, receipt)
        return True, receipt

    def _addressed(self, notice: Notice, channel: Channel, who: Recipient | None) -> Notice:
        notice = replace(notice, person=who.id if who else notice.person)
        link = self._link_of(notice, channel.link) if self._link_of and channel.link else ""
        return replace(notice, address=channel.address(who), link=link)

    async def _try(self, channel: Channel, notice: Notice) -> str:
        """The receipt. Raises Retryable, also when there is no answer in time, or Permanent."""
        channel.took(notice, self._clock.monotonic())
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(self._threads, channel.notifier.send, notice)
        timer = asyncio.ensure_future(self._clock.sleep_real(channel.limit_s))
        try:
            futures: list[asyncio.Future[Any]] = [work, timer]
            await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
        if not work.done():
            work.add_done_callback(lambda f: f.cancelled() or f.exception())
            raise Retryable(f"no answer within {channel.limit_s:g} s")
        return work.result()

    async def _answered(self, notice: Notice, receipt: str) -> None:
        if not isinstance(receipt, Answered) or self.accepted is None:
            return
        try:
            await self.accepted(notice, receipt.key)
        except StewardError as e:
            log.warning("answer to a call not taken notice=%s reason=%r", notice.id, str(e))

    # ── results ───────────────────────────────────────────────────────────────────────────────────

    def _result(self, notice: Notice, attempts: int, *, ok: bool, detail: str) -> NoticeResult:
        at = self._clock.now()
        if ok:
            return NoticeResult(notice.id, ok, at, detail)
        wait = min(LAST_URGENT_S if urgent(notice) else LAST_RETRY_S, FIRST_RETRY_S * 2**attempts)
        final = attempts + 1 >= ATTEMPTS and not notice.life
        return NoticeResult(notice.id, ok, at, detail, at + int(wait * 1000), final)

    async def _record(self, results: Sequence[NoticeResult]) -> None:
        """Write down; what several jobs have to write at once goes in one transaction.

        A job goes on when its own is written: a full disk must not send one notice again and again.
        """
        self._quiet.forget(r.id for r in results)
        self._results += results
        async with self._recording:
            batch, self._results = self._results, []
            if batch:
                await self._writer.insist(partial(self._state.notice_results, batch), "receipts")

    def _for(self, notice: Notice) -> list[Channel]:
        """Channels in the order in which they are tried."""
        now = self._clock.monotonic()
        named = [c for c in self._channels if c.id == notice.channel]
        able = [c for c in self._channels if c.id != notice.channel and c.reaches(notice.to)]
        others = sorted(able, key=lambda c: (self._went(notice, c), not c.healthy))
        found = [c for c in (*named, *others) if c.carries(notice)]
        return sorted(found, key=lambda c: not self._went(notice, c) and c.doubtful(now))

    def _went(self, notice: Notice, channel: Channel) -> bool:
        return (said_to(notice, channel), channel.id) in self._reached

    def _remember(self, way: tuple[str, str]) -> None:
        self._reached[way] = None
        if len(self._reached) > REMEMBERED:
            self._reached.popitem(last=False)

    def _failed(self, channel: Channel, error: str, *, permanent: bool) -> None:
        if channel.broke(self._clock.now(), error):
            log.error(
                "channel failed channel=%s error=%r permanent=%s; the next one is tried",
                channel.id,
                error,
                permanent,
            )

    def health(self) -> Mapping[str, object]:
        """Per channel: see `Channel.health`."""
        return {c.id: c.health() for c in self._channels}
