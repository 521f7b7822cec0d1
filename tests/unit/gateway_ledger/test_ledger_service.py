"""The figures of the service equal what was worked out on paper."""

from pathlib import Path
from typing import Any

from gateway.config import yamlmarks
from gateway.ledger.service import WEIGHTS, rank, service
from gateway.model import Event

GOLDEN = Path(__file__).parents[2] / "golden" / "service"
T0, MIN = 1_790_000_000_000, 60_000


def firm_of(party: str, asset: str) -> str:
    return "otis" if (party, asset) == ("LM", "lift") else party


def events() -> list[Event]:
    out = []
    for n, raw in enumerate(yamlmarks.load(GOLDEN / "events.yaml")[0]):
        data = {k: v for k, v in raw.items() if k not in ("t", "kind", "subject", "asset")}
        for d in data.get("downtime", ()):
            d |= {k: T0 + d[k] * MIN for k in ("from", "to")}
        t = T0 + raw["t"] * MIN
        out.append(Event(f"e{n}", "e1", t, raw["kind"], raw["subject"], asset=raw["asset"], data=data))
    return sorted(out, key=lambda e: e.t)


def test_the_figures_equal_those_worked_out_on_paper() -> None:
    rows = {r["firm"]: r for r in service(events(), T0, T0 + 240 * MIN, firm_of)}
    expected: dict[str, dict[str, Any]] = yamlmarks.load(GOLDEN / "expected.yaml")[0]
    assert set(rows) == set(expected)
    for firm, wanted in expected.items():
        for name, value in wanted.items():
            minutes = f"{name}_ms" in rows[firm]
            found = rows[firm][f"{name}_ms" if minutes else name]
            assert found == (value * MIN if minutes and value is not None else value), (firm, name)


def test_behind_every_number_of_the_score_stand_its_facts() -> None:
    (row,) = [r for r in service(events(), T0, T0 + 240 * MIN, firm_of) if r["firm"] == "otis"]
    assert {k: (round(p["value"], 3), p["n"], p["facts"]) for k, p in row["parts"].items()} == {
        "sla": (0.833, 6, ["b/accept"]), "first_time_fix": (0.5, 2, []), "plan_compliance": (0.5, 2, ["p2"]),
        "inspection": (0.5, 2, ["b"]), "rating": (0.875, 2, []),
    }  # fmt: skip
    total = sum(p["value"] * WEIGHTS[k] for k, p in row["parts"].items())
    assert row["score"] == round(total, 1)


def test_without_facts_there_is_no_score_and_nobody_is_good_by_silence() -> None:
    quiet = [e for e in events() if e.subject == "c"]
    (row,) = service(quiet, T0, T0 + 240 * MIN, firm_of)
    assert (row["score"], row["parts"], row["orders"], row["backlog"]) == (None, {}, 1, 1)
    assert service([], T0, T0 + 1, firm_of) == []


def test_nearest_rank() -> None:
    assert [rank([5, 1, 3], s) for s in (0.5, 0.9, 1.0, 0.01)] == [3, 5, 5, 1]
    assert rank([], 0.5) is None
