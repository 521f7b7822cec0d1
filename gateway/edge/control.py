"""What the composition root hands to an edge that may be commanded over the bus."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gateway.edge.config import EdgeConfig
from gateway.edge.stage import Stage


@dataclass(frozen=True, slots=True)
class Control:
    """key: what commands are signed with; empty: nothing that changes anything is obeyed.

    load: reads a staged site file; blocking; raises Problems or BadInput with what is wrong with it.
    """

    key: bytes
    stage: Stage
    load: Callable[[Path], EdgeConfig]
