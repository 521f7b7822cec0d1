"""The plant read like an edge would read it, judged by the shipped rules, alarms and assessment."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from zoneinfo import ZoneInfo

from alerts.alarms import AlarmBook
from alerts.alarms_state import Alarm
from alerts.assess_book import Assessor
from alerts.calendars import default_calendars
from alerts.desk import Dispatch
from alerts.engine import Engine, PointInfo
from alerts.graph import Graph, Reader
from alerts.matrix import Matrix
from alerts.matrix_rows import roles_of, rows_of
from alerts.ruleset import build
from drivers.profiles.bind import bind
from drivers.profiles.loader import load_profile
from gateway.config import yamlmarks
from gateway.model import Asset, Event, Finding, Ms, Notice, Samples
from simulators.faults import DEVICE_KINDS
from simulators.layout import demo_layout
from simulators.world import Simulation

ROOT = Path(__file__).parents[3]
DEFAULTS = ROOT / "alerts" / "defaults"
LAYOUT = demo_layout()
MIDNIGHT: Ms = 1_772_380_800_000  # 2026-03-02 00:00 in Shanghai
GATEWAY = LAYOUT.estates[0].gateway
RULES = build(
    rule for path in sorted((DEFAULTS / "rules").glob("*.yaml")) for rule in yamlmarks.load(path)[0]
)
LINE_OF = {device.id: line.id for line, device in LAYOUT.devices()}


def points() -> list[PointInfo]:
    """Every point of the demonstration estate, and two of its edge."""
    found: list[PointInfo] = []
    for _, device in LAYOUT.devices():
        asset = LAYOUT.asset(device.asset)
        for p in bind(load_profile(device.profile), device.asset, device.rename).points:
            found.append(
                PointInfo(
                    len(found), p.id, p.asset, asset.estate, asset.kind, p.tag, p.period_s, device=device.id
                )
            )
    return found


POINTS = points()
ONLINE, LINES_DOWN = (
    PointInfo(len(POINTS) + n, f"{GATEWAY}/{tag}", GATEWAY, LAYOUT.estates[0].id, "gateway", tag, 10.0)
    for n, tag in enumerate(("gw.online", "gw.lines_down"))
)


class Watch:
    """Reads every point at its period, as an edge would, and lets the rules judge it; `assets`: only theirs.

    `cut`: the edge is away; after 35 s the core takes it for lost (`gateway.core.edges.SILENT_MS`). `unplug`:
    a line's port is gone.
    """

    def __init__(self, sim: Simulation, assets: Collection[str] | None = None) -> None:
        self.sim = sim
        self.start = sim.now
        self.points = [p for p in POINTS if assets is None or p.asset in assets]
        self.engine = Engine(list(RULES), [*self.points, ONLINE, LINES_DOWN], start=sim.now)
        self.findings: list[Finding] = []
        self.cut_at: Ms | None = None
        self.unplugged: set[str] = set()

    def until(self, t: Ms) -> None:
        """Go on to this moment, second by second."""
        for at in range(self.sim.now + 1000, t + 1, 1000):
            self.second(at)

    def second(self, at: Ms) -> list[Finding]:
        """One second; what the rules found in it."""
        self.sim.step(at)
        rows = [p for p in self.points if self._due(p, at)]
        values = [self.sim.values(p.asset)[p.tag] for p in rows]
        lost = self.cut_at is not None and at - self.cut_at > 35_000
        rows += [ONLINE, LINES_DOWN]
        values += [float(not lost), float(len(self.unplugged))]
        found = self.engine.process(Samples.of([p.series for p in rows], [at] * len(rows), values))
        found += self.engine.tick(at)
        self.findings += found
        return found

    def _due(self, p: PointInfo, at: Ms) -> bool:
        if self.cut_at is not None or LINE_OF[p.device] in self.unplugged:
            return False
        period = max(1, round(p.period_s))
        silent = self.sim.faults.devices.get(p.device, ("", 0.0))[0]
        return silent not in DEVICE_KINDS[:3] and (at - self.start) // 1000 % period == 0

    def raised(self, asset: str = "") -> list[tuple[str, Ms]]:
        """Rules and times of what began."""
        return [(f.rule, f.t) for f in self.findings if f.active and asset in ("", f.asset)]


def assets() -> Mapping[str, Asset]:
    """The estate's assets and its edge."""
    found = {
        a.id: Asset(a.id, a.estate, a.kind, a.name, a.place, a.contractor, a.boundary, a.depends_on)
        for a in LAYOUT.assets
    }
    edge = Asset(GATEWAY, LAYOUT.estates[0].id, "gateway", {"zh": "网关", "en": "Gateway"})
    return found | {GATEWAY: edge}


def graph() -> Graph:
    """With who reads what over which line."""
    readers = {p.id: Reader(GATEWAY, p.device, LINE_OF[p.device]) for p in POINTS}
    return Graph(assets(), readers)


def desk() -> Dispatch:
    """The shipped rules, roles and matrix over the demonstration estate, with assessment."""
    roles = roles_of(yamlmarks.load(DEFAULTS / "roles.yaml")[0])
    rows = rows_of(yamlmarks.load(DEFAULTS / "matrix.yaml")[0], roles)
    calendars = default_calendars(ZoneInfo("Asia/Shanghai"))
    dispatch = Dispatch.build(RULES.by_id, assets(), Matrix(rows, roles), calendars=calendars, watchdog_s=0)
    dispatch.book.kin.use(graph())
    dispatch.add(Assessor(dispatch.book, dispatch.orders))
    return dispatch


class Story:
    """A watch whose findings go through the desk. `at_raise`: alarms by occurrence, as judged last."""

    def __init__(self, sim: Simulation) -> None:
        self.watch, self.desk = Watch(sim), desk()
        self.events: list[Event] = []
        self.notices: list[Notice] = []
        self.judged: dict[str, Alarm] = {}

    @property
    def book(self) -> AlarmBook:
        """The alarms."""
        return self.desk.book

    def until(self, t: Ms) -> None:
        """Go on to this moment."""
        for at in range(self.watch.sim.now + 1000, t + 1, 1000):
            found = self.watch.second(at)
            for out in (self.desk.step(found, at),) if found else (self.desk.tick(at),):
                self.events += out.events
                self.notices += out.notices
                for i in out.changed_alarms:
                    alarm = self.book.alarms[i]
                    if alarm.active:
                        self.judged[alarm.occurrence] = Alarm.from_dict(alarm.as_record())


def matches(alarm: Alarm, patterns: tuple[str, ...]) -> bool:
    """Whether an alarm is one of `rule@asset` with globs."""
    return any(fnmatchcase(f"{alarm.rule}@{alarm.asset}", p) for p in patterns)
