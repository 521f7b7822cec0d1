"""Relays and sirens of an edge; the relay module is a Modbus server on a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from drivers.modbus import TcpDriver, TcpOptions
from gateway.adapters.clock import ManualClock, SystemClock
from gateway.edge.outputs import CoilOutput, CommandOutput, Danger, FileOutput, OutputFailed, Outputs
from gateway.model import Point
from gateway.ports import Answer, Block, Writer
from tests.unit.gateway_edge.edge_fakes import FakeDriver, FakeModel

CALL = Point("lift-1", "lift.alarm_button", kind="digital", life=True)
PRESSED = {CALL.id: [Danger(">", 0, 3)]}


class Rig:
    """Outputs on a clock that moves when told; `file` is the siren."""

    def __init__(self, folder: Path, outputs: object = None) -> None:
        self.clock, self.up = ManualClock(), True
        self.file = folder / "siren"
        self.outputs = Outputs({"siren": FileOutput(self.file)}, PRESSED, self.clock, lambda: self.up)
        self.model = self.outputs.watch(FakeModel.dense([CALL]))

    def say(self, value: int) -> None:
        words = np.array([value], np.uint16)
        self.model.decode(Answer(Block(1, "holding", 0, 1), self.clock.now(), words))

    async def after(self, seconds: float) -> str:
        for _ in range(round(seconds * 2)):
            await self.clock.advance(0.5)
            await asyncio.sleep(0.01)  # the file is written in a thread
        return self.file.read_text().strip()


@contextlib.asynccontextmanager
async def running(rig: Rig) -> AsyncIterator[Rig]:
    task = asyncio.create_task(rig.outputs.run())
    try:
        yield rig
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_on_while_the_core_is_silent_and_off_at_the_end(tmp_path: Path) -> None:
    async with running(Rig(tmp_path)) as rig:
        assert await rig.after(1) == "0"
        rig.outputs.core_silent(True)
        assert await rig.after(1) == "1"
        assert rig.outputs.facts() == {"outputs_on": 1, "outputs_failed": 0}
        rig.outputs.core_silent(False)
        assert await rig.after(1) == "0"
        rig.outputs.core_silent(True)
        assert await rig.after(1) == "1"
    assert rig.file.read_text() == "0\n", "nobody would switch it off later"


async def test_a_life_safety_input_counts_while_the_link_is_down_and_after_its_delay(tmp_path: Path) -> None:
    async with running(Rig(tmp_path)) as rig:
        rig.say(1)
        assert await rig.after(10) == "0", "the link stands: the core does it"
        rig.up = False
        assert await rig.after(1) == "1"
        rig.say(0)
        assert await rig.after(1) == "0"
        rig.say(1)
        assert await rig.after(2) == "0"
        assert await rig.after(2) == "1", "three seconds"
        rig.up = True
        assert await rig.after(1) == "0"


async def test_a_module_that_forgot_is_told_again(tmp_path: Path) -> None:
    async with running(Rig(tmp_path)) as rig:
        rig.outputs.core_silent(True)
        assert await rig.after(1) == "1"
        rig.file.write_text("0\n")
        assert await rig.after(31) == "1"


async def test_a_failed_output_is_said_once_and_tried_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rig = Rig(tmp_path)
    rig.file.mkdir()
    caplog.set_level("INFO")
    async with running(rig):
        rig.outputs.core_silent(True)
        for _ in range(10):
            await rig.clock.advance(0.5)
            await asyncio.sleep(0.01)
        assert rig.outputs.facts()["outputs_failed"] == 1
        assert caplog.text.count("output failed output=siren") == 1
        rig.file.rmdir()
        assert await rig.after(2) == "1"
        assert rig.outputs.facts() == {"outputs_on": 1, "outputs_failed": 0}
        assert "works again" in caplog.text


def test_a_model_without_danger_is_left_alone(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    plain = FakeModel.dense([Point("pump-1", "run", kind="digital")])
    assert rig.outputs.watch(plain) is plain
    assert rig.model.points == [CALL]
    nothing = Outputs({}, PRESSED, rig.clock, lambda: True)
    model = FakeModel.dense([CALL])
    assert nothing.watch(model) is model


async def test_what_comes_with_another_configuration_is_watched_and_what_goes_keeps_nothing_on(
    tmp_path: Path,
) -> None:
    smoke = Point("fire-1", "fire.smoke", kind="analog", life=True)
    both = {**PRESSED, smoke.id: [Danger(">", 5, 0)]}
    async with running(Rig(tmp_path)) as rig:
        rig.up = False
        to_come = rig.outputs.watch(FakeModel.dense([smoke]), both)

        def smells(value: int) -> None:
            answer = Answer(Block(1, "holding", 0, 1), rig.clock.now(), np.array([value], np.uint16))
            to_come.decode(answer)

        smells(9)
        assert await rig.after(1) == "0", "it does not hold yet"
        rig.outputs.follow(both, {})
        assert await rig.after(1) == "0", "what was read before it held may be over"
        smells(9)
        assert await rig.after(1) == "1"
        smells(5)
        assert await rig.after(1) == "0"

        # Another limit of the same input, without a new model.
        rig.outputs.follow({**PRESSED, smoke.id: [Danger(">", 1, 0)]}, {})
        smells(5)
        assert await rig.after(1) == "1"
        # Back to what was before: nobody reads the smoke any more, so it must not sound for ever.
        rig.outputs.follow(PRESSED, {})
        assert await rig.after(1) == "0"
        smells(9)
        assert await rig.after(1) == "0"
        # What goes on is not forgotten over a change.
        rig.say(1)
        await rig.after(2)
        rig.outputs.follow(both, {})
        assert await rig.after(2) == "1", "the three seconds of the button went on"


async def test_an_output_whose_way_is_new_is_switched_by_the_new_way(tmp_path: Path) -> None:
    async with running(Rig(tmp_path)) as rig:
        rig.outputs.core_silent(True)
        assert await rig.after(1) == "1"
        moved = tmp_path / "moved"
        rig.outputs.follow(PRESSED, {"siren": FileOutput(moved), "unknown": FileOutput(tmp_path / "x")})
        assert await rig.after(31) == "1", "the old one is left as it is"
        assert moved.read_text() == "1\n"
        assert not (tmp_path / "x").exists(), "a new output holds from the next start"


async def test_a_program_is_run_and_its_failure_is_one(tmp_path: Path) -> None:
    file = tmp_path / "out"
    write = "import sys; open(sys.argv[1], 'w').write(sys.argv[2])"
    good = CommandOutput(
        [sys.executable, "-c", write, str(file), "on"], [sys.executable, "-c", write, str(file), "off"]
    )
    await good.put(on=True)
    assert file.read_text() == "on"
    await good.put(on=False)
    assert file.read_text() == "off"
    with pytest.raises(OutputFailed, match="code 3"):
        await CommandOutput([sys.executable, "-c", "raise SystemExit(3)"], ["true"]).put(on=True)
    with pytest.raises(OutputFailed, match="no-such-program"):
        await CommandOutput(["no-such-program"], ["true"]).put(on=True)


# ── a relay module ────────────────────────────────────────────────────────────────────────────────────


async def test_a_coil_is_written_and_read_back() -> None:
    bits = [SimData(0, values=[False] * 16, datatype=DataType.BITS)]
    words = [SimData(0, values=[0], datatype=DataType.REGISTERS)]
    coils = SimDevice(7, (bits, bits, words, words))
    server = ModbusTcpServer(coils, address=("127.0.0.1", 0))
    await server.listen()
    port = server.transport.sockets[0].getsockname()[1]  # type: ignore[attr-defined]  # a Server
    relay = TcpDriver(TcpOptions(host="127.0.0.1", port=port), SystemClock())
    assert isinstance(relay, Writer)
    try:
        with pytest.raises(OutputFailed, match="not connected"):
            await CoilOutput(relay, 7, 3).put(on=True)
        await relay.open()
        for on in (True, False, True):
            await CoilOutput(relay, 7, 3).put(on=on)
            answer = await relay.read(Block(7, "coil", 3, 1), 1)
            assert answer.words.tolist() == [int(on)]
        assert (await relay.read(Block(7, "coil", 2, 1), 1)).words.tolist() == [0]
    finally:
        await relay.close()
        await server.shutdown()  # type: ignore[no-untyped-call]


async def test_a_line_that_cannot_write_says_so() -> None:
    with pytest.raises(OutputFailed, match="cannot write"):
        await CoilOutput(FakeDriver(SystemClock(), {}), 7, 3).put(on=True)
