"""The wheel: what is in it, what it needs, and that an edge works with the base requirements alone."""

from __future__ import annotations

import email
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import orjson
import pytest

from gateway.app import guard
from gateway.errors import BadInput
from tests.e2e.cli_kit import steward

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("alerts", "dashboards", "drivers", "gateway", "simulators")
BASE_ONLY = """
import json, pathlib, runpy, sys

GONE = {"alembic", "apprise", "argon2", "bcrypt", "duckdb", "fastapi", "influxdb_client", "jinja2", "nats",
        "psycopg", "python_multipart", "sqlalchemy", "starlette", "uvicorn"}

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in GONE:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocker())
sys.path.insert(0, sys.argv[1])
import gateway.edge.agent
from gateway.cli import main

told = {"from": gateway.__file__}
for line in sys.argv[2:]:
    try:
        main(line.split())
    except SystemExit as e:
        told[line] = e.code
pathlib.Path("told.json").write_text(json.dumps(told))
"""
"""Runs command lines in a process that has the unpacked wheel and none of the extras."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT, check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    return next(folder.glob("*.whl"))


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_top_level_is_exactly_the_five_packages(wheel: Path) -> None:
    tops = {n.split("/")[0] for n in names(wheel)}
    assert tops == {*PACKAGES, "steward_gateway-0.1.0.dist-info"}


def test_every_file_of_the_packages_is_in_the_wheel(wheel: Path) -> None:
    """Profiles, rules, scenarios, pages, texts, migrations: what the program reads at run time."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no checkout")
    tracked = subprocess.run(
        ["git", "ls-files", *PACKAGES], cwd=ROOT, check=True, capture_output=True, text=True, timeout=60
    ).stdout.split("\n")
    wanted = {n for n in tracked if n}
    assert wanted - names(wheel) == set()
    kinds = {Path(n).suffix for n in wanted}
    assert {".yaml", ".html", ".css", ".js", ".typed"} <= kinds
    for needed in (
        "alerts/defaults/matrix.yaml",
        "drivers/profiles/eastron_sdm630.yaml",
        "gateway/adapters/state/migrations/versions/0001_first.py",
        "simulators/scenarios/demo.yaml",
    ):
        assert needed in names(wheel)


def test_nothing_else_is_in_the_wheel(wheel: Path) -> None:
    strange = [n for n in names(wheel) if re.search(r"__pycache__|\.pyc$|\.db$|\.log$|(^|/)tests/", n)]
    assert strange == []


def test_what_it_needs_and_what_it_is_called(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        meta = email.message_from_bytes(archive.read("steward_gateway-0.1.0.dist-info/METADATA"))
        entry = archive.read("steward_gateway-0.1.0.dist-info/entry_points.txt").decode()
    needs = meta.get_all("Requires-Dist") or []
    base = {re.split(r"[<>=!~\[; ]", n)[0].lower() for n in needs if "extra ==" not in n}
    assert base == {"aiomqtt", "numpy", "orjson", "paho-mqtt", "pydantic", "pymodbus", "pyserial", "pyyaml",
                    "rich", "typer"}  # fmt: skip
    assert meta["License-Expression"] == "Apache-2.0"
    assert "steward = gateway.cli:main" in entry
    assert set(meta.get_all("Provides-Extra") or []) >= {"core", "test"}


def test_an_edge_needs_the_base_requirements_only(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    script = tmp_path / "base.py"
    script.write_text(BASE_ONLY, encoding="utf-8")
    small = ROOT / "examples" / "small.yaml"
    good = ("--help", "edge --help", f"check {small}", "profile eastron_sdm630 --json", "simulate --list",
            "simulate calm --for 0.5s")  # fmt: skip
    failing = ("probe tcp://127.0.0.1:1 --units 1", "core nix.yaml", f"core {small}", "user list",
               f"edge {small} --gateway nix")  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-I", str(script), str(tmp_path / "site"), *good, *failing],
        cwd=tmp_path, capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = orjson.loads((tmp_path / "told.json").read_bytes())
    assert told.pop("from").startswith(str(tmp_path / "site"))
    assert {line: told[line] for line in good} == dict.fromkeys(good, 0), done.stderr
    assert [told[line] for line in failing] == [1, 1, 1, 1, 2], done.stderr
    missing = [line for line in done.stderr.splitlines() if "is not installed" in line]
    assert len(missing) == 3
    assert all("(pip install 'steward-gateway[core]')" in line for line in missing)
    assert "Traceback" not in done.stderr


def test_another_owner_of_our_names_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        guard,
        "packages_distributions",
        lambda: {"alerts": ["steward-gateway", "alerts"], "gateway": ["x-gateway"]},
    )
    with pytest.raises(BadInput, match="'gateway' is also shipped by x-gateway"):
        guard.check_packages()
    monkeypatch.setattr(guard, "packages_distributions", lambda: {"gateway": ["steward-gateway"]})
    guard.check_packages()


def test_the_commands_refuse_to_start_beside_another_owner(tmp_path: Path) -> None:
    """A distribution as pip would leave it: installing it has overwritten our files without a word."""
    info = tmp_path / "other" / "alerts-9.9.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: alerts\nVersion: 9.9\n")
    (info / "RECORD").write_text("alerts/__init__.py,,\nalerts-9.9.dist-info/METADATA,,\n")
    (info / "top_level.txt").write_text("alerts\n")
    env = {"PYTHONPATH": f"{ROOT}:{tmp_path / 'other'}"}
    for command in ("demo --for 1s --port 0", f"run {ROOT / 'examples' / 'small.yaml'}"):
        done = steward(*command.split(), cwd=tmp_path, env=env)
        assert done.returncode == 2
        assert "the package 'alerts' is also shipped by alerts" in done.stderr
        assert "use a fresh virtual environment" in done.stderr
        assert done.stderr.count("\n") == 1
    assert not (tmp_path / "data").exists()
