"""What goes together: asset classes with rules, profiles and faults; pictures and lists with sources."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from drivers.profiles.loader import load_profile
from gateway.app.setup import load_setup
from gateway.model import SYSTEMS
from scripts import architecture, third_party
from simulators.faults import KINDS
from simulators.layout import demo_layout
from tests.docs.docs_kit import ROOT, blocks

FACILITIES = [s for s in SYSTEMS if s != "gateway"]
RULES = ROOT / "alerts" / "defaults" / "rules"
RUNBOOKS = ROOT / "docs" / "runbooks"


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_asset_class_has_default_rules_of_its_own(system: str) -> None:
    rules = yaml.safe_load((RULES / f"{system}.yaml").read_text(encoding="utf-8"))
    assert rules
    assert {r["for"] for r in rules} == {system}
    assert {p.stem for p in RULES.glob("*.yaml")} == set(SYSTEMS)


@pytest.mark.parametrize("system", FACILITIES)
def test_every_facility_class_has_a_profile_and_a_fault(system: str) -> None:
    names = [p.stem for p in sorted((ROOT / "drivers" / "profiles").glob("*.yaml"))]
    assert any(load_profile(n).kind == system for n in names)
    models = {a.model for a in demo_layout().assets if a.kind == system}
    assert models, "the demonstration has one"
    assert any(models & set(kind.models) for kind in KINDS.values()), f"nothing breaks {models}"


def test_every_rule_of_a_gateway_has_a_runbook() -> None:
    text = "".join(p.read_text(encoding="utf-8") for p in RUNBOOKS.glob("*.md"))
    rules = yaml.safe_load((RULES / "gateway.yaml").read_text(encoding="utf-8"))
    assert [r["id"] for r in rules if f"`{r['id']}`" not in text] == []


def test_the_points_that_the_runbooks_name_are_made() -> None:
    text = "".join(p.read_text(encoding="utf-8") for p in RUNBOOKS.glob("*.md"))
    source = (ROOT / "gateway" / "core" / "selfcheck.py").read_text(encoding="utf-8")
    named = set(re.findall(r"`(gw\.\w+)`", text))
    assert named
    assert {tag for tag in named if f'"{tag}"' not in source} == set()


def test_the_picture_of_the_contract_is_fresh() -> None:
    assert architecture.main(["--check"]) == 0, "run python scripts/architecture.py"


def test_a_changed_contract_makes_the_picture_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text(text.replace('  "gateway.ledger",\n', ""), encoding="utf-8")
    monkeypatch.setattr(architecture, "ROOT", tmp_path)
    assert architecture.draw() != architecture.TARGET.read_text(encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text(
        text.replace('"gateway.ledger"', '"gateway.new"'), encoding="utf-8"
    )
    with pytest.raises(SystemExit, match=r"gateway\.new"):
        architecture.draw()


def test_the_list_of_licences_is_fresh() -> None:
    assert third_party.main(["--check"]) == 0, "run python scripts/third_party.py"


def test_the_changelog_has_an_unreleased_section() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    head = re.search(r"^## .*unreleased", text, re.MULTILINE | re.IGNORECASE)
    assert head is not None
    assert text[head.end() :].strip()


@pytest.mark.parametrize("guide", ["run-an-estate.md"])
def test_the_yaml_of_a_guide_is_good(tmp_path: Path, guide: str) -> None:
    site = tmp_path / "site.yaml"
    shutil.copy(ROOT / "examples" / "small.yaml", site)
    data: dict[str, Any] = yaml.safe_load(site.read_text(encoding="utf-8"))
    for block in blocks(ROOT / "docs" / "how-to" / guide, "yaml"):
        for key, rows in yaml.safe_load(block).items():
            known = {row["id"] for row in rows if "id" in row}
            data[key] = [*(r for r in data.get(key, []) if r.get("id") not in known or not known), *rows]
    site.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    assert load_setup(site).matrix
