"""Devices, buses and the control channel."""

from __future__ import annotations

import asyncio
import itertools
import os
import tty
from pathlib import Path

import pytest

from drivers.profiles import textline
from gateway.adapters.clock import ManualClock
from gateway.errors import BadInput, Retryable
from simulators.clock import LoopClock
from simulators.control import ControlDesk, control_server, send
from simulators.devices import HOLE, DeviceImage
from simulators.layout import demo_layout
from simulators.rtu_bus import serial_bus
from simulators.serve import Endpoints, planned_lines, serve
from simulators.world import Live, Simulation

START = 1_772_447_400_000
LAYOUT = demo_layout()


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def live() -> tuple[Live, ManualClock]:
    clock = ManualClock(START)
    return Live(Simulation(LAYOUT, 1, START), clock), clock


def image(device: str) -> tuple[DeviceImage, ManualClock]:
    world, clock = live()
    plan = next(d for _, d in LAYOUT.devices() if d.id == device)
    return DeviceImage(plan, world), clock


# ── the registers of a device ─────────────────────────────────────────────────────────────────────────


def test_an_image_follows_the_plant_and_is_the_same_within_a_tick() -> None:
    meter, clock = image("em-meter")
    before = meter.words("holding", 0x2006, 6)
    clock.step(0.1)
    assert meter.words("holding", 0x2006, 6) == before
    clock.step(5)
    assert meter.words("holding", 0x2006, 6) != before


def test_small_holes_read_as_zero_and_large_ones_do_not_exist() -> None:
    dse, _ = image("gen-dse")
    used = sorted({a for p in dse.profile.expanded for a in range(p.address, p.address + p.words)})
    valid = dse.valid["holding"]
    gaps = [(a, b) for a, b in itertools.pairwise(used) if b - a > 1]
    assert any(b - a - 1 > HOLE for a, b in gaps), "the map of this device has a large hole"
    for a, b in gaps:
        inside = range(a + 1, b)
        assert all((x in valid) == (len(inside) <= HOLE) for x in inside)
        if len(inside) > HOLE:
            assert dse.words("holding", a, 2) is None
    assert dse.words("input", used[0], 1) is None
    assert dse.words("holding", used[0], 1) is not None


def test_renamed_tags_are_read_under_their_new_names() -> None:
    plc, _ = image("sump-2-plc")
    assert ("sump.level", "sump-2", "sump.level_plc") in plc.sources
    values = plc.values()
    assert "sump.level" in values
    assert len(values) == len(plc.profile.expanded)


def test_a_sentence_carries_the_level() -> None:
    probe, clock = image("sump-2-level")
    clock.step(3)
    fields = textline.parse(probe.sentence())
    assert fields[:2] == ("WL", "001")
    assert 0.3 < float(fields[2]) < 1.1


# ── the bus ───────────────────────────────────────────────────────────────────────────────────────────


async def collect(fd: int, total: int, within_s: float) -> list[tuple[float, bytes]]:
    """Bytes as they come in, with the loop's time."""
    loop = asyncio.get_running_loop()
    got: list[tuple[float, bytes]] = []
    done = asyncio.Event()

    def readable() -> None:
        got.append((loop.time(), os.read(fd, 4096)))
        if sum(len(data) for _, data in got) >= total:
            done.set()

    loop.add_reader(fd, readable)
    try:
        async with asyncio.timeout(within_s):
            await done.wait()
    finally:
        loop.remove_reader(fd)
    return got


@pytest.mark.parametrize(("baud", "parity", "bits"), [(9600, "N", 10), (2400, "E", 11)])
async def test_bytes_are_never_faster_than_the_baud_rate(baud: int, parity: str, bits: int) -> None:
    async with serial_bus(baud, parity) as bus:
        one = os.open(bus.outer, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        other = os.open(bus.inner, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            for fd in (one, other):
                tty.setraw(fd)
            started = asyncio.get_running_loop().time()
            sizes = (8, 40, 3, 25)
            for n in sizes:
                os.write(one, bytes(range(n)))
                await asyncio.sleep(0)
            got = await collect(other, sum(sizes), 10)
        finally:
            os.close(one)
            os.close(other)
    assert b"".join(data for _, data in got) == b"".join(bytes(range(n)) for n in sizes)
    received = 0
    for at, data in got:
        received += len(data)
        assert received <= (at - started) * baud / bits + 1e-6, "a byte came before the wire could carry it"
    assert got[-1][0] - started < sum(sizes) * bits / baud + 1.0


async def test_the_bus_is_half_duplex() -> None:
    async with serial_bus(9600) as bus:
        one = os.open(bus.outer, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        other = os.open(bus.inner, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            started = asyncio.get_running_loop().time()
            os.write(one, b"x" * 24)
            os.write(other, b"y" * 24)
            await asyncio.gather(collect(one, 24, 10), collect(other, 24, 10))
            assert asyncio.get_running_loop().time() - started >= 48 * 10 / 9600
        finally:
            os.close(one)
            os.close(other)
    assert (bus.bytes_in, bus.bytes_out) == (24, 24)


# ── everything together ───────────────────────────────────────────────────────────────────────────────


async def test_serving_gives_each_line_its_endpoint_and_takes_it_away(tmp_path: Path) -> None:
    clock = LoopClock(START)
    async with serve(Simulation(LAYOUT, 1, START), LAYOUT, clock, folder=tmp_path) as endpoints:
        assert set(endpoints.lines) == {line.id for line in LAYOUT.lines}
        assert (tmp_path / "e1-bus").is_symlink()
        assert endpoints.lines["e1-bus"] == f"rtu:{tmp_path}/e1-bus?baud=38400&parity=N"
        rows = {d["device"]: d for d in endpoints.devices()}
        assert rows["lift-3-box"]["unit"] == 3
        assert rows["ws-plc"]["endpoint"].startswith("tcp://127.0.0.1:")
    assert names(tmp_path) == []


def test_planned_lines_are_those_that_serve_gives() -> None:
    urls = planned_lines(demo_layout(2), "/run/x", 15_020)
    assert [u for u in urls.values() if u.startswith("tcp")] == [
        f"tcp://127.0.0.1:{15_020 + n}" for n in range(4)
    ]
    assert urls["e2-level"] == "ascii:/run/x/e2-level?baud=9600&parity=N"


async def test_the_control_channel_breaks_heals_lists_and_tells_the_truth() -> None:
    world, clock = live()
    async with control_server(world, Endpoints(LAYOUT)) as endpoint:
        listed = await send(endpoint, {"do": "list"})
        kinds = {k["kind"]: k for k in listed["kinds"]}
        assert kinds["burst"]["assets"] == ["ws-1"]
        assert kinds["burst"]["name"] == {"zh": "爆管", "en": "Pipe burst"}
        clock.step(7)
        answer = await send(endpoint, {"do": "fault", "kind": "burst", "asset": "ws-1", "severity": 0.7})
        assert answer["truth"]["t"] == START + 7_000
        assert (await send(endpoint, {"do": "list"}))["active"] == [
            {"kind": "burst", "asset": "ws-1", "severity": 0.7}
        ]
        assert [x["fault"] for x in (await send(endpoint, {"do": "truth"}))["truth"]] == ["burst"]
        clock.step(60)
        assert (await send(endpoint, {"do": "clear"}))["cleared"] == 1
        assert world.simulation.values("ws-1")["ws.out_p"] < 0.2, "the plant was moved to the present first"


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"do": "dance"}, "fault, clear"),
        ({"do": "fault", "kind": "burst"}, "asset"),
        ({"do": "fault", "kind": "burst", "asset": "lift-1"}, "ws-1"),
        ({"do": "fault", "kind": "burst", "asset": "ws-1", "severity": 7}, "severity"),
        ({"do": "fault", "kind": "burst", "asset": "ws-1", "severity": "x"}, "severity"),
    ],
)
async def test_the_control_channel_refuses_with_a_reason(request_: dict[str, object], message: str) -> None:
    world, _ = live()
    async with control_server(world, Endpoints(LAYOUT)) as endpoint:
        with pytest.raises(BadInput, match=message):
            await send(endpoint, request_)
        assert world.simulation.faults.active == {}


def test_the_control_channel_survives_nonsense() -> None:
    world, _ = live()
    desk = ControlDesk(world, Endpoints(LAYOUT))
    for line in (b"not json\n", b"[]\n", b'"fault"\n', b'{"do": []}\n', b"\n"):
        assert desk.answer(line)["ok"] is False


async def test_nobody_at_the_control_channel_is_said_so() -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    with pytest.raises(Retryable, match="are they running"):
        await send(f"tcp://127.0.0.1:{port}", {"do": "list"})
