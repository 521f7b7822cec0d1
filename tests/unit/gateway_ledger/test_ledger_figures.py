"""The time ledger against hand-computed figures and random histories."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ledger import Claim, TimeClass, figures, fleet, partition
from gateway.ledger.claims import claims_of
from gateway.model import Asset, Event

S = 1000
H = 3600 * S
DAY = 24 * H
NR, XD, DU, DP, UN, UP = TimeClass


def at(claims: list[Claim], end: int = 30 * DAY, now: int | None = None) -> dict[TimeClass, int]:
    out = dict.fromkeys(TimeClass, 0)
    for s in partition(0, end, claims, now if now is not None else end):
        out[s.kind] += s.length
    return out


def test_the_worked_month() -> None:
    claims = [
        Claim(XD, 1 * DAY, 1 * DAY + 7200 * S, "x"),
        Claim(DU, 2 * DAY, 2 * DAY + 10800 * S, "d1", "brake"),
        Claim(DU, 5 * DAY, 5 * DAY + 3600 * S, "d2", "door"),
        Claim(DP, 9 * DAY, 9 * DAY + 14400 * S, "p", announced=7 * DAY, permit_end=9 * DAY + 14400 * S),
        Claim(UN, 12 * DAY, 12 * DAY + 5400 * S, "u"),
    ]
    f = figures(partition(0, 30 * DAY, claims, 30 * DAY), claims, 0, 30 * DAY)
    assert f.of(UP) == 2_550_600 * S

    def percent(x: float | None) -> float:
        assert x is not None
        return round(100 * x, 4)

    assert percent(f.a_iec) == 98.8835
    assert percent(f.a_sla) == 99.4417
    assert percent(f.a_user) == 98.6082
    assert percent(f.a_low) == 98.6769
    assert percent(f.a_high) == 98.8858
    assert percent(f.coverage) == 99.7917
    assert f.mtbf == 1_275_300 * S
    assert f.mttr == 7200 * S
    assert f.availability == f.a_iec


def test_too_little_known_gives_no_headline() -> None:
    claims = [Claim(UN, 0, 12 * DAY)]
    f = figures(partition(0, 30 * DAY, claims, 30 * DAY), claims, 0, 30 * DAY)
    assert f.coverage == 0.6
    assert f.availability is None
    assert (f.a_low, f.a_high) == (0.6, 1.0)


def test_all_unknown_is_undefined_not_zero() -> None:
    claims = [Claim(UN, 0, None)]
    f = figures(partition(0, DAY, claims, DAY), claims, 0, DAY)
    assert f.a_iec is None
    assert f.coverage == 0


def test_the_future_is_not_counted() -> None:
    assert sum(at([], now=10 * DAY).values()) == 10 * DAY
    assert partition(5 * DAY, 6 * DAY, [], 4 * DAY) == []


def test_an_outage_that_crosses_the_period_counts_time_here_but_began_before() -> None:
    claims = [Claim(DU, -2 * H, 3 * H, "d", "x")]
    f = figures(partition(0, DAY, claims, DAY), claims, 0, DAY)
    assert f.of(DU) == 3 * H
    assert (f.failures, f.restored, f.restore_ms) == (0, 1, 5 * H)


def test_two_overlapping_faults_count_time_once() -> None:
    two = [Claim(DU, 1 * H, 4 * H, "a", "brake"), Claim(DU, 2 * H, 6 * H, "b", "door")]
    f = figures(partition(0, DAY, two, DAY), two, 0, DAY)
    assert (f.of(DU), f.failures) == (5 * H, 2)
    same = [Claim(DU, 1 * H, 4 * H, "a", "brake"), Claim(DU, 2 * H, 3 * H, "b", "brake")]
    assert figures(partition(0, DAY, same, DAY), same, 0, DAY).failures == 1


def test_gaps_of_ten_minutes_merge_failures_of_one_cause() -> None:
    near = [Claim(DU, 0, H, "a", "x"), Claim(DU, H + 600 * S, 2 * H, "b", "x")]
    far = [Claim(DU, 0, H, "a", "x"), Claim(DU, H + 601 * S, 2 * H, "b", "x")]
    assert figures(partition(0, DAY, near, DAY), near, 0, DAY).failures == 1
    assert figures(partition(0, DAY, far, DAY), far, 0, DAY).failures == 2


def test_silence_never_hides_a_known_outage_nor_starts_one() -> None:
    time = at([Claim(DU, 1 * H, 5 * H), Claim(UN, 2 * H, 8 * H)], DAY)
    assert (time[DU], time[UN]) == (4 * H, 3 * H)


def test_permit_overrun_and_a_fault_found_during_the_permit() -> None:
    overrun = at([Claim(DP, 1 * H, 6 * H, permit_end=4 * H)], DAY)
    assert (overrun[DP], overrun[DU]) == (3 * H, 2 * H)
    found = at([Claim(DP, 1 * H, 4 * H, permit_end=4 * H), Claim(DU, 2 * H, 5 * H)], DAY)
    assert (found[DP], found[DU]) == (3 * H, 1 * H)
    before = at([Claim(DP, 1 * H, 4 * H, permit_end=4 * H), Claim(DU, 30 * 60 * S, 5 * H)], DAY)
    assert (before[DP], before[DU]) == (0, 4 * H + 30 * 60 * S)


def test_planned_work_that_was_declared_late_is_shown_as_such() -> None:
    claims = [Claim(DP, 2 * DAY, 2 * DAY + H, announced=2 * DAY - 1)]
    f = figures(partition(0, 30 * DAY, claims, 30 * DAY), claims, 0, 30 * DAY)
    assert (f.planned_ok, f.planned_late) == (0, H)


def test_a_fleet_is_summed_not_averaged() -> None:
    bad = [Claim(DU, 0, 10 * DAY)]
    young = [Claim(NR, 0, 29 * DAY)]
    parts = [figures(partition(0, 30 * DAY, c, 30 * DAY), c, 0, 30 * DAY) for c in (bad, young)]
    whole = fleet(parts)
    assert whole is not None
    assert whole.a_iec == pytest.approx(21 / 31)
    assert whole.required == 31 * DAY
    assert fleet([]) is None


kinds = st.sampled_from([NR, XD, DU, DP, UN])
claims_strategy = st.lists(
    st.builds(
        lambda k, a, n, open_: Claim(k, a, None if open_ else a + n, f"{k}{a}", str(k)),
        kinds, st.integers(-500, 1500), st.integers(1, 700), st.booleans(),
    ),
    max_size=12,
)  # fmt: skip


@given(claims_strategy, st.integers(0, 500), st.integers(1, 1000))
def test_every_millisecond_belongs_to_exactly_one_class(claims: list[Claim], start: int, n: int) -> None:
    parts = partition(start, start + n, claims, 10_000)
    assert parts[0].start == start
    assert parts[-1].end == start + n
    for a, b in itertools.pairwise(parts):
        assert a.end == b.start
        assert a.kind != b.kind
    assert sum(p.length for p in parts) == n


@given(claims_strategy)
def test_the_winner_at_each_instant_is_the_highest_claim(claims: list[Claim]) -> None:
    simple = [c for c in claims if c.kind not in (DU, DP)]
    for p in partition(0, 1000, simple, 1000):
        for t in (p.start, (p.start + p.end) // 2, p.end - 1):
            live = [c.kind for c in simple if c.start <= t and (c.end is None or c.end > t)]
            assert p.kind == min(live, default=UP)


LIFT = Asset("lift-1", "x", "elevator", {"zh": "1号梯", "en": "Lift 1"}, depends_on=("pw-1",))


def fact(kind: str, t: int, subject: str = "a", asset: str = "lift-1", **data: object) -> Event:
    return Event(f"{kind}{t}{subject}", "x", t, kind, subject, asset=asset, data=data)


def test_claims_are_read_from_the_event_log() -> None:
    events = [
        fact("asset.registered", 0),
        fact("alarm.raised", 10, event="lift_stopped", priority=2, rule="lift.fault"),
        fact("alarm.raised", 15, subject="w", event="lift_wear", priority=4, rule="lift.level_err"),
        fact("alarm.cleared", 30, event="lift_stopped", priority=2, rule="lift.fault"),
        fact("alarm.raised", 40, subject="p", asset="pw-1", event="outage", priority=2, rule="power.outage"),
        fact("alarm.cleared", 50, subject="p", asset="pw-1", event="outage", priority=2, rule="power.outage"),
        fact("gateway.offline", 60, subject="edge-1", asset=""),
        fact("gateway.online", 70, subject="edge-1", asset=""),
        fact("gateway.offline", 75, subject="edge-9", asset=""),
        fact(
            "alarm.raised",
            80,
            subject="d",
            event="entrapment",
            priority=1,
            drill=True,
            rule="lift.entrapment",
        ),
        fact("alarm.oos", 82, until=90, announced=-DAY),
        fact("alarm.oos_end", 90),
        fact("asset.mode", 94, mode="commissioning"),
        fact("asset.mode", 97, mode="normal"),
        # found late: one occurrence inside an outage of the edge, and the true beginning of another
        fact("alarm.occurred", 20, subject="o", event="lift_stopped", priority=2, rule="x", cleared_at=33),
        fact("alarm.backdated", 36, subject="b", event="lift_stopped", priority=2, rule="x", live_onset=38),
        # a voltage out of its band is no outage
        fact("alarm.raised", 52, subject="v", asset="pw-1", event="outage", priority=3, rule="power.voltage"),
    ]
    time = dict.fromkeys(TimeClass, 0)
    for s in partition(0, 100, claims_of(LIFT, ["edge-1"], events), 100):
        time[s.kind] += s.length
    assert time == {NR: 3, XD: 10, DU: 25, DP: 8, UN: 10, UP: 44}
