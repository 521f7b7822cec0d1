"""Every command for keeping an installation, against one that runs: simulated devices, `steward run`."""

from __future__ import annotations

import csv
import io
import os
import re
import signal
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import aiomqtt
import orjson
import pytest

from gateway.adapters.mqtt_side import MqttAddress
from gateway.app.client import Client
from gateway.errors import Forbidden
from tests.e2e.cli_kit import (
    Running,
    alarms,
    children,
    logged_in,
    orders,
    processes_of,
    running,
    steward,
    until,
)

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("cli_installation")]


@dataclass
class Installation:
    """The running one: where, and its administrator."""

    folder: Path
    run: Running
    client: Client
    password: str

    @property
    def data(self) -> Path:
        return self.folder / "D"

    @property
    def site(self) -> Path:
        return self.folder / "site.yaml"


def first_password(said: str) -> str:
    found = re.search(r"user admin, password (\S+) \(shown once\)", said)
    assert found, said
    return found[1]


def refused(client: Client) -> bool:
    """Whether the session is over."""
    try:
        client.get("/api/v1/snapshot")
    except Forbidden:
        return True
    return False


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("cli")
    arguments = ("simulate", "calm", "--fault", "pump_trip@ws-1", "--site", "site.yaml")
    with running(*arguments, cwd=folder, mark=folder / "none", name="simulate") as devices:
        devices.until_said("devices serve")
        data = folder / "D"
        begun = ("run", "site.yaml", "--data", "D", "--port", "0")
        with running(*begun, cwd=folder, mark=data, name="run") as run:
            password = first_password(run.until_said("shown once"))
            client = logged_in(data, "admin", password)
            until(lambda: orders(client) and alarms(client) and (data / "notices.jsonl").exists())
            yield Installation(folder, run, client, password)
            if run.process.poll() is None:
                assert run.stop() == 0
            until(lambda: not processes_of(data), 10)
        assert devices.stop() == 0


def test_the_first_password_is_nowhere_in_clear_text(there: Installation) -> None:
    for path in there.data.rglob("*"):
        if path.is_file():
            assert there.password.encode() not in path.read_bytes(), path
    assert "shown once" not in there.run.complained()


def test_a_second_start_on_the_same_data_is_refused(there: Installation) -> None:
    before = children(there.data)
    done = steward("run", "site.yaml", "--data", "D", "--port", "0", cwd=there.folder)
    assert done.returncode == 1
    assert "in use by another Steward" in done.stderr
    assert done.stderr.count("\n") == 1
    assert children(there.data) == before, "the running one keeps its broker and its children"


def test_people_come_and_go_while_it_runs(there: Installation) -> None:
    added = steward("user", "add", "chen", "--role", "technician", "--name", "陈", "--duty", "TE",
                    "--data", "D", cwd=there.folder)  # fmt: skip
    assert added.returncode == 0, added.stderr
    old = re.search(r"password (\S+)", added.stdout)
    assert old
    client = logged_in(there.data, "chen", old[1])
    assert client.get("/api/v1/snapshot")["assets"]
    listed = orjson.loads(steward("user", "list", "--json", "--data", "D", cwd=there.folder).stdout)
    chen = next(u for u in listed if u["id"] == "chen")
    assert (chen["name"], chen["role"], chen["duties"], chen["may_log_in"]) == (
        "陈",
        "technician",
        ["TE"],
        True,
    )

    changed = steward("user", "password", "chen", "--json", "--data", "D", cwd=there.folder)
    new = orjson.loads(changed.stdout)["password"]
    until(lambda: refused(client), 8)  # the web looks at most every five seconds
    with pytest.raises(Forbidden):
        client.login("chen", old[1])
    logged_in(there.data, "chen", new)

    assert steward("user", "add", "chen", "--data", "D", cwd=there.folder).returncode == 2
    assert steward("user", "drop", "chen", "--data", "D", cwd=there.folder).returncode == 0
    with pytest.raises(Forbidden):
        client.login("chen", new)
    assert steward("user", "drop", "chen", "--data", "D", cwd=there.folder).returncode == 2


def test_doctor_finds_a_sound_installation_sound(there: Installation) -> None:
    done = steward("doctor", "site.yaml", "--data", "D", "--json", cwd=there.folder)
    signs = {s["what"]: s for s in orjson.loads(done.stdout)}
    assert done.returncode == 0, [s for s in signs.values() if s["ok"] is False]
    for what in ("packages", "site", "disk", "broker", "pages", "line e1-plant", "line e1-bus", "edge gw-1"):
        assert signs[what]["ok"] is True, signs[what]
    assert re.search(r"heard \d s ago", signs["edge gw-1"]["said"])


def test_doctor_names_what_is_bad_and_what_to_do(there: Installation) -> None:
    text = there.site.read_text(encoding="utf-8")
    broken = there.folder / "broken.yaml"
    port = re.search(r"port: (\d+)", text)
    assert port
    broken.write_text(text.replace(port[0], "port: 9", 1), encoding="utf-8")
    done = steward("doctor", broken, "--data", "D", cwd=there.folder)
    assert done.returncode == 1
    assert "BAD  line e1-plant  127.0.0.1:9" in done.stdout
    assert "→ check cable, address, power" in done.stdout
    broken.write_text(text.replace("kind: modbus_tcp", "kind: modbus", 1), encoding="utf-8")
    done = steward("doctor", broken, "--data", "D", cwd=there.folder)
    assert done.returncode == 1
    assert "there is no line kind 'modbus' (did you mean modbus_tcp?)" in done.stdout


def test_verify_finds_the_log_sound_and_a_change_in_a_copy(there: Installation) -> None:
    sound = steward("verify", "--data", "D", cwd=there.folder)
    assert (sound.returncode, sound.stdout) == (0, "happiness-lane: sound\n")
    copy = there.folder / "tampered"
    assert steward("backup", copy, "--data", "D", cwd=there.folder).returncode == 0
    seq = 3
    with closing(sqlite3.connect(copy / "state.db")) as con:
        done = con.execute("update events set actor = 'nobody', t = t + 1 where seq = ?", (seq,))
        assert done.rowcount == 1
        con.commit()
    bad = steward("verify", "--data", "tampered", "--json", cwd=there.folder)
    assert bad.returncode == 1
    assert orjson.loads(bad.stdout) == {"ok": False, "first_bad": {"happiness-lane": seq}}
    words = steward("verify", "--data", "tampered", cwd=there.folder)
    assert words.stdout == f"happiness-lane: BAD from entry {seq} on\n"


def test_report_as_csv_and_json(there: Installation) -> None:
    done = steward("report", "site.yaml", "--data", "D", cwd=there.folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("\ufeff"), "a spreadsheet needs the mark to read Chinese"
    rows = {r["asset"]: r for r in csv.DictReader(io.StringIO(done.stdout.removeprefix("\ufeff")))}
    assert rows["ws-1"]["system"] == "water"
    assert len(rows) == 18
    told = orjson.loads(steward("report", "site.yaml", "--data", "D", "--json", cwd=there.folder).stdout)
    assert [r["asset"] for r in told["rows"]] == list(rows)
    assert told["from"] < told["now"] <= told["to"]


def test_tail_shows_decoded_readings_until_it_is_stopped(there: Installation) -> None:
    arguments = ("tail", "ws-1/ws.out_p", "--json", "--data", "D")
    with running(*arguments, cwd=there.folder, mark=there.folder / "none", name="tail") as tail:
        tail.until_said("\n")
        row = orjson.loads(tail.said().splitlines()[0])
        assert (row["point"], row["unit"], row["quality"]) == ("ws-1/ws.out_p", "MPa", "GOOD")
        assert 0 < row["v"] < 2
        assert tail.stop() == 0
        assert tail.complained() == ""


async def test_a_new_edge_is_known_to_the_running_broker_at_once(there: Installation) -> None:
    done = steward("edge", "add", "gw-2", "--estate", "happiness-lane", "--data", "D",
                   "--address", "127.0.0.1", cwd=there.folder)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "takes the new user from now on" in done.stdout
    secret = there.data / "edges" / "gw-2.env"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    given = dict(line.split("=", 1) for line in secret.read_text(encoding="utf-8").splitlines())
    assert given.keys() == {"STEWARD_MQTT", "STEWARD_EDGE_KEY"}
    address = MqttAddress.parse(given["STEWARD_MQTT"])
    async with address.client("gw-2-test") as client:
        await client.publish("steward/v1/happiness-lane/gw-2/status", b"{}", qos=1)
    wrong = MqttAddress(address.host, address.port, address.user, "guess")
    with pytest.raises(aiomqtt.MqttError):
        async with wrong.client("gw-2-guess"):
            pass
    again = steward("edge", "add", "gw-2", "--estate", "happiness-lane", "--data", "D", cwd=there.folder)
    assert "was known; its password stays" in again.stdout
    stub = (there.data / "edges" / "gw-2.yaml").read_text(encoding="utf-8")
    assert "profile: eastron_sdm630" in stub


def test_a_killed_edge_and_broker_come_back(there: Installation) -> None:
    before = children(there.data)
    for name in ("edge-gw-1", "broker"):
        os.kill(before[name], signal.SIGKILL)
    until(lambda: all(children(there.data)[n] != before[n] for n in ("edge-gw-1", "broker")))
    until(lambda: there.client.get("/api/v1/health")["edges"]["gw-1"]["online"])


def test_backup_while_it_runs_and_restore_start_where_it_was(there: Installation) -> None:
    """Runs last: it stops the installation and starts the restored one."""
    done = steward("backup", "B", "--data", "D", cwd=there.folder)
    assert done.returncode == 0, done.stderr
    assert f"copied to {there.folder / 'B'}" in done.stdout
    full = steward("backup", "B", "--data", "D", cwd=there.folder)
    assert (full.returncode, full.stderr.count("\n")) == (2, 1)
    kept = [(a["id"], a["occurrence"], a["raised_at"], a["state"]) for a in alarms(there.client)]
    work = [(o["id"], o["state"], o["stamps"]) for o in orders(there.client)]
    assert kept
    assert work
    in_use = steward("restore", "B", "--data", "D", cwd=there.folder)
    assert (in_use.returncode, "in use" in in_use.stderr) == (1, True)

    assert there.run.stop() == 0
    until(lambda: not processes_of(there.data), 10)
    unforeseen = [x for x in there.run.complained().splitlines() if "ended code=-9" not in x]
    assert unforeseen == []
    full = steward("restore", "B", "--data", "D", cwd=there.folder)
    assert (full.returncode, "is not empty" in full.stderr) == (2, True)

    restored = there.folder / "R"
    assert steward("restore", "B", "--data", "R", cwd=there.folder).returncode == 0
    assert steward("verify", "--data", "R", cwd=there.folder).returncode == 0
    with running("run", "site.yaml", "--data", "R", "--port", "0", cwd=there.folder, mark=restored,
                 name="restored") as run:  # fmt: skip
        said = run.until_said("http://")
        assert "first start" not in said, "the people are those of the backup"
        client = logged_in(restored, "admin", there.password)
        until(lambda: client.get("/api/v1/health")["edges"]["gw-1"]["online"])
        until(lambda: client.get("/api/v1/health")["balance"]["stored"] > 0)
        now = {a["id"]: (a["id"], a["occurrence"], a["raised_at"], a["state"]) for a in alarms(client)}
        assert [now[id_] for id_, *_ in kept] == kept, "no alarm is raised anew"
        assert [(o["id"], o["state"], o["stamps"]) for o in orders(client)] == work
        old = {orjson.loads(line)["id"] for line in (there.data / "notices.jsonl").read_bytes().splitlines()}
        sent = restored / "notices.jsonl"
        new = (
            {orjson.loads(line)["id"] for line in sent.read_bytes().splitlines()} if sent.exists() else set()
        )
        assert not old & new, "nobody is told twice"
        assert run.stop(signal.SIGTERM) == 0
        until(lambda: not processes_of(restored), 10)
