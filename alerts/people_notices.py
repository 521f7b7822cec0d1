"""Who hears what about shifts, certificates, the calendar and handovers: the firm's duty manager. Pure.

Whoever is asked to stand in for somebody hears of it in person; the answer goes to the manager.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, tzinfo
from typing import Any

from gateway.model import Event, Ms, Notice, Text

MANAGER = "DM"
Say = Callable[[Mapping[str, Any], tzinfo], tuple[Text, Text]]


def people_notices(events: Iterable[Event], zone: tzinfo) -> Iterator[Notice]:
    """The calls that the events make; each once, since the id is the event's."""
    for e in events:
        say = _SAY.get(e.kind)
        if say is None:
            continue
        title, body = say(e.data, zone)
        if e.kind == "leave.asked":
            if e.data["stand_in"] and e.data["accepted_at"] is None:
                duty, person = str([*e.data["duties"], MANAGER][0]), str(e.data["stand_in"])
                yield Notice(
                    f"{e.id}:{duty}@{person}:push", e.estate, e.t, duty, "push", e.subject, title, body,
                    priority=3, person=person,
                )  # fmt: skip
            continue
        near = e.kind == "handover.unsigned" or int(e.data.get("days", 9)) <= 1
        for channel in ("push", "sms") if near else ("push",):
            yield Notice(
                f"{e.id}:{MANAGER}:{channel}", e.estate, e.t, MANAGER, channel, e.subject, title, body,
                priority=2 if near else 3,
            )  # fmt: skip


def _at(t: Ms, zone: tzinfo) -> str:
    return datetime.fromtimestamp(t / 1000, zone).strftime("%m-%d %H:%M")


def _empty(d: Mapping[str, Any], zone: tzinfo) -> tuple[Text, Text]:
    span = f"{_at(d['from'], zone)} – {_at(d['to'], zone)}"
    return (
        {"zh": f"【排班】{d['duty']} 无人值班", "en": f"[SHIFTS] nobody for {d['duty']}"},
        {"zh": f"{span} 无人，请补班", "en": f"Nobody from {span}: plan somebody"},
    )


def _certificate(d: Mapping[str, Any], _: tzinfo) -> tuple[Text, Text]:
    kind, left = d["kind_name"], int(d["days"])
    zh = f"{left} 天后到期" if left >= 0 else "已到期，不再派单"
    en = f"ends in {left} days" if left >= 0 else "has ended: no more orders for this work"
    return (
        {"zh": f"【证书】{d['name']} {zh}", "en": f"[CERTIFICATE] {d['name']} {en}"},
        {
            "zh": f"{kind['zh']} {d['number']}，有效期至 {d['expires']}",
            "en": f"{kind['en']} {d['number']}, valid until {d['expires']}",
        },
    )


def _calendar(d: Mapping[str, Any], _: tzinfo) -> tuple[Text, Text]:
    return (
        {"zh": "【日历】节假日日历即将用完", "en": "[CALENDAR] the public calendar ends"},
        {
            "zh": f"已知节假日到 {d['last']} 为止，请录入下一年度的放假通知",
            "en": f"Holidays are known until {d['last']}; enter those of the next year from the notice",
        },
    )


def _unsigned(d: Mapping[str, Any], zone: tzinfo) -> tuple[Text, Text]:
    out, into = (", ".join(d[k]) for k in ("outgoing", "incoming"))
    return (
        {"zh": "【交接班】未签字", "en": "[HANDOVER] not signed"},
        {
            "zh": f"{d['duty']} {_at(d['change'], zone)} 换班，交班 {out}，接班 {into}，30 分钟内未双签",
            "en": f"{d['duty']} changed at {_at(d['change'], zone)} from {out} to {into}: not signed by both",
        },
    )


def _swap(d: Mapping[str, Any], zone: tzinfo) -> tuple[Text, Text]:
    who, other = (d["names"].get(d[k], d[k]) for k in ("person", "stand_in"))
    span, duties = f"{_at(d['start'], zone)} – {_at(d['end'], zone)}", ", ".join(d["duties"])
    return (
        {"zh": f"【排班】{who} 请您代班", "en": f"[SHIFTS] {who} asks you to stand in"},
        {
            "zh": f"{other}：{span} {duties}，请在页面 /me 答复是否同意",
            "en": f"{other}: {duties} from {span}; say yes or no on the page /me",
        },
    )


def _answer(d: Mapping[str, Any], zone: tzinfo) -> tuple[Text, Text]:
    who, other = (d["names"].get(d[k], d[k]) for k in ("person", "stand_in"))
    span, yes = f"{_at(d['start'], zone)} – {_at(d['end'], zone)}", d["state"] == "asked"
    zh, en = ("同意", "will") if yes else ("不同意", "will not")
    todo = {"zh": "，请审批", "en": "; approve or refuse it"} if yes else {"zh": "", "en": ""}
    return (
        {"zh": f"【排班】{other} {zh}代班", "en": f"[SHIFTS] {other} {en} stand in"},
        {"zh": f"替 {who}：{span}{todo['zh']}", "en": f"For {who}, {span}{todo['en']}"},
    )


_SAY: Mapping[str, Say] = {
    "leave.asked": _swap,
    "leave.accepted": _answer,
    "leave.declined": _answer,
    "roster.empty": _empty,
    "certificate.expiring": _certificate,
    "certificate.expired": _certificate,
    "calendar.ending": _calendar,
    "handover.unsigned": _unsigned,
}
