"""Gathers what belongs to a case of the emergency fund and makes its dossier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from alerts.cases import SLOTS, missing
from gateway.adapters.dossier import pack
from gateway.adapters.dossier_pdf import Section, render
from gateway.errors import NotFound
from gateway.model import Ms
from gateway.ports import SampleStore, StateStore
from gateway.ports.files import FileStore
from gateway.ports.keys import Keys

AROUND_MS: Ms = 600_000
"""Raw readings so long before the alarm and after its end belong to the dossier."""
LONGEST_MS: Ms = 86_400_000
SUFFIX = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp", "application/pdf": "pdf"}


class Dossiers:
    """Makes dossiers. Blocking; call it in a thread."""

    def __init__(self, state: StateStore, samples: SampleStore, files: FileStore, keys: Keys) -> None:
        self._state, self._samples, self._files, self._keys = state, samples, files, keys

    def make(self, id_: str) -> bytes:
        """The signed zip of a case as it stands now. Raises NotFound, or Permanent for a damaged photo."""
        case = self._state.record("case", id_)
        order = self._state.record("order", case["order"]) if case else None
        if case is None or order is None:
            raise NotFound(f"there is no case {id_}")
        alarms = [a for i in order["alarms"] if (a := self._state.record("alarm", i)) is not None]
        raw, rows = self._raw(alarms)
        papers, lost = self._papers(case)
        gaps = {*missing(case, order, raw_rows=rows), *(slot for slot, _ in lost)}
        lacking = [slot for slot in SLOTS if slot in gaps]
        events = self._events(case, order)
        pictures = self._pictures(order)
        files = {
            "case.json": _json(case), "order.json": _json({k: v for k, v in order.items() if k != "keep"}),
            "alarms.json": _json([{k: v for k, v in a.items() if k != "memory"} for a in alarms]),
            "events.jsonl": b"".join(orjson.dumps(e) + b"\n" for e in events),
            **raw, **{name: data for name, (_, data) in pictures.items()}, **papers,
        }  # fmt: skip
        facts: dict[str, Any] = {
            "case": id_,
            "estate": case["estate"],
            "order": order["id"],
            "missing": lacking,
        }
        if lost:
            facts["lost"] = [{"slot": slot, "sha256": sha} for slot, sha in lost]
        title = f"应急维修资金档案 · {order['title'].get('zh', order['id'])}"
        files["dossier.pdf"] = render(title, _sections(case, order, alarms, lacking, rows, pictures), facts)
        return pack(files, facts, self._keys)

    def _raw(self, alarms: list[dict[str, Any]]) -> tuple[dict[str, bytes], int]:
        """Readings of the alarms' points as CSV (ms UTC, value, quality byte), and how many they are."""
        files, rows = {}, 0
        for alarm in alarms:
            asset, _, tag = alarm["point"].partition("/")
            series = self._state.series([(asset, tag)])[asset, tag]
            start = int(alarm["raised_at"]) - AROUND_MS
            until = min(int(alarm.get("cleared_at") or alarm["raised_at"]), start + LONGEST_MS) + AROUND_MS
            found = self._samples.raw(series, start, until)
            columns = zip(found.t.tolist(), found.v.tolist(), found.q.tolist(), strict=True)
            lines = ["t_ms,value,quality", *(f"{t},{v!r},{q}" for t, v, q in columns)]
            files[f"raw/{asset}_{tag}_{alarm['id']}.csv"] = ("\n".join(lines) + "\n").encode()
            rows += len(found)
        return files, rows

    def _events(self, case: Mapping[str, Any], order: Mapping[str, Any]) -> list[dict[str, Any]]:
        found = [
            (seq, e)
            for subject in (order["id"], case["id"], *order["alarms"])
            for seq, e in self._state.events(estate=case["estate"], subject=subject, limit=5000)
        ]
        return [
            {"seq": seq, "id": e.id, "t": e.t, "kind": e.kind, "subject": e.subject, "actor": e.actor,
             "data": dict(e.data)}
            for seq, e in sorted(found, key=lambda x: x[0])
        ]  # fmt: skip

    def _pictures(self, order: Mapping[str, Any]) -> dict[str, tuple[str, bytes]]:
        """File name → (kind, original bytes)."""
        return {
            f"photos/{p['kind']}_{p['sha256']}.{SUFFIX[p['media']]}": (
                p["kind"],
                self._files.get(p["sha256"]),
            )
            for p in order.get("photos") or ()
        }

    def _papers(self, case: Mapping[str, Any]) -> tuple[dict[str, bytes], list[tuple[str, str]]]:
        """Bytes by file name, and (slot, hash) of papers that are gone: that stops no dossier."""
        found, lost = dict[str, bytes](), list[tuple[str, str]]()
        for slot, held in case["slots"].items():
            for f in held["files"]:
                name = f"papers/{slot}_{f['sha256']}.{SUFFIX.get(f.get('media', ''), 'bin')}"
                try:
                    found[name] = self._files.get(f["sha256"])
                except NotFound:
                    lost.append((slot, f["sha256"]))
        return found, lost


def _json(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2)


def _yuan(fen: int | None) -> str:
    return "—" if fen is None else f"¥ {fen // 100:,}.{fen % 100:02d}"


def _sections(
    case: Mapping[str, Any],
    order: Mapping[str, Any],
    alarms: list[dict[str, Any]],
    lacking: list[str],
    rows: int,
    pictures: Mapping[str, tuple[str, bytes]],
) -> list[Section]:
    """One section per slot, in the order of the list; what is missing says so."""
    own = {
        "alarm": [f"{a['sentence'].get('zh', '')} / {a['name'].get('en', '')}" for a in alarms],
        "raw_data": [f"{rows} 条原始读数 / readings (raw/*.csv)"],
        "verification": [f"{order.get('verified_by')} {order.get('override_reason') or ''}"],
        "amount": [_yuan(case["amount_fen"]), f"工单费用 / order: {_yuan(order['costs_total']['total'])}"],
        "review": [(case["review"] or {}).get("text", "不需要 / not needed")],
    }  # fmt: skip
    out: list[Section] = []
    for n, (slot, words) in enumerate(SLOTS.items(), 1):
        held = case["slots"].get(slot)
        lines = list(own.get(slot, [held["text"]] if held else []))
        if slot in lacking:
            lines = ["【缺】尚未提供 / MISSING"]
        shown = [(name, data) for name, (kind, data) in pictures.items() if kind == slot]
        out.append((f"{n}. {words['zh']} / {words['en']}", lines, shown))
    return out
