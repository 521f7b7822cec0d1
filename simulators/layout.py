"""The demonstration estates: which assets stand where, and which device reads them on which line.

Estate 1 has plain asset ids (`lift-1`), estate k the same with `ek-` before them. Each estate has two
Modbus TCP lines, one Modbus RTU bus of four units and one ASCII serial sensor.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from gateway.model import AssetClass, Text

RTU_BAUD = 38_400
ASCII_BAUD = 9_600
"""At 38,400 Bd a bus of four units needs less than a third of a second for everything that it reads
each second; tests/unit/simulators/test_simulators_layout.py computes it from the profiles."""

LineKind = Literal["modbus_tcp", "modbus_rtu", "ascii_line"]


def text(zh: str, en: str) -> Text:
    """A text in both languages."""
    return {"zh": zh, "en": en}


@dataclass(frozen=True, slots=True)
class AssetPlan:
    """A facility and the plant model (a key of `plant.MODELS`) that moves it."""

    id: str
    estate: str
    model: str
    kind: AssetClass
    name: Text
    place: Text
    contractor: str = ""
    boundary: Literal["property", "utility"] = "property"
    depends_on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DevicePlan:
    """A unit on a line: a profile bound to an asset, as in the site file."""

    id: str
    unit: int
    profile: str
    asset: str
    rename: Mapping[str, str] = field(default_factory=dict)
    period_s: float | None = None


@dataclass(frozen=True, slots=True)
class LinePlan:
    """A TCP port or a serial bus with its units."""

    id: str
    estate: str
    kind: LineKind
    devices: tuple[DevicePlan, ...]
    baud: int = 0
    parity: str = "N"


@dataclass(frozen=True, slots=True)
class EstatePlan:
    """An estate and its gateway."""

    id: str
    firm: str
    gateway: str
    name: Text
    address: Text
    households: int
    phone: str


@dataclass(frozen=True, slots=True)
class Layout:
    """Everything that stands on a site."""

    estates: tuple[EstatePlan, ...]
    assets: tuple[AssetPlan, ...]
    lines: tuple[LinePlan, ...]

    def devices(self) -> Iterator[tuple[LinePlan, DevicePlan]]:
        """Every device with its line."""
        for line in self.lines:
            for device in line.devices:
                yield line, device

    def asset(self, asset: str) -> AssetPlan:
        """One asset. Raises KeyError."""
        for a in self.assets:
            if a.id == asset:
                return a
        raise KeyError(asset)

    def estate_of(self, target: str) -> str:
        """The estate of an asset id, or of an estate id itself. Raises KeyError."""
        if any(e.id == target for e in self.estates):
            return target
        return self.asset(target).estate


_ESTATES = (
    ("happiness-lane", "幸福里", "Happiness Lane", "幸福路 18 号", "18 Happiness Road", 1240),
    ("jade-garden", "翠湖花园", "Jade Garden", "翠湖路 6 号", "6 Jade Lake Road", 860),
    ("maple-court", "枫林雅苑", "Maple Court", "枫林街 27 号", "27 Maple Street", 2015),
    ("river-view", "江景名都", "River View", "滨江路 101 号", "101 Riverside Road", 1530),
    ("sunrise-town", "朝阳新城", "Sunrise Town", "朝阳大道 55 号", "55 Sunrise Avenue", 3120),
    ("osmanthus-yard", "桂香庭", "Osmanthus Yard", "桂香巷 9 号", "9 Osmanthus Lane", 610),
)


def demo_layout(estates: int = 1) -> Layout:
    """A site of so many estates. Raises ValueError below 1 or above 99."""
    if not 1 <= estates <= 99:
        raise ValueError(f"1 to 99 estates, not {estates}")
    plans = tuple(_estate(k, estates) for k in range(1, estates + 1))
    assets: list[AssetPlan] = []
    lines: list[LinePlan] = []
    for k, plan in enumerate(plans, 1):
        prefix = "" if k == 1 else f"e{k}-"
        assets += _assets(plan.id, prefix)
        lines += _lines(plan.id, prefix, k)
    return Layout(plans, tuple(assets), tuple(lines))


def _estate(k: int, estates: int) -> EstatePlan:
    id_, zh, en, address_zh, address_en, households = _ESTATES[(k - 1) % len(_ESTATES)]
    if k > len(_ESTATES):
        phase = (k - 1) // len(_ESTATES) + 1
        id_, zh, en = f"{id_}-{phase}", f"{zh}{phase}期", f"{en} Phase {phase}"
    firm = "ankang" if estates == 1 or k <= (estates + 1) // 2 else "hexie"
    phone = f"023-5550-{1000 + k}"
    return EstatePlan(
        id_, firm, f"gw-{k}", text(zh, en), text(address_zh, address_en), households, phone
    )  # fmt: skip


def _assets(estate: str, p: str) -> list[AssetPlan]:
    power, septic = (f"{p}pw-1",), text("北区绿地", "North green")

    def asset(
        id_: str, model: str, kind: AssetClass, name: Text, place: Text, contractor: str = "", **more: object
    ) -> AssetPlan:
        return AssetPlan(f"{p}{id_}", estate, model, kind, name, place, contractor, **more)  # type: ignore[arg-type]  # the keywords of AssetPlan, given below

    lifts = [
        asset(
            f"lift-{n}", "lift", "elevator", text(f"{n} 号电梯", f"Lift {n}"),
            text(f"{n} 栋 1 单元", f"Building {n}, entrance 1"), "huaxia-lift", depends_on=power,
        )
        for n in (1, 2, 3)
    ]  # fmt: skip
    sumps = [
        asset(
            f"sump-{n}", "sump", "drain", text(f"{n} 号集水坑", f"Sump pit {n}"),
            text(f"地下二层 {zone} 区", f"Basement 2, zone {zone}"), "changtong-drain",
            depends_on=(*power, *((f"{p}mh-1",) if n == 1 else ())),
        )
        for n, zone in ((1, "A"), (2, "B"))
    ]  # fmt: skip
    covers = [
        asset(
            f"mh-{n}", "manhole", "manhole", text(f"{n} 号窨井", f"Manhole {n}"), text(zh, en), "city-sewer",
            boundary="utility", depends_on=(f"{p}{below}",) if below else (),
        )
        for n, zh, en, below in (  # the sewer runs from the first to the third; the fourth vents the tank
            (1, "东门车道", "East gate lane", "mh-2"),
            (2, "中心花园", "Central garden", "mh-3"),
            (3, "西门人行道", "West gate pavement", ""),
            (4, "幼儿园外", "Outside the kindergarten", "sep-1"),
        )
    ]  # fmt: skip
    plant_room = text("地下一层泵房", "Basement 1, pump room")
    switch_room = text("地下一层配电房", "Basement 1, switch room")
    return [
        asset("pw-1", "power", "power", text("变配电室", "Power distribution"), switch_room, "city-power"),
        asset(
            "gen-1", "generator", "generator", text("应急发电机", "Emergency generator"),
            text("地下一层发电机房", "Basement 1, generator room"), "guangming-electric",
        ),
        *lifts,
        asset("fire-1", "fire", "fire", text("消防系统", "Fire system"),
              text("消防控制室", "Fire control room"), "taian-fire"),
        asset("ws-1", "water", "water", text("生活水泵房", "Domestic pump station"), plant_room,
              "qingyuan-water", depends_on=(*power, f"{p}sump-1")),
        *sumps,
        *covers,
        asset("lt-1", "lighting", "lighting", text("公共照明", "Common lighting"), switch_room,
              "guangming-electric", depends_on=power),
        asset("sep-1", "septic", "septic", text("化粪池", "Septic tank"), septic, "changtong-drain"),
        asset("em-1", "energy_meter", "meter", text("公共用电表", "Common electricity meter"), switch_room,
              "guangming-electric"),
        asset("wm-1", "water_meter", "meter", text("进水总表", "Incoming water meter"), plant_room,
              "qingyuan-water", boundary="utility"),
        asset("call-1", "call", "call", text("紧急呼叫按钮", "Emergency call button"),
              text("中心花园凉亭", "Garden pavilion"), "guangming-electric"),
    ]  # fmt: skip


def _lines(estate: str, p: str, k: int) -> list[LinePlan]:
    def device(
        id_: str, unit: int, profile: str, asset: str, rename: Mapping[str, str] | None = None
    ) -> DevicePlan:
        return DevicePlan(f"{p}{id_}", unit, profile, f"{p}{asset}", rename or {})

    pumps_and_power = (
        device("ws-plc", 1, "steward_pump_station", "ws-1"),
        device("pw-meter", 2, "eastron_sdm630", "pw-1", {"em": "pw.meter", "em.kwh": "pw.kwh"}),
        device("pw-unit", 3, "steward_power", "pw-1"),
        device("gen-dse", 10, "dse_gencomm", "gen-1"),
        device("em-meter", 11, "chint_dtsu666", "em-1"),
        device("wm-meter", 12, "steward_water_meter", "wm-1"),
        device("rain-gauge", 13, "steward_rain", "sump-1"),
    )
    safety = (
        device("fire-panel", 1, "steward_fire", "fire-1"),
        device("call-box", 2, "steward_call", "call-1"),
        device("sep-unit", 3, "steward_septic", "sep-1"),
        device("lt-unit", 4, "steward_lighting", "lt-1"),
        *(device(f"mh-{n}-unit", 20 + n, "steward_manhole", f"mh-{n}") for n in (1, 2, 3, 4)),
        device("sump-2-plc", 30, "steward_sump", "sump-2", {"sump.level": "sump.level_plc"}),
    )
    bus = (
        *(device(f"lift-{n}-box", n, "steward_elevator", f"lift-{n}") for n in (1, 2, 3)),
        device("sump-1-plc", 4, "steward_sump", "sump-1"),
    )
    probe = device("sump-2-level", 1, "level_wl_ascii", "sump-2", {"level.value": "sump.level"})
    return [
        LinePlan(f"e{k}-plant", estate, "modbus_tcp", pumps_and_power),
        LinePlan(f"e{k}-safety", estate, "modbus_tcp", safety),
        LinePlan(f"e{k}-bus", estate, "modbus_rtu", bus, RTU_BAUD),
        LinePlan(f"e{k}-level", estate, "ascii_line", (probe,), ASCII_BAUD),
    ]
