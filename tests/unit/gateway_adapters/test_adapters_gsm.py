"""Short messages and calls over a pseudo-terminal, and every way in which a modem can be of no use."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.gsm_pdu import MOST_PARTS, PART, SINGLE, parts, submit
from gateway.adapters.notify_gsm import GsmNotifier
from gateway.errors import Permanent, Retryable
from gateway.model import Notice
from gateway.ports import Answered
from simulators.gsm_modem import Card, GsmModem, Message, decode, gsm_modem

NUMBER = "+8613800000001"


def note(title: str = "1号电梯 困人", body: str = "立即处置", link: str = "") -> Notice:
    return Notice(
        "wo-1:0:LM@li:sms", "garden", 0, "LM", "sms", "wo-1", {"zh": title}, {"zh": body}, 1, life=True,
        person="li", address=NUMBER, link=link,
    )  # fmt: skip


@pytest.fixture
def modem() -> Iterator[GsmModem]:
    with gsm_modem() as made:
        yield made


def texter(modem: GsmModem) -> GsmNotifier:
    return GsmNotifier(modem.path, 115_200, time.monotonic, call=False)


def caller(modem: GsmModem, ring_s: float = 6.0, key_s: float = 2.0) -> GsmNotifier:
    return GsmNotifier(modem.path, 115_200, time.monotonic, call=True, ring_s=ring_s, key_s=key_s)


# ── the units ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_unit_by_hand() -> None:
    """Coded by hand after TS 23.040: 0b digits, 91, swapped halves with F, 00 08 0b, 4 octets."""
    assert submit("+46708251358", "困人", "k") == [(18, "0011000B916407281553F800080B0456F04EBA")]


@pytest.mark.parametrize(("length", "count"), [(1, 1), (SINGLE, 1), (71, 2), (2 * PART, 2), (135, 3)])
def test_long_texts_are_split_at_67_and_only_then(length: int, count: int) -> None:
    assert len(submit(NUMBER, "阀" * length, "k")) == count


def test_the_same_key_gives_the_same_units() -> None:
    text = "水泵房水位高" * 30
    assert submit(NUMBER, text, "a") == submit(NUMBER, text, "a") != submit(NUMBER, text, "b")


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=600), st.text(max_size=20))
def test_what_is_sent_is_what_arrives(text: str, key: str) -> None:
    units = submit(NUMBER, text, key)
    pdus = [bytes.fromhex(pdu) for _, pdu in units]
    assert [n for n, _ in units] == [len(p) - 1 for p in pdus]
    found = [decode(p) for p in pdus]
    assert {n for n, _, _ in found} == {NUMBER}
    assert "".join(t for _, t, _ in found) == text
    numbered = [part[1:] for _, _, part in found if part is not None]
    assert numbered == ([(len(found), k + 1) for k in range(len(found))] if len(found) > 1 else [])
    assert all(t.encode("utf-16-be").decode("utf-16-be") == t for _, t, _ in found), "no half characters"


@pytest.mark.parametrize("number", ["", "li", "12", "+86 138 x", "1" * 21])
def test_no_number_is_refused(number: str) -> None:
    with pytest.raises(ValueError, match="no telephone number"):
        submit(number, "x", "k")


def test_a_text_without_end_is_refused() -> None:
    with pytest.raises(ValueError, match="256 parts"):
        submit(NUMBER, "x" * (MOST_PARTS * PART + 1), "k")
    assert len(parts("x" * (MOST_PARTS * PART))) == MOST_PARTS


# ── messages ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("chatter", [False, True])
@pytest.mark.parametrize("echo", [False, True])
def test_a_long_message_in_chinese_arrives_whole(modem: GsmModem, echo: bool, chatter: bool) -> None:
    modem.card.echo, modem.card.chatter = echo, chatter
    link = "https://steward.example/n/abcdefghij23"
    receipt = texter(modem).send(note(body="井盖移位，" * 30, link=link))
    (message,) = modem.messages
    assert message.number == NUMBER
    assert message.text == "1号电梯 困人\n" + "井盖移位，" * 30 + "\n" + link
    assert receipt.startswith("sms 1+2+3")
    assert not modem.wrong


def test_one_after_the_other_over_the_same_port(modem: GsmModem) -> None:
    channel = texter(modem)
    for n in range(3):
        channel.send(note(title=f"第{n}次"))
    assert [m.text[:3] for m in modem.messages] == ["第0次", "第1次", "第2次"]


def test_a_role_has_its_own_numbers(modem: GsmModem) -> None:
    plain = replace(note(), person="", address="")
    with pytest.raises(Permanent, match="no number of LM"):
        texter(modem).send(plain)
    both = GsmNotifier(modem.path, 115_200, time.monotonic, call=False, to=("13800000001", "13800000002"))
    both.send(plain)
    assert [m.number for m in modem.messages] == ["13800000001", "13800000002"]


@pytest.mark.parametrize(
    ("card", "error", "words"),
    [
        (Card(silent=True), Retryable, "does not answer: check power"),
        (Card(garbage=True), Retryable, "does not answer: check power"),
        (Card(pin=""), Permanent, "no SIM card"),
        (Card(pin="SIM PIN"), Permanent, "SIM PIN; put it in, and switch its PIN off"),
        (Card(registered=2), Retryable, "no network .*antenna"),
        (Card(registered=3), Permanent, "refuses the SIM card"),
        (Card(cms=38), Retryable, "the network is out of order"),
        (Card(cms=28), Permanent, "the number is not known"),
        (Card(cms=512), Permanent, "CMS ERROR: 512"),
    ],
)
def test_what_is_wrong_is_told_in_words(card: Card, error: type[Exception], words: str) -> None:
    with gsm_modem(card) as modem, pytest.raises(error, match=words):
        texter(modem).send(note())


def test_a_port_that_is_not_there() -> None:
    gone = GsmNotifier("/dev/no-such-modem", 9600, time.monotonic, call=False)
    with pytest.raises(Retryable, match="no-such-modem"):
        gone.send(note())


def test_it_works_again_after_it_was_silent(modem: GsmModem) -> None:
    channel = texter(modem)
    modem.card.silent = True
    with pytest.raises(Retryable):
        channel.send(note())
    modem.card.silent = False
    channel.send(note())
    assert modem.messages == [Message(NUMBER, "1号电梯 困人\n立即处置")]


# ── calls ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("chatter", [False, True])
def test_a_key_in_a_call_is_an_answer(modem: GsmModem, chatter: bool) -> None:
    modem.card.chatter = chatter
    receipt = caller(modem).send(note())
    assert isinstance(receipt, Answered)
    assert receipt.key == "1"
    assert modem.calls == [NUMBER]


def test_a_call_without_a_key_is_a_receipt_and_no_answer(modem: GsmModem) -> None:
    modem.card.key = ""
    receipt = caller(modem, key_s=0.5).send(note())
    assert receipt == "answered, no key pressed"
    assert not isinstance(receipt, Answered)


@pytest.mark.parametrize(("answer", "words"), [("busy", "busy"), ("nothing", "nobody answered")])
def test_a_call_that_nobody_takes_is_a_failure(modem: GsmModem, answer: str, words: str) -> None:
    modem.card.answer = answer
    with pytest.raises(Retryable, match=words):
        caller(modem, ring_s=3.5).send(note())
    modem.card.answer = "answer"
    assert caller(modem).send(note()) == "answered, key 1"
