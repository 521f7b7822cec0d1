"""What an edge can do by itself: a relay, a siren, when nobody else hears of it.

The outputs are on while the core has been silent for 60 s, and while a life-safety input is active and the
link is down. What they are told is repeated, since a relay module that lost its power has forgotten it.
"""

from __future__ import annotations

import asyncio
import logging
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from gateway.errors import Retryable
from gateway.model import Level, Point, level_of
from gateway.ports import Answer, Block, Clock, Decoded, DeviceError, DeviceModel, Driver, Span, Writer

log = logging.getLogger(__name__)

LOOK_S = 0.5
AGAIN_S = 30.0
COMMAND_S = 10.0
BEYOND: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le, "==": operator.eq,
}  # fmt: skip


class OutputFailed(Retryable):
    """The output may not be in the state that it was told."""


class Output(Protocol):
    """A relay or a siren."""

    async def put(self, *, on: bool) -> None:
        """Raises OutputFailed when it may not have happened."""


@dataclass(frozen=True, slots=True)
class FileOutput:
    """Writes 1 or 0 into a file: the `value` of a GPIO line, or a test's file."""

    path: Path

    async def put(self, *, on: bool) -> None:
        """See Output."""
        try:
            await asyncio.to_thread(self.path.write_text, "1\n" if on else "0\n", "ascii")
        except OSError as e:
            raise OutputFailed(str(e)) from e


@dataclass(frozen=True, slots=True)
class CommandOutput:
    """Runs a program (no shell); exit code 0 means done."""

    on: Sequence[str]
    off: Sequence[str]

    async def put(self, *, on: bool) -> None:
        """See Output."""
        argv = self.on if on else self.off
        try:
            child = await asyncio.create_subprocess_exec(*argv, stdin=asyncio.subprocess.DEVNULL)
        except OSError as e:
            raise OutputFailed(f"{argv[0]}: {e}") from e
        try:
            async with asyncio.timeout(COMMAND_S):
                code = await child.wait()
        except TimeoutError as e:
            raise OutputFailed(f"{argv[0]} did not end within {COMMAND_S:g} s") from e
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        if code != 0:
            raise OutputFailed(f"{argv[0]} ended with code {code}")


@dataclass(frozen=True, slots=True)
class CoilOutput:
    """One coil of a relay module on one of the edge's lines, which keeps it open; read back."""

    driver: Driver
    unit: int
    coil: int
    timeout_s: float = 1.0

    async def put(self, *, on: bool) -> None:
        """See Output."""
        if not isinstance(self.driver, Writer):
            raise OutputFailed("this kind of line cannot write")
        block = Block(self.unit, "coil", self.coil, 1)
        try:
            await self.driver.write(block, [int(on)], self.timeout_s)
            answer = await self.driver.read(block, self.timeout_s)
        except DeviceError as e:
            raise OutputFailed(str(e)) from e
        if int(answer.words[0]) != int(on):
            raise OutputFailed(f"coil {self.coil} of unit {self.unit} did not take it")


@dataclass(frozen=True, slots=True)
class Danger:
    """When an input says that life is in danger: `value op limit` for so long (s)."""

    op: str
    limit: float
    delay_s: float = 0.0

    def met(self, value: float) -> bool:
        """Whether this value is dangerous."""
        return BEYOND[self.op](value, self.limit)


class Outputs:
    """dangers: by point id · online: whether the link to the broker stands. Raises nothing by itself."""

    def __init__(
        self,
        outputs: Mapping[str, Output],
        dangers: Mapping[str, Sequence[Danger]],
        clock: Clock,
        online: Callable[[], bool],
    ) -> None:
        self._outputs, self._dangers, self._clock, self._online = outputs, dangers, clock, online
        self._silent = False
        self._since: dict[tuple[str, Danger], float] = {}
        self._told: dict[str, bool] = {}
        self._told_at: dict[str, float] = {}
        self._failures: dict[str, int] = dict.fromkeys(outputs, 0)
        self._wake = asyncio.Event()

    # ── what is heard ─────────────────────────────────────────────────────────────────────────────

    def core_silent(self, silent: bool) -> None:
        """No receipt for 60 s, or heard again (`local_alarm` of Edge)."""
        self._silent = silent
        self._wake.set()

    def watch(self, model: DeviceModel, dangers: Mapping[str, Sequence[Danger]] | None = None) -> DeviceModel:
        """The same model; what it decodes is seen here, too. Itself when it has no point of danger.

        dangers: those of a configuration to come; None: the present ones.
        """
        known = self._dangers if dangers is None else dangers
        mine = {n: p for n, p in enumerate(model.points) if p.id in known}
        return _Watched(model, mine, self._seen) if mine and self._outputs else model

    def follow(self, dangers: Mapping[str, Sequence[Danger]], outputs: Mapping[str, Output]) -> None:
        """Another configuration holds. outputs: the same ones by name, with the drivers that are in use.

        An input that it does not read any more, or that means no danger any more, keeps nothing on.
        """
        self._dangers = dangers
        self._outputs = {name: outputs.get(name, output) for name, output in self._outputs.items()}
        self._since = {
            (point, danger): since
            for (point, danger), since in self._since.items()
            if danger in dangers.get(point, ())
        }
        self._wake.set()

    def _seen(self, point: Point, value: float) -> None:
        now = self._clock.monotonic()
        for danger in self._dangers.get(point.id, ()):
            key = (point.id, danger)
            if not danger.met(value):
                self._since.pop(key, None)
            elif key not in self._since:
                self._since[key] = now
                self._wake.set()

    @property
    def wanted(self) -> bool:
        """Whether the outputs should be on now."""
        if self._silent:
            return True
        now = self._clock.monotonic()
        endangered = any(now - since >= danger.delay_s for (_, danger), since in self._since.items())
        return endangered and not self._online()

    def facts(self) -> dict[str, float]:
        """Part of the edge's health."""
        return {
            "outputs_on": float(sum(self._told.values())),
            "outputs_failed": float(sum(n > 0 for n in self._failures.values())),
        }

    # ── what is done ──────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Until cancelled; then the outputs are switched off, since nobody would do it later."""
        if not self._outputs:
            return
        try:
            while True:
                wanted = self.wanted
                # At once: one that hangs must not delay the siren.
                await asyncio.gather(*(self._put(name, on=wanted) for name in self._outputs))
                await self._pause()
        finally:
            await asyncio.gather(*(self._put(n, on=False) for n, on in list(self._told.items()) if on))

    async def _pause(self) -> None:
        """Until something is heard, at most LOOK_S: the link and delays are looked at."""
        sleeper = asyncio.ensure_future(self._clock.sleep_real(LOOK_S))
        waker = asyncio.ensure_future(self._wake.wait())
        try:
            await asyncio.wait((sleeper, waker), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeper.cancel()
            waker.cancel()
        self._wake.clear()

    async def _put(self, name: str, *, on: bool) -> None:
        now = self._clock.monotonic()
        news = self._told.get(name) != on
        if not news and now - self._told_at.get(name, -math.inf) < AGAIN_S:
            return
        try:
            await self._outputs[name].put(on=on)
        except OutputFailed as e:
            self._failures[name] += 1
            self._told.pop(name, None)
            if self._failures[name] == 1:
                log.error("output failed output=%s cause=%r; check module and wiring", name, str(e))
            return
        if self._failures[name]:
            log.info("output works again output=%s failures=%d", name, self._failures[name])
        self._failures[name] = 0
        self._told[name], self._told_at[name] = on, now
        if news and (on or name in self._told_at):
            log.warning("output %s output=%s core_silent=%s", "on" if on else "off", name, self._silent)


class _Watched:
    """A device model whose values are looked at on their way. points: those of danger, by number."""

    def __init__(
        self,
        model: DeviceModel,
        points: Mapping[int, Point],
        seen: Callable[[Point, float], None],
    ) -> None:
        self._model, self._watched, self._seen = model, points, seen

    @property
    def points(self) -> Sequence[Point]:
        return self._model.points

    @property
    def spans(self) -> Sequence[Span]:
        return self._model.spans

    @property
    def max_registers(self) -> int:
        return self._model.max_registers

    @property
    def max_gap(self) -> int | None:
        return self._model.max_gap

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def decode(self, answer: Answer) -> Decoded:
        decoded = self._model.decode(answer)
        for row, n in enumerate(decoded.index.tolist()):
            # A value that nobody trusts neither raises nor ends an alarm.
            if n in self._watched and level_of(int(decoded.q[row])) < Level.BAD:
                self._seen(self._watched[n], float(decoded.v[row]))
        return decoded
