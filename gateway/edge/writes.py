"""Writing to a device: refused unless everything allows it, done one at a time, believed when read back.

A command is {"cmd": "write", "id", "boot", "point", "value", "reason", "by", "role", "until", "sig"}; `until`
is site time in ms. The same id gets the same answer again and is not carried out twice.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.edge.config import DeviceConfig, LineConfig, Writable
from gateway.edge.sender import Refused, Sender
from gateway.ports import Answer, Clock, DeviceError, DeviceException, Writer

log = logging.getLogger(__name__)

WAITING = 20
REMEMBERED = 200
READ_BACK_S = (0.0, 0.2, 0.8)
"""Pauses before each look whether the device has taken it: some need a moment."""
MINUTE_S = 60.0


@dataclass(frozen=True, slots=True)
class _Target:
    line: LineConfig
    device: DeviceConfig
    writable: Writable

    @property
    def timeout_s(self) -> float:
        return self.device.timeout_s


class Writes:
    """sender: who may command · lines: the present ones · reply: answers a command."""

    def __init__(
        self,
        clock: Clock,
        sender: Sender,
        lines: Callable[[], Sequence[LineConfig]],
        reply: Callable[..., None],
    ) -> None:
        self._clock, self._sender, self._lines, self._reply = clock, sender, lines, reply
        self._queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue(WAITING)
        self._answers: OrderedDict[str, dict[str, Any] | None] = OrderedDict()
        self._times: dict[str, deque[float]] = {}
        self._counts: Counter[str] = Counter()
        self._unmatched: set[str] = set()

    def facts(self) -> dict[str, float]:
        """Part of each account: counts since boot by result, once there was a write.

        writes_unmatched: points of which the device holds another value than was written last.
        """
        counts = {f"writes_{result}": float(n) for result, n in self._counts.items()}
        return {**counts, "writes_unmatched": float(len(self._unmatched))}

    def command(self, body: dict[str, Any]) -> None:
        """Take it into the queue, or answer at once."""
        id_ = str(body.get("id"))
        try:
            self._sender.check(body)
        except Refused as e:
            self._sender.refused(body, e)
            self._answer(body, _refusal(e), remember=False)
            return
        if id_ in self._answers:
            answer = self._answers[id_]
            if answer is not None:
                self._reply(body, **answer)
            return
        if self._queue.full():
            self._answer(body, _refusal(Refused("busy", "too many writes wait")), remember=False)
            return
        self._answers[id_] = None
        self._queue.put_nowait(body)

    async def run(self) -> None:
        """Carry out what is in the queue until cancelled."""
        while True:
            body = await self._queue.get()
            self._answer(body, await self._one(body), remember=True)

    def _answer(self, body: Mapping[str, Any], answer: dict[str, Any], *, remember: bool) -> None:
        self._counts[answer["result"]] += 1
        if answer["result"] in ("mismatch", "unknown"):
            self._unmatched.add(str(body["point"]))
        elif answer["result"] == "done":
            self._unmatched.discard(str(body["point"]))
        if remember:
            self._answers[str(body["id"])] = answer
            while len(self._answers) > REMEMBERED:
                self._answers.popitem(last=False)
        log.warning(
            "write %s point=%s value=%s by=%s reason=%r id=%s error=%r", answer["result"], body.get("point"),
            body.get("value"), body.get("by"), body.get("reason"), body.get("id"), answer.get("error", ""),
        )  # fmt: skip
        self._reply(body, **answer)

    async def _one(self, body: Mapping[str, Any]) -> dict[str, Any]:
        try:
            target = self._target(body)
            words = self._words(target, body)
            self._take_turn(str(body["point"]), target.writable.per_minute)
        except Refused as e:
            return _refusal(e)
        try:
            return await self._carry_out(target, words)
        except DeviceError as e:
            return {"ok": False, "result": "failed", "code": e.cause, "error": str(e)}
        except Exception as e:
            log.exception("write failed device=%s; its profile or driver has a defect", target.device.id)
            return {"ok": False, "result": "failed", "code": "defect", "error": repr(e)[:200]}

    # ── may it be written? ────────────────────────────────────────────────────────────────────────

    def _target(self, body: Mapping[str, Any]) -> _Target:
        self._sender.in_time(body)
        point = body.get("point")
        for line in self._lines():
            for device in line.devices:
                for writable in device.writes:
                    known = device.model.points[writable.n]
                    if known.id == point and not known.life:
                        _check_person(writable, body)
                        return _Target(line, device, writable)
        raise Refused("not_listed", f"{point!r:.80} is not on the list of points that may be written")

    @staticmethod
    def _words(target: _Target, body: Mapping[str, Any]) -> list[int]:
        value, w = body.get("value"), target.writable
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise Refused("value", f"{value!r:.40} is no number")
        if not w.low <= value <= w.high:
            raise Refused("range", f"{value:g} is outside of {w.low:g} to {w.high:g}")
        try:
            return list(w.words(float(value)))
        except ValueError as e:
            raise Refused("value", str(e)) from e

    def _take_turn(self, point: str, per_minute: int) -> None:
        now, times = self._clock.monotonic(), self._times.setdefault(point, deque())
        while times and now - times[0] >= MINUTE_S:
            times.popleft()
        if len(times) >= per_minute:
            raise Refused("rate", f"{per_minute} writes in a minute are allowed")
        times.append(now)

    # ── the device ────────────────────────────────────────────────────────────────────────────────

    async def _carry_out(self, target: _Target, words: list[int]) -> dict[str, Any]:
        driver = target.line.driver
        if not isinstance(driver, Writer):
            return _refusal(Refused("driver", f"the driver of line {target.line.id} cannot write"))
        before = await self._look(target)
        unsure = ""
        try:
            await driver.write(target.writable.block, words, target.timeout_s)
        except DeviceException:
            raise
        except DeviceError as e:
            unsure = f"{e.cause}: {e}"  # nobody knows whether the device took it: what it holds decides
        try:
            after = await self._read_back(target, words)
        except DeviceError as e:
            return {"ok": False, "result": "unknown", "code": "unconfirmed", "error": unsure or str(e)}
        facts = {"old": _value(target, before), "new": _value(target, after)}
        if after.words.tolist() == words:
            return {"ok": True, "result": "done", **facts}
        if unsure and after.words.tolist() == before.words.tolist():
            return {"ok": False, "result": "failed", "code": "unconfirmed", "error": unsure, **facts}
        held, wanted = after.words.tolist(), words
        error = f"the device holds {held} and not {wanted}"
        return {"ok": False, "result": "mismatch", "code": "mismatch", "error": error, **facts}

    async def _look(self, target: _Target) -> Answer:
        return await target.line.driver.read(target.writable.block, target.timeout_s)

    async def _read_back(self, target: _Target, words: list[int]) -> Answer:
        answer: Answer | None = None
        last: DeviceError | None = None
        for pause in READ_BACK_S:
            await self._clock.sleep_real(pause)
            try:
                answer = await self._look(target)
            except DeviceError as e:
                last = e
                continue
            if answer.words.tolist() == words:
                break
        if answer is None:
            raise last or DeviceError("no answer")
        return answer


def _check_person(writable: Writable, body: Mapping[str, Any]) -> None:
    if writable.who and not {body.get("by"), body.get("role")} & set(writable.who):
        raise Refused("person", f"only {', '.join(writable.who)} may write it")


def _value(target: _Target, answer: Answer) -> float | None:
    """The point's value in an answer; None when the profile takes it for none."""
    decoded = target.device.model.decode(answer)
    for n, v in zip(decoded.index.tolist(), decoded.v.tolist(), strict=True):
        if n == target.writable.n:
            return float(v) if math.isfinite(v) else None
    return None


def _refusal(e: Refused) -> dict[str, Any]:
    return {"ok": False, "result": "refused", "code": e.code, "error": e.error}
