"""Logs: one structured line per event, rotated, on the terminal in short."""

from __future__ import annotations

import logging
import logging.handlers
import sys
from datetime import UTC, datetime
from pathlib import Path

MAX_BYTES = 5_000_000
KEEP = 5


class LineFormatter(logging.Formatter):
    """`2026-11-22T10:22:31.123Z WARNING gateway.edge.line text key=value …`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; a traceback follows in lines of its own."""
        t = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
        line = f"{t}Z {record.levelname} {record.name} {record.getMessage()}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def setup_logging(folder: Path | None, role: str, *, verbose: bool = False) -> None:
    """Log to `folder/role.log` (rotated) and warnings to stderr."""
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    for handler in list(root.handlers):
        root.removeHandler(handler)
    terminal = logging.StreamHandler(sys.stderr)
    terminal.setLevel(logging.INFO if verbose else logging.WARNING)
    terminal.setFormatter(LineFormatter())
    root.addHandler(terminal)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        kept = logging.handlers.RotatingFileHandler(
            folder / f"{role}.log", maxBytes=MAX_BYTES, backupCount=KEEP, encoding="utf-8"
        )
        kept.setFormatter(LineFormatter())
        root.addHandler(kept)
    for name in ("pymodbus", "uvicorn", "apprise", "aiomqtt", "mqtt", "nats", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
