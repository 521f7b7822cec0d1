"""`steward push` to an edge on another machine: kept when all is well, taken back by itself when not."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.app.client import Client
from tests.e2e.cli_kit import Running, logged_in, running, steward, until

pytestmark = pytest.mark.slow


@dataclass
class Far:
    """A core with its site file, and an edge with a copy of it."""

    folder: Path
    env: dict[str, str]
    client: Client
    stack: ExitStack

    def edge(self, name: str) -> Running:
        arguments = ("edge", "edge.yaml", "--data", "E")
        mark = self.folder / "E"
        return self.stack.enter_context(
            running(*arguments, cwd=self.folder, mark=mark, name=name, env=self.env)
        )

    def facts(self) -> dict[str, float]:
        facts: dict[str, float] = self.client.get("/api/v1/health")["edges"]["gw-1"]["facts"]
        return facts

    def boot(self) -> str:
        edge = self.client.get("/api/v1/health")["edges"]["gw-1"]
        return str(edge["boot"]) if edge["online"] else ""

    def started_again(self, before: str, version: int) -> None:
        """A later boot is connected, and says that it runs this version."""
        until(lambda: self.boot() > before, 60)
        until(lambda: self.facts()["cfg_version"] == version and self.facts()["cfg_trial"] == 0, 60)

    def push(self, minutes: float = 0.2) -> tuple[int, dict[str, Any], str]:
        done = steward("push", "site.yaml", "--data", "C", "--minutes", minutes, "--json", cwd=self.folder)
        return done.returncode, orjson.loads(done.stdout) if done.stdout else {}, done.stderr

    def edit(self, old: str, new: str) -> str:
        site = self.folder / "site.yaml"
        text = site.read_text(encoding="utf-8")
        assert old in text
        site.write_text(text.replace(old, new, 1), encoding="utf-8")
        return text

    def undo(self, text: str) -> None:
        (self.folder / "site.yaml").write_text(text, encoding="utf-8")


@pytest.fixture
def far(tmp_path: Path) -> Iterator[Far]:
    with ExitStack() as stack:
        start = stack.enter_context
        serving = start(
            running("simulate", "calm", "--site", "site.yaml", cwd=tmp_path, mark=tmp_path / "-", name="s")
        )
        serving.until_said("devices serve")
        site = tmp_path / "site.yaml"
        text = site.read_text(encoding="utf-8").replace("- id: gw-1\n", "- id: gw-1\n  remote: true\n")
        for name in ("site.yaml", "edge.yaml"):
            (tmp_path / name).write_text(text, encoding="utf-8")
        steward("edge", "add", "gw-1", "--estate", "happiness-lane", "--data", "C", "--address", "127.0.0.1",
                cwd=tmp_path)  # fmt: skip
        core = start(running("run", "site.yaml", "--data", "C", "--port", "0", cwd=tmp_path,
                             mark=tmp_path / "C", name="run"))  # fmt: skip
        password = core.until_said("shown once", 60).split("password ")[1].split()[0]
        steward("edge", "add", "gw-1", "--estate", "happiness-lane", "--data", "C", "--address", "127.0.0.1",
                cwd=tmp_path)  # fmt: skip
        secret = (tmp_path / "C" / "edges" / "gw-1.env").read_text(encoding="utf-8")
        env = dict(line.split("=", 1) for line in secret.splitlines())
        yield Far(tmp_path, env, logged_in(tmp_path / "C", "admin", password), stack)


def test_a_push_is_kept_or_taken_back_and_survives_a_kill(far: Far) -> None:
    edge = far.edge("edge")
    until(lambda: far.facts().get("connected"))
    assert far.facts()["cfg_version"] == 0

    far.edit("profile: steward_pump_station", "period_s: 5\n      profile: steward_pump_station")
    code, said, complained = far.push()
    assert code == 0, complained
    assert [s["step"] for s in said["steps"]] == ["staged", "trial", "confirmed", "kept"]
    version = said["steps"][0]["version"]
    until(lambda: far.facts()["cfg_version"] == version)

    # Killed, it starts with what it has kept; its own site file does not know that.
    boot = far.boot()
    edge.process.send_signal(signal.SIGKILL)
    edge.process.wait(10)
    edge = far.edge("edge-2")
    far.started_again(boot, version)

    # A line that leads nowhere: back by itself, within a minute, and the command says why.
    good = far.edit(
        "period_s: 5\n      profile: steward_pump_station", "period_s: 6\n      profile: steward_pump_station"
    )
    text = (far.folder / "site.yaml").read_text(encoding="utf-8")
    ports = [line for line in text.splitlines() if line.strip().startswith("port: ")]
    assert ports
    (far.folder / "site.yaml").write_text(
        text.replace(ports[0], ports[0].split(":")[0] + ": 9"), encoding="utf-8"
    )
    code, said, complained = far.push(minutes=1)
    assert code == 1
    assert [s["step"] for s in said["steps"]][:2] == ["staged", "trial"]
    assert said["steps"][-1]["step"] == "back"
    assert "do not: " in complained
    until(lambda: far.facts()["cfg_taken_back"] == 1 and far.facts()["cfg_version"] == version)
    far.undo(good)

    # Killed while it is on trial: the old one, whole.
    far.edit("period_s: 5", "period_s: 7")
    pushing = far.stack.enter_context(
        running("push", "site.yaml", "--data", "C", "--minutes", "5", cwd=far.folder, mark=far.folder / "-",
                name="push")
    )  # fmt: skip
    pushing.until_said("trial")
    boot = far.boot()
    edge.process.send_signal(signal.SIGKILL)
    edge.process.wait(10)
    pushing.stop()
    far.edge("edge-3")
    far.started_again(boot, version)
    stage = orjson.loads((far.folder / "E" / "edge" / "gw-1" / "config" / "state.json").read_bytes())
    assert (stage["version"], stage["trial"]) == (version, False)
    assert ((far.folder / "C" / "edge-keys.json").stat().st_mode & 0o777) == 0o600


def test_a_push_that_nobody_can_take_says_so(far: Far) -> None:
    code, said, complained = far.push()
    assert (code, said) == (1, {})
    assert "does not answer" in complained
    far.env.pop("STEWARD_EDGE_KEY")
    far.edge("edge")
    until(lambda: far.facts().get("connected"))
    code, said, complained = far.push()
    assert code == 1
    assert said["steps"][-1]["step"] == "refused"
    assert "no key" in complained
