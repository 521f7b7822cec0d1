"""A clock that is set back, over a restart of the edge: the order of stamps is kept, and both times are."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gateway.adapters.clock import ManualClock
from gateway.edge.clockguard import ClockGuard
from gateway.edge.filter import DOUBTFUL, NOT_A_NUMBER, Batch, Filter
from gateway.edge.outbox import Outbox, Turn
from gateway.edge.pack import Row
from gateway.model import GOOD
from tests.unit.gateway_edge.edge_fakes import points

HOUR = 3_600_000


def boot(path: Path, clock: ManualClock) -> tuple[Outbox, ClockGuard]:
    box, guard = Outbox(path, 1_000_000), ClockGuard(clock)
    box.open(clock.now())
    guard.resume(box.last_t)
    return box, guard


def tick(box: Outbox, guard: ClockGuard) -> int:
    t = guard.now()
    row = Row(box.first_n, box._boot, "live", box.first_n, "data", b"{}")
    box.first_n += 1
    box.commit(Turn(t, rows=[row]), {}, 0)
    return t


async def test_stamps_go_on_from_the_last_one_of_the_boot_before(tmp_path: Path) -> None:
    clock = ManualClock()
    box, guard = boot(tmp_path / "outbox.db", clock)
    before = tick(box, guard)
    box.close()
    clock.step(-3600)  # while the edge is down
    await clock.advance(10)
    box, guard = boot(tmp_path / "outbox.db", clock)
    after = tick(box, guard)
    assert before <= after <= before + 1
    assert guard.doubtful
    assert after - round(guard.offset) == clock.now(), "the clock's own time is the stamp less the offset"
    await clock.advance(100)
    assert 0.9 * 100_000 < tick(box, guard) - after < 100_000
    box.close()


async def test_a_step_that_was_being_bridged_survives_the_restart(tmp_path: Path) -> None:
    clock = ManualClock()
    box, guard = boot(tmp_path / "outbox.db", clock)
    tick(box, guard)
    clock.step(-3600)
    before = tick(box, guard)
    assert guard.offset == HOUR
    box.close()
    box, guard = boot(tmp_path / "outbox.db", clock)
    assert tick(box, guard) >= before
    assert guard.offset == HOUR
    box.close()


async def test_summer_time_both_ways_and_a_restart_in_between_keep_the_order(tmp_path: Path) -> None:
    clock = ManualClock()
    box, guard = boot(tmp_path / "outbox.db", clock)
    stamps, f = [], Filter(points(1))
    for step in (0, 3600, 0, -3600, 0, -3600, 3600, 0):
        clock.step(step)
        for _ in range(5):
            await clock.advance(1)
            box_t = tick(box, guard)
            batch = Batch(
                np.zeros(1, np.intp), np.array([box_t]), np.array([1.0]), np.full(1, GOOD, np.uint8)
            )
            f.process(batch, doubtful=guard.doubtful)
            stamps.append(int(batch.t[0]))
        box.close()
        box, guard = boot(tmp_path / "outbox.db", clock)
    box.close()
    assert stamps == sorted(set(stamps))


def test_a_year_ahead_is_not_carried_over_a_restart(tmp_path: Path) -> None:
    clock = ManualClock()
    clock.step(366 * 86_400)
    box, guard = boot(tmp_path / "outbox.db", clock)
    tick(box, guard)
    box.close()
    clock.step(-366 * 86_400)
    box, guard = boot(tmp_path / "outbox.db", clock)
    assert guard.offset == 0
    box.close()


def test_a_doubtful_clock_marks_what_is_good_and_nothing_else() -> None:
    f = Filter(points(3))
    batch = Batch(
        np.arange(3),
        np.full(3, 5_000_000),
        np.array([1.0, np.nan, 2.0]),
        np.array([GOOD, GOOD, 97], np.uint8),
    )
    f.process(batch, doubtful=True)
    assert batch.q.tolist() == [DOUBTFUL, NOT_A_NUMBER, 97]


class Interrupted(ManualClock):
    """The process is put aside for a second between two looks at a clock, now and then."""

    looks = 0

    def now(self) -> int:
        self.looks += 1
        if self.looks % 3 == 0:
            self._move(self._mono + 1.0)
        return super().now()

    def monotonic(self) -> float:
        self.looks += 1
        if self.looks % 7 == 0:
            self._move(self._mono + 1.0)
        return super().monotonic()


def test_a_machine_that_puts_the_process_aside_does_not_look_like_a_stepped_clock() -> None:
    clock = Interrupted()
    guard = ClockGuard(clock)
    for _ in range(500):
        guard.check()
    assert guard.steps == 0
    clock.step(-2)
    guard.check()
    assert guard.steps == 1
