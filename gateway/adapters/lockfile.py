"""One Steward per data directory."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Self

from gateway.adapters.store_errors import InUse

NAME = "steward.lock"


class DataLock:
    """Holds `DIR/steward.lock` from construction to `close()`; the kernel lets go of it when we die.

    It must be taken by the process that writes the stores (core + web), before it opens them: a supervisor
    that holds it could die while its child still writes. Raises InUse, naming the other process.
    """

    def __init__(self, folder: str | Path) -> None:
        self.path = Path(folder) / NAME
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Python's descriptors are not inherited over exec, so a child process never keeps the lock.
        self._fd: int | None = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            other = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            self.close()
            raise InUse(
                f"{self.path.parent}: in use by another Steward (process {other});"
                " stop it first, or give this one its own --data directory"
            ) from error
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def close(self) -> None:
        """Let go; idempotent. The file stays: removing it would let two processes lock two files."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
