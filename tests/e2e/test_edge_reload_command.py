"""`steward reload` against real processes: edges take up a changed site file while they run."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from gateway.app.client import Client
from tests.e2e.cli_kit import Running, children, logged_in, running, steward, until

pytestmark = pytest.mark.slow


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Path]:
    """Simulated devices, and a site file that reads them."""
    with running("simulate", "calm", "--site", "site.yaml", cwd=tmp_path, mark=tmp_path / "-", name="s") as s:
        s.until_said("devices serve")
        yield tmp_path


def password_of(all_in_one: Running) -> str:
    said = all_in_one.until_said("password", 60)
    return said.split("password")[1].split()[0]


def edit(folder: Path, old: str, new: str) -> None:
    site = folder / "site.yaml"
    text = site.read_text(encoding="utf-8")
    assert old in text
    site.write_text(text.replace(old, new, 1), encoding="utf-8")


def edges(client: Client) -> dict[str, dict[str, float]]:
    return {k: v["facts"] for k, v in client.get("/api/v1/health")["edges"].items()}


def test_all_in_one_takes_up_what_changed_and_refuses_what_is_wrong(served: Path) -> None:
    data = served / "D"
    with running("run", "site.yaml", "--data", "D", "--port", "0", cwd=served, mark=data, name="run") as r:
        client = logged_in(data, "admin", password_of(r))
        until(lambda: client.get("/api/v1/health")["balance"]["stored"] > 100)
        before = children(data)

        # A broken file: told with its place, and nobody was asked.
        site = (served / "site.yaml").read_text(encoding="utf-8")
        edit(served, "profile: steward_pump_station", "profile: steward_pump_statio")
        broken = steward("reload", "--data", "D", cwd=served)
        assert broken.returncode == 2, broken.stdout + broken.stderr
        assert "site.yaml:" in broken.stderr
        assert "profile" in broken.stderr
        assert children(data) == before
        (served / "site.yaml").write_text(site, encoding="utf-8")

        same = steward("reload", "site.yaml", "--data", "D", cwd=served)
        assert same.returncode == 0, same.stderr
        assert "nothing has changed" in same.stdout
        assert children(data) == before

        # One device is read more slowly: one line is touched, the core starts anew, nothing is lost.
        edit(served, "profile: steward_pump_station", "period_s: 5\n      profile: steward_pump_station")
        done = steward("reload", "--data", "D", "--json", cwd=served)
        assert done.returncode == 0, done.stderr + done.stdout
        said = orjson.loads(done.stdout)["said"]["steward"]
        assert any("lines go on untouched; changed: " in x for x in said), said
        assert any(x.startswith("core: started anew") for x in said), said
        after = children(data)
        assert {k for k in after if after[k] != before.get(k)} == {"core"}
        client = logged_in(data, "admin", password_of(r))
        until(lambda: client.get("/api/v1/health")["balance"]["due"] > 0, 60)

        def closed() -> bool:
            balance = client.get("/api/v1/health")["balance"]
            assert balance["residual"] == 0, balance
            return True

        until(closed, 60)
        other = steward("reload", "elsewhere.yaml", "--data", "D", cwd=served)
        assert other.returncode == 2
        assert r.stop(signal.SIGTERM) == 0
    assert not list((data / "run").glob("reload-*.json"))
    gone = steward("reload", "--data", "D", cwd=served)
    assert gone.returncode == 2
    assert "nothing runs" in gone.stderr
