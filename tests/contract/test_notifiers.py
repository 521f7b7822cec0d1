"""The contract of Notifier, on every adapter, against services that answer as the real ones do.

Each rig gives the notifier, what its service has heard, and ways to make the service refuse: in passing, for
good, without a word, and with an answer that is none.
"""

from __future__ import annotations

import email
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

import pytest

from gateway.adapters.gsm_pdu import submit
from gateway.adapters.notify import Means, notifier
from gateway.config.channels import Channel
from gateway.errors import Permanent, Retryable
from gateway.model import Notice
from gateway.ports import Notifier
from simulators.gsm_modem import gsm_modem
from tests.support.notify_servers import (
    Answer,
    Asked,
    Service,
    acs3_signed,
    dingtalk_signed,
    mail_server,
    service,
    tc3_signed,
    told,
)

NOW = 1_790_000_000.0
SECRET = "SECc0ffee"
NOTICE = Notice(
    "wo-1:0:LM:push", "garden", int(NOW) * 1000, "LM", "push", "wo-1",
    {"zh": "【P1 生命安全】1号电梯 困人", "en": "[P1 LIFE SAFETY] Lift 1 entrapment"},
    {"zh": "立即处置；位置：2号楼一单元，停在7层与8层之间；值班：李工", "en": "Act at once"}, 1,
    life=True, address="13800000001",
    link="https://steward.example/n/abcdefghij23",
)  # fmt: skip
OTHER = replace(NOTICE, id="wo-2:0:LM:push", subject="wo-2", link="https://steward.example/n/zyxwvutsrq32")


@dataclass
class Rig:
    """A notifier with its service. heard: a text of each message · key: of each message, as it came."""

    notifier: Notifier
    heard: Callable[[], list[str]]
    keys: Callable[[], list[str]]
    well: Callable[[], None]
    busy: Callable[[], None] | None = None
    refuse: Callable[[], None] | None = None
    silent: Callable[[], None] | None = None
    nonsense: Callable[[], None] | None = None


def means(folder: Path, write: Any = None) -> Means:
    return Means(folder, lambda: NOW, time.monotonic, write)


def over_http(
    stack: ExitStack, folder: Path, make: Callable[[str], Channel], *, good: bytes, busy: Answer,
    refused: Answer, text: Callable[[Asked], str], key: Callable[[Asked], str] | None = None,
    signed: Callable[[Asked], bool] = lambda _: True,
) -> Rig:  # fmt: skip
    """A rig on an HTTP service that takes only what is signed."""

    def judge(asked: Asked) -> Answer:
        return (200, good) if signed(asked) else refused

    made: Service = stack.enter_context(service(judge))

    def answer(what: Answer) -> Callable[[], None]:
        return lambda: setattr(made, "judge", lambda _: what)

    def well() -> None:
        made.judge, made.drop = judge, False

    def header(asked: Asked) -> str:
        return unquote(asked.headers["idempotency-key"])

    return Rig(
        notifier(make(made.base), means(folder)),
        heard=lambda: [text(a) for a in made.asked],
        keys=lambda: [(key or header)(a) for a in made.asked],
        well=well,
        busy=answer(busy),
        refuse=answer(refused),
        silent=lambda: setattr(made, "drop", True),
        nonsense=answer((200, b"<html>please log in</html>")),
    )


def wecom(stack: ExitStack, folder: Path) -> Rig:
    return over_http(
        stack, folder, lambda base: Channel(id="c", url="wecombot://693a91f6-7xxx", base=base),
        good=told(errcode=0, errmsg="ok"),
        busy=(200, told(errcode=45009, errmsg="api freq out of limit")),
        refused=(200, told(errcode=93000, errmsg="invalid webhook url")),
        text=lambda a: str(a.json["text"]["content"]),
    )  # fmt: skip


def dingtalk(stack: ExitStack, folder: Path) -> Rig:
    return over_http(
        stack, folder, lambda base: Channel(id="c", url=f"dingtalk://{SECRET}@566cc69da782ec", base=base),
        good=told(errcode=0, errmsg="ok"),
        busy=(200, told(errcode=410100, errmsg="send too fast")),
        refused=(200, told(errcode=310000, errmsg="sign not match")),
        text=lambda a: str(a.json["text"]["content"]),
        signed=lambda a: dingtalk_signed(a, SECRET),
    )  # fmt: skip


def feishu(stack: ExitStack, folder: Path) -> Rig:
    return over_http(
        stack, folder, lambda base: Channel(id="c", url="feishu://abcdef123", base=base),
        good=told(code=0, msg="success", data={}),
        busy=(200, told(code=11232, msg="frequency limited")),
        refused=(200, told(code=19001, msg="param invalid: incoming webhook access token invalid")),
        text=lambda a: str(a.json["content"]["text"]),
    )  # fmt: skip


def ntfy(stack: ExitStack, folder: Path) -> Rig:
    def make(base: str) -> Channel:
        return Channel(id="c", url=f"ntfy://{base.removeprefix('http://')}/steward")

    return over_http(
        stack, folder, make, good=told(id="x", event="message"), busy=(429, told(error="limit reached")),
        refused=(403, told(error="forbidden")), text=lambda a: str(a.json["message"]),
    )  # fmt: skip


def gotify(stack: ExitStack, folder: Path) -> Rig:
    def make(base: str) -> Channel:
        return Channel(id="c", url=f"gotify://{base.removeprefix('http://')}/AbCdEf123456")

    return over_http(
        stack, folder, make, good=told(id=1), busy=(502, b"bad gateway"),
        refused=(401, told(error="Unauthorized")), text=lambda a: str(a.json["message"]),
    )  # fmt: skip


def webhook(stack: ExitStack, folder: Path) -> Rig:
    return over_http(
        stack, folder, lambda base: Channel(id="c", kind="webhook", url=f"{base}/in", secret=SECRET),
        good=b"", busy=(503, b"later"), refused=(410, b"gone"),
        text=lambda a: json.dumps(a.json, ensure_ascii=False),
    )  # fmt: skip


def provider(name: str, **options: str) -> Callable[[ExitStack, Path], Rig]:
    def make(base: str) -> Channel:
        return Channel(
            id="c", kind="provider", provider=name, key_id="AKID", secret=SECRET, options=options,
            base=f"{base}/",
        )  # fmt: skip

    tencent = name.startswith("tencent")
    sms = name.endswith("sms")
    if tencent:
        service_ = "sms" if sms else "vms"
        fine = (
            {"SendStatusSet": [{"Code": "Ok", "SerialNo": "s1"}]} if sms else {"SendStatus": {"CallId": "c1"}}
        )
        good = told(Response={**fine, "RequestId": "r"})
        busy = told(Response={"Error": {"Code": "RequestLimitExceeded", "Message": "slow down"}})
        refused = told(Response={"Error": {"Code": "AuthFailure.SignatureFailure", "Message": "wrong"}})
    else:
        good = told(Code="OK", Message="OK", BizId="b1", CallId="c1")
        busy = told(Code="isv.BUSINESS_LIMIT_CONTROL", Message="limit")
        refused = told(Code="SignatureDoesNotMatch", Message="wrong")

    def text(asked: Asked) -> str:
        return (
            asked.body.decode() if tencent else json.dumps(parse_qs(asked.body.decode()), ensure_ascii=False)
        )

    def key(asked: Asked) -> str:
        return str(asked.json["SessionContext"]) if tencent else parse_qs(asked.body.decode())["OutId"][0]

    def signed(asked: Asked) -> bool:
        return tc3_signed(asked, service_, SECRET) if tencent else acs3_signed(asked, SECRET)

    def rig(stack: ExitStack, folder: Path) -> Rig:
        return over_http(
            stack, folder, make, good=good, busy=(200, busy), refused=(200, refused), text=text, key=key,
            signed=signed,
        )  # fmt: skip

    return rig


def mail(stack: ExitStack, folder: Path) -> Rig:
    box = stack.enter_context(mail_server())
    url = f"mailto://127.0.0.1:{box.port}?from=steward@example.com&to={{address}}@example.com&mode=insecure"

    def header(text: str) -> str:
        return next(
            line.partition(": ")[2] for line in text.splitlines() if line.lower().startswith("x-steward-key")
        )

    def body(text: str) -> str:
        parsed = email.message_from_string(text)
        part = next(p for p in parsed.walk() if p.get_content_type() == "text/plain")
        raw = part.get_payload(decode=True)
        assert isinstance(raw, bytes)
        return raw.decode()

    return Rig(
        notifier(Channel(id="c", url=url), means(folder)),
        heard=lambda: [body(m[2]) for m in box.mails],
        keys=lambda: [header(m[2]) for m in box.mails],
        well=lambda: setattr(box, "refuse", ""),
        busy=lambda: setattr(box, "refuse", "451 greylisted"),
    )


def gsm(stack: ExitStack, folder: Path) -> Rig:
    modem = stack.enter_context(gsm_modem())
    card = modem.card

    def well() -> None:
        card.silent, card.garbage, card.cms = False, False, 0

    def references() -> list[str]:
        """Of each message the reference number that all its parts carry: made of the key."""
        of_key = {submit("1234", "x" * 99, n.id)[0][1][28:30]: n.id for n in (NOTICE, OTHER)}
        return [of_key[f"{part[0]:02X}"] for _, _, part in modem.units if part and part[2] == 1]

    return Rig(
        notifier(Channel(id="c", kind="gsm_sms", port=modem.path), means(folder)),
        heard=lambda: [m.text for m in modem.messages],
        keys=references,
        well=well,
        busy=lambda: setattr(card, "cms", 42),
        refuse=lambda: setattr(card, "cms", 28),
        silent=lambda: setattr(card, "silent", True),
        nonsense=lambda: setattr(card, "garbage", True),
    )


def siren(stack: ExitStack, folder: Path) -> Rig:
    written: list[tuple[str, str]] = []
    answer: dict[str, dict[str, Any]] = {"now": {"result": "done", "new": 1.0}}

    def write(point: str, value: float, reason: str, key: str) -> dict[str, Any]:
        if answer["now"]["result"] == "done":
            written.append((f"{point} {value:g} {reason}", key))
        return answer["now"]

    def says(**what: Any) -> Callable[[], None]:
        return lambda: answer.update(now=what)

    config = Channel(id="c", kind="siren", point="relay-1/siren.on")
    return Rig(
        notifier(config, means(folder, write)),
        heard=lambda: [f"{text} 1号电梯 困人" for text, _ in written],
        keys=lambda: [key.removeprefix("notice-") for _, key in written],
        well=says(result="done", new=1.0),
        busy=says(result="refused", code="offline", error="edge gw-1 is not online"),
        silent=says(result="unknown", code="silent", error="no answer"),
    )


def file(stack: ExitStack, folder: Path) -> Rig:
    path = folder / "notices.jsonl"

    def lines() -> list[dict[str, Any]]:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    def busy() -> None:
        path.unlink(missing_ok=True)
        path.mkdir()

    def well() -> None:
        if path.is_dir():
            path.rmdir()

    return Rig(
        notifier(Channel(id="c", url="file:notices.jsonl"), means(folder)),
        heard=lambda: [n["title"]["zh"] for n in lines()],
        keys=lambda: [n["id"] for n in lines()],
        well=well,
        busy=busy,
    )


RIGS: dict[str, Callable[[ExitStack, Path], Rig]] = {
    "file": file, "wecom": wecom, "dingtalk": dingtalk, "feishu": feishu, "ntfy": ntfy, "gotify": gotify,
    "mail": mail, "webhook": webhook, "gsm": gsm, "siren": siren,
    "aliyun_sms": provider("aliyun_sms", sign="幸福里物业", template="SMS_1"),
    "aliyun_voice": provider("aliyun_voice", template="TTS_1"),
    "aliyun_voice_keys": provider("aliyun_voice_keys", template="TTS_1", menu="TTS_2"),
    "tencent_sms": provider("tencent_sms", app="14001", sign="幸福里物业", template="1"),
    "tencent_voice": provider("tencent_voice", app="14002", template="2"),
}  # fmt: skip


@pytest.fixture(params=list(RIGS))
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    with ExitStack() as stack:
        yield RIGS[request.param](stack, tmp_path)


def test_a_message_arrives_with_its_words_and_gives_a_receipt(rig: Rig) -> None:
    receipt = rig.notifier.send(NOTICE)
    assert isinstance(receipt, str)
    assert receipt
    (text,) = rig.heard()
    assert "1号电梯 困人" in text


def test_a_repeat_carries_the_same_key_and_another_notice_another_one(rig: Rig) -> None:
    for notice in (NOTICE, NOTICE, OTHER):
        rig.notifier.send(notice)
    first, again, other = rig.keys()
    assert first == again != other


def test_what_may_go_away_is_retryable_and_it_works_again(rig: Rig) -> None:
    assert rig.busy is not None
    rig.busy()
    with pytest.raises(Retryable):
        rig.notifier.send(NOTICE)
    rig.well()
    assert rig.notifier.send(NOTICE)


def test_a_refusal_is_none_that_trying_again_can_help(rig: Rig) -> None:
    if rig.refuse is None:
        pytest.skip("its service knows no other refusal")
    rig.refuse()
    with pytest.raises(Permanent) as refused:
        rig.notifier.send(NOTICE)
    assert SECRET not in str(refused.value)


def test_silence_is_a_failure(rig: Rig) -> None:
    if rig.silent is None:
        pytest.skip("a file always answers, and mail is tried above")
    rig.silent()
    with pytest.raises(Retryable):
        rig.notifier.send(NOTICE)


def test_an_answer_that_is_none_is_no_receipt(rig: Rig, request: pytest.FixtureRequest) -> None:
    name = request.node.callspec.params["rig"]
    if rig.nonsense is None or name in ("ntfy", "gotify", "webhook"):
        pytest.skip("for it the status is the answer")
    rig.nonsense()
    with pytest.raises(Retryable):
        rig.notifier.send(NOTICE)
