"""CSV files as people export them: read with a report of what was not used, or refused with the place."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from gateway.adapters.csv_series import BLOCK, WORDS, read_table
from gateway.errors import BadInput

T0 = 1_772_352_000_000  # 2026-03-01T08:00:00Z
GOOD = "timestamp,value\n2026-03-01 08:00:00,1.5\n2026-03-01 08:01:00,2.5\n"


def put(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "x.csv"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (GOOD, "utf-8"),
        (GOOD, "utf-8-sig"),
        (GOOD, "utf-16"),
        (GOOD.replace("\n", "\r\n"), "utf-8"),
        (GOOD.replace(",", ";"), "utf-8"),
        (GOOD.replace(",", "\t"), "utf-8"),
        (GOOD.removeprefix("timestamp,value\n"), "utf-8"),
        ("时间,压力\n2026/03/01 08:00:00,1.5\n2026/03/01 08:01:00,2.5\n", "gb18030"),
        ("timestamp,value\n2026-03-01T16:00:00+08:00,1.5\n2026-03-01T08:01:00Z,2.5\n", "utf-8"),
        (f"timestamp,value\n{T0},1.5\n{T0 + 60_000},2.5\n", "utf-8"),
        (f"timestamp,value\n{T0 // 1000},1.5\n{T0 // 1000 + 60},2.5\n", "utf-8"),
        ("datetime;v;anomaly\n2026-03-01 08:00;1,5;0\n2026-03-01 08:01;2,5;1\n", "utf-8"),
        (GOOD + "\n\n", "utf-8"),
    ],
)
def test_the_same_two_rows_are_read_from_every_form(tmp_path: Path, text: str, encoding: str) -> None:
    table = read_table(put(tmp_path, text, encoding))
    assert table.t.tolist() == [T0, T0 + 60_000]
    assert table.values[:, 0].tolist() == [1.5, 2.5]
    assert table.skipped.counts == {}


def test_times_without_a_zone_are_of_the_zone_that_is_named(tmp_path: Path) -> None:
    table = read_table(put(tmp_path, GOOD), ZoneInfo("Asia/Shanghai"))
    assert table.t.tolist() == [T0 - 8 * 3_600_000, T0 - 8 * 3_600_000 + 60_000]


def test_what_was_not_used_is_counted_with_its_places(tmp_path: Path) -> None:
    rows = [f"2026-03-01 08:{n:02d}:00,{n}" for n in range(40)]
    rows[3] = "yesterday,3"
    rows[5] = "2026-03-01 08:05:00,broken"
    rows[6] = "2026-03-01 08:06:00,"
    rows[7] = "2026-03-01 08:07:00,7,7"
    rows[9] = "2026-03-01 08:08:00,9"  # the time of the one before
    rows[11] = "2026-03-01 07:00:00,11"  # late
    table = read_table(put(tmp_path, "timestamp,value\n" + "\n".join(rows) + "\n"))
    assert table.rows == 40
    assert table.skipped.counts == {"columns": 1, "time": 1, "number": 1, "late": 2}
    assert set(table.skipped.counts) <= set(WORDS)
    assert table.skipped.first["time"] == [(5, "timestamp", "yesterday")]
    assert table.skipped.first["number"] == [(7, "value", "broken")]
    assert table.skipped.first["columns"] == [(9, "", "3 instead of 2")]
    assert len(table.t) == 38
    assert np.isnan(table.values[:, 0]).sum() == 2
    assert not (np.diff(table.t) > 0).all()  # in the order of the file


def test_places_are_right_beyond_the_first_block(tmp_path: Path) -> None:
    rows = [f"{T0 + n * 1000},{n}" for n in range(BLOCK + 50)]
    rows[BLOCK + 10] = f"{T0 + (BLOCK + 10) * 1000},oops"
    told: list[int] = []
    table = read_table(put(tmp_path, "timestamp,value\n" + "\n".join(rows)), progress=told.append)
    assert table.skipped.first["number"] == [(BLOCK + 12, "value", "oops")]
    assert told[-1] == BLOCK + 50


def test_a_file_that_stands_backwards_is_put_in_order(tmp_path: Path) -> None:
    rows = [f"2026-03-01 08:{n:02d}:00,{n}" for n in reversed(range(30))]
    table = read_table(put(tmp_path, "timestamp,value\n" + "\n".join(rows)))
    assert table.values[:, 0].tolist() == list(range(30))
    assert table.skipped.counts == {"sorted": 30}


def test_labels_and_ignored_columns_are_no_channels(tmp_path: Path) -> None:
    text = "timestamp,p,q,Anomaly,note\n2026-03-01 08:00:00,1,2,1,x\n2026-03-01 08:01:00,3,4,0,y\n"
    table = read_table(put(tmp_path, text), ignore=["note"])
    assert (table.names, table.left_out) == (("p", "q"), ("Anomaly", "note"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "x.csv:1: is empty"),
        ("a,b\n1,2\n", "x.csv:1: timestamp: no column of times among a, b"),
        ("timestamp\n2026-03-01\n", "x.csv:1: value: no column of values"),
        ("timestamp,p,p\n2026-03-01 08:00:00,1,2\n", "x.csv:1: p: two columns have this name"),
        ("timestamp,value\n", "x.csv:2: has no rows with a value"),
        ("timestamp,value\nx,1\ny,2\n", "x.csv:2: timestamp: 2 of 2 rows cannot be used; the first: 'x'"),
        (
            "timestamp,value\n2026-03-01 08:00:00,bad\n2026-03-01 08:01:00,worse\n",
            "x.csv:2: value: 2 of 2 rows cannot be used; the first: 'bad'",
        ),
        ("timestamp,value\n1\n2\n3\n", "x.csv:2: columns: 3 of 3 rows"),
        ("timestamp,value\n\0\0,1\n", "x.csv:2: holds bytes that are no text"),
        ("timestamp,value\nnan,1\ninf,2\n", "x.csv:2: timestamp: 2 of 2 rows"),
    ],
)
def test_what_cannot_be_read_is_refused_with_line_and_column(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BadInput) as refused:
        read_table(put(tmp_path, text))
    assert said in str(refused.value)
    assert refused.value.hint or "no rows" in said


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"nowhere\.csv.*No such file"):
        read_table(tmp_path / "nowhere.csv")
