"""An edge's relays and sirens from the site file, and what it has to watch by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from alerts.rules import Digital, Limit, Rule
from gateway.app.setup import Setup
from gateway.app.writable import WATCHED_ONLY
from gateway.config.site import Gateway, OutputConfig
from gateway.edge.config import DeviceConfig, EdgeConfig
from gateway.edge.outputs import CoilOutput, CommandOutput, Danger, FileOutput, Output, OutputFailed, Outputs
from gateway.ports import Clock


def outputs_of(
    setup: Setup, gateway: Gateway, config: EdgeConfig, clock: Clock, online: Callable[[], bool]
) -> Outputs:
    """With the drivers of `config`, and watching what is dangerous in it."""
    return Outputs(made(setup, gateway, config), config.dangers, clock, online)


def made(setup: Setup, gateway: Gateway, config: EdgeConfig) -> dict[str, Output]:
    """What `gateway` says that there is to switch, by id, with the drivers of `config`."""
    return {o.id: output_of(setup, config, o) for o in gateway.outputs}


def watched(config: EdgeConfig, outputs: Outputs) -> EdgeConfig:
    """The same configuration; what its life-safety inputs say is heard by the outputs, too."""

    def heard(device: DeviceConfig) -> DeviceConfig:
        model = outputs.watch(device.model, config.dangers)
        # One that is listened to is another device than the same one that is not.
        if model is device.model:
            return device
        return replace(device, model=model, content=f"{device.content} watched")

    lines = [replace(line, devices=[heard(d) for d in line.devices]) for line in config.lines]
    return replace(config, lines=lines)


def dangers(setup: Setup, gateway: str) -> dict[str, list[Danger]]:
    """What the life-safety rules look at in single points of this edge, by point id."""
    out: dict[str, list[Danger]] = {}
    for (owner, _), model in setup.models.items():
        for p in model.points if owner == gateway else ():
            kind = setup.assets[p.asset].kind
            rules = [r.for_asset(p.asset) for r in setup.rules.for_point(kind, p.tag) if r.life]
            found = [d for r in rules for d in _danger(r)]
            if found:
                out[p.id] = found
    return out


def _danger(rule: Rule) -> Iterator[Danger]:
    """A digital input, or the first limit on either side; rules of several points are the core's."""
    if isinstance(rule, Digital):
        yield Danger(">" if rule.active else "==", 0, rule.on_delay_s)
    elif isinstance(rule, Limit):
        high = rule.h if rule.h is not None else rule.hh
        low = rule.l if rule.l is not None else rule.ll
        # A limit is the last good value unless it is inclusive.
        or_equal = "=" if rule.inclusive else ""
        if high is not None:
            yield Danger(f">{or_equal}", high, rule.on_delay_s)
        if low is not None:
            yield Danger(f"<{or_equal}", low, rule.on_delay_s)


def output_of(setup: Setup, config: EdgeConfig, o: OutputConfig) -> Output:
    """One that can be switched in this configuration, or one that says why it cannot."""
    if o.kind == "file":
        return FileOutput(setup.site.path.parent / o.path)
    if o.kind == "command":
        return CommandOutput(o.on, o.off)
    line = next((line for line in config.lines if line.id == o.line), None)
    if line is None:
        return Unusable(f"line {o.line} is not part of the configuration in use")
    watched_only = {
        p.asset for d in line.devices if d.unit == o.unit for p in d.model.points
        if p.asset not in setup.assets or setup.assets[p.asset].kind in WATCHED_ONLY
    }  # fmt: skip
    if watched_only:
        return Unusable(f"unit {o.unit} of line {o.line} reads {', '.join(sorted(watched_only))} now")
    return CoilOutput(line.driver, o.unit, o.coil)


class Unusable:
    """An output that the configuration in use leaves no way to: says so at each try."""

    def __init__(self, why: str) -> None:
        self._why = why

    async def put(self, *, on: bool) -> None:
        """Raises OutputFailed."""
        raise OutputFailed(f"cannot be switched {'on' if on else 'off'}: {self._why}")
