"""The contract of a driver that is dialled: real sockets, simulated devices with their own codec.

What is late, foreign or garbled is refused; a silent device is told; nothing is lost over a reconnect.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.gb26875 import HALF_FRAME_S, Gb26875Driver, Gb26875Options, _Link
from drivers.gb26875_frame import Frame, decode
from drivers.gb26875_objects import TYPES
from drivers.profiles.bind import bind
from drivers.profiles.loader import load_profile
from gateway.adapters.clock import ManualClock, SystemClock
from gateway.ports import Block, Clock, DeviceException, Driver, LineDown, NoAnswer
from simulators.gb26875_device import (
    CONFIRM,
    CONTROL,
    DENY,
    REQUEST,
    RESPONSE,
    SEND,
    FireDevice,
    dialled_in,
    message,
)

ONE, TWO, STRANGER = "010203040506", "0a0b0c0d0e0f", "999999999999"
PANEL = Block(1, "line", sentence="panel")
ALARM, FAULT, FIRE_TEXT, COUNT, POST, OFFSET, REFUSED = 3, 4, 19, 21, 31, 32, 33
TIMEOUT_S = 0.15


def options(**more: Any) -> Gb26875Options:
    devices = {1: {"address": ONE, "heartbeat_s": 120}, 2: {"address": TWO, "heartbeat_s": 120}}
    return Gb26875Options.model_validate(
        {"host": "127.0.0.1", "port": 0, "devices": devices, "sync_s": None, **more}
    )


@asynccontextmanager
async def listening(clock: Clock, **more: Any) -> AsyncIterator[Gb26875Driver]:
    driver = Gb26875Driver(options(**more), clock)
    await driver.open()
    try:
        yield driver
    finally:
        await driver.close()


@asynccontextmanager
async def heard(
    clock: Clock | None = None, address: str = ONE, **more: Any
) -> AsyncIterator[tuple[Gb26875Driver, FireDevice]]:
    """A driver, and a device whose first messages it has confirmed."""
    time = clock or SystemClock()
    async with listening(time, **more) as driver:
        device = FireDevice(address, time, port=driver.port)
        async with dialled_in(device):
            await until(lambda: device.answers != [])
            # The states that the driver asked for arrive before a later message is confirmed.
            await until(lambda: device.heard[REQUEST, 61] > 0)
            await device.confirmed(device.beat())
            yield driver, device


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.005)


async def fields(driver: Driver, unit: int = 1, sentence: str = "panel") -> tuple[str, ...]:
    block = Block(unit, "line", sentence=sentence)
    answer = await driver.read(block, TIMEOUT_S)
    assert answer.block == block
    return answer.fields


async def test_a_fire_is_read_with_its_text_and_confirmed() -> None:
    async with heard() as (driver, device):
        assert (await fields(driver))[ALARM] == "0"
        serial = device.part(0x000600D9, 0x0002, "Ａ区１层走廊")
        await device.confirmed(serial)
        assert (serial, CONFIRM) in device.answers
        answer = await driver.read(PANEL, TIMEOUT_S)
        out = bind(load_profile("gb26875_panel"), "fire-1").decode(answer)
        tags = [p.tag for p in load_profile("gb26875_panel").expanded]
        assert out.v[tags.index("fire.panel.alarm")] == 1
        assert "Ａ区１层走廊" in out.attrs[tags.index("fire.panel.fire_text")]["text"]


async def test_states_that_stand_are_asked_for_when_a_device_dials_in() -> None:
    clock = SystemClock()
    async with (
        listening(clock) as driver,
        dialled_in(FireDevice(ONE, clock, port=driver.port, status=0x0003)) as device,
    ):
        await until(lambda: device.heard[REQUEST, 61] > 0 and device.heard[REQUEST, 81] > 0)
        await device.confirmed(device.beat())
        said = await fields(driver)
        assert (said[ALARM], said[24]) == ("1", "0")


async def test_everything_is_answered_with_its_serial_number() -> None:
    async with heard() as (_, device):
        serials = [
            device.state(1), device.part(1, 1), device.analog(1, 5, 4500, system=(11, 1), part_type=91),
            device.reset(), device.beat(), device.private(9, b"\x01abc"), device.private(128, b""),
            device.private(200, bytes(300)),
        ]  # fmt: skip
        for serial in serials:
            await device.confirmed(serial)
        assert [a for a in device.answers if a[0] in serials] == [(s, CONFIRM) for s in serials]


async def test_what_cannot_be_parsed_is_denied_and_counted() -> None:
    async with heard() as (driver, device):
        for data in (b"\x02\x01\x01", b"\x01\x02" + bytes(10), b"\x15\x01"):
            serial = device._send(SEND, data)
            await device.confirmed(serial)
            assert device.answers[-1] == (serial, DENY)
        serial = device.ask(61, b"\x01\x01")
        await device.confirmed(serial)
        assert device.answers[-1] == (serial, DENY)
        assert driver.counts["denied"] == 4
        assert (await fields(driver))[REFUSED] == "4"


async def test_a_message_is_repeated_until_it_is_confirmed_and_counts_once() -> None:
    clock = ManualClock()
    async with heard(clock) as (driver, device):
        device.deaf = True
        device.part(1, 3, "门厅")
        for n in range(1, 4):
            before = device.sent[SEND]
            await clock.advance(device.repeat_s)
            await until(lambda before=before: device.sent[SEND] > before)  # type: ignore[misc]  # a lambda's default
            assert n
        device.deaf = False
        await clock.advance(device.repeat_s)
        await until(lambda: not device._open)
        said = await fields(driver)
        assert (said[ALARM], said[COUNT], said[FIRE_TEXT].count("门厅")) == ("1", "1", 1)


def flipped(frame: bytes) -> bytes:
    return frame[:40] + bytes((frame[40] ^ 1,)) + frame[41:] if len(frame) > 60 else frame


def cut(frame: bytes) -> bytes:
    return frame[:-9] if len(frame) > 60 else frame


def too_long(frame: bytes) -> bytes:
    return frame[:25] + b"\x09" + frame[26:] if len(frame) > 60 else frame


@pytest.mark.parametrize("damage", [flipped, cut, too_long])
async def test_a_garbled_message_gives_no_value_and_the_next_is_right(
    damage: Callable[[bytes], bytes],
) -> None:
    async with heard() as (driver, device):
        device.damage = damage
        garbled = device.part(1, 3, "不可信")
        device.damage = lambda frame: frame
        await device.confirmed(device.state(5))
        said = await fields(driver)
        assert (said[ALARM], said[FAULT], said[COUNT], said[REFUSED]) == ("0", "1", "0", "1")
        assert driver.counts["bad"] >= 1
        assert garbled not in [serial for serial, _ in device.answers]
        device.hang_up()
        await device.confirmed(garbled)
        assert (await fields(driver))[ALARM] == "1"


async def test_half_a_frame_before_a_pause_does_not_hold_up_what_comes_after() -> None:
    clock = ManualClock()
    async with heard(clock) as (driver, device):
        device.raw(message(77, SEND, ONE, b"\x01" * 900, datetime(2026, 1, 1, tzinfo=UTC))[:500])
        await asyncio.sleep(0.05)
        await clock.advance(HALF_FRAME_S + 1)
        await device.confirmed(device.part(1, 3, "大厅"))
        assert (await fields(driver))[ALARM] == "1"
        assert driver.counts["bad"] == 1


async def test_two_devices_on_one_port_are_told_apart() -> None:
    async with heard() as (driver, one):
        with pytest.raises(NoAnswer, match="never dialled in"):
            await fields(driver, 2)
        async with dialled_in(FireDevice(TWO, SystemClock(), port=driver.port)) as two:
            await until(lambda: two.heard[REQUEST, 61] > 0)
            await two.confirmed(two.part(7, 3, "二号楼"))
            await one.confirmed(one.part(7, 5, "一号楼"))
            first, second = await fields(driver, 1), await fields(driver, 2)
    assert (first[1], first[ALARM], first[FAULT]) == (ONE, "0", "1")
    assert (second[1], second[ALARM], second[FAULT]) == (TWO, "1", "0")


async def test_two_devices_behind_one_connection_are_told_apart() -> None:
    clock = SystemClock()
    async with listening(clock) as driver:
        reader, writer = await asyncio.open_connection("127.0.0.1", driver.port)
        at = datetime(2026, 11, 22, tzinfo=UTC)
        state = b"\x01\x01\x01\x01%c\x00" + bytes(6)
        writer.write(message(1, SEND, ONE, state % 3, at) + message(2, SEND, TWO, state % 5, at))
        await until(lambda: driver.counts["frames"] == 2)
        assert (await fields(driver, 1))[ALARM:5] == ("1", "0")
        assert (await fields(driver, 2))[ALARM:5] == ("0", "1")
        assert len(await reader.read(4096)) >= 60
        writer.close()
        await writer.wait_closed()


async def test_a_foreign_device_is_refused_counted_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        async with heard() as (driver, _), dialled_in(
            FireDevice(STRANGER, SystemClock(), port=driver.port)
        ) as stranger:  # fmt: skip
            await until(lambda: driver.counts["foreign"] >= 3)
            await until(lambda: (1, DENY) in stranger.answers)
            assert (await fields(driver))[ALARM] == "0"
    assert [STRANGER in r.getMessage() for r in caplog.records].count(True) == 1


async def test_a_silent_device_is_told_and_heard_again() -> None:
    clock = ManualClock()
    async with heard(clock) as (driver, device):
        device.damage = lambda _: b""
        await clock.advance(100.0)
        assert (await fields(driver))[ALARM] == "0"
        await clock.advance(25.0)
        for _ in range(2):
            with pytest.raises(NoAnswer, match=f"{ONE} was heard 1[0-9]+ s ago"):
                await fields(driver)
        again: list[int] = []
        driver.on_heard = again.append
        device.damage = lambda frame: frame
        await until(lambda: again == [1])
        await device.confirmed(device.part(1, 3, "大厅"))
        assert (await fields(driver))[ALARM] == "1"
        await device.confirmed(device.beat())
        assert again == [1]


async def test_a_fire_that_came_and_went_before_a_device_fell_silent_is_shown_when_it_is_back() -> None:
    clock = ManualClock()
    async with heard(clock) as (driver, device):
        await fields(driver)
        await device.confirmed(device.part(1, 3, "大厅"))
        await device.confirmed(device.part(1, 1, "大厅"))
        device.damage = lambda _: b""
        await clock.advance(130.0)
        with pytest.raises(NoAnswer):
            await fields(driver)
        device.damage = lambda frame: frame
        await until(lambda: driver.counts["replaced"] > 0 or device.heard[REQUEST, 61] > 1)
        await device.confirmed(device.beat())
        assert [(await fields(driver))[ALARM] for _ in range(2)] == ["1", "0"]


async def test_a_device_that_dials_in_again_replaces_its_old_connection() -> None:
    clock = SystemClock()
    async with listening(clock) as driver:
        at = datetime(2026, 11, 22, tzinfo=UTC)
        old_reader, old_writer = await asyncio.open_connection("127.0.0.1", driver.port)
        old_writer.write(message(1, SEND, ONE, b"", at))
        await until(lambda: driver.counts["frames"] == 1)
        async with dialled_in(FireDevice(ONE, clock, port=driver.port)) as device:
            await until(lambda: device.heard[REQUEST, 61] > 0)
            async with asyncio.timeout(10):
                while await old_reader.read(4096):
                    pass
            assert driver.counts["replaced"] == 1
            await device.confirmed(device.part(1, 3, "大厅"))
            assert (await fields(driver))[ALARM] == "1"
        old_writer.close()


async def test_a_lost_connection_loses_nothing() -> None:
    async with heard() as (driver, device):
        for n in range(5):
            device.hang_up()
            serial = device.part(n, 3, f"探测器{n}")
            await device.confirmed(serial)
        assert (await fields(driver))[COUNT] == "5"


async def test_five_hundred_detectors_at_once_are_five_hundred() -> None:
    async with heard() as (driver, device):
        serials = [device.part(n, 3, f"探测器{n}") for n in range(500)]
        for serial in serials:
            await device.confirmed(serial)
        assert (await fields(driver))[COUNT] == "500"
        await device.confirmed(device.reset())
        await fields(driver)
        assert (await fields(driver))[COUNT] == "0"


class Wire(_Link):
    """A connection that keeps what is sent."""

    def __init__(self, driver: Gb26875Driver) -> None:
        super().__init__(driver)
        self.out: list[Frame] = []

    def send(self, frame: Frame) -> None:
        self.out.append(decode(frame.encode()))


@settings(max_examples=300)
@given(
    st.integers(0, 255) | st.sampled_from([SEND, CONTROL, REQUEST, RESPONSE]),
    st.binary(max_size=80)
    | st.builds(lambda t, n, rest: bytes((t, n)) + rest, st.sampled_from(list(TYPES)), st.integers(0, 3),
                st.binary(max_size=120)),
    st.sampled_from([int(ONE, 16), int(TWO, 16), int(STRANGER, 16)]),
)  # fmt: skip
def test_whatever_a_valid_frame_carries_is_answered(command: int, data: bytes, source: int) -> None:
    driver = Gb26875Driver(options(sync_s=30), ManualClock())
    wire = Wire(driver)
    driver.take(wire, Frame(321, command, source, 7, data, datetime(2026, 11, 22)))  # noqa: DTZ001 - the wire has no zone
    answers = [f for f in wire.out if f.serial == 321 and f.command in (CONFIRM, DENY, RESPONSE)]
    assert len(answers) == int(command not in (CONFIRM, DENY))
    for answer in answers:
        assert (answer.source, answer.destination) == (7, source)
        assert source != int(STRANGER, 16) or answer.command == DENY


async def test_open_and_close_may_be_called_again_and_what_was_reported_stays() -> None:
    clock = SystemClock()
    async with heard(clock) as (driver, device):
        await driver.open()
        port = driver.port
        await device.confirmed(device.part(1, 3, "大厅"))
        await driver.close()
        await driver.close()
        with pytest.raises(LineDown):
            await fields(driver)
        driver._options = driver._options.model_copy(update={"port": port})
        await driver.open()
        assert (await fields(driver))[ALARM] == "1"
        await device.confirmed(device.part(1, 1))
        assert (await fields(driver))[ALARM] == "0"


async def test_a_port_that_is_taken_is_told() -> None:
    async with listening(SystemClock()) as first:
        driver = Gb26875Driver(options(port=first.port), SystemClock())
        for _ in range(2):
            with pytest.raises(LineDown, match="cannot be listened on"):
                await driver.open()
        with pytest.raises(LineDown):
            await fields(driver)
        await driver.close()


async def test_a_unit_or_a_sentence_that_is_not_there_is_told() -> None:
    async with heard() as (driver, _):
        with pytest.raises(NoAnswer, match="unit 9 has no address"):
            await fields(driver, 9)
        with pytest.raises(DeviceException) as caught:
            await fields(driver, 1, "WL")
        assert caught.value.code == 2


@pytest.mark.parametrize("type_", [28, 88, 90])
async def test_the_time_is_told_to_who_asks(type_: int) -> None:
    start = int(datetime(2026, 11, 22, 1, 15, 30, tzinfo=UTC).timestamp() * 1000)
    async with listening(ManualClock(start)) as driver:
        reader, writer = await asyncio.open_connection("127.0.0.1", driver.port)
        writer.write(message(5, REQUEST, ONE, bytes((type_, 1, 0, 0, 0, 0, 0, 0)[: 8 if type_ != 88 else 3]),
                             datetime(2026, 11, 22, tzinfo=UTC)))  # fmt: skip
        answer = await reader.readexactly(38)
        assert answer[26] == RESPONSE
        assert answer[2:4] == b"\x05\x00"
        assert tuple(answer[27:35]) == (90 if type_ == 90 else 28, 1, 30, 15, 9, 22, 11, 26)  # Shanghai
        writer.close()
        await writer.wait_closed()


async def test_a_clock_that_is_off_is_set_once() -> None:
    clock = ManualClock()
    async with listening(clock, sync_s=30) as driver:
        device = FireDevice(ONE, clock, port=driver.port, clock_off_s=-90.0)
        async with dialled_in(device):
            await until(lambda: device.heard[CONTROL, 90] > 0)
            assert (await fields(driver))[OFFSET] == "-90"
            for _ in range(3):
                await device.confirmed(device.beat())
            assert device.heard[CONTROL, 90] == 1
            assert (await fields(driver))[OFFSET] == "0"


@pytest.mark.parametrize(("answered", "state"), [(True, "2"), (False, "3")])
async def test_a_person_is_asked_for_and_silence_is_told(answered: bool, state: str) -> None:
    clock = ManualClock()
    async with heard(clock, post_check_h=1, post_check_min=10) as (driver, device):
        device.post_answered = answered
        assert (await fields(driver))[POST] == "0"
        for _ in range(36):
            await clock.advance(101.0)
            await device.confirmed(device.beat())
        assert (await fields(driver))[POST] == "1"
        await until(lambda: device.heard[CONTROL, 91] == 1)
        await device.confirmed(device.beat())
        assert (await fields(driver))[POST] == ("2" if answered else "1")
        for _ in range(7):
            await clock.advance(90.0)
            await device.confirmed(device.beat())
        assert (await fields(driver))[POST] == state


async def test_a_post_check_that_comes_to_us_is_counted_and_no_person_is_claimed() -> None:
    clock = ManualClock()
    async with heard(clock) as (driver, device):
        serial = device._send(CONTROL, b"\x5b\x01\x01")
        await device.confirmed(serial)
        assert device.answers[-1] == (serial, CONFIRM)
        assert driver.counts["post_checks"] == 1
        assert (await fields(driver))[POST] == "1"
        await clock.advance(61.0)
        await device.confirmed(device.beat())
        assert (await fields(driver))[POST] == "3"


async def test_connections_are_bounded_and_strangers_make_place() -> None:
    clock = SystemClock()
    async with heard(clock) as (driver, device):
        mute = [await asyncio.open_connection("127.0.0.1", driver.port) for _ in range(40)]
        await until(lambda: driver.counts["crowded"] > 0)
        await asyncio.sleep(0.05)
        assert len(driver._links) <= driver._room
        await device.confirmed(device.part(1, 3, "大厅"))
        assert (await fields(driver))[ALARM] == "1"
        for _, writer in mute:
            writer.close()


def test_options_name_what_is_wrong() -> None:
    good = options().model_dump()
    for change, said in (
        ({"devices": {1: {"address": "0102"}}}, "12 hex digits"),
        ({"devices": {}}, "at least 1"),
        ({"devices": {1: {"address": ONE}, 2: {"address": ONE}}}, "stands twice"),
        ({"devices": {300: {"address": ONE}}}, "0 to 255"),
        ({"devices": {1: {"address": ONE, "systems": ["1"]}}}, "type and address"),
        ({"timezone": "Shanghai"}, "no time zone"),
        ({"post_check_min": 0}, "greater than or equal"),
    ):
        with pytest.raises(ValueError, match=said):
            Gb26875Options.model_validate({**good, **change})


def test_what_is_wrong_with_a_device_is_known_before_it_is_heard() -> None:
    spans = bind(load_profile("gb26875_panel"), "fire-1").spans
    assert list(options().device_faults(1, spans)) == []
    assert [f[0] for f in options().device_faults(3, spans)] == ["unit"]
    other = bind(load_profile("level_wl_ascii"), "sump-1").spans
    assert [f[0] for f in options().device_faults(1, other)] == ["profile"]


def test_the_clock_of_china_is_eight_hours_ahead() -> None:
    driver = Gb26875Driver(options(), ManualClock(0))
    assert driver._local() == datetime(1970, 1, 1) + timedelta(hours=8)  # noqa: DTZ001 - the wire has no zone
