"""Running a scenario: in this process, as a child, and as a pytest fixture."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import orjson
import pytest

from gateway.errors import BadInput
from simulators.clock import LoopClock
from simulators.control import send
from simulators.pytest_plugin import EstateFactory
from simulators.run import Ready, main, simulate

START = 1_772_447_400_000


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_a_scenario_runs_for_its_time_and_writes_the_truth(tmp_path: Path) -> None:
    seen: list[Ready] = []
    truth = await simulate(
        "demo", clock=LoopClock(START, 60), start=START, for_s=30, faults=["call_button@call-1:0.5"],
        truth_path=tmp_path / "deep" / "truth.jsonl", on_ready=seen.append,
    )  # fmt: skip
    lines = [orjson.loads(x) for x in (tmp_path / "deep" / "truth.jsonl").read_bytes().splitlines()]
    assert lines == [x.as_dict() for x in truth]
    assert lines[0]["fault"] == "call_button"
    assert lines[0]["severity"] == 0.5
    assert [x["t"] - START for x in lines[1:3]] == [1_000, 4_000]
    ready = seen[0].as_dict()
    assert ready["ready"] is True
    assert {d["asset"] for d in ready["devices"]} >= {"lift-1", "fire-1", "sump-2"}


async def test_two_runs_with_one_seed_tell_the_same_truth(tmp_path: Path) -> None:
    for name in ("a", "b"):
        clock = LoopClock(START, 120)
        await simulate("demo", seed=5, clock=clock, start=START, for_s=70, truth_path=tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() != b""


async def test_what_cannot_be_broken_stops_the_start() -> None:
    with pytest.raises(BadInput, match="lift-1"):
        await simulate("calm", clock=LoopClock(START), for_s=1, faults=["burst@lift-1"])


@pytest.mark.parametrize(
    "arguments", [["nothing"], ["demo", "--speed", "0"], ["demo", "--estates", "0"], ["demo", "--fault", "x"]]
)
def test_bad_input_ends_with_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err.strip()


async def child(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "simulators.run", *arguments,
        cwd=Path(__file__).parents[3], stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def test_a_child_says_when_it_is_ready_obeys_and_stops_when_told(tmp_path: Path) -> None:
    process = await child("demo", "--json", "--hold", "--folder", str(tmp_path), "--start", str(START))
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            ready = orjson.loads(await process.stdout.readline())
            assert ready["ready"] is True
            assert ready["lines"]["e1-bus"].startswith(f"rtu:{tmp_path}/e1-bus?")
            assert (await send(ready["control"], {"do": "truth"}))["truth"] == []
            answer = await send(ready["control"], {"do": "fault", "kind": "power_cut", "asset": "pw-1"})
            assert answer["truth"]["expect"]["rule"] == "power.outage"
            assert "counts" in await send(ready["control"], {"do": "counts"})
            assert (await send(ready["control"], {"do": "begin"}))["ok"]
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert names(tmp_path) == [], "no device names are left behind"


async def test_the_fixture_gives_live_endpoints_and_the_truth(estate: EstateFactory) -> None:
    async with estate("calm", seed=3) as live:
        assert live.truth == []
        label = live.fault("fire_alarm", "fire-1")
        assert label is not None
        assert live.truth == [label]
        assert live.endpoints.lines["e1-plant"].startswith("tcp://127.0.0.1:")
        assert live.clear() == 1
