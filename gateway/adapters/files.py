"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def sync(path: Path) -> None:
    """Force a file, or the names in a folder, to the disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def replaced(target: Path) -> Iterator[Path]:
    """Yield a name to write to; when the block ends well, the file takes the target's place durably.

    After an exception or a crash the target is what it was; a left-over `.part` is overwritten next time.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    half = target.with_name(target.name + ".part")
    half.unlink(missing_ok=True)
    try:
        yield half
        sync(half)
        half.replace(target)
        sync(target.parent)
    finally:
        half.unlink(missing_ok=True)
