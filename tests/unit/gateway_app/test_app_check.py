"""`steward check`: each broken site file is refused with file, line, field, what is wrong and what to do."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from gateway.app.checks import check_site

ROOT = Path(__file__).resolve().parents[3]
GOLDEN = ROOT / "tests" / "golden" / "config"
CASES = sorted(p.name for p in GOLDEN.iterdir())
NOW = 1_790_000_000_000  # 2026-09-21T13:33:20Z, a Monday


@pytest.mark.parametrize("case", CASES)
def test_check_says_exactly_this(
    case: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(GOLDEN / case)
    assert check_site(Path("site.yaml"), NOW, as_json=False) == 2
    told = capsys.readouterr()
    assert told.err == Path("expected.txt").read_text(encoding="utf-8")
    assert told.out == ""


@pytest.mark.parametrize("case", CASES)
def test_as_json_it_is_the_same(
    case: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(GOLDEN / case)
    assert check_site(Path("site.yaml"), NOW, as_json=True) == 2
    told = orjson.loads(capsys.readouterr().out)
    expected = Path("expected.txt").read_text(encoding="utf-8").splitlines()[:-1]
    assert told["ok"] is False
    assert len(told["problems"]) == len(expected)
    for problem, line in zip(told["problems"], expected, strict=True):
        assert line.startswith(f"{problem['file']}:{problem['line']}: ")
        assert problem["message"] in line
        assert problem["line"] > 0
        assert problem["message"]


@pytest.mark.parametrize("name", ["demo", "small"])
def test_the_examples_are_good(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert check_site(ROOT / "examples" / f"{name}.yaml", NOW, as_json=True) == 0
    told = orjson.loads(capsys.readouterr().out)
    assert told["ok"] is True
    assert told["devices"] > 2
    assert told["matrix_pairs"] > told["assets"]
    assert told["notes"] == []
