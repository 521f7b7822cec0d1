"""A whole installation that other machines reach: over TLS with its own certificates, or in plain text."""

from __future__ import annotations

import re
import socket
import ssl
from pathlib import Path

import orjson
import pytest
from cryptography import x509
from playwright.sync_api import Browser, expect

from gateway.adapters.tls_authority import read
from tests.e2e.cli_kit import logged_in, running, steward, until, url_of
from tests.e2e.pages_support import WALL, browser

pytestmark = pytest.mark.slow
__all__ = ["browser"]


def shown(port: int, trust: Path) -> str:
    """Serial number of the certificate that a new connection is shown; it must be trusted."""
    context = ssl.create_default_context(cafile=str(trust))
    with (
        socket.create_connection(("127.0.0.1", port), 5) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as tls,
    ):
        der = tls.getpeercert(binary_form=True)
    assert der is not None
    return f"{x509.load_der_x509_certificate(der).serial_number:x}"


def password_in(said: str) -> str:
    found = re.search(r"password (\S+) \(shown once\)", said)
    assert found, said
    return found[1]


def test_over_tls_an_edge_elsewhere_reports_and_a_renewal_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    core, data, site = tmp_path / "core", tmp_path / "edge", tmp_path / "site.yaml"
    with running("simulate", "calm", "--site", "site.yaml", cwd=tmp_path, mark=tmp_path / "-", name="s") as s:
        s.until_said("devices serve")
        text = site.read_text(encoding="utf-8")
        site.write_text(text.replace("- id: gw-1\n", "- id: gw-1\n  remote: true\n"), encoding="utf-8")
        made = steward("cert", "make", "--data", core, "--name", "core.example.org", cwd=tmp_path)
        assert made.returncode == 0, made.stderr
        enrolled = steward("edge", "add", "gw-1", "--estate", "happiness-lane", "--data", core,
                           "--address", "127.0.0.1", cwd=tmp_path)  # fmt: skip
        assert enrolled.returncode == 0, enrolled.stderr
        trust = core / "tls" / "trust.pem"
        monkeypatch.setenv("STEWARD_CA", str(trust))
        begin = ("run", site, "--data", core, "--port", "0", "--lan")
        with running(*begin, cwd=tmp_path, mark=core, name="run") as run:
            password = password_in(run.until_said("shown once"))
            assert url_of(core).startswith("https://")
            client = logged_in(core, "admin", password)
            added = steward("edge", "add", "gw-1", "--estate", "happiness-lane", "--data", core,
                            "--address", "127.0.0.1", cwd=tmp_path)  # fmt: skip
            assert added.returncode == 0, added.stderr
            secret = (core / "edges" / "gw-1.env").read_text(encoding="utf-8")
            assert "STEWARD_MQTT=mqtts://gw-1:" in secret
            env = dict(line.split("=", 1) for line in secret.splitlines())
            assert env["STEWARD_CA"] == "gw-1.ca.pem"
            env["STEWARD_CA"] = str(core / "edges" / env["STEWARD_CA"])
            with running("edge", site, "--data", data, cwd=tmp_path, mark=data, name="edge", env=env) as edge:
                until(lambda: client.get("/api/v1/health")["balance"]["stored"] > 100)
                assert client.get("/api/v1/health")["plain"] == {}
                ports = [
                    int(url_of(core).rsplit(":", 1)[1]),
                    orjson.loads((core / "broker.json").read_bytes())["mqtt_port"],
                ]
                before = [shown(port, trust) for port in ports]
                renewed = steward("cert", "renew", "--data", core, cwd=tmp_path)
                assert renewed.returncode == 0, renewed.stderr
                after = [read(core / "tls" / name).serial for name in ("web.pem", "broker.pem")]
                until(lambda: [shown(port, trust) for port in ports] == after)
                assert not set(before) & set(after)
                so_far = client.get("/api/v1/health")["balance"]["stored"]
                until(lambda: client.get("/api/v1/health")["balance"]["stored"] > so_far + 100)
                assert client.get("/api/v1/health")["edges"]["gw-1"]["online"]
                well = steward("doctor", site, "--data", core, "--json", cwd=tmp_path)
                signs = {x["what"]: x for x in orjson.loads(well.stdout)}
                for name in ("cert ca", "cert broker", "cert web", "pages", "edge gw-1", "broker"):
                    assert signs[name]["ok"], signs[name]
                assert signs["cert web"]["said"] in ("396 days left", "397 days left")
                tail = running(
                    "tail", "status", "--data", core, cwd=tmp_path, mark=tmp_path / "-", name="tail"
                )
                with tail as listening:
                    listening.until_said("online")
                assert edge.stop() == 0
            assert run.stop() == 0


@pytest.mark.browser
def test_plain_text_is_refused_unless_wanted_and_then_stands_on_the_wall(
    tmp_path: Path, browser: Browser
) -> None:
    data, site = tmp_path / "D", tmp_path / "site.yaml"
    with running("simulate", "calm", "--site", "site.yaml", cwd=tmp_path, mark=tmp_path / "-", name="s") as s:
        s.until_said("devices serve")
        begin = ("run", site, "--data", data, "--port", "0", "--lan")
        refused = steward(*begin, cwd=tmp_path)
        assert refused.returncode == 2
        assert "web.plain: pages on 0.0.0.0 would send passwords in plain text" in refused.stderr
        assert "broker.plain: MQTT with 0.0.0.0" in refused.stderr
        assert "steward cert make" in refused.stderr
        assert not (data / "broker.json").exists(), "nothing was started"
        with site.open("a", encoding="utf-8") as f:
            f.write("web: { plain: true }\nbroker: { plain: true }\n")
        with running(*begin, cwd=tmp_path, mark=data, name="run") as run:
            password = password_in(run.until_said("shown once"))
            client = logged_in(data, "admin", password)
            assert client.get("/api/v1/health")["plain"] == {"web": "0.0.0.0", "broker": "0.0.0.0"}
            context = browser.new_context(viewport={"width": WALL[0], "height": WALL[1]}, locale="zh-CN")
            page = context.new_page()
            page.goto(f"{url_of(data)}/login")
            page.fill("#user", "admin")
            page.fill("#password", password)
            page.click("main button.primary, form button.primary")
            page.wait_for_url(lambda url: "/login" not in url)
            page.goto(f"{url_of(data)}/wall")
            badge = page.locator("#plain")
            expect(badge).to_be_visible(timeout=20_000)
            expect(badge).to_have_text("明文传输")
            assert "口令可被窃听" in (badge.get_attribute("title") or "")
            context.close()
            assert run.stop() == 0
