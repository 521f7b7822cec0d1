from typing import Any

import pytest

from alerts.matrix import Row, Step
from alerts.matrix_csv import BOM, difference, export_matrix, import_matrix, letter, numbered, seconds
from gateway.errors import Problems
from tests.unit.alerts_life.life_kit import ZONE, default_roles, default_rows

HEAD = "id,event,responsible,backup,ladder,ack_s,valid_from\r\n"


def read(text: str) -> list[Row]:
    return import_matrix(text, "m.csv", default_roles(), ZONE)[0]


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_whole_matrix_goes_out_and_comes_back_equal(language: str) -> None:
    full = Row(
        "=site", "manhole_moved", "TE", backup="DM", part="owner", asset="mh", estate="e1", city="cq",
        band="workday 22:00-06:00", severity=2, boundary="utility", contractor="otis", asset_kind="manhole",
        contacts=("Mr Li 138-0000", "+86 23 5550"), ack_s=0, arrive_s=90, inform=("PM", "DM"), also=("x",),
        ladder=(Step(5, "PM", "voice", "arrive"), Step(7, "DM")), fund_eligible="case",
        legal='"条例", 第5条\n附件', process={"zh": "先围挡", "en": "Guard; then repair"},
        checklist=({"id": "a", "type": "yesno", "text": {"zh": "甲", "en": "A"}},), calendar="work",
        valid_from=1_767_196_800_000, valid_to=1_798_732_800_000, version=7,
    )  # fmt: skip
    rows = [*default_rows(), full]
    text = export_matrix(rows, ZONE, language)
    assert text.startswith(BOM + ("编号,事件" if language == "zh" else "id,event"))
    assert read(text) == rows
    assert "'=site" in text, "a spreadsheet must not take a cell for a formula"


def test_what_spreadsheets_make_of_it_is_read_too() -> None:
    (row,) = read(
        "id;事件;responsible;升级阶梯;ack_s;severity;fund_eligible\n"
        'a;gas;TE;"3 min PM voice; 15分钟 DM sms arrive";2 min;P1;是\n'
    )
    assert row.ladder == (Step(180, "PM", "voice"), Step(900, "DM", "sms", "arrive"))
    assert (row.ack_s, row.severity, row.fund_eligible) == (120, 1, "yes")
    assert read("id\tevent\tresponsible\nb\tgas\tTE\n\t\t\n")[0].id == "b"
    assert [seconds(x) for x in ("180", "3 min", "1.5h", "2天")] == [180, 180, 5400, 172_800]
    assert [letter(n) for n in (0, 25, 26, 27, 701, 702)] == ["A", "Z", "AA", "AB", "ZZ", "AAA"]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("x,gas,XX,,,,", "m.csv:3: column C responsible: there is no duty role 'XX'"),
        ("x,party,TE,,,,", "m.csv:3: column B event: 'party' is no event type"),
        ("x,gas,TE,TE,,,", "m.csv:3: column D backup: TE would be its own backup"),
        ("x,gas,TE,,soon PM,,", "m.csv:3: column E ladder: 'soon PM' is no step"),
        ("x,gas,TE,,60 XX,,", "m.csv:3: column E ladder: there is no duty role 'XX'"),
        ("x,gas,TE,,9 PM;5 DM,,", "m.csv:3: column E ladder: steps stand in the order"),
        ("x,gas,TE,,,quick,", "m.csv:3: column F ack_s: 'quick' is no time"),
        ("x,gas,TE,,,0.7,", "m.csv:3: column F ack_s: '0.7' is no whole number of seconds"),
        ("x,gas,TE,,,,tomorrow", "m.csv:3: column G valid_from: "),
        ("ok,gas,TE,,,,", "m.csv:3: column A id: row ok version 1 exists twice"),
    ],
)
def test_a_wrong_cell_is_named_by_file_row_and_column(row: str, said: str) -> None:
    with pytest.raises(Problems) as e:
        read(f"{HEAD}ok,gas,TE,,,,\r\n{row}\r\n")
    assert str(e.value).startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "m.csv:1: is empty"),
        ("id,colour\n", "m.csv:1: B: there is no column 'colour'"),
        ("id,编号\n", "m.csv:1: B: '编号' is there twice"),
        ('id\n"a', "m.csv:1: is no CSV"),
    ],
)
def test_a_sheet_that_is_none_is_named(text: str, said: str) -> None:
    with pytest.raises(Problems) as e:
        read(text)
    assert str(e.value).startswith(said)


def test_all_faults_come_at_once_in_the_order_of_the_rows() -> None:
    with pytest.raises(Problems) as e:
        read(f"{HEAD}a,gas,XX,,,,\r\n\r\nb,gas,TE,YY,,,\r\n")
    assert [p.line for p in e.value.problems] == [2, 4]


def test_the_difference_and_the_versions_that_follow() -> None:
    old = [Row("a", "gas", "TE", version=3), Row("b", "gas", "TE"), Row("c", "gas", "TE", version=2)]
    new = [Row("a", "gas", "DR"), Row("c", "gas", "TE"), Row("d", "gas", "TE", version=9)]
    expected: dict[str, list[Any]] = {
        "added": ["d"], "removed": ["b"],
        "changed": [{"id": "a", "field": "responsible", "before": "TE", "after": "DR"}],
    }  # fmt: skip
    assert difference(old, new) == expected
    assert [(r.id, r.version) for r in numbered(old, new)] == [("a", 4), ("c", 2), ("d", 1)]
