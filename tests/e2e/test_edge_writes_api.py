"""From the HTTP interface to a register and back: done, refused, not taken; all of it in the event log."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.cli_kit import running, until, url_of
from tests.unit.gateway_edge.test_edge_writes import Device, served

pytestmark = pytest.mark.slow

PROFILE = """
name: drive
title: { zh: 变频器, en: drive }
kind: water
source: { document: made for this test }
protocol: modbus
points:
- { tag: set_p, name: { zh: 设定压力, en: set pressure }, area: holding, address: 4, type: u16, scale: 1/100,
    unit: MPa, period_s: 1, writable: true }
- { tag: out_p, name: { zh: 出口压力, en: outlet pressure }, area: holding, address: 5, type: u16,
    scale: 1/100, unit: MPa, period_s: 1 }
cases:
- { name: one, holding: { 4: "00 64" }, expect: { set_p: 1.0 } }
"""
SITE = """
site: { id: my-site, name: { en: My estate } }
firms:
- { id: my-firm, name: { en: My firm } }
estates:
- { id: home, firm: my-firm, name: { en: Home } }
assets:
- { id: ws-1, estate: home, kind: water, name: { en: Pump station } }
gateways:
- id: gw-1
  estate: home
  lines:
  - id: pump-room
    kind: modbus_tcp
    options: { host: 127.0.0.1, port: %d }
    devices:
    - id: drive
      profile: drive.yaml
      asset: ws-1
      writes: { set_p: { min: 0.2, max: 0.6, per_minute: 10 } }
people:
- { id: li, name: Li, role: operator, duties: [TE, PM, CR, FM] }
"""


class Api:
    """The manager's client. Blocking."""

    def __init__(self, data: Path, password: str) -> None:
        self.http = httpx.Client(base_url=url_of(data), trust_env=False, timeout=60)
        body = self.http.post("/api/v1/login", json={"user": "admin", "password": password}).json()
        self.http.headers["X-CSRF-Token"] = body["csrf"]

    def write(self, value: float, key: str, point: str = "ws-1/set_p") -> tuple[int, dict[str, Any]]:
        answer = self.http.post(
            f"/api/v1/points/{point}/write", json={"value": value, "reason": "night"},
            headers={"Idempotency-Key": key},
        )  # fmt: skip
        return answer.status_code, answer.json()

    def get(self, path: str) -> Any:
        return self.http.get(f"/api/v1{path}").json()


async def test_a_write_from_the_interface_to_the_register(tmp_path: Path) -> None:
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
            api = Api(data, password[1])
            await asyncio.to_thread(scenario, api, device)
            api.http.close()


def scenario(api: Api, device: Device) -> None:
    until(lambda: api.get("/health")["edges"]["gw-1"]["online"], 60)

    def shown() -> float | None:
        value = api.get("/snapshot")["values"].get("ws-1/set_p")
        return float(value[1]) if value else None

    until(lambda: shown() == 0.3)
    status, body = api.write(0.45, "key-0001")
    assert (status, body["write"]["result"]) == (200, "done"), body
    assert (body["write"]["old"], body["write"]["new"]) == (0.3, 0.45)
    until(lambda: shown() == 0.45)

    # The same key: the same answer, and the device is left alone.
    again = api.write(0.45, "key-0001")
    assert again == (status, body)
    assert len(device.written) == 1

    for value, key in ((0.7, "key-0002"), (0.19, "key-0003")):
        status, body = api.write(value, key)
        assert (status, body["code"], body["result"]) == (409, "range", "refused"), body
    assert api.write(0.4, "key-0004", "ws-1/out_p")[0] == 422
    assert api.write(0.4, "key-0005", "ws-9/set_p")[0] == 404
    assert len(device.written) == 1

    device.mode = "bends"
    status, body = api.write(0.5, "key-0006")
    assert (status, body["code"], body["new"]) == (409, "mismatch", 0.51), body

    def raised() -> bool:
        return any(a["rule"] == "gateway.write" for a in api.get("/snapshot")["alarms"])

    until(raised)

    events = api.get("/events?limit=500")["events"]
    asked = [e for e in events if e["kind"] == "point.write"]
    ended = [e for e in events if e["kind"] == "point.written"]
    assert sorted(e["data"]["value"] for e in asked) == [0.19, 0.45, 0.5, 0.7]
    assert {e["actor"] for e in asked + ended} == {"admin"}
    assert all(e["data"]["reason"] == "night" for e in asked)
    told = {e["data"]["value"]: e["data"] for e in ended}
    assert {v: d["result"] for v, d in told.items()} == {
        0.45: "done", 0.7: "refused", 0.19: "refused", 0.5: "mismatch",
    }  # fmt: skip
    assert (told[0.45]["old"], told[0.45]["new"]) == (0.3, 0.45)
