"""The commands `config` and `confirm`: a configuration comes over the bus, is tried out, kept or taken back.

Each step is a reply with the id of the first command: `staged` → `trial` → `kept` or `back` (with why), or
`refused` with what is wrong. A configuration that does not load changes nothing.

What takes time (unpacking, disk, loading) is done beside the edge's ticks, one thing after another; a tick
only adopts what has been loaded.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from gateway.codec import BadMessage
from gateway.codec.bundle import MAX_PARTS, unpack
from gateway.codec.shapes import a_text, an_int
from gateway.codec.signed import verified
from gateway.edge.config import EdgeConfig
from gateway.edge.control import Control
from gateway.edge.stage_trial import Trial, Verdict
from gateway.errors import BadInput, Conflict, Problems, StewardError
from gateway.ports import Clock

log = logging.getLogger(__name__)

MINUTES = (0.01, 60.0)
SHOWN = 20
"""Problems that a reply lists at most."""


class Host(Protocol):
    """The edge, as far as a push needs it."""

    @property
    def config(self) -> EdgeConfig:
        """What holds now."""

    def answering(self) -> Mapping[str, bool]:
        """Whether each device answers."""

    @property
    def core_silent(self) -> bool:
        """No receipt for too long."""

    async def apply(self, config: EdgeConfig) -> object:
        """Poll by it from the next tick on. Raises ValueError or StewardError: then nothing has changed."""

    def reply(self, command: Mapping[str, Any], *, ok: bool, **facts: Any) -> None:
        """Answer a command."""


class Pushes:
    """`config`, `confirm` and `step` are called within the edge's tick and wait for nothing."""

    def __init__(self, control: Control, clock: Clock, host: Host) -> None:
        self._stage, self._key, self._load = control.stage, control.key, control.load
        self._clock, self._host = clock, host
        self._parts: dict[int, str] = {}
        self._of: tuple[int, str] = (0, "")
        self._taken: tuple[int, str] = (0, "")
        self._job: asyncio.Task[None] | None = None
        self._kept_out = False
        self._shown: int | None = None
        self._old: EdgeConfig | None = None
        self._asked: Mapping[str, Any] = {}
        self.trial: Trial | None = None
        self.taken_back = 0
        self._stuck = False

    def facts(self) -> dict[str, float]:
        """Part of each account. cfg_version 0: the edge's own site file."""
        version = self._stage.state.version if self._shown is None else self._shown
        return {
            "cfg_version": float(version),
            "cfg_trial": float(self.trial is not None),
            "cfg_taken_back": float(self.taken_back),
        }

    @contextmanager
    def kept_out(self) -> Iterator[None]:
        """Nothing of the core's is taken up meanwhile. Raises Conflict when something is, and what to do."""
        trial = self.trial
        if trial is not None:
            left = max(0.0, trial.began + trial.minutes * 60 - self._clock.monotonic())
            raise Conflict(
                f"version {trial.version} from the core is on trial for at most {left:.0f} s more: reload"
                " after that, and the own site file holds; or start the edge anew, which ends it at once"
            )
        if self._busy:
            raise Conflict("a configuration from the core is being taken up: reload again when it has ended")
        self._kept_out = True
        try:
            yield
        finally:
            self._kept_out = False

    async def close(self) -> None:
        """Leave what is being done; a trial ends with the edge."""
        if self._job is not None:
            self._job.cancel()
            await asyncio.gather(self._job, return_exceptions=True)

    @property
    def _busy(self) -> bool:
        return self._job is not None and not self._job.done()

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self._job = asyncio.get_running_loop().create_task(work, name=name)

    def config(self, body: dict[str, Any]) -> None:
        """One part; with the last one it is staged and tried out."""
        try:
            if self._collected(body):
                texts = [self._parts[k] for k in sorted(self._parts)]
                self._taken, self._of, self._parts = self._of, (0, ""), {}
                self._start(self._taking_up(body, texts), "edge configuration")
        except BadMessage as e:
            self._refuse(body, [str(e)])

    async def _taking_up(self, body: dict[str, Any], texts: list[str]) -> None:
        try:
            await self._take_up(body, texts)
        except Problems as e:
            self._refuse(body, [str(p) for p in e.problems])
        except (BadMessage, StewardError, ValueError) as e:
            self._refuse(body, [str(e)])
        except Exception as e:
            log.exception("configuration failed version=%s; report this", body.get("version"))
            self._refuse(body, [f"{type(e).__name__}: {e}"])

    def _collected(self, body: dict[str, Any]) -> bool:
        if not verified(self._key, body):
            raise BadMessage("sig: not made with the key of this edge" if self._key else "sig: no key here")
        version, whole = an_int(body, "version"), a_text(body, "hash")
        part, parts = an_int(body, "part"), an_int(body, "parts")
        _minutes(body)
        text = body.get("text")
        if (version, whole) == self._taken and (self._busy or self.trial is not None):
            return False  # a part that the broker has handed out twice
        if self._busy:
            raise BadMessage("another configuration is being taken up; send it again when that has ended")
        if version <= self._stage.state.newest:
            raise BadMessage(f"version: {version} is not newer than {self._stage.state.newest}")
        if self.trial is not None:
            raise BadMessage(f"version {self.trial.version} is on trial; wait for its end")
        if self._kept_out:
            raise BadMessage("the edge takes up its own changed site file at this moment; push again")
        if not (1 <= part <= parts <= MAX_PARTS and isinstance(text, str)):
            raise BadMessage(f"part: {part} of {parts} is not possible")
        if self._of != (version, whole):
            self._of, self._parts = (version, whole), {}
        self._parts[part] = text
        return len(self._parts) == parts

    async def _take_up(self, body: dict[str, Any], texts: list[str]) -> None:
        version, whole = self._taken
        config = await asyncio.to_thread(self._loaded, version, texts, whole)
        self._host.reply(body, ok=True, step="staged", version=version, cfg=config.cfg_hash)
        await self._begin(body, version, config, _minutes(body))

    def _loaded(self, version: int, texts: list[str], whole: str) -> EdgeConfig:
        """Blocking, in a thread. Raises BadMessage, Problems, Retryable."""
        site = self._stage.put(version, unpack(texts, whole))
        try:
            return self._load(site)
        except BadInput as e:
            raise Problems([e]) from e

    async def _begin(self, body: dict[str, Any], version: int, config: EdgeConfig, minutes: float) -> None:
        host = self._host
        before = frozenset(d for d, well in host.answering().items() if well)
        old = host.config
        self._shown = self._stage.state.version  # until it is adopted
        try:
            # First the disk: killed between the two, the edge starts with the old configuration.
            await asyncio.to_thread(self._stage.try_out, version)
            await self._applied(config)
        finally:
            self._shown = None
        self._old, self._asked = old, body
        self.trial = Trial(version, self._clock.monotonic(), minutes, before)
        host.reply(body, ok=True, step="trial", version=version, cfg=config.cfg_hash, minutes=minutes)

    async def _applied(self, config: EdgeConfig) -> None:
        try:
            await self._host.apply(config)
        except (ValueError, StewardError):
            await asyncio.to_thread(self._stage.back)
            raise

    def confirm(self, body: dict[str, Any]) -> None:
        """The core has heard the edge under its new configuration."""
        trial = self.trial
        fits = trial is not None and body.get("version") == trial.version
        if not verified(self._key, body) or trial is None or not fits:
            why = f"version {body.get('version')!r:.20} is not on trial, or the signature is wrong"
            self._host.reply(body, ok=False, step="refused", error=why)
            return
        trial.confirmed = True
        self._host.reply(body, ok=True, step="confirmed", version=trial.version)

    def step(self) -> None:
        """Call it once a second or so: looks whether the trial has been passed."""
        trial = self.trial
        if trial is None or self._busy:
            return
        verdict = trial.judge(
            self._clock.monotonic(), self._host.answering(), core_silent=self._host.core_silent
        )
        if verdict is not Verdict.WAIT:
            self._start(self._ending(trial, verdict), "edge configuration")

    async def _ending(self, trial: Trial, verdict: Verdict) -> None:
        try:
            await (self._keep(trial) if verdict is Verdict.KEEP else self._back(trial))
        except Exception as e:  # whatever it is, the trial has to end
            if not self._stuck:
                log.error("end of the trial is not written version=%d cause=%r; tried again",
                          trial.version, f"{type(e).__name__}: {e}")  # fmt: skip
            self._stuck = True
        else:
            self._stuck = False

    async def _keep(self, trial: Trial) -> None:
        await asyncio.to_thread(self._stage.keep)
        self.trial = self._old = None
        log.info("configuration kept version=%d", trial.version)
        self._host.reply(self._asked, ok=True, step="kept", version=trial.version)

    async def _back(self, trial: Trial) -> None:
        old = self._old or self._host.config
        # First the disk: killed between the two, the edge starts with the old configuration.
        await asyncio.to_thread(self._stage.back)
        self.trial = self._old = None
        self.taken_back += 1
        log.error("configuration taken back version=%d cause=%r", trial.version, trial.why)
        await self._host.apply(old)
        self._host.reply(
            self._asked, ok=False, step="back", version=trial.version, error=trial.why, cfg=old.cfg_hash
        )

    def _refuse(self, body: Mapping[str, Any], problems: list[str]) -> None:
        log.error("configuration refused version=%s cause=%r", body.get("version"), problems[0])
        self._host.reply(
            body, ok=False, step="refused", version=body.get("version"), error=problems[0],
            problems=problems[:SHOWN],
        )  # fmt: skip


def _minutes(body: Mapping[str, Any]) -> float:
    minutes = body.get("minutes", 2.0)
    if not isinstance(minutes, int | float) or not MINUTES[0] <= minutes <= MINUTES[1]:
        raise BadMessage(f"minutes: {MINUTES[0]:g} to {MINUTES[1]:g} are possible, not {minutes!r:.20}")
    return float(minutes)
