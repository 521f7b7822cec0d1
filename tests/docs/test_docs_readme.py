"""The two READMEs say the same, and what they count is what there is."""

from __future__ import annotations

import re
from pathlib import Path

from drivers.profiles.bind import bind
from drivers.profiles.loader import load_profile
from gateway.app.setup import load_setup
from simulators.layout import demo_layout
from simulators.scenario import load_scenario
from tests.docs.docs_kit import HEADING, ROOT, blocks, links

EN, ZH = ROOT / "README.md", ROOT / "README.zh-CN.md"
LIST = re.compile(r"^(- |\| )", re.MULTILINE)


def shape(page: Path) -> list[int]:
    """Depths of the headings in their order."""
    return [len(h[0]) for h in HEADING.findall(page.read_text(encoding="utf-8"))]


def test_both_have_the_same_sections_commands_links_and_rows() -> None:
    assert shape(EN) == shape(ZH)
    assert blocks(EN, "sh") == blocks(ZH, "sh")
    here, there = ([x for x in links(p) if not x.startswith("README")] for p in (EN, ZH))
    assert here == there
    parts = [
        [
            len(LIST.findall(part))
            for part in re.split(r"^## ", p.read_text(encoding="utf-8"), flags=re.MULTILINE)
        ]
        for p in (EN, ZH)
    ]
    assert parts[0] == parts[1]


def test_what_is_counted_is_there() -> None:
    layout = demo_layout()
    devices = [d for _, d in layout.devices()]
    points = sum(len(bind(load_profile(d.profile), d.asset, d.rename).points) for d in devices)
    said = f"{len(layout.assets)} facilities, {len(devices)} devices and {points} points"
    english, chinese = EN.read_text(encoding="utf-8"), ZH.read_text(encoding="utf-8")
    assert said in english
    assert f"{len(layout.assets)} 个设施、{len(devices)} 台设备、{points} 个测点" in chinese
    rules = len(load_setup(ROOT / "examples" / "small.yaml").rules)
    for text, found in ((english, r"more than (\d+) rules"), (chinese, r"(\d+) 多条规则")):
        match = re.search(found, text)
        assert match is not None
        assert int(match[1]) <= rules < int(match[1]) + 50


def test_the_story_of_the_table_is_the_story_of_the_demo() -> None:
    scenario = load_scenario("demo").scenario
    assert scenario.repeat_s == 900, "every 15 minutes"
    begins = {int(step.at_s) for step in scenario.timeline if step.fault}
    clears = {int(step.at_s) for step in scenario.timeline if step.clear}
    text = EN.read_text(encoding="utf-8")
    table = re.findall(r"^\| (\d+)(?:–(\d+))? \|", text, re.MULTILINE)
    told = {int(n) for pair in table[:-1] for n in pair if n}
    assert told == begins
    assert [int(n) for n in table[-1]] == [min(clears), max(clears)]
