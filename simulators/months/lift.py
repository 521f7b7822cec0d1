"""Traction lifts in columns: at most one trip a minute, its events at their true instants."""

from __future__ import annotations

import numpy as np

from simulators.months.chance import F8
from simulators.months.columns import Bool, Columns, Index, Tag, Value, state
from simulators.plant.lift import BUTTON_AFTER_S, BUTTON_AGAIN_S, BUTTON_HELD_S, DOOR_S, FLOORS, RATED

STEP_S = 60.0
"""A trip with its doors fits into one step of this length."""
HELD = ("trap_passenger", "trap_silent", "trap_power", "stopped_between")
"""Faults that hold the car between two floors."""
STANDING = (*HELD, "trap_level", "lift_fault", "door_reversal", "maintenance")
"""What keeps a lift from making trips."""


class Lifts(Columns):
    """Doors, trips, passengers; what is measured once a trip keeps its value until the next."""

    KIND, MODEL = "elevator", "lift"
    TAGS = (
        *(state(f"lift.{name}") for name in (
            "service_mode", "moving", "door_zone", "door_closed", "passenger", "alarm_button", "mains",
            "brake", "fault_code", "pit_water", "car_call_ok",
        )),
        Tag("lift.speed", 0.0, 0.01, 600, 0.02),
        *(Tag(f"lift.{name}", 0.0, grid, 900, 0.0, low=-np.inf) for name, grid in (
            ("level_err", 0.1), ("vib_z", 0.01), ("vib_xy", 0.01), ("door_time", 0.01),
        )),
        state("lift.trips", 900),
        Tag("lift.motor_temp", 0.15, 0.1, 600, low=-40),
        Tag("lift.room_temp", 0.1, 0.1, 600, low=-40),
    )  # fmt: skip

    def begin(self) -> None:
        """Cars at floors, doors closed."""
        if self.dt < STEP_S:
            raise ValueError(f"lifts move in steps of {STEP_S:g} s, not {self.dt:g} s")
        n, fixed = self.n, self.dice.fixed
        self.busy = fixed("busy", 0.35, 0.9)
        self.door_s = DOOR_S * fixed("door", 0.94, 1.06)
        self.bias = fixed("bias", -1.5, 1.5)
        self.rub = fixed("rub", 0.15, 0.2), fixed("shake", 0.09, 0.12)
        self.side = np.where(fixed("side", 0, 1) < 0.5, -1.0, 1.0)
        self.trips = np.round(fixed("trips", 30_000, 60_000))
        self.motor_c = np.full(n, 38.0)
        self.level_err, self.vib_z, self.vib_xy = np.zeros(n), self.rub[0] + 0.03, self.rub[1] + 0.02
        self.door_time = self.door_s.copy()
        self.was = np.zeros(n, np.bool_)
        self.held_s = np.zeros(n)
        self.going = np.zeros(n, np.bool_)

    def move(self) -> None:
        """Who makes a trip in this step, and who stands."""
        stands = self._any(STANDING) | self._any(tuple(self._forced))
        begins, ends = stands & ~self.was, self.was & ~stands
        self.held_s = np.where(stands, self.held_s + self.dt, 0.0)
        self.going = (
            (self.dice.uniform("trip") < np.minimum(0.97, self._rate() * self.dt / STEP_S)) & ~stands & ~ends
        )
        if self.going.any():
            self._trip(np.flatnonzero(self.going))
        if begins.any():
            self._stop_between(np.flatnonzero(begins & self._any(HELD)))
            self._stop_at_floor(np.flatnonzero(begins & self.amid("trap_level")))
        if ends.any():
            self._freed(np.flatnonzero(ends))
        self._button(stands)
        self._reversals()
        self.was = stands
        self.motor_c = self.toward(self.motor_c, 38.0 + 14.0 * self.going, 1200.0)

    def _any(self, kinds: tuple[str, ...]) -> Bool:
        out = np.zeros(self.n, np.bool_)
        for kind in kinds:
            if self.has(kind):
                out |= self.amid(kind)
        return out

    def _rate(self) -> F8:
        """Trips a minute."""
        hour = self.hour
        rest = 0.65 if self.rest else 1.0
        morning = np.exp(-(((hour - 7.8) / 1.2) ** 2)) * rest
        evening = np.exp(-(((hour - 18.3) / 1.8) ** 2))
        day = 1 / (1 + np.exp(-(hour - 6.0) * 2)) / (1 + np.exp((hour - 22.5) * 2))
        moving_in = 0.5 * self.fault("move_in") * ((hour > 8) & (hour < 18))
        rate: F8 = self.busy * (0.03 + 0.35 * day + self.swing * (0.4 * morning + 0.4 * evening)) + moving_in
        return np.minimum(0.92, rate)

    def _trip(self, who: Index) -> None:
        """Door, ride, door, within one step."""
        dice = self.dice
        rise = 3.0 + 18.0 * dice.uniform("rise")[who]
        door, self.door_time[who] = self.door_time[who], self._door(who)
        reversed_ = dice.uniform("held door")[who] < 0.03 + 0.3 * self.amid("move_in")[who]
        base = dice.uniform("begins")[who] * (self.dt - STEP_S)

        def tell(tag: str, index: Index, after_s: Value, value: Value, some: Bool | None = None) -> None:
            self.tell(tag, index, (base if some is None else base[some]) + after_s, value)

        tell("lift.door_closed", who, 1.0, 0.0)
        tell("lift.passenger", who, 4.0, 1.0)
        again = who[reversed_]
        if len(again):  # somebody holds the door once more
            tell("lift.door_closed", again, 7.0 + door[reversed_], 1.0, reversed_)
            tell("lift.door_closed", again, 8.0 + door[reversed_], 0.0, reversed_)
        go = 10.0 + 2 * door
        tell("lift.door_closed", who, go, 1.0)
        fast = RATED + 0.15 * self.amid("overspeed")[who] + 0.3 * (self._severity("overspeed")[who] >= 0.5)
        lasts = np.where(self.amid("overspeed")[who], 14.0, rise)
        drags = self.amid("brake_drag")[who]
        tell("lift.brake", who, go + 0.8, np.where(drags, 0.0, 1.0))
        for tag, after, value in (
            ("lift.moving", 0.9, 1.0), ("lift.door_zone", 1.5, 0.0), ("lift.speed", 2.5, fast),
        ):  # fmt: skip
            tell(tag, who, go + after, value)
        stop = go + 2.5 + lasts
        lag = np.where(self.amid("brake_lag")[who], 1.2 + 1.3 * self._severity("brake_lag")[who], 0.0)
        tell("lift.door_zone", who, stop - 0.6, 1.0)
        tell("lift.speed", who, stop, 0.0)
        tell("lift.moving", who, stop, 0.0)
        tell("lift.brake", who, stop + lag, 0.0)
        self._measure(who)
        tell("lift.level_err", who, stop + 0.4, self.level_err[who])
        tell("lift.vib_z", who, stop + 0.4, self.vib_z[who])
        tell("lift.vib_xy", who, stop + 0.4, self.vib_xy[who])
        tell("lift.door_closed", who, stop + 1.0, 0.0)
        tell("lift.passenger", who, stop + 3.5, 0.0)
        shut = np.minimum(STEP_S - 0.5, stop + 3.0 + 2 * self.door_time[who])
        tell("lift.door_closed", who, shut, 1.0)
        tell("lift.door_time", who, np.minimum(STEP_S - 0.3, shut + 0.1), self.door_time[who])
        self.trips[who] += 1

    def _severity(self, kind: str) -> F8:
        return np.broadcast_to(self.fault(kind), (self.n,)).astype(np.float64)

    def _door(self, who: Index) -> F8:
        cold = 1 + 0.0012 * (20 - self.outside_c)  # grease
        noise = 0.05 * self.cast.column("noise") * self.dice.gauss("door")
        out: F8 = self.door_s * cold * (1 + 0.25 * self.worn("door_wear")) + noise
        mine = np.broadcast_to(out, (self.n,))[who].astype(np.float64)
        return np.asarray(np.round(np.maximum(mine, 1.5), 2), np.float64)

    def _measure(self, who: Index) -> None:
        noise = self.cast.column("noise")
        drift = 10.0 * self.side * self.worn("level_drift")
        err = np.clip(self.bias + 2.2 * noise * self.dice.gauss("level"), -7.5, 7.5) + drift
        rough = 1 + 0.3 * self.worn("guide_wear")
        step = 0.02 * self.fault("sensor_replaced")
        vib_z = (self.rub[0] + 0.06 * self.dice.uniform("vib_z")) * rough + step
        vib_xy = self.rub[1] + 0.04 * self.dice.uniform("vib_xy") + step
        for mine, new, places in ((self.level_err, err, 1), (self.vib_z, vib_z, 3), (self.vib_xy, vib_xy, 3)):
            mine[who] = np.round(np.broadcast_to(new, (self.n,))[who], places)

    def _stop_between(self, who: Index) -> None:
        """A trip that ends between two floors."""
        if not len(who):
            return
        full = ~self.amid("stopped_between")[who]
        at = 4.0 + 10.0 * self.dice.uniform("halt")[who]
        self.tell("lift.passenger", who, 1.0, full.astype(np.float64))
        for tag, after, value in (
            ("lift.brake", 2.0, 1.0), ("lift.moving", 2.1, 1.0), ("lift.door_zone", 3.0, 0.0),
        ):  # fmt: skip
            self.tell(tag, who, after, value)
        dark = who[self.amid("trap_power")[who]]
        self.tell("lift.mains", dark, at[np.isin(who, dark)], 0.0)
        self.tell("lift.moving", who, at, 0.0)
        self.tell("lift.brake", who, at, 0.0)
        self.held_s[who] = self.dt - at

    def _stop_at_floor(self, who: Index) -> None:
        """The doors closed on a passenger and stay so."""
        if len(who):
            at = 10.0 * self.dice.uniform("halt")[who]
            self.tell("lift.passenger", who, at, 1.0)
            self.held_s[who] = self.dt - at

    def _freed(self, who: Index) -> None:
        """Back at a floor: the door opens, whoever was inside gets out, it closes."""
        for tag, after, value in (
            ("lift.mains", 0.5, 1.0), ("lift.door_zone", 5.0, 1.0), ("lift.door_closed", 6.0, 0.0),
            ("lift.passenger", 8.0, 0.0), ("lift.door_closed", 20.0, 1.0),
        ):  # fmt: skip
            self.tell(tag, who, after, value)

    def _button(self, stands: Bool) -> None:
        """Pressed after 20 s for 6 s, and again every 45 s, by those who do press."""
        severe = self._severity("trap_level") >= 0.5
        presses = stands & (self.amid("trap_passenger") | severe)
        for k in range(int(self.dt / BUTTON_AGAIN_S) + 2 if presses.any() else 0):
            since = self.held_s - BUTTON_AFTER_S - self.dt  # at the beginning of this step
            first = np.ceil(np.maximum(0.0, since) / BUTTON_AGAIN_S) * BUTTON_AGAIN_S - since
            at = first + k * BUTTON_AGAIN_S
            who = np.flatnonzero(presses & (at >= 0) & (at < self.dt - BUTTON_HELD_S))
            self.tell("lift.alarm_button", who, at[who], 1.0)
            self.tell("lift.alarm_button", who, at[who] + BUTTON_HELD_S, 0.0)

    def _reversals(self) -> None:
        """A door that comes back every 20 s, without a trip."""
        who = np.flatnonzero(self.amid("door_reversal"))
        for k in range(int(self.dt // 20) if len(who) else 0):
            self.tell("lift.door_closed", who, 20.0 * k + 2.0, 1.0)
            self.tell("lift.door_closed", who, 20.0 * k + 3.6, 0.0)

    def read(self) -> None:
        """What holds at the end of the step."""
        between = self._any(HELD)
        standing = self.amid("lift_fault")
        inside = self._any(HELD[:3]) | self.amid("trap_level")
        mode = np.where(standing, 0.0, np.where(self.amid("maintenance"), 2.0, 1.0))
        hot = 0.35 * self.outside_c + 17.0 + 34.0 * self.fault("machine_room_hot")
        for tag, value in (
            ("service_mode", mode), ("moving", 0.0), ("door_zone", ~between),
            ("door_closed", ~standing & ~self.amid("door_reversal")), ("passenger", inside),
            ("alarm_button", 0.0), ("mains", ~self.amid("trap_power")), ("brake", 0.0),
            ("fault_code", 2.0 * standing), ("pit_water", self.amid("pit_water")), ("car_call_ok", 1.0),
            ("speed", 0.0), ("level_err", self.level_err), ("vib_z", self.vib_z), ("vib_xy", self.vib_xy),
            ("door_time", self.door_time), ("trips", self.trips), ("motor_temp", self.motor_c),
            ("room_temp", hot),
        ):  # fmt: skip
            self.put(f"lift.{tag}", value)


__all__ = ["FLOORS", "Lifts"]
