"""An edge on another machine, from enrolment to readings, as docs/how-to/enrol-an-edge.md tells it."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from tests.e2e.cli_kit import children, logged_in, running, steward, until

pytestmark = pytest.mark.slow


def test_an_enrolled_edge_is_started_by_itself_and_heard(tmp_path: Path) -> None:
    with running("simulate", "calm", "--site", "site.yaml", cwd=tmp_path, mark=tmp_path / "-", name="s") as s:
        s.until_said("devices serve")
        site, core, data = tmp_path / "site.yaml", tmp_path / "core", tmp_path / "edge"
        text = site.read_text(encoding="utf-8")
        site.write_text(text.replace("- id: gw-1\n", "- id: gw-1\n  remote: true\n"), encoding="utf-8")
        before = steward("edge", "add", "gw-1", "--estate", "happiness-lane", "--data", core,
                         "--address", "127.0.0.1", cwd=tmp_path)  # fmt: skip
        assert "broker       not running" in before.stdout
        with running("run", site, "--data", core, "--port", "0", cwd=tmp_path, mark=core, name="run") as run:
            password = run.until_said("shown once").split("password ")[1].split()[0]
            assert "edge-gw-1" not in children(core), "a remote edge is not started here"
            client = logged_in(core, "admin", password)
            assert not client.get("/api/v1/health")["edges"]["gw-1"]["online"]
            ill = steward("doctor", site, "--data", core, "--json", cwd=tmp_path)
            signs = {x["what"]: x for x in orjson.loads(ill.stdout)}
            assert signs["edge gw-1"]["ok"] is False
            assert "see that its credentials are right" in signs["edge gw-1"]["todo"]
            assert not any(what.startswith("line ") for what in signs), "its lines are not on this machine"

            added = steward("edge", "add", "gw-1", "--estate", "happiness-lane", "--data", core,
                            "--address", "127.0.0.1", cwd=tmp_path)  # fmt: skip
            assert "was known; its password stays" in added.stdout
            secret = (core / "edges" / "gw-1.env").read_text(encoding="utf-8").strip()
            env = dict(line.split("=", 1) for line in secret.splitlines())
            with running("edge", site, "--data", data, cwd=tmp_path, mark=data, name="edge", env=env) as edge:
                until(lambda: client.get("/api/v1/health")["edges"]["gw-1"]["online"])
                until(lambda: client.get("/api/v1/health")["balance"]["stored"] > 100)
                well = steward("doctor", site, "--data", data, "--gateway", "gw-1", cwd=tmp_path, env=env)
                assert well.returncode == 0, well.stdout
                assert "ok   line e1-bus" in well.stdout
                assert edge.stop() == 0
            assert run.stop() == 0
