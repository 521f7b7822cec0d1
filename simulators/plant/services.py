"""Lighting, meters and the emergency call button."""

from __future__ import annotations

from simulators.plant.base import Surroundings, Unit, toward

CIRCUITS = {1: 6.2, 2: 9.5, 3: 4.1, 4: 3.6}
"""Amperes of each circuit when lit: 1 garage (always on), 2 roads, 3 façade, 4 gardens."""

DUSK, DAWN, MIDNIGHT_OFF = 18.0, 6.5, 23.0


class Lighting(Unit):
    """Circuit 1 hangs on the essential bus, the others on the normal one.

    Faults: light_out (circuit 1 is switched on and draws little), light_dark (it is not switched on).
    """

    slow = True

    def __init__(self, asset: str, seed: int) -> None:
        super().__init__(asset, seed)
        self.on = dict.fromkeys(CIRCUITS, False)
        self.live = dict.fromkeys(CIRCUITS, True)
        self.hour = 0.0

    def step(self, around: Surroundings) -> None:
        """Follow the schedule."""
        self.hour = around.hour
        dark = around.hour >= DUSK or around.hour < DAWN
        evening = DUSK <= around.hour < MIDNIGHT_OFF
        self.on = {1: not self.fault("light_dark"), 2: dark, 3: evening, 4: evening}
        self.live = {n: around.essential if n == 1 else around.normal for n in CIRCUITS}

    def _lux(self) -> float:
        light = min(self.hour - 5.5, 19.0 - self.hour)
        return 3.0 + max(0.0, min(1.0, light / 3.0)) * 9000.0

    def values(self) -> dict[str, float]:
        """`on` is what the contactor reports, which is off when its bus is dead."""
        out = {"lt.lux": max(0.0, self._lux() * (1 + self.noise("lux", 0.01))), "lt.mode": 1.0}
        dim = 1.0 - 0.98 * self.fault("light_out")
        for n, amps in CIRCUITS.items():
            on = self.on[n] and self.live[n]
            out[f"lt.c{n}.on"] = float(on)
            share = dim if n == 1 else 1.0
            out[f"lt.c{n}.current"] = amps * share * (1 + self.noise(f"a{n}", 0.008)) if on else 0.0
        return out


class EnergyMeter(Unit):
    """Sub-meter of the common areas.

    Faults: meter_stuck (the counter stands while power flows), meter_reset, meter_jump.
    """

    slow = True

    def __init__(self, asset: str, seed: int) -> None:
        super().__init__(asset, seed)
        self.kwh = 41_800.0 + self.rng.random() * 500
        self.kw = 31.0
        self.live = True
        self.handled = False

    def step(self, around: Surroundings) -> None:
        """Count energy."""
        self.live = around.normal
        evening = 9.0 if around.hour >= DUSK or around.hour < DAWN else 0.0
        self.kw = toward(
            self.kw, 31.0 + evening + self._left_on(around.hour) if self.live else 0.0, 8.0, around.dt
        )
        self.kwh, self.handled = tampered(self, self.kwh, self.handled)
        if not self.fault("meter_stuck"):
            self.kwh += self.kw * around.dt / 3600

    def _left_on(self, hour: float) -> float:
        """KW of what nobody switched off for the night."""
        return 8.0 if hour < 6.0 and self.fault("night_load") else 0.0

    def values(self) -> dict[str, float]:
        """Energy in kWh, power in kW."""
        n = self.noise
        kw = max(0.0, self.kw + n("kw", 0.15)) if self.live else 0.0
        live = float(self.live)
        amps = kw * 1000 / (3 * 226.0 * 0.96)
        return {
            "em.kwh": self.kwh,
            "em.p": kw,
            **{f"em.u{p}": live * (226.0 + n(f"u{p}", 0.5)) for p in "abc"},
            **{f"em.i{p}": amps * (1 + n(f"i{p}", 0.004)) for p in "abc"},
            "em.pf": live * (0.96 + n("pf", 0.002)),
            "em.freq": live * (50.0 + n("hz", 0.012)),
        }


class WaterMeter(Unit):
    """Meter of the municipal supply. Faults: meter_*, night_leak, battery_fade."""

    slow = True

    def __init__(self, asset: str, seed: int) -> None:
        super().__init__(asset, seed)
        self.m3 = 60_300.0 + self.rng.random() * 500
        self.flow = 6.0
        self.handled = False

    def step(self, around: Surroundings) -> None:
        """Count water."""
        use = (9.0 if 6 <= around.hour < 23 else 4.0) + 1.5 * self.fault("night_leak")
        self.flow = toward(self.flow, use, 120.0, around.dt)
        self.m3, self.handled = tampered(self, self.m3, self.handled)
        if not self.fault("meter_stuck"):
            self.m3 += self.flow * around.dt / 3600

    def values(self) -> dict[str, float]:
        """Volume in m³, flow in m³/h."""
        return {
            "wm.m3": self.m3,
            "wm.flow": self.flow + self.noise("flow", 0.05),
            "wm.batt": 3.58 - 0.38 * self.fault("battery_fade") + self.noise("batt", 0.002),
        }


def tampered(meter: Unit, count: float, handled: bool) -> tuple[float, bool]:
    """A counter that is set back or jumps ahead, once a fault; and whether that is done."""
    reset, jump = meter.fault("meter_reset"), meter.fault("meter_jump")
    if (reset or jump) and not handled:
        return (0.0, True) if reset else (count + 500.0, True)
    return count, bool(reset or jump)


class CallButton(Unit):
    """Emergency call point.

    Faults: call_button and call_unanswered (somebody calls, until it is cleared), call_answered (as well, and
    is answered after 25 s), call_line, call_selftest, battery_fade.
    """

    slow = True

    def __init__(self, asset: str, seed: int) -> None:
        super().__init__(asset, seed)
        self.calls_s = 0.0

    def step(self, around: Surroundings) -> None:
        """How long somebody has been calling."""
        calls = any(self.fault(f"call_{kind}") for kind in ("button", "unanswered", "answered"))
        self.calls_s = self.calls_s + around.dt if calls else 0.0

    def values(self) -> dict[str, float]:
        """Active from the press until somebody answers."""
        return {
            "call.active": float(self.calls_s > 0),
            "call.ack": float(self.calls_s > 25.0 and self.fault("call_answered") > 0),
            "call.selftest": float(not self.fault("call_selftest")),
            "call.line": float(not self.fault("call_line")),
            "call.batt": 13.4 - 1.4 * self.fault("battery_fade") + self.noise("batt", 0.01),
        }
