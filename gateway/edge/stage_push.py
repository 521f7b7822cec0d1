"""The commands `config` and `confirm`: a configuration comes over the bus, is tried out, kept or taken back.

Each step is a reply with the id of the first command: `staged` → `trial` → `kept` or `back` (with why), or
`refused` with what is wrong. A configuration that does not load changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Protocol

from gateway.codec import BadMessage
from gateway.codec.bundle import MAX_PARTS, unpack
from gateway.codec.shapes import a_text, an_int
from gateway.codec.signed import verified
from gateway.edge.config import EdgeConfig
from gateway.edge.control import Control
from gateway.edge.stage_trial import Trial, Verdict
from gateway.errors import BadInput, Problems, Retryable, StewardError
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

    async def adopt(self, config: EdgeConfig) -> object:
        """Poll by it from now on. Raises ValueError or StewardError, and then nothing has changed."""

    def reply(self, command: Mapping[str, Any], *, ok: bool, **facts: Any) -> None:
        """Answer a command."""


class Pushes:
    """Called within the edge's tick, so that no row is numbered while a configuration changes."""

    def __init__(self, control: Control, clock: Clock, host: Host) -> None:
        self._stage, self._key, self._load = control.stage, control.key, control.load
        self._clock, self._host = clock, host
        self._parts: dict[int, str] = {}
        self._of: tuple[int, str] = (0, "")
        self._old: EdgeConfig | None = None
        self._asked: Mapping[str, Any] = {}
        self.trial: Trial | None = None
        self.taken_back = 0
        self._stuck = False

    def facts(self) -> dict[str, float]:
        """Part of each account. cfg_version 0: the edge's own site file."""
        return {
            "cfg_version": float(self._stage.state.version),
            "cfg_trial": float(self.trial is not None),
            "cfg_taken_back": float(self.taken_back),
        }

    async def config(self, body: dict[str, Any]) -> None:
        """One part; with the last one it is staged and tried out."""
        try:
            if self._collected(body):
                await self._take_up(body)
        except (BadMessage, Retryable) as e:
            self._refuse(body, [str(e)])
        except Problems as e:
            self._refuse(body, [str(p) for p in e.problems])
        except (StewardError, ValueError) as e:
            self._refuse(body, [str(e)])

    def _collected(self, body: dict[str, Any]) -> bool:
        if not verified(self._key, body):
            raise BadMessage("sig: not made with the key of this edge" if self._key else "sig: no key here")
        version, whole = an_int(body, "version"), a_text(body, "hash")
        part, parts = an_int(body, "part"), an_int(body, "parts")
        text = body.get("text")
        if version <= self._stage.state.newest:
            raise BadMessage(f"version: {version} is not newer than {self._stage.state.newest}")
        if self.trial is not None:
            raise BadMessage(f"version {self.trial.version} is on trial; wait for its end")
        if not (1 <= part <= parts <= MAX_PARTS and isinstance(text, str)):
            raise BadMessage(f"part: {part} of {parts} is not possible")
        if self._of != (version, whole):
            self._of, self._parts = (version, whole), {}
        self._parts[part] = text
        return len(self._parts) == parts

    async def _take_up(self, body: dict[str, Any]) -> None:
        version, whole = self._of
        texts = [self._parts[k] for k in sorted(self._parts)]
        self._of, self._parts = (0, ""), {}
        minutes = body.get("minutes", 2.0)
        if not isinstance(minutes, int | float) or not MINUTES[0] <= minutes <= MINUTES[1]:
            raise BadMessage(f"minutes: {MINUTES[0]:g} to {MINUTES[1]:g} are possible, not {minutes!r:.20}")
        files = unpack(texts, whole)
        site = await asyncio.to_thread(self._stage.put, version, files)
        try:
            config = await asyncio.to_thread(self._load, site)
        except BadInput as e:
            raise Problems([e]) from e
        self._host.reply(body, ok=True, step="staged", version=version, cfg=config.cfg_hash)
        await self._begin(body, version, config, float(minutes))

    async def _begin(self, body: dict[str, Any], version: int, config: EdgeConfig, minutes: float) -> None:
        host = self._host
        before = frozenset(d for d, well in host.answering().items() if well)
        old = host.config
        await asyncio.to_thread(self._stage.try_out, version)
        try:
            await host.adopt(config)
        except (ValueError, StewardError):
            await asyncio.to_thread(self._stage.back)
            raise
        self._old, self._asked = old, body
        self.trial = Trial(version, self._clock.monotonic(), minutes, before)
        host.reply(body, ok=True, step="trial", version=version, cfg=config.cfg_hash, minutes=minutes)

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

    async def step(self) -> None:
        """Call it once a second or so: looks whether the trial has been passed."""
        trial = self.trial
        if trial is None:
            return
        verdict = trial.judge(
            self._clock.monotonic(), self._host.answering(), core_silent=self._host.core_silent
        )
        try:
            await self._carry_out(trial, verdict)
        except StewardError as e:
            if not self._stuck:
                log.error(
                    "end of the trial is not written version=%d cause=%r; tried again", trial.version, str(e)
                )
            self._stuck = True
        else:
            self._stuck = False

    async def _carry_out(self, trial: Trial, verdict: Verdict) -> None:
        if verdict is Verdict.KEEP:
            await asyncio.to_thread(self._stage.keep)
            self.trial = self._old = None
            log.info("configuration kept version=%d", trial.version)
            self._host.reply(self._asked, ok=True, step="kept", version=trial.version)
        elif verdict is Verdict.BACK:
            await self._back(trial)

    async def _back(self, trial: Trial) -> None:
        old = self._old or self._host.config
        # First the disk: killed between the two, the edge starts with the old configuration.
        await asyncio.to_thread(self._stage.back)
        self.trial = self._old = None
        self.taken_back += 1
        log.error("configuration taken back version=%d cause=%r", trial.version, trial.why)
        await self._host.adopt(old)
        self._host.reply(
            self._asked, ok=False, step="back", version=trial.version, error=trial.why, cfg=old.cfg_hash
        )

    def _refuse(self, body: Mapping[str, Any], problems: list[str]) -> None:
        log.error("configuration refused version=%s cause=%r", body.get("version"), problems[0])
        self._host.reply(
            body, ok=False, step="refused", version=body.get("version"), error=problems[0],
            problems=problems[:SHOWN],
        )  # fmt: skip
