"""One catalogue, no missing key, no text outside of it."""

from __future__ import annotations

import ast
import re
import string
from pathlib import Path

import pytest

import dashboards
from dashboards.access.permissions import ACTIONS
from dashboards.i18n import LANGS, catalogue, negotiate, pick, t
from gateway.model import ROLES, SYSTEMS

ROOT = Path(dashboards.__file__).parent
CJK = re.compile(r"[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]")
OWN_NAME = "\u4e2d\u6587"
KEY = re.compile(r"""\bt\(\s*["']([a-z0-9_]+(?:\.[A-Za-z0-9_]+)+)["']""")
PROBLEM = re.compile(r"""Problem\(\s*\d+,\s*["']([a-z0-9_.]+)["']""")


def test_both_languages_fill_in_the_same_names() -> None:
    for key, texts in catalogue().items():
        names = [{n for _, n, _, _ in string.Formatter().parse(texts[lang]) if n} for lang in LANGS]
        assert names[0] == names[1], key


def test_every_key_that_is_used_exists() -> None:
    used = set()
    for file in [*ROOT.rglob("*.py"), *ROOT.rglob("*.html"), *ROOT.glob("static/*.js")]:
        source = file.read_text(encoding="utf-8")
        used |= set(KEY.findall(source)) | set(PROBLEM.findall(source))
    assert len(used) > 30
    known = set(catalogue())
    # A key that is put together ends in "_" or "." here: there must be keys that begin with it.
    built = {u for u in used if u.endswith(("_", "."))}
    assert {u for u in used - built if u not in known} == set()
    assert {u for u in built if not any(k.startswith(u) for k in known)} == set()


def test_every_word_of_the_model_has_its_text() -> None:
    words = [f"role.{r}" for r in ROLES] + [f"system.{s}" for s in SYSTEMS]
    assert [w for w in words if w not in catalogue()] == []
    assert ACTIONS


@pytest.mark.parametrize("file", sorted(ROOT.rglob("*.py")), ids=lambda f: str(f.relative_to(ROOT)))
def test_no_chinese_text_in_code(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    found = [
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and CJK.search(node.value)
    ]
    assert found == []


@pytest.mark.parametrize("file", sorted(ROOT.rglob("*.html")), ids=lambda f: str(f.relative_to(ROOT)))
def test_no_chinese_text_in_templates(file: Path) -> None:
    # A language is called what it calls itself.
    assert CJK.findall(file.read_text(encoding="utf-8").replace(OWN_NAME, "")) == []


@pytest.mark.parametrize(
    ("query", "cookie", "accept", "lang"),
    [
        (None, None, "", "zh"),
        ("en", "zh", "zh", "en"),
        ("fr", "en", "zh", "en"),
        (None, None, "en-US,en;q=0.9", "en"),
        (None, None, "en;q=0.2, zh-TW;q=0.8", "zh"),
        (None, None, "en;q=0, fr", "zh"),
        (None, None, "en;q=nonsense", "zh"),
    ],
)
def test_the_language_of_a_reader(query: str | None, cookie: str | None, accept: str, lang: str) -> None:
    assert negotiate(query, cookie, accept) == lang


def test_a_missing_key_shows_itself_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    assert t("no.such.key", "en") == t("no.such.key", "en") == "no.such.key"
    assert caplog.text.count("no.such.key") == 1


def test_a_text_falls_back_to_the_other_language() -> None:
    assert pick({"zh": "a", "en": ""}, "en") == "a"
    assert pick({"zh": "a", "en": "b"}, "en") == "b"
    assert pick(None, "en") == ""
