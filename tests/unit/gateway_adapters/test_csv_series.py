"""CSV files as people export them: read with a report of what was not used, or refused with the place."""

from __future__ import annotations

import os
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from gateway.adapters.csv_series import BLOCK, LONGEST, read_table
from gateway.adapters.csv_skipped import WORDS
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
        ("\n \n" + GOOD, "utf-8"),
        (GOOD.replace("\n", "\r"), "utf-8"),
        ('"timestamp","value"\n"2026-03-01 08:00:00","1.5"\n"2026-03-01 08:01:00","2,5"\n', "utf-8"),
        ("timestamp,value,time\n2026/3/1 8:00,1.5,x\n2026年3月1日 8:01,2.5,y\n", "utf-8"),
        (f"timestamp,value\n{T0}000,1.5\n{T0 + 60_000}000000,2.5\n", "utf-8"),
        ("timestamp,value\n202603010800,1.5\n202603010801,2.5\n", "utf-8"),
        ("20260301080000,1.5\n20260301080100,2.5\n", "utf-8"),
        (f"timestamp,value\n{T0 // 1000}.0,1.5\n{T0 // 1000 + 60}.0,2.5\n", "utf-8"),
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
    assert table.skipped.counts == {
        "columns": 1, "time": 1, "number": 1, "gap": 1, "again": 1, "late": 1,
    }  # fmt: skip
    assert set(table.skipped.counts) <= set(WORDS)
    assert table.skipped.first["time"] == [(5, "timestamp", "yesterday")]
    assert table.skipped.first["number"] == [(7, "value", "broken")]
    assert table.skipped.first["again"] == [(11, "timestamp", "2026-03-01 08:08:00")]
    assert table.skipped.first["late"] == [(13, "timestamp", "2026-03-01 07:00:00")]
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
            "x.csv:2: value: 2 of 2 values are no numbers; the first: 'bad'",
        ),
        ("timestamp,value\n1\n2\n3\n", "x.csv:2: columns: 3 of 3 rows"),
        ("timestamp,value\n\0\0,1\n", "x.csv:2: holds bytes that are no text"),
        (
            "timestamp,value\n-5,1\n1e300,2\n",
            "x.csv:2: timestamp: 2 of 2 rows cannot be used; the first: '-5'",
        ),
        (
            "timestamp,value\n2026-03-01 08:00,1\n" * 1 + "2026-03-01 08:00,2\n" * 5,
            "x.csv:3: timestamp: 5 of 6",
        ),
        (
            GOOD + '"2026-03-01 08:02:00,1\n2026-03-01 08:03:00,2\n',
            "x.csv:4: the row that begins here is no CSV",
        ),
        ("timestamp,value\n202613010800,1\n202603012560,2\n", "x.csv:2: timestamp: 2 of 2 rows"),
        ("timestamp,value\n2.02603E+11,1\n202603010801.5,2\n", "x.csv:2: timestamp: 2 of 2 rows"),
        ("timestamp,value\n2603010815,1\n2603010816,2\n", "x.csv:2: timestamp: '2603010815' may be seconds"),
        (
            "timestamp,value\n" + "".join(f"18030108{n},1\n" for n in range(10, 40)),
            "x.csv:2: timestamp: '1803010810' may be seconds",
        ),
        ("timestamp,value\nnan,1\ninf,2\n", "x.csv:2: timestamp: 2 of 2 rows"),
    ],
)
def test_what_cannot_be_read_is_refused_with_line_and_column(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BadInput) as refused:
        read_table(put(tmp_path, text))
    assert said in str(refused.value)
    assert refused.value.hint or "no rows" in said


def test_digits_are_of_the_zone_that_is_named_and_seconds_stay_seconds(tmp_path: Path) -> None:
    table = read_table(put(tmp_path, "t,v\n202603010800,1\n202603010801,2\n"), ZoneInfo("Asia/Shanghai"))
    assert table.t.tolist() == [T0 - 8 * 3_600_000, T0 - 8 * 3_600_000 + 60_000]
    start = 1_801_010_000  # reads as 2018-01-01 00:00 too, but half of the next hundred do not
    table = read_table(put(tmp_path, "t,v\n" + "".join(f"{start + n},{n}\n" for n in range(100))))
    assert table.t.tolist() == [(start + n) * 1000 for n in range(100)]
    assert table.skipped.counts == {}


def test_times_of_another_age_are_told(tmp_path: Path) -> None:
    rows = [f"2026-03-01 08:{n:02d}:00,{n}" for n in range(30)]
    rows[0] = "1999-01-01 00:00:00,0"
    table = read_table(put(tmp_path, "timestamp,value\n" + "\n".join(rows)))
    assert table.skipped.counts == {"far": 1}
    rows[0], rows[29] = "2026-03-01 08:00:00,0", "2111-01-01 00:00:00,9"
    table = read_table(put(tmp_path, "timestamp,value\n" + "\n".join(rows)))
    assert table.skipped.counts == {"ahead": 1, "far": 1}
    assert table.skipped.first["ahead"] == [(31, "timestamp", "2111-01-01 00:00:00")]
    assert set(table.skipped.counts) <= set(WORDS)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"nowhere\.csv.*No such file"):
        read_table(tmp_path / "nowhere.csv")


def test_no_file_is_read_that_never_ends(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    for path in (tmp_path, tmp_path / "pipe.csv", Path("/dev/zero")):
        with pytest.raises(BadInput, match="is no file"):
            read_table(path)
    with pytest.raises(BadInput, match=r"x\.csv:1: the line does not end"):
        read_table(put(tmp_path, "timestamp," + "v" * LONGEST))


def test_what_is_no_number_or_no_time_of_ours_is_told(tmp_path: Path) -> None:
    rows = [f"2026-03-01 08:{n:02d}:00,{n}" for n in range(30)]
    rows[3] = "2026-03-01 08:03:00,1e400"
    rows[4] = '2026-03-01 08:04:00,"1,234"'  # thousands, or a decimal comma: nobody knows
    rows[5] = "2026-03-01 08:05:00,NaN"
    rows[6] = "9999-12-31 23:59:59,6"
    rows[7] = "0001-01-01T00:00:00+08:00,7"
    rows[8] = "2026-03-01T16:08:00+08:00,8"
    table = read_table(put(tmp_path, "timestamp,value\n" + "\n".join(rows)))
    assert table.skipped.counts == {"zone": 27, "time": 2, "number": 2, "gap": 1}
    assert table.skipped.first["number"] == [(5, "value", "1e400"), (6, "value", "1,234")]
    assert table.skipped.first["time"][0] == (8, "timestamp", "9999-12-31 23:59:59")
    assert len(table.t) == 28
    assert np.diff(table.t).max() == 3 * 60_000


def test_a_column_without_a_number_is_no_channel(tmp_path: Path) -> None:
    text = "timestamp,p,note\n2026-03-01 08:00:00,1,on\n2026-03-01 08:01:00,2,off\n"
    table = read_table(put(tmp_path, text))
    assert (table.names, table.left_out, table.values.shape) == (("p",), ("note",), (2, 1))


def test_lines_are_right_below_a_cell_with_line_breaks(tmp_path: Path) -> None:
    rows = ["2026-03-01 08:00:00,1,two lines", "2026-03-01 08:01:00,x,a", "2026-03-01 08:02:00,2,b", ""]
    text = "timestamp,p,note\n" + "\n".join(rows).replace("two lines", '"two\nlines"')
    table = read_table(put(tmp_path, text), ignore=["note"])
    assert table.skipped.first["number"] == [(4, "p", "x")]


def test_order_is_watched_from_block_to_block(tmp_path: Path) -> None:
    rows = [f"{T0 + n * 1000},{n}" for n in range(BLOCK + 5)]
    rows[BLOCK + 2] = f"{T0 + 7000},0"
    rows[BLOCK + 3] = f"{T0 + (BLOCK + 1) * 1000},0"
    table = read_table(put(tmp_path, "timestamp,value\n" + "\n".join(rows)))
    assert table.skipped.first["late"] == [(BLOCK + 4, "timestamp", str(T0 + 7000))]
    assert table.skipped.first["again"] == [(BLOCK + 5, "timestamp", str(T0 + (BLOCK + 1) * 1000))]


def test_rows_that_are_late_or_twice_by_turns_are_put_in_order(tmp_path: Path) -> None:
    minutes = [9, *[n for n in range(9) for _ in range(2)], *range(10, 14)]
    rows = [f"2026-03-01 08:{n:02d}:00,{n}" for n in minutes]
    table = read_table(put(tmp_path, "timestamp,value\n" + "\n".join(rows)))
    assert table.values[:, 0].tolist() == sorted(minutes)
    assert table.skipped.counts == {"sorted": len(rows), "again": 9}
