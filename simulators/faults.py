"""Faults with truth labels: what is broken, from when it can be seen, and which alarm must follow by when."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gateway.errors import BadInput
from gateway.model import Ms
from simulators.kinds import DEVICE_KINDS, KINDS, SEVERE, Kind
from simulators.layout import AssetPlan, DevicePlan, Layout
from simulators.plant import Plant

__all__ = ["ALLOWANCE_S", "DEVICE_KINDS", "KINDS", "SEVERE", "Expect", "Faults", "Kind", "Truth", "parse"]

ALLOWANCE_S = 20.0
"""What polling, transport and evaluation may take on top of a rule's own delay."""


@dataclass(frozen=True, slots=True)
class Expect:
    """The alarm that must follow: rule, latest site time, asset that assessment should name as the root."""

    rule: str
    by: Ms
    root: str
    priority: int


@dataclass(frozen=True, slots=True)
class Truth:
    """One label, a line of truth.jsonl. Times are site time in ms.

    An alarm of the expected rule belongs to the label when it comes from `detectable_from` to `expect.by`;
    earlier it is a false one. expect: None for what no point can show, or not at this severity. until: end of
    the fault, where it is known · fails_at: when the wearing part stops doing its job.
    """

    t: Ms
    asset: str
    fault: str
    severity: float
    detectable_from: Ms
    expect: Expect | None
    until: Ms | None = None
    fails_at: Ms | None = None

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        e = self.expect
        return {
            "t": self.t,
            "asset": self.asset,
            "fault": self.fault,
            "severity": self.severity,
            "detectable_from": self.detectable_from,
            "expect": e and {"rule": e.rule, "by": e.by, "root": e.root, "priority": e.priority},
            **{k: v for k, v in (("until", self.until), ("fails_at", self.fails_at)) if v is not None},
        }


def parse(written: str) -> tuple[str, str, float | None]:
    """`kind@asset` or `kind@asset:severity`. Raises BadInput."""
    kind, at, rest = written.partition("@")
    asset, colon, amount = rest.partition(":")
    try:
        severity = float(amount) if colon else None
    except ValueError:
        severity = -1.0
    if not at or not asset or (severity is not None and not 0 < severity <= 1):
        raise BadInput(
            f"{written!r} is not a fault",
            field="fault",
            hint="write KIND@ASSET or KIND@ASSET:SEVERITY with 0 < SEVERITY ≤ 1, e.g. pump_trip@ws-1",
        )
    return kind, asset, severity


@dataclass(slots=True)
class Faults:
    """Sets and clears faults of a plant and of its devices, and writes the truth.

    active: severity by (kind, target) · truth: every label so far · devices: (kind, severity) by device id.
    A target is an asset id, or a device or line id for device faults, or an estate id for rain.
    """

    plant: Plant
    layout: Layout
    active: dict[tuple[str, str], float] = field(default_factory=dict)
    truth: list[Truth] = field(default_factory=list)
    devices: dict[str, tuple[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.plant.forces = {kind: spec.forces for kind, spec in KINDS.items() if spec.forces}

    def apply(self, kind: str, target: str, severity: float | None = None) -> Truth | None:
        """Set a fault at the plant's present time. Raises BadInput.

        None when it shows only together with another one: a generator that would not start is seen when
        the grid goes; its label is written then.
        """
        spec = self._spec(kind, target)
        amount = spec.severity if severity is None else severity
        if not 0 < amount <= 1:
            raise BadInput(f"severity {amount} is not in 0…1", field="severity", hint="for example 0.5")
        self.active[kind, target] = amount
        for device in self._hit_devices(kind, target):
            self.devices[device.id] = (kind, amount)
        if kind == "rain":
            self.plant.weather[self.layout.estate_of(target)] = amount
        elif kind not in DEVICE_KINDS:
            self.plant.units[target].faults[kind] = amount
            self.plant.touch(target)
        return self._label(kind, target, amount)

    def clear(self, kind: str | None = None, target: str | None = None) -> int:
        """Take faults away: one, all of a target, or all; how many there were."""
        gone = [k for k in self.active if kind in (None, k[0]) and target in (None, k[1])]
        for key in gone:
            del self.active[key]
            self._undo(*key)
        return len(gone)

    def _undo(self, kind: str, target: str) -> None:
        for device in self._hit_devices(kind, target):
            self.devices.pop(device.id, None)
        if kind == "rain":
            self.plant.weather.pop(self.layout.estate_of(target), None)
        elif kind not in DEVICE_KINDS:
            self.plant.units[target].faults.pop(kind, None)
            self.plant.touch(target)

    def targets(self, kind: str) -> list[str]:
        """Asset ids that a kind can hit."""
        models = KINDS[kind].models
        return [a.id for a in self.layout.assets if not models or a.model in models]

    def check(self, kind: str, target: str) -> None:
        """Whether the fault can hit the target. Raises BadInput."""
        self._spec(kind, target)

    def _spec(self, kind: str, target: str) -> Kind:
        if kind not in KINDS:
            raise BadInput(f"there is no fault {kind!r}", field="kind", hint=f"one of {', '.join(KINDS)}")
        if kind in DEVICE_KINDS and self._hit_devices(kind, target):
            return KINDS[kind]
        if kind == "rain" and any(e.id == target for e in self.layout.estates):
            return KINDS[kind]
        if target not in self.targets(kind):
            known = ", ".join(self.targets(kind)[:8])
            raise BadInput(f"{kind} cannot hit {target!r}", field="asset", hint=f"possible: {known}")
        return KINDS[kind]

    def _hit_devices(self, kind: str, target: str) -> list[DevicePlan]:
        if kind not in DEVICE_KINDS:
            return []
        return [d for line, d in self.layout.devices() if target in (d.asset, d.id, line.id)]

    # ── truth ─────────────────────────────────────────────────────────────────────────────────────────

    def _label(self, kind: str, target: str, severity: float) -> Truth | None:
        estate = next(
            (d.asset for line, d in self.layout.devices() if target in (d.id, line.id)), target
        )  # a device fault is labelled with the device's asset, that of a line with its first device's
        if KINDS[kind].needs and not self._there(KINDS[kind].needs, target):
            return None
        found = self._write(kind, estate, severity)
        for (other, set_), amount in self.active.items():
            same = kind not in DEVICE_KINDS and KINDS[other].needs == kind
            if same and self.layout.estate_of(set_) == self.layout.estate_of(target):
                self._write(other, set_, amount)
        return found

    def _write(self, kind: str, asset: str, severity: float) -> Truth:
        spec, now = KINDS[kind], self.plant.now
        label = Truth(
            now,
            asset,
            kind,
            severity,
            now + round(spec.first_s * 1000),
            self._expect(spec, asset, now, severity),
        )
        self.truth.append(label)
        return label

    def _expect(self, spec: Kind, target: str, now: Ms, severity: float) -> Expect | None:
        plan = self._plan(target)
        rule = spec.rule_for(plan.model if plan else "sump", severity)
        if not rule or spec.wears_d or not spec.can_be_seen(severity):
            return None
        if plan:
            rule = rule.replace("{class}", plan.kind)
        by = now + round((spec.lag_s + spec.confirm_s + ALLOWANCE_S) * 1000)
        return Expect(rule, by, target, spec.priority)

    def _plan(self, target: str) -> AssetPlan | None:
        return next((a for a in self.layout.assets if a.id == target), None)

    def _there(self, kind: str, target: str) -> bool:
        estate = self.layout.estate_of(target)
        return any(k == kind and self.layout.estate_of(a) == estate for k, a in self.active)
