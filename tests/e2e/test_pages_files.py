"""What can be said of the pages' files without a browser: vendored bytes, colours, texts, bars."""

from __future__ import annotations

import hashlib
import re
import tomllib
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from dashboards import i18n
from dashboards.pages.bars import DAY, beginning, blocks, days_of
from dashboards.pages.common import embedded, percent, span
from dashboards.pages.figures import month_bounds, months_back
from dashboards.problems import Problem

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "dashboards" / "static"
SCRIPTS = sorted((STATIC / "js").rglob("*.js"))
TEMPLATES = sorted((ROOT / "dashboards" / "templates").glob("*.html"))
ZONE = "Asia/Shanghai"


@pytest.mark.parametrize("folder", [STATIC / "vendor", ROOT / "tests/e2e/vendor"])
def test_vendored_files_are_as_published(folder: Path) -> None:
    note = tomllib.loads((folder / "VENDOR.toml").read_text("utf-8"))
    named = {f["path"]: f["sha256"] for p in note["package"] for f in p["file"]}
    present = {f.relative_to(folder).as_posix() for f in folder.rglob("*") if f.is_file()} - {"VENDOR.toml"}
    assert set(named) == present
    for name, wanted in named.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == wanted, name


# ── colours ───────────────────────────────────────────────────────────────────────────────────────────


def themes() -> dict[str, dict[str, str]]:
    text = (STATIC / "css" / "tokens.css").read_text("utf-8")
    blocks_ = dict(zip(("light", "dark"), re.findall(r"\{([^}]*)\}", text), strict=True))
    return {
        name: dict(re.findall(r"--([\w-]+):\s*(#[0-9a-fA-F]{6})", body)) for name, body in blocks_.items()
    }


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(a: str, b: str) -> float:
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_contrast_of_a_known_pair_is_what_the_standard_says() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#b3141b", "#d4d6d8") == pytest.approx(4.75, abs=0.01)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_has_4_5_and_signs_have_3_to_1_on_every_ground(theme: str) -> None:
    c = themes()[theme]
    weak = [
        f"{ink} on {ground} {contrast(c[ink], c[ground]):.2f}"
        for ink, grounds, least in [
            *((t, ("bg", "panel", "well", "raised", "tile"), 4.5) for t in ("text", "muted")),
            *((f"p{n}-text", ("panel", "raised", "tile", f"p{n}-tint"), 4.5) for n in (1, 2, 3, 4)),
            *((f"p{n}-on", (f"p{n}",), 4.5) for n in (1, 2, 3, 4)),
            *((f"p{n}-edge", ("panel", "tile", f"p{n}-tint"), 3) for n in (1, 2, 3, 4)),
            ("act-on", ("act", "act-hover"), 4.5),
            ("bar-text", ("bar",), 4.5), ("bar-muted", ("bar",), 4.5),
            ("edge", ("panel", "raised"), 3), ("focus", ("panel", "bg", "raised"), 3),
        ]
        for ground in grounds
        if contrast(c[ink], c[ground]) < least
    ]  # fmt: skip
    assert weak == []


# ── texts ─────────────────────────────────────────────────────────────────────────────────────────────

KEY = re.compile(r"""(?<![\w.])t\(\s*["'`]([a-z][\w.-]*)["'`]""")


@pytest.mark.parametrize("file", [*SCRIPTS, *TEMPLATES], ids=lambda f: f.name)
def test_every_text_comes_from_the_catalogue(file: Path) -> None:
    text = file.read_text("utf-8")
    known = i18n.catalogue()
    missing = [k for k in KEY.findall(text) if k not in known and not k.endswith((".", "r_"))]
    assert missing == []
    spoken = re.sub(r"^\s*(//|\*|/\*).*$|\{#.*?#\}", "", text, flags=re.MULTILINE)
    left = [w for w in re.findall(r"[\u4e00-\u9fff]+", spoken) if w not in ("中文", "处置卡")]
    assert left == []


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda f: f.name)
def test_templates_hold_nothing_that_the_content_policy_forbids(file: Path) -> None:
    text = file.read_text("utf-8")
    assert not re.search(r"\sstyle=|<style|\son[a-z]+=|javascript:", text)
    assert not re.search(r"<script(?![^>]*(src=|application/json))", text)
    assert not re.search(r"(src|href)=\"https?:", text)


# ── figures ───────────────────────────────────────────────────────────────────────────────────────────


def at(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=ZoneInfo(ZONE)).timestamp() * 1000)  # type: ignore[misc, arg-type] # year, month, day …


def test_days_are_the_sites_days_and_a_minute_of_failure_shows() -> None:
    end = at(2026, 11, 22, 12)
    segments = [
        (at(2026, 11, 19), at(2026, 11, 20, 23, 30), "not_required"),
        (at(2026, 11, 20, 23, 30), at(2026, 11, 21, 8), "up"),
        (at(2026, 11, 21, 8), at(2026, 11, 21, 8, 1), "down_unplanned"),
        (at(2026, 11, 21, 8, 1), end, "unknown"),
    ]
    assert days_of(segments, end, ZONE, 4) == ["none", "up", "down", "unknown"]


def test_less_than_a_minute_of_failure_is_a_good_day() -> None:
    end = at(2026, 11, 22, 12)
    day = at(2026, 11, 22)
    segments = [(day, day + 59_000, "down_unplanned"), (day + 59_000, end, "up")]
    assert days_of(segments, end, ZONE, 1) == ["up"]


def test_blocks_cover_the_bar_and_a_short_failure_can_be_seen() -> None:
    found = blocks([(0, 500_000, "up"), (500_000, 500_100, "down_unplanned"), (500_100, DAY, "up")], 0, DAY)
    assert found[-1].kind == "down_unplanned"
    assert found[-1].width == 2.0
    assert sum(b.width for b in found if b.kind == "up") == pytest.approx(1000, abs=0.1)


def test_a_bar_begins_when_the_first_asset_had_to_work() -> None:
    rows = [
        {"segments": [(0, 70, "not_required"), (70, 100, "up")]},
        {"segments": [(0, 90, "not_required"), (90, 100, "up")]},
    ]
    assert beginning(rows, 0) == 70
    assert beginning([], 5) == 5


def test_months_are_half_open_in_the_sites_zone() -> None:
    assert month_bounds("2026-12", ZONE) == (at(2026, 12, 1), at(2027, 1, 1))
    assert months_back(at(2026, 2, 1), ZONE, 3) == ["2026-02", "2026-01", "2025-12"]
    with pytest.raises(Problem):
        month_bounds("2026-13", ZONE)


def test_a_share_is_never_rounded_up_to_a_hundred() -> None:
    assert percent(0.999999) == "99.99 %"
    assert percent(1.0) == "100.00 %"
    assert percent(None) == "—"


def test_lengths_of_time_in_two_units() -> None:
    assert span(59_400, "en") == "59 s"
    assert span(3_600_000, "en") == "1 h"
    assert span(90_061_000, "en") == "1 d 1 h"


def test_data_in_a_page_cannot_end_its_element() -> None:
    assert "<" not in embedded({"name": "</script><script>"})
