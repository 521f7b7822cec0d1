"""Incoming supply with transformer, and the transfer switch between grid and generator."""

from __future__ import annotations

import math

from simulators.plant.base import Surroundings, Unit, toward

TRANSFORMER_KVA = 630.0
TRIP_C = 150.0
RETURN_DELAY_S = 10.0
"""The grid must hold this long before the switch goes back to it."""


class Power(Unit):
    """A 630 kVA dry transformer. Kept by the generator when the grid is gone: only the essential bus.

    Faults: power_cut (the grid is gone), phase_loss (one of three phases), transformer_trip (overheats until
    it switches off at 150 °C), and the others of `simulators.kinds`.
    """

    def __init__(self, asset: str, seed: int) -> None:
        super().__init__(asset, seed)
        self.ats = 1
        self.held_s = RETURN_DELAY_S
        self.kw = 90.0
        self.leak_ma = 140.0
        self.winding_c = 66.0
        self.fan = False
        self.kwh = 128_400.0 + self.rng.random() * 1000
        self.mains = True
        self.tripped = False

    def step(self, around: Surroundings) -> None:
        """Settle the two bus sections and follow the load."""
        overheats = self.fault("transformer_trip")
        self.tripped = bool(overheats) and (self.tripped or self.winding_c >= TRIP_C)
        self.mains = around.mains = not self.fault("power_cut") and not self.tripped
        around.phases = not self.fault("phase_loss")
        self.held_s = self.held_s + around.dt if self.mains else 0.0
        if self.mains and self.held_s >= RETURN_DELAY_S:
            self.ats = 1
        elif not self.mains and around.generated:
            self.ats = 2
        around.normal = self.mains and self.ats == 1
        around.essential = around.normal or (self.ats == 2 and around.generated)
        around.generator_load = 48.0 if self.ats == 2 and around.generated else 0.0
        demand = 85.0 + 45.0 * math.exp(-(((around.hour - 20.0) / 3.0) ** 2)) + self.noise("kw", 0.8)
        demand += 250.0 * self.fault("load_growth") + 648.0 * self.fault("overload")
        self.kw = toward(self.kw, demand if around.normal else 0.0, 2.0, around.dt)
        self.kwh += self.kw * around.dt / 3600
        self.leak_ma = toward(self.leak_ma, self._leak_target(), 2.0, around.dt)
        hot = self.fault("transformer_hot")
        dead = self.fault("fan_fail")
        calm = min(98.0, 46.0 + 0.2 * self.kw) + 20.0 * self.fault("heat_creep")
        winding = 118.0 + 26.0 * hot if hot else 112.0 + 6.0 * dead if dead else calm
        if overheats:
            winding = 60.0 if self.tripped else 175.0
        tau = 15.0 if hot else 900.0 if self.tripped else 40.0 if overheats else 120.0
        self.winding_c = toward(self.winding_c, winding, tau, around.dt)
        self.fan = self.winding_c > (80.0 if self.fan else 100.0) and not dead

    def _leak_target(self) -> float:
        leak = self.fault("leak_current")
        if leak:
            return 350.0 + 250.0 * leak
        return 140.0 + 150.0 * self.fault("leak_creep") if self.mains else 0.0

    def _volts(self, phase: str) -> float:
        """Of one phase while the grid is there."""
        high, low, skewed = self.fault("voltage_high"), self.fault("voltage_low"), self.fault("unbalance")
        if high:
            return 240.0 + 6.0 * high
        if low:
            return 196.0 - 6.0 * low
        return 227.0 * (0.93 - 0.02 * skewed) if skewed and phase == "b" else 227.0

    def _electric(self, name: str) -> dict[str, float]:
        """What a three-phase instrument at the incoming side reads; `name` makes its noise its own."""
        n = self.noise
        live = 1.0 if self.mains else 0.0
        factor = 0.952 - 0.09 * self.fault("bad_pf") + n(f"{name}pf", 0.002)
        amps = self.kw * 1000 / (3 * 227.0 * factor)
        shifts = zip("abc", (0.6, 0.0, -0.5), (1.02, 0.99, 0.99), strict=True)
        out = {"p": self.kw, "pf": factor * live, "freq": live * (50.0 + n(f"{name}hz", 0.012))}
        for phase, volts, share in shifts:
            lost = phase == "a" and self.fault("phase_loss") > 0
            out[f"u{phase}"] = (
                0.0 if lost else live * (self._volts(phase) + volts + n(f"{name}u{phase}", 0.5))
            )
            out[f"i{phase}"] = 0.0 if lost else max(0.0, amps * share * (1 + n(f"{name}i{phase}", 0.004)))
        return out

    def values(self) -> dict[str, float]:
        """Incoming side: all zero while the grid is gone; the instruments run on the UPS."""
        n = self.noise
        own = self._electric("")
        volts = [own[f"u{p}"] for p in "abc"]
        mean = sum(volts) / 3
        return {
            **{f"pw.{k}": v for k, v in own.items()},
            **{f"pw.meter.{k}": v for k, v in self._electric("meter-").items()},
            "pw.kwh": self.kwh,
            "pw.load": self.kw / 0.952 / TRANSFORMER_KVA * 100,
            "pw.unbal_u": 100 * max(abs(u - mean) for u in volts) / mean if mean else 0.0,
            "pw.leak": max(0.0, self.leak_ma + (n("leak", 3.0) if self.leak_ma > 20 else 0.0)),
            "tr.temp_a": self.winding_c + n("ta", 0.2),
            "tr.temp_b": self.winding_c + 2.5 + n("tb", 0.2),
            "tr.temp_c": self.winding_c - 1.5 + n("tc", 0.2),
            "tr.fan": float(self.fan),
            "ats.pos": float(self.ats),
            "brk1.trip": float(self.fault("breaker_trip") > 0),
        }
