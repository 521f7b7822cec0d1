"""Rules that know hours and kinds of day go by the clock and the calendar of the site file."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from alerts.detect.days import HOURS, OFF, WORK
from alerts.rules import Baseline
from alerts.years import years_of
from gateway.app import policy
from gateway.config.site import load_site
from gateway.errors import BadInput

SMALL = Path(__file__).resolve().parents[3] / "examples" / "small.yaml"
YEAR = """
calendars:
  - {year: 2027, holidays: [2027-01-01, 2027-02-05/2027-02-11], workdays: [2027-02-14], source: test}
"""


def baselines(folder: Path, more: str = "", zone: str = "") -> list[Baseline]:
    text = SMALL.read_text(encoding="utf-8")
    if zone:
        assert "Asia/Shanghai" in text
        text = text.replace("Asia/Shanghai", zone)
    (folder / "site.yaml").write_text(text + more, encoding="utf-8")
    problems: list[BadInput] = []
    rules = policy.rules_of(load_site(folder / "site.yaml"), problems)
    assert problems == []
    found = [r for r in rules if isinstance(r, Baseline)]
    assert found
    return found


def test_the_zone_of_the_site_is_that_of_its_rules(tmp_path: Path) -> None:
    assert {r.zone for r in baselines(tmp_path)} == {"Asia/Shanghai"}
    assert {r.zone for r in baselines(tmp_path, zone="Asia/Urumqi")} == {"Asia/Urumqi"}


def test_years_of_the_site_file_are_known_to_its_rules(tmp_path: Path) -> None:
    def kind(rule: Baseline, day: str) -> int:
        noon = datetime.fromisoformat(f"{day} 12:00").replace(tzinfo=ZoneInfo("Asia/Shanghai"))
        return rule.days.slot(int(noon.timestamp()) * 1000) // HOURS

    for rule in baselines(tmp_path):
        assert (kind(rule, "2026-10-01"), kind(rule, "2027-02-10")) == (OFF, WORK)
    for rule in baselines(tmp_path, YEAR):
        days = ("2026-10-01", "2027-02-10", "2027-02-14", "2027-02-15")
        assert [kind(rule, day) for day in days] == [OFF, OFF, WORK, WORK]


def test_years_entered_on_the_pages_are_known_to_the_rules_too(tmp_path: Path) -> None:
    baselines(tmp_path, YEAR)
    rules = policy.rules_of(load_site(tmp_path / "site.yaml"), [])
    entered = years_of([{"year": 2028, "holidays": ["2028-01-26"], "workdays": ["2028-01-22"]}])
    knowing = policy.rules_knowing(rules, entered)
    assert [r.id for r in knowing] == [r.id for r in rules]
    for before, after in zip(rules, knowing, strict=True):
        if not isinstance(before, Baseline):
            assert after is before
            continue
        assert isinstance(after, Baseline)
        assert after.meaning == before.meaning, "nothing that was learnt is lost"
        assert after.holidays == f"{before.holidays}|2028-01-26"
        assert after.workdays == f"{before.workdays}|2028-01-22"


def test_a_rule_may_have_a_clock_of_its_own(tmp_path: Path) -> None:
    own = "\nrules:\n  - {id: meter.power_unusual, zone: Europe/Berlin, calendar: weekend}\n"
    found = {r.id: r for r in baselines(tmp_path, own)}["meter.power_unusual"]
    assert (found.zone, found.calendar) == ("Europe/Berlin", "weekend")
    assert not found.days.sure(1_790_000_000_000)


def test_a_year_that_is_entered_wipes_no_baseline(tmp_path: Path) -> None:
    before, after = baselines(tmp_path), baselines(tmp_path, YEAR)
    assert {r.holidays for r in before} != {r.holidays for r in after}
    assert [r.meaning for r in before] == [r.meaning for r in after]
