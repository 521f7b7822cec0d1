"""Faults with truth labels: what is broken, from when it can be seen, and which alarm must follow by when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.errors import BadInput
from gateway.model import Ms, Text
from simulators.layout import AssetPlan, DevicePlan, Layout, text
from simulators.plant import Plant

ALLOWANCE_S = 20.0
"""What polling, transport and evaluation may take on top of a rule's own delay."""

SEVERE = 0.5
"""From this severity on some faults are another matter: a second fire detector confirms the first."""

DEVICE_KINDS = ("device_silent", "device_exception", "device_short", "device_slow")


@dataclass(frozen=True, slots=True)
class Kind:
    """A fault kind.

    models: plant models that it can hit (none: any device) · first_s, lag_s: earliest and latest time from
    the fault to its sign · rule: alarm that must follow, by plant model where it differs, "" where the
    default rules have none · confirm_s: the rule's own delay at most · severity: when none is given ·
    severe: the rule instead of `rule` from severity 0.5 on, where there is another.
    """

    models: tuple[str, ...]
    first_s: float
    lag_s: float
    rule: str | Mapping[str, str]
    confirm_s: float
    priority: int
    name: Text
    severity: float = 1.0
    severe: str = ""

    def rule_for(self, model: str, severity: float = 0.0) -> str:
        """The rule that must fire on an asset of this model."""
        if self.severe and severity >= SEVERE:
            return self.severe
        return self.rule if isinstance(self.rule, str) else self.rule.get(model, "")


KINDS: Mapping[str, Kind] = {
    "power_cut": Kind(("power",), 0, 1, "power.outage", 5, 2, text("市电停电", "Grid power lost")),
    "phase_loss": Kind(("power",), 0, 1, "power.phase_a_lost", 5, 2, text("缺相", "One phase lost")),
    "genset_fail": Kind(("generator",), 0, 1, "generator.fail_to_start", 35, 1,
                        text("发电机启动失败", "Generator does not start")),
    "trap_passenger": Kind(("lift",), 0, 15, "lift.entrapment", 60, 1,
                           text("电梯困人", "Passenger trapped between floors")),
    "lift_fault": Kind(("lift",), 0, 45, "lift.fault", 10, 2,
                       text("电梯故障停梯", "Lift stopped by a fault")),
    "pump_stall": Kind(("water",), 0, 12, "water.out_p_low", 60, 2,
                       text("水泵空转无压", "Pumps run without head"), 0.8),
    "pump_trip": Kind(("water",), 0, 1, "water.pump_fault", 10, 3, text("水泵跳闸", "Duty pump trips"), 0.5),
    "low_pressure": Kind(("water",), 0, 12, "water.out_p_low", 60, 2,
                         text("出水压力低", "Outlet valve half closed")),
    "burst": Kind(("water",), 0, 12, "water.out_p_low", 60, 2, text("爆管", "Pipe burst")),
    "pressure_leak": Kind(("water", "fire"), 10, 400,
                          {"water": "water.out_p_slope", "fire": "fire.main_p_slope"}, 900, 3,
                          text("管网缓慢泄漏", "Slow pressure leak")),
    "tank_low": Kind(("water",), 0, 30, "water.in_p_low", 60, 3,
                     text("市政断水、水箱下降", "No municipal inflow, tank falls")),
    "water_quality": Kind(("water",), 5, 60, "water.turbidity", 600, 2, text("水质超标", "Turbid water")),
    "sump_high": Kind(("sump",), 3, 40, "drain.level_high", 60, 2, text("集水坑高液位", "Sump level high")),
    "sump_pumps_fail": Kind(("sump",), 0, 2, "drain.both_pumps_fault", 10, 2,
                            text("双泵故障", "Both sump pumps tripped")),
    "rain": Kind(("sump", "manhole"), 30, 1800, {"sump": "drain.level_high"}, 60, 2,
                 text("暴雨", "Cloudburst over the estate")),
    "manhole_open": Kind(("manhole",), 0, 2, "manhole.tilt", 5, 1, text("井盖移位", "Manhole cover moved")),
    "manhole_gas": Kind(("manhole",), 2, 15, "manhole.ch4", 5, 1, text("井内可燃气体", "Gas in a manhole")),
    "fire_alarm": Kind(("fire",), 0, 1, "fire.alarm", 1, 1, text("火警", "Fire alarm"), 0.3,
                       "fire.confirmed"),
    "fire_pump_manual": Kind(("fire",), 0, 1, "fire.pump_not_auto", 600, 2,
                             text("消防泵手动", "Fire pumps not in automatic")),
    "hydrant_low": Kind(("fire",), 1, 20, "fire.hydrant_low", 60, 2,
                        text("消火栓压力低", "Hydrant pressure low")),
    "leak_current": Kind(("power", "fire"), 0, 6, {"power": "power.leak", "fire": "fire.leak"}, 60, 2,
                         text("剩余电流", "Residual current")),
    "transformer_hot": Kind(("power",), 10, 60, "power.transformer_hot", 30, 3,
                            text("变压器超温", "Transformer overheats")),
    "transformer_trip": Kind(("power",), 20, 70, "power.transformer_trip", 5, 1,
                             text("变压器过热跳闸", "Transformer overheats until it trips")),
    "drain_blocked": Kind(("manhole",), 60, 600, "manhole.level_warn", 60, 3,
                          text("管网堵塞", "Sewer blocked behind a manhole")),
    "light_out": Kind(("lighting",), 0, 2, "lighting.off_when_on", 60, 4,
                      text("照明回路断", "Lamps stay dark")),
    "septic_gas": Kind(("septic",), 3, 25, "septic.ch4", 30, 1, text("化粪池沼气", "Gas in the septic tank")),
    "call_button": Kind(("call",), 0, 1, "call.active", 1, 1, text("紧急呼叫", "Emergency call")),
    "meter_stuck": Kind(("energy_meter", "water_meter"), 0, 1, "meter.stuck", 900, 4,
                        text("表计停走", "Meter stands still")),
    "device_silent": Kind((), 0, 1, "{class}.no_data", 60, 3, text("设备无应答", "Device does not answer")),
    "device_exception": Kind((), 0, 1, "{class}.no_data", 60, 3,
                             text("设备返回异常", "Device answers exceptions")),
    "device_short": Kind((), 0, 1, "{class}.no_data", 60, 3,
                         text("设备应答残缺", "Device answers are cut short")),
    "device_slow": Kind((), 0, 1, "", 60, 4, text("设备应答慢", "Device answers late"), 0.2),
}  # fmt: skip
"""Every fault that can be set. `{class}` is the asset's class."""


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
    earlier it is a false one.
    """

    t: Ms
    asset: str
    fault: str
    severity: float
    detectable_from: Ms
    expect: Expect | None

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
        if kind == "genset_fail" and not self._grid_is_gone(target):
            return None
        found = self._write(kind, estate, severity)
        if kind == "power_cut":
            for (other, set_), amount in self.active.items():
                if other == "genset_fail" and self.layout.estate_of(set_) == self.layout.estate_of(target):
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
        if not rule:
            return None
        if plan:
            rule = rule.replace("{class}", plan.kind)
        by = now + round((spec.lag_s + spec.confirm_s + ALLOWANCE_S) * 1000)
        return Expect(rule, by, target, spec.priority)

    def _plan(self, target: str) -> AssetPlan | None:
        return next((a for a in self.layout.assets if a.id == target), None)

    def _grid_is_gone(self, generator: str) -> bool:
        estate = self.layout.estate_of(generator)
        return any(k == "power_cut" and self.layout.estate_of(a) == estate for k, a in self.active)
