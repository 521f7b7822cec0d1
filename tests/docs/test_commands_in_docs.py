"""Every `steward …` line in the guides names a command that there is, with options that it has."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer.main

from gateway.app.checks import check_site
from gateway.cli import app

ROOT = Path(__file__).resolve().parents[2]
GUIDES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]  # a group has them


def told(path: Path) -> list[str]:
    """The command lines of a guide: in blocks of sh, and between back-ticks."""
    text = path.read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = [line.split("#")[0] for block in blocks for line in block.splitlines()]
    lines += re.findall(r"`([^`\n]*\bsteward [^`\n]*)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    found = [m[1] for line in lines for m in re.finditer(r"(?:^|[/\s])steward ([a-z][^|;]*)", line)]
    return [line.split(" && ")[0].strip() for line in found]


@pytest.mark.parametrize("path", GUIDES, ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_and_options_exist(path: Path) -> None:
    for line in told(path):
        name, *rest = shlex.split(line)
        assert name in COMMANDS, f"{path.name}: steward {line}"
        known = {o for p in COMMANDS[name].params for o in p.opts} | {"--help"}
        for word in rest:
            if word.startswith("--"):
                assert word.split("=")[0] in known, f"{path.name}: steward {line}: {word}"


def test_the_guides_do_name_commands() -> None:
    named = {line.split()[0] for path in GUIDES for line in told(path)}
    assert {"check", "run", "probe", "profile", "backup", "restore", "edge", "doctor"} <= named


def test_the_site_of_the_guide_is_good_and_its_errors_are_true(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    guide = (ROOT / "docs" / "how-to" / "bring-a-device-on-site.md").read_text(encoding="utf-8")
    parts = re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL)
    head = (
        "site: {id: s, name: {en: S}}\nfirms: [{id: f, name: {en: F}}]\n"
        "estates: [{id: home, firm: f, name: {en: Home}}]\n"
    )
    site = tmp_path / "site.yaml"
    site.write_text(head + "".join(parts), encoding="utf-8")
    assert check_site(site, 1_790_000_000_000, as_json=True) == 0, capsys.readouterr().out
    capsys.readouterr()
    site.write_text(
        site.read_text(encoding="utf-8").replace("asset: ws-1 }", "asset: ws1 }"), encoding="utf-8"
    )
    assert check_site(site, 1_790_000_000_000, as_json=False) == 2
    said = capsys.readouterr().err
    shown = "gateways.0.lines.0.devices.0.asset: there is no asset 'ws1' (did you mean ws-1?)"
    assert shown in said
    assert shown.replace("lines.0", "lines.1") in guide
