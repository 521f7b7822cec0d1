"""GST9000 printer text: the recorded bytes, lines in any form, and the driver on a pseudo-terminal."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.gst_printer import GstPrinterDriver, GstPrinterOptions
from drivers.gst_printer_text import MAX_LINE, Lines, Panel
from drivers.profiles import textline
from drivers.profiles.bind import bind
from drivers.profiles.loader import load_profile
from gateway.adapters.clock import ManualClock, SystemClock
from gateway.model import GOOD
from gateway.ports import Block, Clock, DeviceException, LineDown, NoAnswer
from simulators.gst_panel import PrinterPort, printer_port

GST = Block(1, "line", sentence="gst")
RECORDED = (
    b"\x1b608/12/02  17:24\n  004-004\n\x1b9"
    b"\xca\xd7\xb4\xce\xbb\xf0\xbe\xaf\n"  # 首次火警
    b"\xc8\xb9\xc2\xa5\xd2\xbb\xb2\xe3\xc9\xcf\xbf\xd5\n"  # 裙楼一层上空
    b"\xb8\xd0\xd1\xcc\xcc\xbd\xb2\xe2\xc6\xf7\n\n"  # 感烟探测器
)  # fmt: skip
FOLLOWING = "\x1b608/12/02  17:25\n  004-017\n\x1b9火警后续\n裙楼二层\n感温探测器\n\n".encode("gb18030")
RESET = "\x1b608/12/02  17:40\n\x1b9系统复位\n\n".encode("gb18030")
FIRE, FAULT, SHIELD, COUNT, FIRE_TEXT, EVENT_TEXT, UNKNOWN, REFUSED, RESETS = 2, 3, 4, 8, 10, 11, 12, 13, 14


def printed(*data: bytes, quiet: bool = False, first: bytes = b"\n") -> tuple[Panel, Lines]:
    lines, panel = Lines(), Panel(quiet_is_normal=quiet)
    for piece in (first, *data):
        for line in lines.feed(piece):
            panel.take(line)
    return panel, lines


def told(panel: Panel, lines: Lines | None = None) -> tuple[str, ...]:
    fields = panel.fields(1, lines.refused if lines else 0)
    assert len(fields) == 15
    return fields


def record(*rows: str) -> bytes:
    return ("08/12/02  17:24\n" + "".join(f"{row}\n" for row in rows) + "\n").encode("gb18030")


def test_the_recorded_fire() -> None:
    panel, lines = printed(RECORDED, first=b"")
    fields = told(panel, lines)
    assert (fields[1], fields[FIRE], fields[COUNT]) == ("004-004", "1", "1")
    assert fields[FIRE_TEXT] == "首次火警 裙楼一层上空 感烟探测器 004-004 08/12/02  17:24"
    assert (fields[FAULT], fields[UNKNOWN], fields[REFUSED]) == ("", "0", "0")


def test_following_fires_stand_at_another_offset_and_count() -> None:
    assert RECORDED.index("火警".encode("gb18030")) != FOLLOWING.index("火警".encode("gb18030"))
    panel, _ = printed(RECORDED, FOLLOWING)
    fields = told(panel)
    assert (fields[FIRE], fields[COUNT], fields[1]) == ("1", "2", "004-017")
    assert "裙楼二层" in fields[FIRE_TEXT]


def test_a_fire_stands_until_the_reset() -> None:
    panel, _ = printed(RECORDED)
    assert [told(panel)[FIRE] for _ in range(3)] == ["1", "1", "1"]
    for line in Lines().feed(RESET):
        panel.take(line)
    fields = told(panel)
    assert (fields[FIRE], fields[FAULT], fields[COUNT], fields[RESETS]) == ("0", "0", "0", "1")


def test_a_fire_and_its_reset_between_two_reads_are_shown_once() -> None:
    panel, _ = printed(RESET)
    assert told(panel)[FIRE] == "0"
    for line in Lines().feed(RECORDED + RESET):
        panel.take(line)
    assert [told(panel)[FIRE] for _ in range(2)] == ["1", "0"]


def test_the_worked_cases_of_the_profile_are_what_the_driver_says() -> None:
    cases = [textline.parse(c.line.encode()) for c in load_profile("gst9000_printer").cases]
    panel, lines = printed(RECORDED)
    assert told(panel, lines)[:FIRE_TEXT] == cases[0][:FIRE_TEXT]
    for line in Lines().feed(RESET):
        panel.take(line)
    told(panel)
    fields = told(panel)
    assert fields[:FIRE_TEXT] + fields[UNKNOWN:] == cases[1][:FIRE_TEXT] + cases[1][UNKNOWN:]
    assert told(Panel())[:UNKNOWN] == cases[2][:UNKNOWN]


@pytest.mark.parametrize(
    ("rows", "field"),
    [
        (("001-002", "首次火警", "大厅"), FIRE),
        (("火警 001-002", "大厅"), FIRE),
        (("001-002 大厅 火警",), FIRE),
        (("3号机", "001-002", "1号火警"), FIRE),
        (("手动报警", "大厅"), FIRE),
        (("001-002", "故障", "大厅"), FAULT),
        (("备电故障",), FAULT),
        (("001-002", "屏蔽"), SHIELD),
        (("监管",), 5),
        (("自动启动", "喷淋泵"), 6),
        (("反馈", "喷淋泵"), 7),
    ],
)
def test_phrases(rows: tuple[str, ...], field: int) -> None:
    panel, _ = printed(record(*rows), quiet=True)
    fields = told(panel)
    assert [n for n in range(2, 8) if fields[n] == "1"] == [field]


@pytest.mark.parametrize(
    "rows",
    [
        ("故障", "火警电话间"),
        ("声光警报", "火警电话间", "模块"),
        ("001-002", "欢迎使用", "火警电话间"),
        ("火警解除",),
        ("打印机测试",),
    ],
)
def test_places_and_ends_are_no_fires(rows: tuple[str, ...]) -> None:
    panel, _ = printed(record(*rows), quiet=True)
    assert told(panel)[FIRE] == "0"


def test_an_end_changes_no_state() -> None:
    panel, _ = printed(
        record("001-002", "故障"), record("001-002", "故障恢复"), record("001-002", "屏蔽解除")
    )
    fields = told(panel)
    assert (fields[FAULT], fields[SHIELD]) == ("1", "")
    assert "故障恢复" in fields[EVENT_TEXT]


def test_a_place_that_is_called_reset_resets_nothing() -> None:
    panel, _ = printed(RECORDED, record("001-002", "故障", "复位按钮旁"), record("请按复位键"))
    assert (told(panel)[FIRE], told(panel)[RESETS]) == ("1", "0")


def test_what_is_not_understood_is_counted_and_shown() -> None:
    panel, _ = printed("欢迎使用\n第 3 版\n".encode("gb18030"), quiet=True)
    fields = told(panel)
    assert (fields[UNKNOWN], fields[EVENT_TEXT], fields[FIRE]) == ("2", "? 欢迎使用; ? 第 3 版", "0")


def test_after_a_lost_port_what_is_not_set_is_not_known() -> None:
    panel, _ = printed(RESET, RECORDED)
    assert (told(panel)[FIRE], told(panel)[FAULT]) == ("1", "0")
    panel.doubt()
    assert (told(panel)[FIRE], told(panel)[FAULT]) == ("1", "")


# ── lines ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("data", "lines", "refused"),
    [
        ("次火警\n大厅\n\n".encode("gb18030"), ["大厅", ""], 1),  # the tail of a line
        ("首次火警\n".encode("gb18030"), ["首次火警"], 0),  # whole beyond doubt
        (b"\x1b6\xcb\xcb\x1b9\n", ["怂"], 0),
        (b"\n\xff\xff\n1\n", ["", "1"], 1),
        (b"\n\x01\x02\n1\n", ["", "1"], 1),
        (b"\n" + b"x" * (MAX_LINE + 1) + b"\n1\n", ["", "1"], 1),
        (b"\n" + "首次火".encode("gb18030"), [""], 0),
    ],
)
def test_damaged_lines_are_refused(data: bytes, lines: list[str], refused: int) -> None:
    splitter = Lines()
    assert splitter.feed(data) == lines
    assert splitter.refused == refused


def test_a_line_without_end_is_not_kept() -> None:
    splitter = Lines()
    for _ in range(1000):
        splitter.feed(b"x" * 100)
        assert len(splitter._buffer) <= MAX_LINE
    assert splitter.feed("首次火警大厅\n安静\n".encode("gb18030")) == ["安静"]


@given(st.lists(st.sampled_from([RECORDED, FOLLOWING, RESET]), max_size=6), st.randoms(use_true_random=False))
def test_pieces_make_no_difference(prints: list[bytes], rng: random.Random) -> None:
    stream = b"".join(prints)
    cuts = sorted(rng.randrange(len(stream) + 1) for _ in range(9))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert told(printed(*pieces)[0]) == told(printed(stream)[0])


@given(st.binary(max_size=2000))
def test_noise_makes_no_fire_and_no_error(data: bytes) -> None:
    panel, lines = printed(data)
    assert told(panel, lines)[FIRE] == ""


# ── the driver ────────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def panel_line(
    clock: Clock | None = None, **options: Any
) -> AsyncIterator[tuple[GstPrinterDriver, PrinterPort]]:
    time = clock or SystemClock()
    with printer_port(time) as port:
        driver = GstPrinterDriver(GstPrinterOptions(port=port.path, **options), time)
        await driver.open()
        try:
            yield driver, port
        finally:
            await driver.close()


async def until(driver: GstPrinterDriver, condition: Callable[[tuple[str, ...]], bool]) -> tuple[str, ...]:
    async with asyncio.timeout(20):
        while not condition(fields := (await driver.read(GST, 0.1)).fields):  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.005)
        return fields


async def test_a_fire_printed_on_a_real_port() -> None:
    async with panel_line() as (driver, port):
        assert (await driver.read(GST, 0.1)).fields[FIRE] == ""
        port.fire("004-004", "裙楼一层上空")
        await until(driver, lambda f: f[FIRE] == "1" and "感烟探测器" in f[FIRE_TEXT])
        answer = await driver.read(GST, 0.1)
        out = bind(load_profile("gst9000_printer"), "fire-1").decode(answer)
        points = [p.tag for p in load_profile("gst9000_printer").expanded]
        row = out.index.tolist().index(points.index("fire.panel.alarm"))
        assert (out.v[row], out.q[row]) == (1.0, GOOD)
        assert "裙楼一层上空" in out.attrs[points.index("fire.panel.fire_text")]["text"]
        port.reset()
        await until(driver, lambda f: f[FIRE] == "0")


async def test_the_rest_of_a_line_that_does_not_come_is_refused() -> None:
    clock = ManualClock()
    async with panel_line(clock, quiet_is_normal=True) as (driver, port):
        port.raw(b"\n" + "非".encode("gb18030"))
        await asyncio.sleep(0.05)
        await clock.advance(3.0)
        port.raw("火警电话\n".encode("gb18030") + RESET)
        fields = await until(driver, lambda f: f[RESETS] == "1")
        assert (fields[FIRE], fields[REFUSED]) == ("0", "2")


async def test_a_port_that_is_lost_and_comes_back() -> None:
    async with panel_line() as (driver, port):
        port.raw(RESET)
        await until(driver, lambda f: f[FIRE] == "0")
        await driver.close()
        with pytest.raises(LineDown):
            await driver.read(GST, 0.1)
        await driver.open()
        await driver.open()
        assert (await driver.read(GST, 0.1)).fields[FIRE] == ""
        port.raw(RECORDED)
        await until(driver, lambda f: f[FIRE] == "1")


async def test_an_unplugged_adapter_is_told() -> None:
    driver = None
    with printer_port(SystemClock()) as port:
        driver = GstPrinterDriver(GstPrinterOptions(port=port.path), SystemClock())
        await driver.open()
    with pytest.raises(LineDown):
        await until(driver, lambda _: False)
    await driver.close()


async def test_silence_is_told_where_the_panel_is_known_to_print_regularly() -> None:
    clock = ManualClock()
    async with panel_line(clock, silence_h=24, quiet_is_normal=True) as (driver, port):
        await clock.advance(23 * 3600)
        assert (await driver.read(GST, 0.1)).fields[FIRE] == "0"
        await clock.advance(2 * 3600)
        with pytest.raises(NoAnswer, match="nothing printed for 25"):
            await driver.read(GST, 0.1)
        port.raw(RECORDED)
        async with asyncio.timeout(20):
            while True:
                try:
                    assert (await driver.read(GST, 0.1)).fields[FIRE] == "1"
                    break
                except NoAnswer:
                    await asyncio.sleep(0.005)


async def test_a_wrong_sentence_and_a_missing_port_are_told() -> None:
    async with panel_line() as (driver, _):
        with pytest.raises(DeviceException):
            await driver.read(Block(1, "line", sentence="panel"), 0.1)
    driver = GstPrinterDriver(GstPrinterOptions(port="/dev/no-such-port"), SystemClock())
    for _ in range(2):
        with pytest.raises(LineDown):
            await driver.open()
    with pytest.raises(LineDown):
        await driver.read(GST, 0.1)
    await driver.close()
    assert not os.path.exists("/dev/no-such-port")  # noqa: PTH110, ASYNC240 - one look
    other = bind(load_profile("level_wl_ascii"), "sump-1").spans
    assert [f[0] for f in GstPrinterOptions(port="x").device_faults(1, other)] == ["profile"]
