"""What the roof hands to the core."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alerts.desk import Dispatch, Outcome
from alerts.ruleset import RuleSet
from alerts.virtual import Formula
from gateway.config.site import Site
from gateway.core.sender import Sender
from gateway.model import Asset, Command, Point
from gateway.ports import Bus, Clock, SampleStore, StateStore


@dataclass
class Parts:
    """Everything that the core works with.

    other: carries out commands that are neither alarm, order, asset nor drill ·
    device_of: point id → (gateway, device) · assets: with one per edge · points: names, codes and ranges of
    the points that the profiles describe, and of virtual ones · plain: {"web" or "broker": host} of what
    speaks plain text to other machines · virtual: points that are worked out from others, by id.
    """

    site: Site
    clock: Clock
    bus: Bus
    state: StateStore
    samples: SampleStore
    rules: RuleSet
    dispatch: Dispatch
    sender: Sender
    data_dir: Path
    other: Callable[[Command], tuple[Outcome, dict[str, Any]]]
    device_of: Mapping[str, tuple[str, str]]
    assets: Mapping[str, Asset]
    points: Mapping[str, Point] = field(default_factory=dict)
    plain: Mapping[str, str] = field(default_factory=dict)
    virtual: Mapping[str, tuple[Point, Formula]] = field(default_factory=dict)
