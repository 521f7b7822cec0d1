"""Wrong command lines and broken files: one line that says what to do, and an exit code."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
import typer
import typer.main

from gateway.app.runner import duration
from gateway.cli import app, main
from gateway.errors import BadInput
from tests.e2e.cli_kit import ROOT, steward

SMALL = ROOT / "examples" / "small.yaml"


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("frob", 2, "No such command 'frob'"),
        ("check", 2, "Missing argument 'SITE.yaml'"),
        ("demo --speed 1000", 2, "--speed"),
        ("demo --for 5x", 2, "--for: '5x' is no duration (write 90s, 5m or 2h)"),
        ("simulate calm --for -3", 2, "'-3' is no duration"),
        ("run nix.yaml", 2, "nix.yaml:1: cannot be read"),
        ("core nix.yaml", 2, "nix.yaml:1: cannot be read"),
        ("edge nix.yaml", 2, "nix.yaml:1: cannot be read"),
        (
            f"edge {SMALL} --gateway gw-9",
            2,
            "--gateway: there is no gateway 'gw-9' in the site file (known: gw-1)",
        ),
        ("edge add", 2, "ID: is missing"),
        ("edge add gw-2 --data D", 2, "--estate: is missing"),
        ("edge add GW_2! --estate home --data D", 2, "'GW_2!' is no id"),
        ("profile nix", 2, "there is no profile 'nix'"),
        ("profile nix.yaml", 2, "nix.yaml:1: cannot be read"),
        ("probe foo", 2, "'foo' is no endpoint"),
        ("probe tcp://h:99999", 2, "Port out of range"),
        ("probe tcp://127.0.0.1:1 --units x", 2, "--units: 'x' is no list of units"),
        ("probe tcp://127.0.0.1:1 --units 1-3", 1, "127.0.0.1:1 cannot be reached"),
        ("probe rtu:/dev/nix", 1, "/dev/nix"),
        ("probe rtu:/dev/nix?parity=odd", 2, "ENDPOINT.parity: 'odd' is unknown (known: N, E, O)"),
        ("simulate nix", 2, "there is no scenario 'nix'"),
        ("simulate calm --fault bad@ws-1", 2, "--fault: there is no fault 'bad'"),
        ("simulate calm --fault pump_trip@nobody", 2, "nobody"),
        ("tail --data D", 2, "there is no broker in D"),
        ("tail --broker http://x", 2, "is not mqtt://host:port"),
        ("verify --data D", 2, "there is no state.db in D"),
        ("user list --data D", 2, "there is no state.db in D"),
        ("user frob", 2, "'frob' is unknown (one of list, add, password, drop)"),
        ("user add", 2, "ID: which user?"),
        (f"report {SMALL} --month 2026-13", 2, "'2026-13' is no month (write 2026-11)"),
        (f"report {SMALL} --data D", 2, "there is no state.db in D"),
        ("backup B --data D", 2, "there is no state.db in D"),
        ("restore B --data D", 2, "B is no backup"),
        ("edge trace gw-1 --user li", 2, "LINE: is missing"),
        ("edge retry --user li", 2, "ID: is missing"),
        ("edge retry gw-1 --data D --user li", 2, "--data: no pages run on D"),
        ("edge retry gw-1 --url http://127.0.0.1:1", 2, "--user: is missing"),
        ("write ws-1 set_p high --reason x --user li", 2, "a valid number"),
        ("write ws-1 set_p -5", 2, "Missing option '--reason'"),
        ("bench frob", 2, "there is no benchmark 'frob'"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_a_code(
    line: str,
    code: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("gateway.app.logs.setup_logging", lambda *_: None)  # the root logger is pytest's
    with pytest.raises(SystemExit) as ended:
        main(line.split())
    told = capsys.readouterr()
    assert ended.value.code == code, told.err
    assert said in told.err
    assert told.err.startswith("steward: ")
    assert told.err.count("\n") == 1, told.err
    assert told.out == ""
    # Nothing was begun: no data directory of a start that could not be.
    assert [p.name for p in tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("line", "code"), [("probe foo", 2), ("probe tcp://127.0.0.1:1", 1), ("check --help", 0)]
)
def test_the_process_says_the_same(line: str, code: int, tmp_path: Path) -> None:
    done = steward(*line.split(), cwd=tmp_path)
    assert done.returncode == code
    assert done.stderr.count("\n") == (1 if code else 0), done.stderr
    assert bool(done.stdout) == (code == 0)


def test_a_broken_site_is_told_line_by_line(tmp_path: Path) -> None:
    folder = ROOT / "tests" / "golden" / "config" / "wrong_options"
    done = steward("check", "site.yaml", cwd=folder)
    assert done.returncode == 2
    assert done.stderr == (folder / "expected.txt").read_text(encoding="utf-8")
    begun = steward("run", folder / "site.yaml", "--data", tmp_path / "D", cwd=tmp_path)
    assert begun.returncode == 2
    expected = done.stderr.splitlines()[:-1]
    assert begun.stderr.splitlines() == [f"steward: {folder}/{line}" for line in expected]
    assert not (tmp_path / "D").exists()


def test_without_a_command_it_shows_what_there_is(tmp_path: Path) -> None:
    done = steward(cwd=tmp_path)
    assert done.returncode == 0
    for command in ("demo", "check", "doctor", "restore"):
        assert f" {command} " in done.stdout


COMMANDS = sorted(c.callback.__name__ for c in app.registered_commands if c.callback)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_command_helps(name: str) -> None:
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]  # a group has them
    info = next(c for c in app.registered_commands if c.callback and c.callback.__name__ == name)
    assert len(inspect.getdoc(info.callback) or "") > 40
    assert f"steward {name}" in (info.epilog or ""), "an example is worth ten options"
    for parameter in command.params:
        if parameter.name == "help" or getattr(parameter, "hidden", False):
            continue
        described = getattr(parameter, "help", None) or "|" in str(parameter.metavar or "")
        assert described, f"{name}: {parameter.name} has no help"


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("5m", 300), ("2h", 7200), ("1.5", 1.5)])
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "0", "-5", "5d", "nan", "infh"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(BadInput, match="is no duration"):
        duration(text)
