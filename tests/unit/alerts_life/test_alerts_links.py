"""One-time links: for one order and one device, until the order, the time or whoever leads ends them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import pytest

from alerts.desk import Dispatch
from alerts.links import KEEP_MS, LONGEST_MS, LinkBook
from alerts.orders_state import Order
from gateway.errors import BadInput, Conflict, Forbidden, NotFound
from gateway.model import Actor, Scope
from tests.unit.alerts_life.life_kit import LEAD, LIFT_TECH, MIN, OPERATOR, T0, TECH, cmd, find

HOUR = 60 * MIN


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def book(desk: Dispatch) -> LinkBook:
    found = LinkBook(desk.orders)
    desk.add(found)
    return found


def pump(desk: Dispatch) -> Order:
    desk.step([find("water.low", "ws", T0)], T0)
    return next(iter(desk.orders.orders.values()))


def make(desk: Dispatch, order: Order, t: int = T0, token: str = "one", **more: Any) -> Mapping[str, Any]:
    data: dict[str, Any] = {
        "name": "Zhang San",
        "firm": "Fixit",
        "token": sha(token),
        "until": t + HOUR,
    } | more
    answer = desk.command(cmd("link.make", order.id, t, LEAD, **data))[1]
    link: Mapping[str, Any] = answer["link"]
    return link


def opened(desk: Dispatch, link: Mapping[str, Any], t: int, token: str = "one", device: str = "d1") -> Any:
    guest = Actor(str(link["guest"]), "Zhang San (Fixit)", "contractor")
    return desk.command(cmd("link.open", link["id"], t, guest, token=sha(token), device=sha(device)))


def test_a_link_is_kept_as_hashes_and_shown_without_them(desk: Dispatch, book: LinkBook) -> None:
    order = pump(desk)
    outcome, answer = desk.command(
        cmd("link.make", order.id, T0, LEAD, name="Zhang", firm="Fixit", token=sha("one"), until=T0 + HOUR)
    )
    assert not {"token", "device"} & set(answer["link"])
    assert [e.kind for e in outcome.events] == ["link.made"]
    assert sha("one") not in repr([e.data for e in outcome.events])
    assert [(k, b["token"]) for k, _, _, b in outcome.records if k == "link"] == [("link", sha("one"))]
    assert book.links[answer["link"]["id"]].guest == f"guest-{sha('one')[:10]}"


def test_the_first_device_has_it_and_may_come_again(desk: Dispatch, book: LinkBook) -> None:
    link = make(desk, pump(desk))
    outcome, _ = opened(desk, link, T0 + MIN)
    assert [e.kind for e in outcome.events] == ["link.opened"]
    again, _ = opened(desk, link, T0 + 2 * MIN)
    assert [e.kind for e in again.events] == []
    with pytest.raises(Forbidden, match="another device"):
        opened(desk, link, T0 + 3 * MIN, device="d2")
    with pytest.raises(NotFound):
        opened(desk, link, T0 + 3 * MIN, token="two")
    assert book.links[link["id"]].opened_at == T0 + MIN


def test_it_ends_at_its_own_time_once(desk: Dispatch, book: LinkBook) -> None:
    link = make(desk, pump(desk))
    ended = [e for e in desk.tick(T0 + 2 * HOUR).events if e.kind == "link.ended"]
    assert [e.t for e in ended] == [T0 + HOUR], "at its time, not when somebody looked"
    assert not [e for e in desk.tick(T0 + 3 * HOUR).events if e.kind == "link.ended"]
    with pytest.raises(Forbidden, match="has ended"):
        opened(desk, link, T0 + 3 * HOUR)
    gone = desk.tick(T0 + HOUR + KEEP_MS).gone
    assert ("link", link["id"], "e1") in gone
    assert book.links == {}


def test_it_ends_with_its_order_and_with_no_other(desk: Dispatch, book: LinkBook) -> None:
    order = pump(desk)
    desk.step([find("meter.flat", "em", T0)], T0)
    other = next(o for o in desk.orders.orders.values() if o.id != order.id)
    mine, theirs = make(desk, order), make(desk, other, token="two")
    events = desk.command(cmd("order.cancel", order.id, T0 + MIN, LEAD, reason="a mistake"))[0].events
    assert [e.subject for e in events if e.kind == "link.ended"] == [mine["id"]]
    assert book.links[theirs["id"]].live
    with pytest.raises(Conflict, match="nothing left"):
        make(desk, order, T0 + 2 * MIN, token="three")


def test_it_is_revoked_and_a_second_time_says_by_whom(desk: Dispatch, book: LinkBook) -> None:
    link = make(desk, pump(desk))
    opened(desk, link, T0 + MIN)
    desk.command(cmd("link.revoke", link["id"], T0 + 2 * MIN, LEAD))
    assert book.links[link["id"]].state == "revoked"
    with pytest.raises(Forbidden):
        opened(desk, link, T0 + 3 * MIN)
    with pytest.raises(Conflict, match="by zhao"):
        desk.command(cmd("link.revoke", link["id"], T0 + 3 * MIN, LEAD))


@pytest.mark.parametrize("actor", [OPERATOR, TECH, LIFT_TECH])
def test_only_whoever_leads_makes_and_revokes(desk: Dispatch, book: LinkBook, actor: Actor) -> None:
    order = pump(desk)
    link = make(desk, order)
    for kind, subject in (("link.make", order.id), ("link.revoke", link["id"])):
        with pytest.raises(Forbidden):
            desk.command(cmd(kind, subject, T0, actor, name="x", firm="y", token=sha("n"), until=T0 + 1))
    assert len(book.links) == 1


@pytest.mark.parametrize(
    "wrong",
    [{"until": T0}, {"until": T0 + LONGEST_MS + 1}, {"until": "soon"}, {"name": " "}, {"firm": 7}],
)
def test_what_is_no_link_is_refused(desk: Dispatch, book: LinkBook, wrong: dict[str, Any]) -> None:
    order = pump(desk)
    with pytest.raises(BadInput):
        make(desk, order, **wrong)
    assert book.links == {}


def test_another_firm_sees_no_link(desk: Dispatch, book: LinkBook) -> None:
    order = pump(desk)
    link = make(desk, order)
    stranger = Actor("far", "Far", "manager", scope=Scope(estates=frozenset({"e9"})))
    for kind, subject in (("link.make", order.id), ("link.revoke", link["id"])):
        with pytest.raises(NotFound):
            desk.command(cmd(kind, subject, T0, stranger, name="x", firm="y", token=sha("n"), until=T0 + 1))
    assert book.links[link["id"]].live


def test_links_outlive_a_restart(desk: Dispatch, book: LinkBook) -> None:
    link = make(desk, pump(desk))
    opened(desk, link, T0 + MIN)
    fresh = LinkBook(desk.orders)
    for kind, id_, _, body in book.dump():
        fresh.load(kind, id_, {k: v for k, v in body.items() if k != "ended_by"})  # as an older version wrote
    assert fresh.links == book.links


# ── arrival and hand-over ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("data", "proof", "evidence"),
    [
        ({}, "none", "declared"),
        ({"lat": 30.1, "lon": 120.2}, "gps", "declared"),
        ({"proof": "typed"}, "typed", "code"),
        ({"proof": "qr", "lat": 30.1, "lon": 120.2}, "qr", "code"),
    ],
)
def test_an_arrival_says_how_it_was_proven(
    desk: Dispatch, data: dict[str, Any], proof: str, evidence: str
) -> None:
    order = pump(desk)
    desk.command(cmd("order.accept", order.id, T0 + MIN, TECH))
    events = desk.command(cmd("order.arrive", order.id, T0 + 2 * MIN, TECH, **data))[0].events
    arrived = next(e for e in events if e.kind == "order.arrived")
    assert (arrived.data["proof"], arrived.data["evidence"]) == (proof, evidence)
    assert order.as_dict()["arrival"] == proof
    assert Order.from_dict({k: v for k, v in order.as_record().items() if k != "arrival"}).arrival == ""


def test_a_proof_that_nobody_knows_is_refused(desk: Dispatch) -> None:
    order = pump(desk)
    desk.command(cmd("order.accept", order.id, T0 + MIN, TECH))
    with pytest.raises(BadInput):
        desk.command(cmd("order.arrive", order.id, T0 + 2 * MIN, TECH, proof="word"))
    assert order.state == "ACCEPTED"


def test_who_has_the_work_hands_it_to_a_colleague_who_has_to_accept(desk: Dispatch) -> None:
    order = pump(desk)
    desk.command(cmd("order.accept", order.id, T0 + MIN, TECH))
    mate = Actor("sun", "Sun", "technician", frozenset({"TE"}))
    with pytest.raises(Forbidden, match="chen has this work"):
        desk.command(cmd("order.handover", order.id, T0 + 2 * MIN, mate, to="wu"))
    with pytest.raises(BadInput):
        desk.command(cmd("order.handover", order.id, T0 + 2 * MIN, TECH, to="chen"))
    with pytest.raises(Forbidden, match="colleague"):
        desk.command(cmd("order.handover", order.id, T0 + 2 * MIN, TECH, to="CR"))
    desk.command(cmd("order.handover", order.id, T0 + 2 * MIN, TECH, to="sun"))
    assert (order.state, order.assignee) == ("REASSIGNED", "sun")
    assert order.clocks["accept"].met_at is None, "until then nobody is on it"
    desk.command(cmd("order.accept", order.id, T0 + 3 * MIN, mate))
    assert (order.state, order.assignee) == ("ACCEPTED", "sun")
