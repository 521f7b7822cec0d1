"""Ctrl-C at any moment leaves no process behind: the demonstration while it starts and while it runs."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.cli_kit import children, processes_of, running, until

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("moment", ["simulators", "broker", "core", "running"])
def test_ctrl_c_ends_the_demo_with_all_its_processes(moment: str, tmp_path: Path) -> None:
    data = tmp_path / "D"
    begun: dict[str, Callable[[], bool]] = {
        "simulators": (data / "logs" / "simulators.out").exists,
        "broker": (data / "broker.json").exists,
        "core": lambda: "core" in children(data),
        "running": lambda: "/wall" in (tmp_path / "demo.out").read_text(encoding="utf-8"),
    }
    with running("demo", "--port", "0", "--data", data, cwd=tmp_path, mark=data, name="demo") as demo:
        until(begun[moment], 60)
        assert len(processes_of(data)) > 1
        assert demo.stop(signal.SIGINT) == 0, demo.complained()
        until(lambda: not processes_of(data), 15)
        assert "Traceback" not in demo.complained()


def test_a_killed_supervisor_leaves_only_the_broker_and_the_next_start_takes_it_over(tmp_path: Path) -> None:
    """The broker stays on purpose: edges of other machines go on while the supervisor comes back."""
    data = tmp_path / "D"
    arguments = ("demo", "--port", "0", "--data", data)
    with running(*arguments, cwd=tmp_path, mark=data, name="first") as demo:
        demo.until_said("/wall", 60)
        broker = children(data)["broker"]
        demo.process.kill()
        demo.process.wait(timeout=10)
        until(lambda: processes_of(data) == [broker], 15)
        with running(*arguments, cwd=tmp_path, mark=tmp_path / "-", name="second") as again:
            again.until_said("/wall", 60)
            assert children(data)["broker"] == broker
            assert again.stop(signal.SIGTERM) == 0
            until(lambda: not processes_of(data), 15)
