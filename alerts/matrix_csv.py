"""The responsibility matrix as a spreadsheet: CSV with a byte-order mark, headers in Chinese or English.

What is written reads back equal. Every fault names the file, the row as a spreadsheet numbers it, and the
column by letter and header.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from typing import Any

from alerts.matrix import DutyRole, Row
from alerts.matrix_rows import row_dict, rows_of
from gateway.errors import BadInput, Problems

BOM = "\ufeff"
_UNITS = {
    "": 1, "s": 1, "秒": 1, "min": 60, "分": 60, "分钟": 60, "h": 3600, "小时": 3600, "时": 3600,
    "d": 86_400, "天": 86_400,
}  # fmt: skip
_TIME = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z一-鿿]*)")
_RISKY = ("=", "+", "-", "@", "\t", "\r")
"""Beginnings that a spreadsheet takes for a formula."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: the field of the row, its header in Chinese, and how a cell is read and written.

    `read` raises ValueError with what is wrong; the value of an empty cell is left out of the row.
    """

    name: str
    zh: str
    read: Callable[[str], Any]
    write: Callable[[Any], str]


def table_text(columns: Sequence[Column], rows: Iterable[Mapping[str, Any]], language: str = "zh") -> str:
    """The spreadsheet, CRLF and BOM, so that it opens with the right letters."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([c.zh if language == "zh" else c.name for c in columns])
    for row in rows:
        writer.writerow([_safe(c.write(row[c.name])) if row.get(c.name) is not None else "" for c in columns])
    return BOM + out.getvalue()


@dataclass(frozen=True)
class Sheet:
    """What a spreadsheet holds: rows of plain data, the number of each row, and its columns."""

    file: str
    rows: list[dict[str, Any]]
    lines: list[int]
    headers: Mapping[str, str]
    """Field → how the column is called there: `K 升级`."""

    def fault(self, n: int, name: str, message: str, hint: str = "") -> BadInput:
        """Something wrong in the n-th row, in a field of it."""
        line = self.lines[n] if n < len(self.lines) else 1
        column = self.headers.get(name.partition(".")[0], name)
        return BadInput(message, file=self.file, line=line, field=f"column {column}", hint=hint)


def read_table(columns: Sequence[Column], text: str, file: str) -> Sheet:
    """Rows of a spreadsheet. Raises Problems with everything that cannot be read."""
    text = text.removeprefix(BOM)
    try:
        cells = list(csv.reader(io.StringIO(text, newline=""), dialect=_dialect(text), strict=True))
    except csv.Error as e:
        raise Problems([BadInput(f"is no CSV: {e}", file=file, line=1, hint="save it as CSV UTF-8")]) from e
    if not cells or not any(c.strip() for c in cells[0]):
        raise Problems([BadInput("is empty", file=file, line=1, hint="the first row names the columns")])
    by_header = {c.zh: c for c in columns} | {c.name: c for c in columns}
    found, problems = _headers(cells[0], by_header, file)
    if problems:
        raise Problems(problems)
    headers = {c.name: f"{letter(k)} {cells[0][k].strip()}" for k, c in found.items()}
    sheet = Sheet(file, [], [], headers)
    for n, row in enumerate(cells[1:], start=2):
        if any(c.strip() for c in row):
            sheet.lines.append(n)
            sheet.rows.append(_row(sheet, row, found, problems))
    if problems:
        raise Problems(problems)
    return sheet


def _dialect(text: str) -> type[csv.Dialect]:
    """Comma, or what some spreadsheets write instead: semicolon or tab."""
    first = text.split("\n", 1)[0]
    delimiter_ = max(",;\t", key=first.count)

    class Found(csv.excel):
        delimiter = delimiter_

    return Found


def _headers(
    first: Sequence[str], known: Mapping[str, Column], file: str
) -> tuple[dict[int, Column], list[BadInput]]:
    found: dict[int, Column] = {}
    problems = []
    for k, cell in enumerate(first):
        column = known.get(cell.strip())
        if column is None and cell.strip():
            hint = "known: " + ", ".join(dict.fromkeys(c.name for c in known.values()))
            problems.append(
                BadInput(
                    f"there is no column {cell.strip()!r}", file=file, line=1, field=letter(k), hint=hint
                )
            )
        elif column is not None and column in found.values():
            problems.append(BadInput(f"{cell.strip()!r} is there twice", file=file, line=1, field=letter(k)))
        elif column is not None:
            found[k] = column
    return found, problems


def _row(
    sheet: Sheet, cells: Sequence[str], found: Mapping[int, Column], problems: list[BadInput]
) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for k, column in found.items():
        cell = _plain(cells[k].strip()) if k < len(cells) else ""
        if cell:
            try:
                row[column.name] = column.read(cell)
            except ValueError as e:
                problems.append(sheet.fault(len(sheet.rows), column.name, str(e)))
    return row


def letter(column: int) -> str:
    """`A` … `Z`, `AA` …, as spreadsheets name columns."""
    name = ""
    column += 1
    while column:
        column, k = divmod(column - 1, 26)
        name = chr(65 + k) + name
    return name


def _safe(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_RISKY) or cell.startswith("'") else cell


def _plain(cell: str) -> str:
    return cell.removeprefix("'")


# ── cells ─────────────────────────────────────────────────────────────────────────────────────────────


def seconds(cell: str) -> int:
    """`180`, `3 min`, `30分钟`, `1.5 h`, `2天`. Raises ValueError."""
    match = _TIME.fullmatch(cell.strip().lower())
    if match is None or match[2] not in _UNITS:
        raise ValueError(f"{cell!r} is no time; write 180, 3 min, 1.5 h or 2 d")
    value = float(match[1]) * _UNITS[match[2]]
    if value != int(value):
        raise ValueError(f"{cell!r} is no whole number of seconds")
    return int(value)


def words(cell: str) -> list[str]:
    """`PM; DM`. Raises nothing."""
    return [w.strip() for w in re.split(r"[;；\n]+", cell) if w.strip()]


def joined(values: Iterable[Any]) -> str:
    """The other way."""
    return "; ".join(map(str, values))


def _ladder(cell: str) -> list[dict[str, Any]]:
    """`3 min PM voice accept; 900 R2`: time, role, channel (push), until what (accept)."""
    steps = []
    for step in words(cell):
        match = re.fullmatch(r"(\d+(?:\.\d+)?\s?[a-z一-鿿]*)\s+(\w+)(?:\s+(\w+))?(?:\s+(\w+))?", step)
        if match is None:
            raise ValueError(f"{step!r} is no step; write: 180 PM voice accept; 15 min DM")
        found = {"after_s": seconds(match[1]), "role": match[2]}
        found |= {k: v for k, v in (("channel", match[3]), ("until", match[4])) if v}
        steps.append(found)
    return steps


def _steps(ladder: Iterable[Mapping[str, Any]]) -> str:
    return joined(
        f"{s['after_s']} {s['role']} {s.get('channel', 'push')} {s.get('until', 'accept')}" for s in ladder
    )


def _number(cell: str) -> int:
    if not cell.isdigit():
        raise ValueError(f"{cell!r} is no whole number")
    return int(cell)


def _severity(cell: str) -> int:
    return _number(cell.upper().removeprefix("P"))


_YES = {"yes": "yes", "no": "no", "case": "case", "是": "yes", "否": "no", "视情况": "case"}


def _fund(cell: str) -> str:
    if cell.lower() not in _YES:
        raise ValueError(f"{cell!r} is no answer; write yes, no or case (是, 否, 视情况)")
    return _YES[cell.lower()]


def _json(cell: str) -> Any:
    try:
        return json.loads(cell)
    except ValueError as e:
        raise ValueError("the checklist is a JSON list of {id, type, text}") from e


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def matrix_columns(zone: tzinfo) -> tuple[Column, ...]:
    """All columns, in the order in which people read them. zone: of the dates."""

    def day(value: Any) -> str:
        if isinstance(value, str):
            return value
        local = datetime.fromtimestamp(value / 1000, zone)
        return local.isoformat(timespec="seconds")[:19] if value % 86_400_000 else local.date().isoformat()

    def text(name: str, zh: str) -> Column:
        return Column(name, zh, str, str)

    def listed(name: str, zh: str) -> Column:
        return Column(name, zh, words, joined)

    def time(name: str, zh: str) -> Column:
        return Column(name, zh, seconds, str)

    return (
        text("id", "编号"), text("event", "事件"), text("part", "部件"), text("asset_kind", "设施类别"),
        text("asset", "设施"), text("estate", "小区"), text("city", "城市"), text("band", "时段"),
        Column("severity", "级别", _severity, str), text("boundary", "产权边界"),
        text("responsible", "责任岗位"), text("backup", "后备岗位"), text("supervisor", "监督岗位"),
        text("contractor", "维保单位"), listed("contacts", "联系人"), time("ack_s", "受理时限"),
        time("arrive_s", "到场时限"), time("restore_s", "恢复时限"), time("close_s", "结案时限"),
        text("calendar", "工作日历"), Column("ladder", "升级阶梯", _ladder, _steps), listed("inform", "抄送"),
        listed("also", "同时派单部件"), Column("fund_eligible", "维修资金", _fund, str),
        text("legal", "依据"), text("process_zh", "处置流程"), text("process_en", "处置流程英文"),
        Column("checklist", "检查项", _json, _dump), Column("valid_from", "生效", str, day),
        Column("valid_to", "失效", str, day), Column("version", "版本", _number, str),
    )  # fmt: skip


def export_matrix(rows: Iterable[Row], zone: tzinfo, language: str = "zh") -> str:
    """The matrix as a spreadsheet; header names in the language."""
    plain = []
    for row in rows:
        body = row_dict(row)
        process = body.pop("process", {})
        body |= {f"process_{k}": process[k] for k in ("zh", "en") if process.get(k)}
        plain.append(body)
    return table_text(matrix_columns(zone), plain, language)


def import_matrix(
    text: str, file: str, roles: Mapping[str, DutyRole], zone: tzinfo
) -> tuple[list[Row], Sheet]:
    """Rows of a spreadsheet, checked one by one. Raises Problems, each with file, row and column."""
    sheet = read_table(matrix_columns(zone), text, file)
    data = []
    for row in sheet.rows:
        process = {k: row[f"process_{k}"] for k in ("zh", "en") if f"process_{k}" in row}
        plain = {k: v for k, v in row.items() if not k.startswith("process_")}
        data.append(plain | ({"process": process} if process else {}))
    try:
        return rows_of(data, roles, zone=zone, root=""), sheet
    except Problems as e:
        raise Problems([_placed(sheet, p) for p in e.problems]) from e


def _placed(sheet: Sheet, p: BadInput) -> BadInput:
    """The same fault by row and column. Its field is `.3.ladder.0.role`, or `.3` for dates."""
    _, n, *path = p.field.split(".")
    name = path[0] if path else "valid_to" if "valid_to" in p.message else "valid_from"
    return sheet.fault(int(n), "process_zh" if name == "process" else name, p.message, p.hint)


# ── what a change changes ─────────────────────────────────────────────────────────────────────────────


def difference(old: Iterable[Row], new: Iterable[Row]) -> dict[str, list[Any]]:
    """{added: [id], removed: [id], changed: [{id, field, before, after}]}; versions do not count."""
    before = {r.id: row_dict(r) for r in old}
    after = {r.id: row_dict(r) for r in new}
    changed = [
        {"id": id_, "field": f, "before": before[id_].get(f), "after": body.get(f)}
        for id_, body in after.items()
        if id_ in before
        for f in sorted({*before[id_], *body} - {"version"})
        if before[id_].get(f) != body.get(f)
    ]
    return {
        "added": [i for i in after if i not in before],
        "removed": [i for i in before if i not in after],
        "changed": changed,
    }


def numbered(old: Iterable[Row], new: Iterable[Row]) -> list[Row]:
    """The new rows with their versions: one more where something changed, the same where nothing did."""
    known = {r.id: r for r in old}
    out = []
    for row in new:
        was = known.get(row.id)
        if was is None:
            out.append(replace(row, version=1))
        else:
            more = bool(difference([was], [row])["changed"])
            out.append(replace(row, version=was.version + more))
    return out
