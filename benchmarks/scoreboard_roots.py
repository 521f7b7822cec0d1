"""Does assessment name the root? Cascades on the plant in ticks, through rules, alarms and assessment.

The stories and the judge are those of the test of cascades, with seeds that it does not use.
"""

from __future__ import annotations

from collections.abc import Callable


def roots(say: Callable[[str], None], first: int) -> list[str]:
    """A section of the page, of two seeds from `first` on; empty where the tests' packages are missing."""
    seeds = (first, first + 1)
    try:
        from tests.unit.simulators import test_simulators_cascades as cascades
    except ImportError as e:
        say(f"roots of cascades: left out, {e}")
        return []
    told = []
    for name in cascades.STORIES:
        told += [cascades.tell(name, seed) for seed in seeds]
        say(f"root of {name}")
    rows = []
    for name in cascades.STORIES:
        mine = [r for r in told if r.story == name]
        after = sum(r.consequences for r in mine)
        first, third = sum(r.first for r in mine), sum(r.third for r in mine)
        rows.append(f"| {name} | {after} | {first} | {third} | {sum(r.other for r in mine)} |")
    after = sum(r.consequences for r in told)
    first, third = sum(r.first for r in told), sum(r.third for r in told)
    stories = f"{len(cascades.STORIES)} stories, seeds {seeds[0]} and {seeds[1]}"
    shares = f"{first / after:.0%} name the true root first, {third / after:.0%} among the first three"
    text = (
        f"{stories}: of {after} consequences {shares}. Strangers: alarms that have nothing to do with it "
        "and got its root."
    )
    head = ["| story | consequences | root named first | among three | strangers |", "|---|---|---|---|---|"]
    return ["## Rank of the root in cascades", "", text, "", *head, *rows, ""]
