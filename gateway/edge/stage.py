"""Configurations that came over the bus, on the edge's disk: one in use, the one before, one on trial.

Every step is one rename, so that after a kill at any instant the old configuration is in use or the new
one, whole. A trial does not survive a restart: what nobody has confirmed is not what an edge starts with.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import orjson

from gateway.codec.bundle import digest
from gateway.errors import Retryable

log = logging.getLogger(__name__)

SITE = "site.yaml"


@dataclass(frozen=True, slots=True)
class State:
    """What is in use. version 0: the site file that the edge was started with.

    newest: highest version ever taken up, so that an old command cannot be played again · base: hash of the
    edge's own site file when `version` came.
    """

    version: int = 0
    previous: int = 0
    trial: bool = False
    newest: int = 0
    base: str = ""


class Stage:
    """Blocking. `folder` belongs to one edge. Methods raise Retryable when the disk does not take it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.state = State()

    def open(self, base: str) -> Path | None:
        """The site file to start with; None: the edge's own, whose content has the hash `base`.

        An own site file that was changed since wins over what came over the bus: the last change holds.
        """
        self.state = self._read()
        if self.state.trial:
            log.warning("configuration version=%d was on trial when the edge ended; back to %s",
                        self.state.version, self.state.previous or "the site file")  # fmt: skip
            self._decide(replace(self.state, version=self.state.previous, previous=0, trial=False))
        if self.state.version and self.state.base != base:
            log.warning("the site file was changed after version=%d came; it holds", self.state.version)
            self._decide(replace(self.state, version=0, previous=0))
        if self.state.base != base:
            self._decide(replace(self.state, base=base))
        self._tidy()
        site = self.site
        if site is not None and not site.is_file():
            log.error("configuration version=%d is missing from %s; the site file holds",
                      self.state.version, self._folder)  # fmt: skip
            self._decide(replace(self.state, version=0, previous=0))
            return None
        return site

    def _decide(self, state: State) -> None:
        """Hold to it even when the disk does not take it: the next start decides the same."""
        try:
            self._write(state)
        except Retryable as e:
            log.error("configuration's state is not written cause=%r; it holds until the edge ends", str(e))
            self.state = state

    @property
    def site(self) -> Path | None:
        """The site file in use; None: the edge's own."""
        return self.path(self.state.version) if self.state.version else None

    def path(self, version: int) -> Path:
        """Where the site file of a version is, or would be."""
        return self._folder / f"v{version}" / SITE

    def put(self, version: int, files: Mapping[str, str]) -> Path:
        """Write the files of a version to the disk, without using them; the path of its site file."""
        part, whole = self._folder / f"v{version}.part", self._folder / f"v{version}"
        try:
            for folder in (part, whole):
                shutil.rmtree(folder, ignore_errors=True)
            for name, text in files.items():
                _write_through(part / name, text.encode())
            part.rename(whole)
            _sync_folder(self._folder)
        except OSError as e:
            raise Retryable(f"{self._folder} cannot be written: {e}") from e
        log.info("configuration staged version=%d hash=%s", version, digest(files)[:12])
        return whole / SITE

    def try_out(self, version: int) -> None:
        """Use it until `keep` or `back`; the version before stays."""
        state = replace(self.state, previous=self.state.version, version=version, trial=True, newest=version)
        self._write(state)

    def keep(self) -> None:
        """The trial has been passed."""
        self._write(replace(self.state, trial=False))
        self._tidy()

    def back(self) -> None:
        """Use the version before again."""
        self._write(replace(self.state, version=self.state.previous, previous=0, trial=False))
        self._tidy()

    def local(self, base: str) -> None:
        """The edge's own site file was changed and holds from now on."""
        self._write(replace(self.state, version=0, previous=0, trial=False, base=base))
        self._tidy()

    def _read(self) -> State:
        path = self._folder / "state.json"
        try:
            return State(**orjson.loads(path.read_bytes()))
        except FileNotFoundError:
            return State()
        except (OSError, ValueError, TypeError) as e:
            log.error("%s cannot be read cause=%r; the site file holds", path, str(e))
            return State()

    def _write(self, state: State) -> None:
        path = self._folder / "state.json"
        try:
            _write_through(path.with_suffix(".part"), orjson.dumps(asdict(state)))
            path.with_suffix(".part").replace(path)
            _sync_folder(self._folder)
        except OSError as e:
            raise Retryable(f"{path} cannot be written: {e}") from e
        self.state = state

    def _tidy(self) -> None:
        """Remove what is neither in use nor the way back."""
        wanted = {f"v{n}" for n in (self.state.version, self.state.previous)}
        for folder in self._folder.glob("v*"):
            if folder.name not in wanted:
                shutil.rmtree(folder, ignore_errors=True)


def _write_through(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """A rename is on the disk when its folder is."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
