"""Settings on a real state store: seeded, changed, refused, imported; the order keeps its version."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from alerts.desk import Dispatch, Outcome
from alerts.detect.days import HOURS
from alerts.matrix_csv import export_matrix
from alerts.rules import Baseline
from gateway.adapters.state import SqlState, open_state
from gateway.app.dispatch import make_dispatch
from gateway.app.policy import rules_knowing
from gateway.app.settings import Settings
from gateway.app.setup import Setup, load_setup
from gateway.errors import StewardError
from gateway.model import Actor, Command, Finding, Scope
from gateway.ports import Commit

SITE = Path(__file__).parents[3] / "tests/golden/config/matrix_with_a_hole/site.yaml"
T = 1_795_000_000_000
BOSS = Actor("boss", "Boss", "manager")
EXTRA = """
staff:
  - { id: li, estate: home, certificates: [{ kind: electrician, number: E-1, expires: 2027-06-30 }] }
calendars:
  - { year: 2027, holidays: [2027-01-01/2027-01-03], workdays: [], source: test }
"""


class Rig:
    """Settings over the pure desk and a store, without a loop: each outcome is committed by hand."""

    def __init__(self, setup: Setup, state: SqlState) -> None:
        self.setup, self.state = setup, state
        self.dispatch: Dispatch = make_dispatch(setup, state)
        self.settings = Settings(setup, state, self.dispatch)
        self.settings.restore()
        self.n = 0

    def commit(self, outcome: Outcome) -> None:
        records: list[Any] = [*outcome.records, *((*g, None) for g in outcome.gone)]
        self.state.commit(Commit(events=outcome.events, records=records, notices=outcome.notices))

    def act(self, verb: str, version: int | None = None, **data: Any) -> dict[str, Any]:
        self.n += 1
        subject = f"{data.get('kind', 'matrix')}/{data.get('id', '')}"
        outcome, answer = self.settings.command(
            Command(f"c{self.n}", verb, subject, BOSS, T + self.n, T + self.n, version, data)
        )
        self.commit(outcome)
        return answer

    def put(self, kind: str, id_: str, body: dict[str, Any], **more: Any) -> dict[str, Any]:
        return self.act("settings.put", kind=kind, id=id_, body=body, **more)

    def csv(self) -> str:
        return export_matrix(self.dispatch.orders.matrix.rows, self.setup.site.timezone, "en")


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    text = SITE.read_text(encoding="utf-8").split("matrix:")[0] + EXTRA
    path = tmp_path / "site.yaml"
    path.write_text(text, encoding="utf-8")
    state = open_state(tmp_path / "state.db", durable=False)
    try:
        yield Rig(load_setup(path), state)
    finally:
        state.close()


def test_an_import_changes_what_differs_and_an_order_keeps_the_version_of_its_day(rig: Rig) -> None:
    def outage(t: int) -> Any:
        rule = next(r for r in rig.setup.rules if r.event == "outage" and r.asset_kind == "power")
        outcome = rig.dispatch.step(
            [Finding(rule.id, "pw-1/x", "pw-1", "home", t, t, True)], t  # one occurrence
        )  # fmt: skip
        rig.commit(outcome)
        return rig.dispatch.orders.orders

    before = dict(outage(T))
    (first,) = before.values()
    assert (first.matrix_row, first.matrix_version) == ("power.outage", 1)
    text = rig.csv().replace("power.outage,outage,", "power.outage,outage,").replace(
        "内部：", "内部（改）："
    )  # fmt: skip
    rows = text.split("\r\n")
    n = next(n for n, r in enumerate(rows) if r.startswith("power.outage,"))
    rows[n] = rows[n].replace(",TE,PU,", ",TE,DM,")
    answer = rig.act("matrix.import", text="\r\n".join(rows), file="m.csv", reason="contract", dry_run=True)
    expected = [{"id": "power.outage", "field": "backup", "before": "PU", "after": "DM"}]
    assert [c for c in answer["difference"]["changed"] if c["field"] == "backup"] == expected
    assert rig.state.record("matrix_edition", "000001") is None, "a dry run changes nothing"
    answer = rig.act("matrix.import", text="\r\n".join(rows), file="m.csv", reason="contract")
    assert answer["edition"] == "000001"
    edition = rig.state.record("matrix_edition", "000001")
    assert edition is not None
    assert (edition["author"], edition["reason"]) == ("boss", "contract")
    assert {r["id"]: r["version"] for r in edition["rows"]}["power.outage"] == 2
    assert {r["version"] for r in edition["rows"] if r["id"].startswith("lift.")} == {1}
    duty = rig.dispatch.orders.matrix.match("outage", rig.setup.assets["pw-1"], 2, T)
    assert (duty.version, duty.backup) == (2, "DM")
    assert (first.matrix_version, first.backup) == (1, "PU"), "as it was when it went out"
    again = Rig(rig.setup, rig.state)
    assert again.dispatch.orders.matrix.match("outage", rig.setup.assets["pw-1"], 2, T).backup == "DM"
    assert next(iter(again.dispatch.orders.orders.values())).matrix_version == 1
    (event,) = [e for _, e in rig.state.events(kinds=["matrix.imported"])]
    assert (event.actor, event.data["file"]) == ("boss", "m.csv")


def faults(answer: dict[str, Any]) -> list[str]:
    return [f"{f['file']}:{f['row']} {f['field']} {f['message']}" for f in answer["refused"]]


def test_what_is_wrong_is_refused_by_row_and_column_and_noted_with_who_tried(rig: Rig) -> None:
    held = rig.dispatch.orders.matrix
    rows = rig.csv().split("\r\n")
    gone = [r for r in rows if not r.startswith("gas,")]
    (said,) = [
        f for f in faults(rig.act("matrix.import", text="\r\n".join(gone), file="m.csv")) if "gone" in f
    ]
    assert said.endswith("row gas of the template is gone (gas)")
    first = rows[1].split(",")[0]
    twin = [*rows[:-1], rows[1].replace(first, "twin", 1)]
    assert faults(rig.act("matrix.import", text="\r\n".join(twin), file="m.csv")) == [
        f"m.csv:{len(twin)} column B event rows {first} and twin overlap and neither is more specific"
    ]
    assert "no duty role 'XX'" in faults(rig.act("matrix.import", text=rows[0] + "\r\na,gas,,,,,,,,,XX"))[0]
    assert rig.dispatch.orders.matrix is held, "the running version stays in force"
    tried = [e for _, e in rig.state.events(kinds=["settings.refused"])]
    assert [(e.actor, e.data["what"]) for e in tried] == [("boss", "matrix.import")] * 3
    rig.act("matrix.import", text="x", dry_run=True)
    assert len(rig.state.events(kinds=["settings.refused"])) == 3, "a dry run is no attempt"


def test_rows_of_one_estate_come_and_go_alone(rig: Rig) -> None:
    head = "id,event,estate,responsible,ladder\r\n"
    row = "ours,gas,home,TE,60 PM; 120 DM\r\n"
    answer = rig.act("matrix.import", text=head + row, file="m.csv", estate="home")
    assert answer["difference"]["added"] == ["ours"]
    assert answer["rows"] == len(rig.setup.matrix) + 1
    (fault,) = faults(rig.act("matrix.import", text=head + row.replace("home", ""), estate="home"))
    assert "is not of estate home" in fault
    assert rig.act("matrix.import", text=head, estate="home")["difference"]["removed"] == ["ours"]
    assert rig.state.record("matrix", "ours") is None


def test_shifts_people_and_calendars_are_checked_against_each_other(rig: Rig) -> None:
    book = rig.settings._book
    assert set(book.staff.people) == {"li"}
    assert 2027 in book.years.years
    good = {"duty": "TE", "people": ["li"], "from": "20:00", "to": "08:00", "on": "workday"}
    rig.put("shifts", "s1", good, reason="winter")
    assert book.roster.knows("TE", "home")
    record = rig.state.record("shifts", "s1")
    assert record is not None
    assert (record["version"], record["author"], record["reason"]) == (1, "boss", "winter")
    old = {"kind": "electrician", "number": "1", "expires": "2020-01-01"}
    wrong: list[tuple[str, dict[str, Any], str]] = [
        ("shifts", {"duty": "TE", "people": ["x"]}, "there is no person 'x'"),
        ("shifts", good | {"first": "2026-12-31", "last": "2026-12-01"}, "ends (2026-12-01) before"),
        ("staff", {"id": "li", "certificates": [old]},
         "certificate 1 ended on 2020-01-01"),
        ("calendars", {"year": 2028, "holidays": []}, "a year has holidays"),
        ("matrix", {"id": "x", "event": "gas", "responsible": "XX"}, "there is no duty role 'XX'"),
    ]  # fmt: skip
    for kind, body, said in wrong:
        id_ = str(body.get("id") or body.get("year") or "zz")
        before = rig.state.record(kind, id_)
        (fault, *_) = rig.put(kind, id_, body)["refused"]
        assert said in fault["message"]
        assert fault["field"].startswith(f"{kind}/{id_}"), "by the record, as a person knows it"
        assert rig.state.record(kind, id_) == before
    rig.put("calendars", "2027", {"year": 2027, "holidays": ["2027-02-05/2027-02-11"]})
    assert len(book.years.years[2027].holidays) == 7


@pytest.mark.parametrize(
    ("kind", "id_", "body", "field"),
    [
        ("shifts", "s1", {"duty": "QQ", "people": ["li"]}, "shifts/s1.duty"),
        ("shifts", "s1", {"duty": {"a": 1}, "people": ["li"]}, "shifts/s1.duty"),
        ("shifts", "s1", {"duty": "TE", "people": None}, "shifts/s1.people"),
        ("shifts", "s1", {"duty": "TE", "people": [{"a": 1}]}, "shifts/s1.people"),
        ("shifts", "s1", {"duty": "TE", "people": "li"}, "shifts/s1.people"),
        ("shifts", "s1", {"duty": "TE", "people": ["li"], "days": 5}, "shifts/s1.days"),
        ("shifts", "s1", {"duty": "TE", "people": ["li"], "from": "²2:00"}, "shifts/s1.from"),
        ("shifts", "s1", {"duty": "TE", "people": ["li"], "estate": {}}, "shifts/s1.estate"),
        ("staff", "li", {"id": "li", "reach": 5}, "staff/li.reach"),
        ("staff", "li", {"id": "li", "certificates": 7}, "staff/li.certificates"),
        ("staff", "li", {"id": "li", "skills": "pumps"}, "staff/li.skills"),
        ("staff", "li", {"id": ["li"]}, "id"),
        ("staff", "li", {"id": "somebody"}, "id"),
        ("calendars", "2027", {"year": 2027, "holidays": 3}, "calendars/2027.holidays"),
        ("matrix", "gas", {"ack_s": 10**30}, "matrix/gas.ack_s"),
        ("matrix", "gas", {"ladder": [{"after_s": 10**12, "role": "PM"}]}, "matrix/gas.ladder.0.after_s"),
        ("matrix", "gas", {"ladder": 5}, "matrix/gas.ladder"),
        ("matrix", "gas", {"process": 5}, "matrix/gas.process"),
        ("matrix", "gas", {"process": 0}, "matrix/gas.process"),
        ("matrix", "gas", {"valid_from": 3.7}, "matrix/gas.valid_from"),
        ("matrix", "gas", {"fund_eligible": 0}, "matrix/gas.fund_eligible"),
        ("matrix", "gas", {"contacts": [138]}, "matrix/gas.contacts"),
        ("matrix", "gas", {"calendar": "nights"}, "matrix/gas.calendar"),
        ("matrix", "gas", {"estate": "nowhere"}, "matrix/gas.estate"),
    ],
)  # fmt: skip
def test_what_has_another_shape_is_refused_by_field_and_the_running_version_holds(
    rig: Rig, kind: str, id_: str, body: dict[str, Any], field: str
) -> None:
    present = rig.state.record("matrix", "gas") or {}
    row = {k: v for k, v in present.items() if k not in ("author", "changed_at")}
    before = rig.state.records(kind)
    matrix, book = rig.dispatch.orders.matrix, rig.settings._book
    answer = rig.put(kind, id_, row | body if kind == "matrix" else body)
    assert answer["refused"][0]["field"].startswith(field)
    assert (rig.state.records(kind), rig.dispatch.orders.matrix) == (before, matrix)
    assert set(book.staff.people) == {"li"}
    assert rig.csv(), "and the matrix still goes out as a spreadsheet"


def test_a_row_that_will_end_without_another_one_is_a_hole_with_its_day(rig: Rig) -> None:
    held = next(r for r in rig.dispatch.orders.matrix.rows if r.event == "outage")
    present = rig.state.record("matrix", held.id) or {}
    row = {k: v for k, v in present.items() if k not in ("author", "changed_at")}
    said = [f["message"] for f in rig.put("matrix", held.id, row | {"valid_to": "2031-01-01"})["refused"]]
    assert any("from 2030-12-31T16:00:00Z on" in s for s in said), said
    assert rig.state.record("matrix", held.id) == present


def test_a_certificate_that_ended_stops_no_edit_of_its_holder_or_of_anybody_else(rig: Rig) -> None:
    old = {"kind": "electrician", "number": "E-0", "expires": "2020-01-01"}
    record = {"id": "li", "estate": "home", "certificates": [old]}
    rig.state.commit(Commit(records=[("staff", "li", "home", {**record, "version": 1, "author": "x"})]))
    again = Rig(rig.setup, rig.state)
    quiet = [{"channel": "sms", "quiet": "22:00-06:00"}]
    assert "refused" not in again.put("staff", "li", {**record, "reach": quiet})
    renewed = [old, {**old, "number": "E-2"}]
    (fault,) = again.put("staff", "li", {**record, "certificates": renewed})["refused"]
    assert fault["field"] == "staff/li.certificates.1.expires", "one that is new and has ended"


def test_a_changed_calendar_holds_for_shifts_and_bands_at_once(rig: Rig) -> None:
    rig.put("shifts", "s1", {"duty": "FM", "people": ["li"], "on": "workday"})
    monday = int(datetime(2027, 3, 1, 12, tzinfo=ZoneInfo("Asia/Shanghai")).timestamp() * 1000)

    def works() -> tuple[bool, bool]:
        on = bool(rig.dispatch.announcer.roster.on_duty("FM", "home", monday))
        return on, rig.dispatch.orders.matrix.week.minute(monday) == rig.settings._book.staff.week.minute(
            monday
        )

    before = rig.dispatch.orders.matrix.week.minute(monday)
    assert works() == (True, True)
    rig.put("calendars", "2027", {"year": 2027, "holidays": ["2027-03-01/2027-03-03"]})
    assert works() == (False, True)
    assert rig.dispatch.orders.matrix.week.minute(monday) != before
    again = Rig(rig.setup, rig.state)
    assert not again.dispatch.announcer.roster.on_duty("FM", "home", monday), "as after a start"
    rules = rules_knowing(again.setup.rules, again.settings.years)
    days = {r.days for r in rules if isinstance(r, Baseline)}
    assert days
    assert all(d.sure(monday) and d.slot(monday) >= HOURS for d in days), "and what is usual follows it"


@pytest.mark.parametrize(
    ("actor", "said"),
    [
        (Actor("zhao", "Zhao", "supervisor"), "supervisor may not do"),
        (Actor("x", "X", "manager", scope=Scope(firms=frozenset({"theirs"}))), "no estate 'home'"),
        (Actor("x", "X", "manager", scope=Scope(estates=frozenset({"home"}))), "for all estates"),
    ],
)
def test_the_core_itself_refuses_whoever_may_not(rig: Rig, actor: Actor, said: str) -> None:
    held = rig.dispatch.orders.matrix
    estate = "" if "all" in said else "home"
    row = {"id": "ours", "event": "gas", "estate": estate, "responsible": "TE"}
    acts: list[tuple[str, dict[str, Any]]] = [
        ("settings.put", {"kind": "matrix", "id": "ours", "body": row}),
        ("matrix.import", {"text": rig.csv(), "estate": estate}),
    ]
    for verb, data in acts:
        with pytest.raises(StewardError, match=said):
            rig.settings.command(Command(f"x{verb}", verb, "x", actor, T, T, None, data))
    assert rig.dispatch.orders.matrix is held


def test_a_certificate_that_ended_meanwhile_does_not_stop_the_next_start(rig: Rig) -> None:
    record = rig.state.record("staff", "li")
    assert record is not None
    old = {**record, "certificates": [{"kind": "electrician", "number": "1", "expires": "2020-01-01"}]}
    rig.state.commit(Commit(records=[("staff", "li", "home", old)]))
    assert Rig(rig.setup, rig.state).settings._book.staff.people["li"].certificates[0].number == "1"


def test_a_store_of_an_earlier_release_is_seeded_with_what_it_lacks(rig: Rig) -> None:
    rig.state.commit(
        Commit(records=[("settings", "seeded", "", {"from": "x"}), ("staff", "li", "", None),
                        ("calendars", "2027", "", None)])
    )  # fmt: skip
    again = Rig(rig.setup, rig.state)
    assert set(again.settings._book.staff.people) == {"li"}
    assert rig.state.record("staff", "li") is not None


def test_the_order_goes_to_the_person_with_the_certificate_and_else_to_the_supervisor(rig: Rig) -> None:
    rig.put("shifts", "s1", {"duty": "TE", "people": ["li"]})
    rig.put("shifts", "s2", {"duty": "PM", "people": ["li"]})
    rule = next(r for r in rig.setup.rules if r.event == "outage" and r.asset_kind == "power")
    outcome = rig.dispatch.step([Finding(rule.id, "pw-1/x", "pw-1", "home", T, T, True)], T)
    (order,) = rig.dispatch.orders.orders.values()
    (sent,) = [e for e in outcome.events if e.kind == "order.dispatched"]
    assert order.assignee == "li"
    assert sent.data["assignment"]["why"]["en"] == "Li is on shift, certificate valid, 0 open orders"
    lift = next(r for r in rig.setup.rules if r.event == "lift_wear" and r.asset_kind == "elevator")
    rig.put("shifts", "s3", {"duty": "LM", "people": ["li"]})
    rig.put("shifts", "s1", {"duty": "TE", "people": []})
    outcome = rig.dispatch.step([Finding(lift.id, "lift-1/x", "lift-1", "home", T, T, True)], T)
    sent = next(e for e in outcome.events if e.kind == "order.dispatched")
    assert sent.data["assignment"]["outcome"] == "supervisor"
    assert "no Special equipment operator" in sent.data["assignment"]["why"]["en"]
    assert {"LM", "PM"} <= {n.to for n in outcome.notices}, "the leader is called beside the party"
    tech = Actor("li", "Li", "technician", frozenset({"LM"}))
    order = next(o for o in rig.dispatch.orders.orders.values() if o.asset == "lift-1")
    command = Command("a1", "order.accept", order.id, tech, T, T)
    with pytest.raises(Exception, match="not this work: no Special equipment operator"):
        rig.dispatch.command(command)
    other = replace(command, actor=Actor("new", "New", "technician", frozenset({"LM"})))
    assert rig.dispatch.command(other)[1]["order"]["assignee"] == "new", "no record: not judged"
