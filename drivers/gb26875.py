"""GB/T 26875.3-2011 as a TCP server: fire transmission devices (用户信息传输装置) dial in and report.

Many devices share one port; the source address of their frames tells them apart. Every valid frame is
answered, because a device repeats what nobody confirms. A read never talks: it hands out what has been
heard (see gb26875_picture for the sentences). The protocol has no login: keep the port inside the building's
own network.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from drivers import gb26875_objects as objects
from drivers.gb26875_frame import BadFrame, Command, Frame, Splitter
from drivers.gb26875_options import Gb26875Options, StationOptions
from drivers.gb26875_picture import Picture
from drivers.linestats import LineStats, UnitStats
from drivers.trace import Frame as TracedFrame
from drivers.trace import FrameTrace
from gateway.ports import Answer, Block, Clock, DeviceException, LineDown, NoAnswer

__all__ = ["Gb26875Driver", "Gb26875Options"]

log = logging.getLogger(__name__)

HALF_FRAME_S = 5.0
"""After a pause of this length the rest of a half frame will not come: the sender repeats it whole."""
DEAF_S = 5.0
"""After a longer pause of listening a device counts as not heard until it speaks again."""
MAX_UNSENT = 65_536
MAX_STRANGERS = 64
SYNC_EVERY_S = 3600.0
ILLEGAL_ADDRESS = 2
JUNK = "junk"
TIME_TYPES = (28, 88, 90)


class _Station:
    """A device that is known: its picture, and the connection on which it was heard last."""

    def __init__(self, unit: int, options: StationOptions) -> None:
        self.unit, self.options = unit, options
        self.number = int(options.address, 16)
        self.picture = Picture(options.address, options.bit0_normal)
        self.link: _Link | None = None
        self.heard_at = -1.0
        self.ours = 0
        self.serial = 0
        self.synced_at = -SYNC_EVERY_S
        self.post_at = -1.0
        self.told_silent = False

    def send(self, command: Command, type_: int, *what: objects.Object, at: datetime) -> None:
        """A message of our own; nothing when the device is not connected."""
        if self.link is not None:
            self.serial = (self.serial + 1) % 65_536
            data = objects.encode(type_, what)
            self.link.send(Frame(self.serial, command, self.ours, self.number, data, at))


class _Link(asyncio.Protocol):
    """One connection; several devices may share it behind a relay."""

    def __init__(self, driver: Gb26875Driver) -> None:
        self._driver = driver
        self._splitter = Splitter()
        self._transport: asyncio.Transport | None = None
        self._heard_at = 0.0
        self.stations: set[int] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._driver.accept(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._driver.lost(self)

    def data_received(self, data: bytes) -> None:
        now = self._driver.now_s()
        frames: list[Frame] = []
        if self._splitter.waiting and now - self._heard_at > HALF_FRAME_S:
            frames += self._splitter.give_up()
        self._heard_at = now
        frames += self._splitter.feed(data)
        for frame in frames:
            self._driver.take(self, frame)
        bad, junk, litter = self._splitter.take_litter()
        if junk:
            self._driver.damaged(self, bad, junk, litter)

    def send(self, frame: Frame) -> None:
        """Write; a peer that does not take what it is sent is hung up on."""
        if self._transport is None or self._transport.is_closing():
            return
        if self._transport.get_write_buffer_size() > MAX_UNSENT:
            self._transport.abort()
            return
        data = frame.encode()
        self._transport.write(data)
        self._driver.said(frame.destination, data)

    def close(self) -> None:
        """What was written still goes out."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """At once."""
        if self._transport is not None:
            self._transport.abort()


class Gb26875Driver:
    """A listening port and what its devices have said. `counts`: of frames, by what became of them.

    `stats`: answers are all whole frames of a device, requests all that were sent to it, confirmations too.

    What was reported outlives `close`: a fire that no read has shown yet is shown by the next one.
    `on_heard(unit)` is called when a device is heard again of which a read said that it is silent, so that
    whoever reads need not wait for its next probe.
    """

    def __init__(self, options: Gb26875Options, clock: Clock) -> None:
        self._options, self._clock = options, clock
        self._zone = ZoneInfo(options.timezone)
        self._stations = {unit: _Station(unit, o) for unit, o in options.devices.items()}
        self._by_address = {s.number: s for s in self._stations.values()}
        self._links: dict[_Link, None] = {}
        self._room = 2 * len(self._stations) + 8
        self._server: asyncio.Server | None = None
        self._strangers: set[int] = set()
        self._closed_at = clock.monotonic()
        self.counts: Counter[str] = Counter()
        self.stats = LineStats({unit: UnitStats() for unit in options.devices})
        self._trace = FrameTrace()
        self.on_heard: Callable[[int], None] = lambda _unit: None

    def trace(self, on: bool) -> None:
        """Begin to record frames, or stop."""
        self._trace.switch(on)

    def frames(self, unit: int | None = None) -> tuple[TracedFrame, ...]:
        """What was recorded, oldest first; of one device, or of the whole port."""
        return self._trace.frames(unit)

    # ── the port ──────────────────────────────────────────────────────────────────────────────────

    async def open(self) -> None:
        """Listen. Raises LineDown when the port cannot be had. Idempotent when open."""
        if self._server is not None:
            return
        o = self._options
        if self.now_s() - self._closed_at > DEAF_S:
            for station in self._stations.values():
                station.heard_at = -1.0  # somebody else may have confirmed what it said meanwhile
        try:
            self._server = await asyncio.get_running_loop().create_server(lambda: _Link(self), o.host, o.port)
        except OSError as e:
            raise LineDown(f"{o.host}:{o.port} cannot be listened on: {e}") from e

    async def close(self) -> None:
        """Hang up and stop listening; idempotent."""
        if self._server is not None:
            self._server.close()
            self._server, self._closed_at = None, self.now_s()
        for link in list(self._links):
            link.abort()
        await asyncio.sleep(0)

    @property
    def port(self) -> int:
        """The TCP port that is listened on; 0 while closed."""
        return self._server.sockets[0].getsockname()[1] if self._server is not None else 0

    def now_s(self) -> float:
        """Real seconds."""
        return self._clock.monotonic()

    # ── reading ───────────────────────────────────────────────────────────────────────────────────

    async def read(self, block: Block, timeout_s: float) -> Answer:
        """The sentence as it stands now. Raises NoAnswer for a device that is not heard in time.

        Raises LineDown while closed, DeviceException(2) for a sentence that there is not.
        """
        if self._server is None:
            raise LineDown("not listening")
        station = self._stations.get(block.unit)
        if station is None:
            raise NoAnswer(f"unit {block.unit} has no address in options.devices")
        silent = self.now_s() - station.heard_at
        if station.heard_at < 0 or silent > station.options.heartbeat_s:
            self._give_up(station)
            station.told_silent = True
            self.stats.unit(block.unit).timeouts += 1
            since = "has never dialled in" if station.heard_at < 0 else f"was heard {silent:.0f} s ago"
            raise NoAnswer(f"device {station.options.address} {since}")
        self._ask_for_a_person(station)
        fields = station.picture.fields(block.sentence, self._site_s())
        if fields is None:
            self.stats.unit(block.unit).exceptions[ILLEGAL_ADDRESS] += 1
            raise DeviceException(ILLEGAL_ADDRESS, f"there is no sentence {block.sentence!r}")
        return Answer(block, self._clock.now(), fields=fields)

    def _give_up(self, station: _Station) -> None:
        """A connection on which nothing comes any more is dead, whatever TCP thinks."""
        link, station.link = station.link, None
        if link is not None:
            self._leave(link, station)

    def _ask_for_a_person(self, station: _Station) -> None:
        every = self._options.post_check_h * 3600
        now = self._site_s()
        if station.post_at < 0:
            station.post_at = now + every
        if every and now >= station.post_at and station.link is not None:
            station.post_at = now + every
            self.ask_post(station, self._options.post_check_min)

    def ask_post(self, station: _Station, minutes: int) -> None:
        """查岗: the device sounds, a person has to press its key."""
        station.picture.post.ask(self._site_s(), minutes)
        station.send(Command.CONTROL, 91, objects.PostCheck(minutes), at=self._local())

    def _site_s(self) -> float:
        return self._clock.monotonic() * self._clock.speed

    def _local(self) -> datetime:
        """Site time as the devices' clocks show it."""
        at = datetime.fromtimestamp(self._clock.now() // 1000, UTC)
        return at.astimezone(self._zone).replace(tzinfo=None)

    # ── connections ───────────────────────────────────────────────────────────────────────────────

    def accept(self, link: _Link) -> None:
        """A new connection; when there is no room one on which nobody known spoke makes place."""
        if len(self._links) >= self._room:
            self.counts["crowded"] += 1
            idle = next((x for x in self._links if not x.stations), None)
            if idle is None:
                link.abort()
                return
            self._links.pop(idle)
            idle.abort()
        self._links[link] = None
        self.stats.opened += 1

    def lost(self, link: _Link) -> None:
        """A connection ended."""
        self._links.pop(link, None)
        for number in link.stations:
            station = self._by_address[number]
            if station.link is link:
                station.link = None

    def damaged(self, link: _Link, n: int, size: int, litter: bytes) -> None:
        """`n` frames that could not be believed, `size` bytes in all; no answer: the sender repeats."""
        self.counts["bad"] += n
        unit = None
        if len(link.stations) == 1:
            station = self._by_address[next(iter(link.stations))]
            station.picture.refused += n
            unit = station.unit
        self.stats.damaged(unit, JUNK, n, size)
        self._trace.heard(self._clock.now(), unit, litter, apart=True)

    def said(self, to: int, data: bytes) -> None:
        """A frame went out to this address."""
        station = self._by_address.get(to)
        self._trace.sent(self._clock.now(), None if station is None else station.unit, data)
        if station is not None:
            counts = self.stats.unit(station.unit)
            counts.requests += 1
            counts.bytes_out += len(data)

    def _attach(self, link: _Link, station: _Station) -> None:
        old, station.link = station.link, link
        link.stations.add(station.number)
        if old is not None:
            self.counts["replaced"] += 1
            self._leave(old, station)

    def _ask_states(self, station: _Station) -> None:
        """A device reports changes only: what stands now has to be asked for."""
        now = self._local()
        station.send(Command.REQUEST, 81, objects.ReadUnit(), at=now)
        for text in station.options.systems:
            system, address = map(int, text.split("."))
            station.send(Command.REQUEST, 61, objects.ReadSystem(system, address), at=now)

    def _leave(self, link: _Link, station: _Station) -> None:
        link.stations.discard(station.number)
        if not link.stations:
            link.close()

    # ── frames ────────────────────────────────────────────────────────────────────────────────────

    def take(self, link: _Link, frame: Frame) -> None:
        """One valid frame: know who speaks, take it in, answer."""
        self.counts["frames"] += 1
        station, t = self._by_address.get(frame.source), self._clock.now()
        self._trace.heard(t, None if station is None else station.unit, frame.raw, apart=True)
        if station is None:
            self.stats.unasked += len(frame.raw)
            self._refuse(link, frame)
            return
        self.stats.unit(station.unit).spoke(t, len(frame.raw))
        station.heard_at = self.now_s()
        station.ours = frame.destination
        fresh = station.link is not link
        if fresh:
            self._attach(link, station)
        self._respond(link, station, frame)
        if fresh:
            self._ask_states(station)
        if station.told_silent:
            station.told_silent = False
            self.on_heard(station.unit)

    def _respond(self, link: _Link, station: _Station, frame: Frame) -> None:
        if frame.command in (Command.CONFIRM, Command.DENY):
            self.counts["denied_to_us"] += frame.command == Command.DENY
            return
        answer = self._answer(station, frame)
        if answer.command == Command.DENY:
            self.counts["denied"] += 1
            station.picture.refused += 1
        link.send(answer)
        self._set_clock(station, frame)

    def _refuse(self, link: _Link, frame: Frame) -> None:
        self.counts["foreign"] += 1
        if frame.source not in self._strangers and len(self._strangers) < MAX_STRANGERS:
            self._strangers.add(frame.source)
            log.warning(
                "unknown fire device refused address=%012x port=%d; add it to options.devices of this line",
                frame.source, self.port,
            )  # fmt: skip
        if frame.command not in (Command.CONFIRM, Command.DENY):
            link.send(frame.reply(Command.DENY))
        if not link.stations:
            link.close()

    def _answer(self, station: _Station, frame: Frame) -> Frame:
        """Confirmed when it was understood or is the vendor's own, denied otherwise."""
        if not frame.data:
            return frame.reply(Command.CONFIRM)
        try:
            type_, found = objects.decode(frame.data)
        except BadFrame as e:
            log.debug("frame denied address=%s cause=%s", station.options.address, e)
            return frame.reply(Command.DENY)
        if any(isinstance(o, objects.Raw) for o in found):
            self.counts["private"] += 1
        elif type_ == 91:
            self._asked_for_a_person(station, found)
        elif frame.command in (Command.REQUEST, Command.CONTROL):
            return self._requested(frame, type_)
        elif frame.command in (Command.SEND, Command.RESPONSE):
            station.picture.apply(found, self._site_s())
        else:
            self.counts["private"] += 1
        return frame.reply(Command.CONFIRM)

    def _requested(self, frame: Frame, type_: int) -> Frame:
        """We have the time and nothing else that a device could ask for."""
        if type_ not in TIME_TYPES:
            return frame.reply(Command.DENY)
        self.counts["time_asked"] += 1
        now = self._local()
        kind, what = (90, objects.SetTime(now)) if type_ == 90 else (28, objects.UnitTime(now))
        return frame.reply(Command.RESPONSE, objects.encode(kind, [what]), at=now)

    def _asked_for_a_person(self, station: _Station, found: Iterable[objects.Object]) -> None:
        """查岗 that came to us: its receipt is confirmed, no person is claimed; it ends as not answered."""
        self.counts["post_checks"] += 1
        for o in found:
            if isinstance(o, objects.PostCheck):
                station.picture.post.ask(self._site_s(), o.minutes)

    def _set_clock(self, station: _Station, frame: Frame) -> None:
        if frame.command != Command.SEND or frame.at is None:
            return
        now = self._local()
        offset = (frame.at - now).total_seconds()
        station.picture.offset_s = offset
        limit, last = self._options.sync_s, station.synced_at
        if limit is not None and abs(offset) > limit and self._site_s() - last >= SYNC_EVERY_S:
            station.synced_at = self._site_s()
            self.counts["clocks_set"] += 1
            station.picture.forget_times()
            station.send(Command.CONTROL, 90, objects.SetTime(now), at=now)
