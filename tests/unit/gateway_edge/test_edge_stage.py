"""A configuration over the bus: signed, checked, staged, tried out, and kept or taken back."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.codec import BadMessage
from gateway.codec.bundle import digest, pack, unpack
from gateway.codec.signed import sign, verified
from gateway.edge.agent import Edge, EdgeConfig, LineConfig
from gateway.edge.control import Control
from gateway.edge.stage import SITE, Stage
from gateway.edge.stage_trial import Trial, Verdict
from gateway.errors import BadInput, Conflict
from tests.unit.gateway_edge.edge_fakes import FakeDriver
from tests.unit.gateway_edge.test_edge_reload import Plant, on_grid, polls

KEY = b"k" * 32
OLD = {SITE: "old", "profiles/a.yaml": "old profile"}
NEW = {SITE: "new", "profiles/a.yaml": "new profile"}


# ── the trial ─────────────────────────────────────────────────────────────────────────────────────────

BEFORE = frozenset(f"d{n}" for n in range(10))
WELL = dict.fromkeys(BEFORE, True)


def trial(confirmed: bool = True) -> Trial:
    return Trial(7, 1000.0, 2.0, BEFORE, confirmed)


def test_what_is_well_and_confirmed_is_kept_at_the_end_and_not_before() -> None:
    t = trial()
    assert [t.judge(1000.0 + s, WELL, core_silent=False) for s in (0, 60, 119.9, 120)] == [
        Verdict.WAIT, Verdict.WAIT, Verdict.WAIT, Verdict.KEEP,
    ]  # fmt: skip


def test_what_nobody_confirms_is_taken_back() -> None:
    t = trial(confirmed=False)
    assert t.judge(1119.0, WELL, core_silent=False) is Verdict.WAIT
    assert t.judge(1120.0, WELL, core_silent=False) is Verdict.BACK
    assert "confirmed" in t.why


def test_a_device_that_falls_silent_takes_it_back_within_a_minute() -> None:
    t = trial()
    ill = {**WELL, "d3": False}
    assert t.judge(1019.0, ill, core_silent=False) is Verdict.WAIT
    assert t.judge(1020.0, ill, core_silent=False) is Verdict.BACK
    assert "d3" in t.why


def test_devices_that_were_silent_before_or_are_new_or_gone_do_not_count() -> None:
    t = trial()
    now = {**WELL, "new": False, "was-silent": False}
    del now["d4"]
    assert t.judge(1060.0, now, core_silent=False) is Verdict.WAIT


def test_a_core_that_falls_silent_takes_it_back() -> None:
    t = trial()
    assert t.judge(1001.0, WELL, core_silent=True) is Verdict.BACK


# ── signature and bundle ──────────────────────────────────────────────────────────────────────────────


def test_a_signature_covers_every_field() -> None:
    body = sign(KEY, {"cmd": "write", "value": 1.5, "by": "li"})
    assert verified(KEY, body)
    for changed in (
        {**body, "value": 1.6},
        {**body, "more": 1},
        {k: v for k, v in body.items() if k != "by"},
    ):
        assert not verified(KEY, changed)
    assert not verified(b"other", body)
    assert not verified(b"", sign(b"", {"cmd": "write"}))
    assert not verified(KEY, {"cmd": "write", "sig": "ü"})


def test_a_bundle_survives_the_way_and_nothing_else_does() -> None:
    dice = random.Random(7)
    files = {SITE: "物业\n" * 40_000, "profiles/a.yaml": dice.randbytes(90_000).hex()}
    parts = pack(files)
    assert len(parts) > 1
    assert all(len(orjson.dumps({"text": p})) < 60_000 for p in parts)
    assert unpack(parts, digest(files)) == files
    for wrong in (parts[:-1], [*parts[1:], parts[0]], [*parts, "AAAA"], ["%"], []):
        with pytest.raises(BadMessage):
            unpack(wrong, digest(files))
    with pytest.raises(BadMessage, match="hash"):
        unpack(parts, "0" * 64)


@pytest.mark.parametrize(
    "name", ["../site.yaml", "/etc/passwd", "a/../../b", "a//b", "", ".hidden", "a\\..\\b\n"]
)
def test_a_file_name_cannot_leave_the_folder(name: str) -> None:
    files = {name: "x"}
    with pytest.raises(BadMessage, match="no name of a file"):
        unpack(pack(files), digest(files))


# ── the disk ──────────────────────────────────────────────────────────────────────────────────────────


def in_use(folder: Path, base: str = "b") -> Mapping[str, str] | None:
    """What an edge that starts now would use."""
    site = Stage(folder).open(base)
    if site is None:
        return None
    return {str(f.relative_to(site.parent)): f.read_text() for f in site.parent.rglob("*") if f.is_file()}


def prepared(folder: Path) -> Stage:
    """Version 5 holds."""
    stage = Stage(folder)
    stage.open("b")
    stage.put(5, OLD)
    stage.try_out(5)
    stage.keep()
    return stage


class Killed(BaseException):
    """The process ended here."""


STEPS: dict[str, Callable[[Stage], object]] = {
    "put": lambda s: s.put(7, NEW),
    "try_out": lambda s: s.try_out(7),
    "keep": lambda s: s.keep(),
    "back": lambda s: s.back(),
}
ALLOWED = {"put": [OLD], "try_out": [OLD], "keep": [OLD, NEW], "back": [OLD]}
"""What may be in use after a kill within the step. A trial that nobody ended is not kept."""


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_any_instant_the_old_or_the_new_is_in_use_whole(
    tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for instant in range(100):
        folder = tmp_path / f"{step}-{instant}"
        stage = prepared(folder)
        for earlier in ("put", "try_out"):
            if step not in ("put", earlier):
                STEPS[earlier](stage)
        with monkeypatch.context() as patch:
            kill_at(instant, patch)
            try:
                STEPS[step](stage)
            except Killed:
                alive = False
            else:
                alive = True
        found.append(in_use(folder))
        assert found[-1] in ALLOWED[step], instant
        again = Stage(folder)
        again.open("b")
        assert again.state.newest >= 5
        if alive:
            break
    assert len(found) > 3
    assert found[-1] == (NEW if step == "keep" else OLD)


def kill_at(instant: int, patch: pytest.MonkeyPatch) -> None:
    """End at the n-th thing that is done to the disk, half of a write included."""
    left = [instant]

    def deadly(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            return function(*args, **kwargs)

        return call

    for owner, name in (
        (os, "fsync"),
        (Path, "rename"),
        (Path, "replace"),
        (Path, "mkdir"),
        (shutil, "rmtree"),
    ):
        patch.setattr(owner, name, deadly(getattr(owner, name)))


def test_the_last_change_holds_wherever_it_was_made(tmp_path: Path) -> None:
    prepared(tmp_path)
    assert in_use(tmp_path) == OLD
    assert in_use(tmp_path, base="edited on the edge") is None
    assert in_use(tmp_path, base="edited on the edge") is None
    stage = Stage(tmp_path)
    stage.open("edited on the edge")
    assert stage.state.newest == 5, "an old version must not come back"
    stage.put(8, NEW)
    stage.try_out(8)
    stage.keep()
    assert in_use(tmp_path, base="edited on the edge") == NEW


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"version": 5, "odd": 1}'])
def test_a_damaged_state_means_the_own_site_file(tmp_path: Path, damage: bytes) -> None:
    prepared(tmp_path)
    (tmp_path / "state.json").write_bytes(damage)
    assert in_use(tmp_path) is None


def test_a_full_disk_does_not_keep_an_edge_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared(tmp_path)
    stage = Stage(tmp_path)
    stage.open("base")
    stage.put(9, NEW)
    stage.try_out(9)

    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gateway.edge.stage._write_through", full)
    for _ in range(2):
        site = Stage(tmp_path).open("base")
        assert site is None or site.read_text(encoding="utf-8") != "new", "a trial does not outlive its edge"


def test_files_that_have_gone_mean_the_own_site_file(tmp_path: Path) -> None:
    prepared(tmp_path)
    shutil.rmtree(tmp_path / "v5")
    assert in_use(tmp_path) is None


# ── the whole edge, in virtual time ───────────────────────────────────────────────────────────────────


class Rig(Plant):
    """Pushed site files are JSON: {"devices": [names], "silent": [names], "broken": message}."""

    def control(self) -> Control:
        return Control(KEY, Stage(self.folder / "config"), self.load)

    def load(self, path: Path) -> EdgeConfig:
        body = orjson.loads(path.read_bytes())
        if "broken" in body:
            raise BadInput(body["broken"], file=str(path), line=3, field="gateways.0.lines")
        lines = [self.line(self.device(name)) for name in body["devices"]]
        for name in body.get("silent", ()):
            driver = self.drivers[f"to-{name}"][-1]
            driver.units[1].silent = True
        # A line is another one when it is wired differently.
        return self.config([line if n not in body.get("silent", ()) else rewired(line) for n, line in
                            zip(body["devices"], lines, strict=True)], body["cfg"])  # fmt: skip

    @contextlib.asynccontextmanager
    async def edge(self, *names: str) -> AsyncIterator[Edge]:
        config = self.config([self.line(self.device(n)) for n in names])
        control = self.control()
        control.stage.open("b")
        edge = Edge(config, self.clock, self.make, control=control)
        task = asyncio.create_task(edge.run())
        try:
            async with asyncio.timeout(10):
                await edge.started.wait()
            self.uplinks[-1].link(up=True)
            await self.go(3)
            yield edge
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def push(self, version: int, key: bytes = KEY, minutes: float = 2.0, **site: Any) -> None:
        files = {SITE: orjson.dumps({"cfg": f"v{version}", **site}).decode()}
        parts = pack(files)
        for k, text in enumerate(parts, 1):
            body = {"cmd": "config", "id": f"c{version}", "version": version, "hash": digest(files),
                    "part": k, "parts": len(parts), "minutes": minutes, "text": text}  # fmt: skip
            self.uplinks[-1].command(**sign(key, body))

    def confirm(self, version: int, key: bytes = KEY) -> None:
        self.uplinks[-1].command(**sign(key, {"cmd": "confirm", "id": f"k{version}", "version": version}))

    def steps(self, id_: str) -> list[str]:
        return [b["step"] for leaf, b in self.core.other if leaf == "reply" and b["id"] == id_]

    def last(self, id_: str) -> dict[str, Any]:
        return [b for leaf, b in self.core.other if leaf == "reply" and b["id"] == id_][-1]

    def births(self) -> list[str]:
        return [b["cfg"] for leaf, b in self.core.other if leaf == "birth"]


def rewired(line: LineConfig) -> LineConfig:
    return replace(line, content="another address")


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


async def test_a_good_configuration_is_tried_confirmed_and_kept(rig: Rig) -> None:
    async with rig.edge("a", "b") as edge:
        rig.push(3, devices=["a", "b", "c"])
        await rig.until(lambda: rig.steps("c3") == ["staged", "trial"])
        rig.confirm(3)
        await rig.go(100)
        assert rig.steps("k3") == ["confirmed"]
        assert rig.steps("c3") == ["staged", "trial"]
        assert edge.facts()["cfg_trial"] == 1.0
        await rig.until(lambda: "kept" in rig.steps("c3"))
        facts = edge.facts()
        assert (facts["cfg_version"], facts["cfg_trial"], facts["cfg_taken_back"]) == (3.0, 0.0, 0.0)
        await rig.end(edge)
    assert rig.births() == ["one", "v3"]
    rig.check_balance(edge)
    assert on_grid(polls(rig.drivers["to-a"][0]))
    assert "c/v.p0" in rig.core.series()
    assert in_use(rig.folder / "config") is not None


async def test_a_bad_configuration_is_back_on_the_previous_within_a_minute(rig: Rig) -> None:
    async with rig.edge("a", "b") as edge:
        rig.push(3, devices=["a", "b"], silent=["b"])
        await rig.until(lambda: "trial" in rig.steps("c3"))
        began = rig.clock.monotonic()
        rig.confirm(3)
        await rig.until(lambda: "back" in rig.steps("c3"))
        assert rig.clock.monotonic() - began <= 60
        assert "b" in rig.last("c3")["error"]
        read = len(rig.core.series()["b/v.p0"])
        await rig.until(lambda: len(rig.core.series()["b/v.p0"]) > read + 3)
        assert edge.facts()["cfg_taken_back"] == 1.0
        await rig.end(edge)
    assert rig.births() == ["one", "v3", "one"]
    rig.check_balance(edge)
    assert on_grid(polls(rig.drivers["to-a"][0])), "the other line was not touched, neither way"
    assert in_use(rig.folder / "config") is None


async def test_without_a_confirmation_the_previous_comes_back(rig: Rig) -> None:
    async with rig.edge("a") as edge:
        rig.push(3, devices=["a", "b"], minutes=1.0)
        await rig.until(lambda: "back" in rig.steps("c3"))
        assert "confirmed" in rig.last("c3")["error"]
        await rig.end(edge)
    assert rig.births() == ["one", "v3", "one"]


async def test_a_trial_does_not_survive_a_restart(rig: Rig) -> None:
    async with rig.edge("a"):
        rig.push(3, devices=["a", "b"])
        await rig.until(lambda: "trial" in rig.steps("c3"))
        rig.confirm(3)
        await rig.until(lambda: rig.steps("k3") == ["confirmed"])
    assert in_use(rig.folder / "config") is None
    async with rig.edge("a"):
        rig.push(3, devices=["a", "b"])
        await rig.until(lambda: "refused" in rig.steps("c3"))
        assert "not newer" in rig.last("c3")["error"]


async def test_what_is_not_right_is_refused_with_its_reason_and_changes_nothing(rig: Rig) -> None:
    async with rig.edge("a") as edge:
        rig.push(3, key=b"x" * 32, devices=["b"])
        rig.push(4, devices=["b"], broken="nobody knows this field")
        rig.push(5, devices=["b"], minutes=1000.0)
        await rig.until(lambda: rig.steps("c4") == ["refused"])
        rig.push(6, devices=["a", "a"])
        rig.confirm(6)
        await rig.until(lambda: all(rig.steps(f"c{n}")[-1:] == ["refused"] for n in (3, 4, 5, 6)))
        assert "sig" in rig.last("c3")["error"]
        assert rig.last("c4")["error"].endswith("nobody knows this field")
        assert ":3: gateways.0.lines: " in rig.last("c4")["error"]
        assert "minutes" in rig.last("c5")["error"]
        assert "two devices" in rig.last("c6")["error"]
        assert rig.steps("k6") == ["refused"]
        await rig.end(edge)
    assert set(rig.births()) == {"one"}
    assert on_grid(polls(rig.drivers["to-a"][0]))
    assert in_use(rig.folder / "config") is None


async def test_one_trial_at_a_time(rig: Rig) -> None:
    async with rig.edge("a"):
        rig.push(3, devices=["a", "b"])
        await rig.until(lambda: "trial" in rig.steps("c3"))
        rig.push(4, devices=["a"])
        await rig.until(lambda: rig.steps("c4") == ["refused"])
        assert "on trial" in rig.last("c4")["error"]


class SlowRig(Rig):
    """Loading waits until it is let go."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.loading, self.go_on = threading.Event(), threading.Event()

    def load(self, path: Path) -> EdgeConfig:
        self.loading.set()
        assert self.go_on.wait(60), "nobody let it go on"
        return super().load(path)


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[SlowRig]:
    rig = SlowRig(tmp_path)
    yield rig
    rig.go_on.set()


async def test_the_edge_goes_on_committing_while_a_configuration_is_loaded(slow: SlowRig) -> None:
    rig = slow
    async with rig.edge("a", "b") as edge:
        rig.push(3, devices=["a", "b", "c"])
        await rig.until(rig.loading.is_set)
        before = len(rig.core.series()["a/v.p0"])
        await rig.until(lambda: len(rig.core.series()["a/v.p0"]) >= before + 10)
        assert rig.steps("c3") == []
        assert edge.facts()["cfg_version"] == 0, "nothing is in use that was not loaded"
        rig.uplinks[-1].core_says(cmd="retry", id="r", device="a")
        await rig.until(lambda: any(b["id"] == "r" for leaf, b in rig.core.other if leaf == "reply"))
        rig.go_on.set()
        await rig.until(lambda: rig.steps("c3") == ["staged", "trial"])
        await rig.until(lambda: "c/v.p0" in rig.core.series())
        await rig.end(edge)
    rig.check_balance(edge)
    assert on_grid(polls(rig.drivers["to-a"][0]))


async def test_a_part_that_comes_twice_disturbs_nothing_and_another_push_has_to_wait(slow: SlowRig) -> None:
    rig = slow
    async with rig.edge("a"):
        for _ in range(2):
            rig.push(3, devices=["a", "b"])
        rig.push(4, devices=["a"])
        await rig.until(lambda: rig.steps("c4") == ["refused"])
        assert "being taken up" in rig.last("c4")["error"]
        rig.go_on.set()
        await rig.until(lambda: "trial" in rig.steps("c3"))
        rig.push(3, devices=["a", "b"])
        await rig.go(1)
        assert rig.steps("c3") == ["staged", "trial"]


async def test_a_reload_of_ones_own_and_a_push_at_the_same_instant_are_kept_apart(slow: SlowRig) -> None:
    rig = slow
    async with rig.edge("a") as edge:
        # The own file is read: what the core sends has to wait.
        with edge.changing():
            rig.push(3, devices=["a", "b"])
            await rig.until(lambda: rig.steps("c3") == ["refused"])
            assert "push again" in rig.last("c3")["error"]
        # What the core has sent is read: the own file has to wait.
        rig.push(4, devices=["a", "b"], minutes=1.0)
        await rig.until(rig.loading.is_set)
        with pytest.raises(Conflict, match="reload again"), edge.changing():
            pass
        rig.go_on.set()
        await rig.until(lambda: "trial" in rig.steps("c4"))
        # And while it is on trial, with the time that it takes at most.
        with pytest.raises(Conflict, match=r"version 4 .* for at most (60|59) s more"), edge.changing():
            pass
        await rig.until(lambda: "back" in rig.steps("c4"))
        await rig.until(lambda: edge.facts()["cfg_taken_back"] == 1)

        def free() -> bool:
            try:
                with edge.changing():
                    return True
            except Conflict:
                return False

        await rig.until(free)


async def test_an_edge_ends_while_a_configuration_is_being_loaded(slow: SlowRig) -> None:
    rig = slow
    async with rig.edge("a"):
        rig.push(3, devices=["a", "b"])
        await rig.until(rig.loading.is_set)
    assert in_use(rig.folder / "config") is None
    assert rig.steps("c3") == []


async def test_frames_of_a_line_come_over_the_bus(rig: Rig) -> None:
    class Recorded(FakeDriver):
        on = False

        def trace(self, on: bool) -> None:
            self.on = on

        def frames(self, unit: int | None = None) -> list[Any]:
            return [type("F", (), {"t": 1, "direction": "out", "hex": "01 03", "unit": 1})()] * 300

    line = rig.line(rig.device("a"))
    driver = Recorded(rig.clock, line.driver.units)  # type: ignore[attr-defined]  # a FakeDriver
    plain = rig.line(rig.device("b"))
    async with rig.running(rig.config([replace(line, driver=driver), plain])):
        bodies: list[dict[str, Any]] = [{"line": "to-a", "on": True}, {"line": "to-b"}, {"line": "to-z"}]
        for n, body in enumerate(bodies):
            rig.uplinks[-1].core_says(cmd="trace", id=f"t{n}", **body)
        await rig.until(lambda: len([1 for leaf, _ in rig.core.other if leaf == "reply"]) == 3)
    assert driver.on
    first = rig.last("t0")
    assert (first["ok"], len(first["frames"]), first["left_out"]) == (True, 200, 100)
    assert first["frames"][0] == [1, "out", 1, "01 03"]
    assert "cannot record" in rig.last("t1")["error"]
    assert "no line" in rig.last("t2")["error"]
