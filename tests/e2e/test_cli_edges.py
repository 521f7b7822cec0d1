"""`steward edge trace`, `steward edge retry` and `steward write` against a running installation."""

from __future__ import annotations

import asyncio
import re
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.app.asking import after
from gateway.app.client import Client
from tests.e2e.cli_kit import logged_in, running, steward, until
from tests.e2e.test_edge_writes_api import PROFILE, SITE
from tests.unit.gateway_edge.test_edge_writes import Device, served

pytestmark = pytest.mark.slow


@dataclass
class Asking:
    """A person at a terminal."""

    folder: Path
    password: str
    client: Client
    lang: str = "C.UTF-8"

    def say(self, *arguments: object, user: str = "admin") -> tuple[int, str, str]:
        env = {"STEWARD_PASSWORD": self.password, "LC_ALL": self.lang}
        done = steward(*arguments, "--data", "D", "--user", user, cwd=self.folder, env=env)
        return done.returncode, done.stdout, done.stderr

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [e for e in self.client.get("/api/v1/events", limit=500)["events"] if e["kind"] == kind]

    def facts(self) -> dict[str, float]:
        facts: dict[str, float] = self.client.get("/api/v1/health")["edges"]["gw-1"]["facts"]
        return facts


async def test_from_the_terminal_to_the_device_and_back(tmp_path: Path) -> None:
    device = Device()
    async with served(device) as port:
        (tmp_path / "drive.yaml").write_text(PROFILE, encoding="utf-8")
        (tmp_path / "site.yaml").write_text(SITE % port, encoding="utf-8")
        data = tmp_path / "D"
        with running(
            "run", "site.yaml", "--data", "D", "--port", "0", cwd=tmp_path, mark=data, name="r"
        ) as r:
            said = await asyncio.to_thread(r.until_said, "shown once", 60)
            password = re.search(r"password (\S+) \(shown once\)", said)
            assert password
            client = await asyncio.to_thread(logged_in, data, "admin", password[1])
            asking = Asking(tmp_path, password[1], client)
            await asyncio.to_thread(until, lambda: asking.facts().get("connected"), 60)
            await asyncio.to_thread(writing, asking, device)
            await asyncio.to_thread(tracing, asking)
            await asyncio.to_thread(trying_again, asking)
            assert asking.facts()["commands_refused"] == 0


def writing(a: Asking, device: Device) -> None:
    code, said, complained = a.say("write", "ws-1", "set_p", "0.45", "--reason", "night pressure")
    assert (code, said) == (0, "ws-1/set_p: 0.3 → 0.45\n"), complained
    assert [w[2] for w in device.written] == [[45]]
    code, said, complained = a.say("write", "ws-1", "set_p", "0.4", "--reason", "day", "--json")
    assert code == 0, complained
    assert {k: orjson.loads(said)[k] for k in ("result", "new")} == {"result": "done", "new": 0.4}

    # What the site file does not allow: 1 and the reason, and the device was left alone.
    code, said, complained = a.say("write", "ws-1", "set_p", "-5", "--reason", "try")
    assert (code, said) == (1, "")
    assert "out of the allowed range" in complained
    assert "[range: " in complained
    a.lang = "zh_CN.UTF-8"
    assert "数值超出允许范围" in a.say("write", "ws-1", "set_p", "0.9", "--reason", "try")[2]
    a.lang = "C.UTF-8"
    for point in (("ws-1", "out_p"), ("ws-9", "set_p"), ("../me", "x y")):
        code, said, complained = a.say("write", *point, "0.4", "--reason", "try")
        assert (code, said) == (2, ""), complained
    assert len(device.written) == 2
    assert a.say("write", "ws-1", "set_p", "0.4", "--reason", "try", user="nobody")[0] == 1
    assert sorted(e["data"]["value"] for e in a.events("point.write")) == [-5, 0.4, 0.45, 0.9]
    assert {e["actor"] for e in a.events("point.write")} == {"admin"}


def tracing(a: Asking) -> None:
    code, said, complained = a.say("edge", "trace", "gw-1", "pump-room", "--on")
    assert (code, complained) == (0, "recording is on\n"), said

    def frames() -> list[dict[str, Any]]:
        code, said, complained = a.say("edge", "trace", "gw-1", "pump-room", "--unit", "1", "--json")
        assert code == 0, complained
        return [orjson.loads(line) for line in said.splitlines()]

    until(lambda: len(frames()) >= 4)
    found = frames()
    assert {f["direction"] for f in found} == {"in", "out"}
    assert {f["unit"] for f in found} == {1}
    # The request for registers 4 and 5 of unit 1 (function 3), as it stands on the wire.
    assert any(f["hex"].replace(" ", "").endswith("010300040002") for f in found), found
    assert a.say("edge", "trace", "gw-1", "pump-room", "--off")[0] == 0

    env = {"STEWARD_PASSWORD": a.password, "STEWARD_USER": "admin"}
    arguments = ("edge", "trace", "gw-1", "pump-room", "--follow", "--data", "D")
    with running(*arguments, cwd=a.folder, mark=a.folder / "-", name="follow", env=env) as follow:

        def shown() -> bool:
            return len(follow.said().splitlines()) >= 8

        until(shown)
        lines = follow.said().splitlines()
        assert all(re.match(r"\d\d:\d\d:\d\d\.\d{3}  (in |out)  +1  [0-9a-f ]+$", x) for x in lines), lines
        assert len(set(lines)) == len(lines), "each frame once"
        assert follow.stop(signal.SIGINT) == 0
    switched = [e["data"]["on"] for e in a.events("edge.trace")]
    assert sorted(switched) == [False, False, True, True], "looking is not noted"

    code, _, complained = a.say("edge", "trace", "gw-1", "nix")
    assert code == 1
    assert "The edge has no such line. [no_line: there is no line 'nix']" in complained
    assert a.say("edge", "trace", "gw-9", "pump-room")[0] == 2


def trying_again(a: Asking) -> None:
    assert a.say("edge", "retry", "gw-1") == (
        0,
        "edge gw-1: asks its silent devices and lines again now\n",
        "",
    )
    code, said, _ = a.say("edge", "retry", "gw-1", "drive", "--json")
    assert (code, orjson.loads(said)) == (0, {"ok": True, "edge": "gw-1", "device": "drive"})
    code, _, complained = a.say("edge", "retry", "gw-1", "nix")
    assert (code, "no such device" in complained) == (1, True)
    noted = a.events("edge.retry")
    assert [e["data"].get("device") for e in noted].count("drive") == 1
    assert {e["actor"] for e in noted} == {"admin"}


def test_only_frames_that_were_not_shown_are_shown() -> None:
    a, b, c, d = ((n, "in", 1, "00") for n in range(4))
    assert after([], [a, b]) == [a, b]
    assert after([a, b], [a, b]) == []
    assert after([a, b], [a, b, c]) == [c]
    assert after([a, b, c], [b, c, d]) == [d]
    assert after([a, a], [a, a, a]) == [a]
    assert after([a, b], [c, d]) == [c, d]
