"""How well the shipped rules detect: every fault of the simulators, counted, with what false alarms cost.

`steward bench detect` runs it and `--write` makes docs/scoreboard.md. Seeds below 1,000 are for development;
a full run takes seeds that nobody has looked at (`--first`), whose instruments are noisier, whose habits
differ and who live in another season. Beside the default rules stand the same limits as bare thresholds,
chance with as many alarms, and a detector that alarms all the time.
`PYTHONPATH=. python benchmarks/scoreboard.py [--small] [--write] [--first N]`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from alerts.rules import Rule
from alerts.ruleset import RuleSet, build
from gateway.config import yamlmarks
from gateway.model import Finding
from simulators.months.drive import MODELS, drive, plain
from simulators.months.score import Alarm, Score, constant, judge, labels_of, random_alarms, share_false
from simulators.months.telling import Telling, acts, life_cases, life_kinds, season
from simulators.months.wires import Wires

ROOT = Path(__file__).resolve().parents[1]
RULES = ROOT / "alerts" / "defaults" / "rules"
CHUNK = 2500
"""Life-safety cases that are told at once."""
HEAVY = ("water", "lift", "sump")
"""Classes whose season takes the most time get fewer assets without a fault."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is told. first: seed · acts, worn: seeds a kind · calm: assets with nothing wrong a class, of
    the heavy and of the other classes · life: cases a life-safety kind · models: classes."""  # fmt: skip

    first: int
    acts: int
    worn: int
    calm: tuple[int, int]
    life: int
    models: tuple[str, ...] = tuple(MODELS)


FULL = Plan(5000, 12, 8, (26, 46), 10_000)
SMALL = Plan(0, 2, 0, (0, 0), 200, ("sump", "fire", "manhole", "septic", "call", "power"))


@dataclass(slots=True)
class Board:
    """All results. named: the expected rule counts; any: whatever alarm of the asset, for all detectors ·
    life: missed and cases by (model, kind) · seconds: processor time by part."""  # fmt: skip

    plan: Plan
    named: Score = field(default_factory=Score)
    any: dict[str, Score] = field(default_factory=dict)
    life: dict[tuple[str, str], list[Any]] = field(default_factory=dict)
    samples: int = 0
    seconds: dict[str, float] = field(default_factory=dict)


def default_rules() -> RuleSet:
    """The shipped rules."""
    return build(r for path in sorted(RULES.glob("*.yaml")) for r in yamlmarks.load(path)[0])


def alarms_of(findings: Sequence[Finding]) -> list[Alarm]:
    """Beginnings of conditions; a further level of the same condition is no alarm of its own."""
    began: set[tuple[str, str, int]] = set()
    out: list[Alarm] = []
    for f in findings:
        key = (f.rule, f.point, f.onset)
        if f.active and key not in began:
            began.add(key)
            out.append((f.rule, f.asset, f.t))
    return out


def tell(board: Board, telling: Telling, rules: Sequence[Rule]) -> None:
    """One telling, judged by all detectors."""
    columns = telling.columns()
    ours, bare = drive(columns, [rules, plain(rules)], telling.until, Wires())
    board.samples += ours.samples
    labels = labels_of(telling, columns.KIND)
    heard = alarms_of(ours.findings)
    board.named.add(judge(heard, telling, labels, named=True))
    others = {
        "steward": heard,
        "threshold": alarms_of(bare.findings),
        "chance": random_alarms(len(heard), telling),
        "all-ones": constant(telling),
    }
    for name, alarms in others.items():
        board.any.setdefault(name, Score()).add(judge(alarms, telling, labels, named=False))


def life(board: Board, model: str, kind: str, rules: Sequence[Rule]) -> None:
    """Many short cases of one life-safety kind."""
    done, missed, delays = 0, [], []
    first = board.plan.first
    for begin in range(0, board.plan.life, CHUNK):
        seeds = range(first + begin, first + min(begin + CHUNK, board.plan.life))
        telling = life_cases(model, kind, seeds)
        columns = telling.columns()
        run = drive(columns, [rules], telling.until, Wires())[0]
        board.samples += run.samples
        score = judge(alarms_of(run.findings), telling, labels_of(telling, columns.KIND), named=True)
        for tally in score.by.values():
            done += tally.labels
            missed += tally.missed
            delays += tally.delays
    board.life[model, kind] = [done, missed, sorted(delays)]


def parts(plan: Plan) -> Iterator[tuple[str, Callable[[Board, Sequence[Rule]], None]]]:
    """What is to be done, with its name."""
    seeds = range(plan.first, plan.first + plan.acts)
    for model in plan.models:
        yield f"{model}: acts", lambda b, r, m=model: _each(b, acts(m, seeds), r)  # type: ignore[misc]  # the default binds it
        calm = plan.calm[model not in HEAVY]
        if calm:
            some = range(plan.first, plan.first + calm)
            worn = range(plan.first, plan.first + plan.worn)
            yield f"{model}: season", lambda b, r, m=model, c=some, w=worn: tell(b, season(m, c, w), r)  # type: ignore[misc]  # as above
    for model, kind in life_kinds():
        if model in plan.models:
            yield f"{model}: {kind}", lambda b, r, m=model, k=kind: life(b, m, k, r)  # type: ignore[misc]  # as above


def _each(board: Board, tellings: Iterator[Telling], rules: Sequence[Rule]) -> None:
    for telling in tellings:
        tell(board, telling, rules)


def run_plan(plan: Plan, say: Callable[[str], None] = lambda _: None) -> Board:
    """Tell everything."""
    rules = tuple(default_rules())
    board = Board(plan)
    every = list(parts(plan))
    for n, (name, do) in enumerate(every, 1):
        begin = time.process_time()
        do(board, rules)
        board.seconds[name] = time.process_time() - begin
        say(f"[{n}/{len(every)}] {name}: {board.seconds[name]:.1f} s")
    share_false(board.named)
    return board


def summary(board: Board) -> dict[str, Any]:
    """The figures that a program may want."""
    from benchmarks.scoreboard_page import figures

    return figures(board)


def run(
    *, small: bool = False, write: bool = False, first: int | None = None, say: Callable[[str], None] = print
) -> dict[str, Any]:
    """`steward bench detect`: figures; with `write` the page docs/scoreboard.md as well.

    first: seed from which on the stories are told.
    """
    from benchmarks.scoreboard_page import page, public

    plan = SMALL if small else FULL
    board = run_plan(plan if first is None else replace(plan, first=first), say)
    if write:
        from benchmarks.scoreboard_roots import roots

        target = ROOT / "docs" / "scoreboard.md"
        target.write_text(page(board, public(say), roots(say, board.plan.first)), encoding="utf-8")
        say(f"written: {target.relative_to(ROOT)}")
    return summary(board)


def main(arguments: Sequence[str]) -> int:
    """Command line."""
    first = int(arguments[arguments.index("--first") + 1]) if "--first" in arguments else None
    result = run(small="--small" in arguments, write="--write" in arguments, first=first,
                 say=lambda text: print(text, file=sys.stderr))  # fmt: skip
    print(json.dumps(result, indent=2, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
