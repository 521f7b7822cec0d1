"""The people of the demonstration: somebody fit at any hour, and nobody whose certificate has ended."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path

import pytest

from alerts.assign import Work, assign
from alerts.matrix import Matrix
from gateway.app.people import names_of, roster_of, staff_of, years
from gateway.app.setup import Setup, load_setup
from simulators.layout import demo_layout
from simulators.people import TEAM, people, shifts, staff
from simulators.serve import planned_lines
from simulators.site import EXAMPLE_DAY, site_dict, site_yaml

WORK = (
    ("pw-1", "outage", "TE"), ("lift-1", "entrapment", "LM"), ("lift-2", "lift_stopped", "LM"),
    ("fire-1", "fire_alarm", "CR"), ("sump-1", "sump_high", "TE"), ("mh-4", "gas", "TE"),
    ("lt-1", "lighting", "TE"), ("call-1", "call_button", "CR"),
)  # fmt: skip
HALF_HOUR = 1_800_000


def site(folder: Path, today: date, estates: int = 1) -> Setup:
    layout = demo_layout(estates)
    path = folder / "site.yaml"
    plain = site_dict(layout, planned_lines(layout, "/tmp/x"), today)
    path.write_text(site_yaml(plain, "people"), "utf-8")
    return load_setup(path)


def ends(setup: Setup) -> Mapping[tuple[str, str], date]:
    return {
        (str(s["id"]), str(c["kind"])): date.fromisoformat(str(c["expires"]))
        for s in setup.site.file.staff
        for c in s.get("certificates", ())
    }


@pytest.mark.parametrize("today", [EXAMPLE_DAY, date(2026, 12, 30)])
def test_every_half_hour_of_the_week_has_a_person_with_valid_certificates(
    tmp_path: Path, today: date
) -> None:
    setup = site(tmp_path, today, 2)
    known, names = years(setup), names_of(setup)
    crew, duty = staff_of(setup, None, names, known), roster_of(setup, None, names, known)
    matrix, valid = Matrix(setup.matrix, setup.roles), ends(setup)
    start = int(1000 * (today - date(1970, 1, 1)).total_seconds())
    chosen = set()
    for mark in ("", "e2-"):
        for asset, event, role in WORK:
            facility = setup.assets[mark + asset]
            for t in range(start, start + 7 * 86_400_000, HALF_HOUR):
                found = assign(matrix.match(event, facility, 2, t), Work(event, facility, t), crew, duty)
                assert (found.outcome, found.role) == ("person", role), (asset, t, found.why)
                for kind in found.needs:
                    assert valid[found.person, kind] >= crew.today(t), found
                chosen.add(found.person)
    assert {"technician", "operator", "lift-tech", "hexie-technician", "hexie-lift-tech"} <= chosen


def test_certificates_end_counted_from_the_day_and_one_has_ended() -> None:
    layout = demo_layout()
    for today in (date(2026, 3, 2), date(2031, 7, 9)):
        records = {s["id"]: s for s in staff(layout, today)}
        left = {
            (m, c["kind"]): (date.fromisoformat(c["expires"]) - today).days
            for m, s in records.items()
            for c in s.get("certificates", ())
        }
        assert left["technician-2", "electrician"] < 0
        assert 0 < left["lift-tech-2", "lift_repair"] <= 30
        assert all(
            days > 365 for (m, _), days in left.items() if m in ("technician", "operator", "lift-tech")
        )
        numbers = [c["number"] for s in records.values() for c in s.get("certificates", ())]
        assert len(set(numbers)) == len(numbers)


def test_who_has_lost_the_certificate_is_passed_over_with_the_reason(tmp_path: Path) -> None:
    setup = site(tmp_path, EXAMPLE_DAY)
    known, names = years(setup), names_of(setup)
    crew, duty = staff_of(setup, None, names, known), roster_of(setup, None, names, known)
    # 23:00 in Shanghai: the night's technician is on shift, and the one who is on call at any hour
    night = int(1000 * (EXAMPLE_DAY - date(1970, 1, 1)).total_seconds()) + 15 * 3_600_000
    facility = setup.assets["pw-1"]
    order = Matrix(setup.matrix, setup.roles).match("outage", facility, 2, night)
    found = assign(order, Work("outage", facility, night, {"technician": 5}), crew, duty)
    assert found.person == "technician", "though the other one has nothing to do"
    other = next(c for c in found.candidates if c.person == "technician-2")
    assert str(EXAMPLE_DAY - timedelta(days=9)) in other.why["en"]


def test_the_teams_of_two_firms_do_not_share_anybody() -> None:
    layout = demo_layout(2)
    accounts = people(["ankang", "hexie"])
    firms = {p["id"]: tuple(p.get("firms", ())) for p in accounts}
    assert len(firms) == len(accounts)
    home = {e.id: e.firm for e in layout.estates}
    for shift in shifts(layout):
        assert all(firms[p] == (home[shift["estate"]],) for p in shift["people"])
    records = staff(layout, EXAMPLE_DAY)
    assert len(records) == 2 * len(TEAM)
    for record in records:
        substitute = record.get("substitute")
        assert substitute is None or firms[substitute] == firms[record["id"]]
        assert firms[record["id"]] == (home[record["estate"]],)
