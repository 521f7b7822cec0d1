"""`steward backtest`: a row for each sample, alarms and reasons; rules as the live engine has them."""

from __future__ import annotations

import csv
import errno
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import orjson
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from alerts.backtest import score
from alerts.engine import Engine
from gateway.adapters.csv_series import read_table
from gateway.adapters.duckdb_store import DuckStore
from gateway.adapters.state import open_state
from gateway.app import backtest_files, backtest_rules
from gateway.app.backtest_files import Options, run
from gateway.app.setup import load_setup
from gateway.cli import app
from gateway.errors import BadInput
from gateway.model import Event, Samples
from gateway.ports import Commit

SITE = Path(__file__).parents[3] / "examples/small.yaml"
T0 = 1_790_000_000_000 // 86_400_000 * 86_400_000
HOUR = 3_600_000
Column = NDArray[np.float64] | NDArray[np.int64]
rng = np.random.default_rng(11)


def daily(days: int = 40, step_s: int = 900) -> tuple[Column, Column]:
    """A daily wave with noise, and a fault of four hours in the last third."""
    t = T0 + np.arange(0, days * 86_400_000, step_s * 1000)
    v = 20 + 5 * np.sin(t / 86_400_000 * 2 * np.pi) + np.random.default_rng(1).normal(0, 0.4, len(t))
    fault = (t >= T0 + 30 * 86_400_000) & (t < T0 + 30 * 86_400_000 + 4 * HOUR)
    v[fault] += 15
    return t, np.round(v, 3)


def written(path: Path, t: Column, **channels: Column) -> Path:
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["timestamp", *channels])
        rows.writerows(zip(t.tolist(), *(c.tolist() for c in channels.values()), strict=True))
    return path


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_each_sample_has_its_row_and_the_fault_its_reason(tmp_path: Path) -> None:
    t, v = daily()
    path = written(tmp_path / "pump.csv", t, value=v)
    result = run([path], Options(), tmp_path / "out")
    rows = read(tmp_path / "out/pump.csv")
    assert list(rows[0]) == ["timestamp", "value", "score", "alarm", "why"]
    assert [float(r["value"]) for r in rows] == v.tolist()
    np.testing.assert_allclose([float(r["score"]) for r in rows], score(t, v), atol=1e-6)
    fired = [r for r in rows if r["alarm"] == "1"]
    assert fired
    assert "above the usual" in fired[0]["why"]
    assert all((r["why"] != "") == (r["alarm"] == "1") for r in rows)
    found = [a for a in result["alarms"] if a["from"].startswith("2026-10-21")]
    assert found
    assert len(result["alarms"]) - len(found) <= 2
    assert len(read(tmp_path / "out/alarms.csv")) == len(result["alarms"])


def test_it_is_causal_what_comes_later_changes_nothing(tmp_path: Path) -> None:
    t, v = daily()
    half = len(t) // 2
    whole = run([written(tmp_path / "a.csv", t, value=v)], Options("baseline"), tmp_path / "o")
    run([written(tmp_path / "b.csv", t[:half], value=v[:half])], Options("baseline"), tmp_path / "o")
    assert whole["series"][0]["samples"] == len(t)
    # Both learn from as many first rows: the shorter file's share is what 750 rows at most allow.
    a, b = read(tmp_path / "o/a.csv")[750:half], read(tmp_path / "o/b.csv")[750:half]
    assert [r["score"] for r in a] == [r["score"] for r in b]


def test_a_wide_file_is_judged_together_and_names_the_channel(tmp_path: Path) -> None:
    n = 1500
    t = T0 + np.arange(n) * 1000
    base = np.cumsum(rng.normal(0, 0.05, n))
    p, q, i = (base * k + rng.normal(0, 0.1, n) for k in (1.0, 2.0, -1.0))
    q[1100:1200] += 4
    path = written(tmp_path / "loop.csv", t, p=p, q=q, i=i, anomaly=np.zeros(n))
    result = run([path], Options(), tmp_path / "out")
    rows = read(tmp_path / "out/loop.csv")
    assert len(rows) == n
    inside = [r for r in rows[1105:1195] if r["alarm"] == "1"]
    assert len(inside) > 60
    assert sum(r["why"].startswith("q is ") for r in inside) > len(inside) / 2
    assert result["series"][0]["left_out"] == ["anomaly"]
    alone = run([path], Options("baseline"), tmp_path / "alone")
    assert [s["series"] for s in alone["series"]] == ["loop.p", "loop.q", "loop.i"]
    assert len(read(tmp_path / "alone/loop.q.csv")) == n


def test_a_leak_is_found_in_the_balance_of_a_zone_by_night(tmp_path: Path) -> None:
    t = T0 + np.arange(0, 60 * 86_400_000, 600_000)
    hour = (t / 3_600_000 + 8) % 24
    noise = np.random.default_rng(5)
    tank = np.where((hour < 6) & (noise.random(len(t)) < 0.5), 40.0, 0.0)  # filled by night, now and then
    leak = np.where(t >= T0 + 40 * 86_400_000, 6.0, 0.0)
    inflow = 20 + 30 * (hour > 6) + tank + leak + noise.normal(0, 1, len(t))
    path = written(tmp_path / "zone.csv", t, inflow=np.round(inflow, 3), tank=tank)
    options = Options("night_flow", zone=ZoneInfo("Asia/Shanghai"), minus=("tank",))
    result = run([path], options, tmp_path / "out")
    assert len(read(tmp_path / "out/zone.csv")) == len(t)
    assert [a["from"][:10] for a in result["alarms"]] == ["2026-11-03"]  # the third night of the leak
    assert "about 5.9295 more" in result["alarms"][0]["why"]
    with pytest.raises(BadInput, match="pump: is no channel"):
        run([path], Options("night_flow", minus=("pump",)), None)


def test_files_of_one_name_do_not_overwrite_each_other(tmp_path: Path) -> None:
    t, v = daily(3)
    paths = []
    for name in ("east", "west"):
        (tmp_path / name).mkdir()
        paths.append(written(tmp_path / name / "pump.csv", t, value=v))
    run(paths, Options(), tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "alarms.csv",
        "east_pump.csv",
        "west_pump.csv",
    ]


def test_nothing_is_overwritten_and_nothing_half_done_looks_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    t, v = daily(3)
    path = written(tmp_path / "alarms.csv", t, value=v)
    out = tmp_path / "out"
    run([path], Options(), out)
    assert sorted(p.name for p in out.iterdir()) == ["alarms-2.csv", "alarms.csv"]
    with pytest.raises(BadInput, match="would overwrite"):
        run([path], Options(), tmp_path)
    twins = {"a/b": v, "a_b": v}
    run([written(tmp_path / "x.csv", t, **twins)], Options(), out)
    assert {"x.a_b.csv", "x.a_b-2.csv"} <= {p.name for p in out.iterdir()}
    with pytest.raises(BadInput, match="is no folder"):
        run([path], Options(), path)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = (out / "x.a_b.csv").read_bytes()
    monkeypatch.setattr(backtest_files, "_write", full)
    with pytest.raises(OSError, match=r"x\.a_b\.csv"):
        run([tmp_path / "x.csv"], Options(), out)
    assert (out / "x.a_b.csv").read_bytes() == before
    assert not list(out.glob("*.part"))
    assert not (out / "alarms.csv").exists()  # written last: without it a run did not end


def test_gaps_and_skipped_rows_are_told(tmp_path: Path) -> None:
    t, v = daily(3)
    hole = (t < t[50]) | (t > t[90])
    path = written(tmp_path / "x.csv", t[hole], value=v[hole])
    path.write_text(path.read_text().replace(f"{t[5]},", "yesterday,") + f"{t[7]},9\n")
    told = run([path], Options(), None)["series"][0]
    assert (told["gaps"], told["longest_gap_h"]) == (1, 10.5)
    assert [line.split(" ")[0] for line in told["skipped"]] == ["1", "1"]
    assert "7: 'yesterday'" in told["skipped"][0]


@pytest.mark.parametrize("detector", ["threshold", "random", "ones"])
def test_what_is_there_to_be_compared_with_says_so(tmp_path: Path, detector: str) -> None:
    path = written(tmp_path / "x.csv", *daily(3)[:1], value=daily(3)[1])
    for language in ("zh", "en"):
        found = run([path], Options(detector, threshold=0.3, language=language), None)["alarms"]
        assert found
        assert all(len(a["why"]) > 10 for a in found)


def test_a_night_is_judged_when_it_is_over(tmp_path: Path) -> None:
    t = T0 + np.arange(0, 60 * 86_400_000, 600_000)
    inflow = (
        20 + np.where(t >= T0 + 40 * 86_400_000, 6.0, 0.0) + np.random.default_rng(5).normal(0, 1, len(t))
    )
    whole = run([written(tmp_path / "z.csv", t, inflow=inflow)], Options("night_flow"), tmp_path / "o")
    assert len(whole["alarms"]) == 1
    at = [r["alarm"] for r in read(tmp_path / "o/z.csv")].index("1")
    for cut in (at - 3, at, at + 1):
        part = run([written(tmp_path / "z.csv", t[:cut], inflow=inflow[:cut])], Options("night_flow"), None)
        assert len(part["alarms"]) == (1 if cut > at else 0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "FILE.csv: no file"),
        (["x.csv", "--detector", "magic"], "--detector: 'magic' is unknown (known: baseline"),
        (["x.csv", "--tz", "Mars/North"], "--tz: 'Mars/North' is no time zone"),
        (["x.csv", "--threshold", "2"], "--threshold: 2 is no score"),
        (["x.csv", "--lang", "fr"], "--lang: 'fr' is no language"),
        (["--data", "d"], "--site: is missing"),
        (["--site", str(SITE)], "--data: is missing"),
        (["--site", str(SITE), "--data", "nowhere"], "nowhere"),
        (["--site", str(SITE), "--data", "d", "--from", "soon"], "--from: 'soon' is no time"),
        (["missing.csv"], "missing.csv"),
    ],
)
def test_bad_arguments_are_refused_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    t, v = daily(2)
    written(tmp_path / "x.csv", t, value=v)
    done = CliRunner().invoke(app, ["backtest", *arguments])
    assert isinstance(done.exception, BadInput)
    assert said in str(done.exception)


def test_the_command_prints_json_that_a_program_can_read(tmp_path: Path) -> None:
    t, v = daily()
    path = written(tmp_path / "pump.csv", t, value=v)
    done = CliRunner().invoke(
        app, ["backtest", str(path), "--json", "--out", str(tmp_path / "o"), "--lang", "zh"]
    )
    assert done.exit_code == 0, done.output
    result = orjson.loads(done.stdout)
    assert result["series"][0]["samples"] == len(t)
    assert "通常" in result["alarms"][0]["why"]
    shown = CliRunner().invoke(app, ["backtest", str(path)])
    assert "pump" in shown.stdout


# ── rules ─────────────────────────────────────────────────────────────────────────────────────────────

POINTS = ("pump-1/ws.out_p", "pump-1/ws.in_p")


def pressures() -> dict[str, NDArray[np.float64]]:
    """Two days, a value each ten seconds: low from 10:00 to 10:20 on the second, and for 20 s once."""
    n = 2 * 8640
    t = np.arange(n) * 10_000
    out = np.round(0.35 + rng.normal(0, 0.002, n), 4)
    out[(t >= 34 * HOUR) & (t < 34 * HOUR + 1_200_000)] = 0.29
    out[(t >= 12 * HOUR) & (t < 12 * HOUR + 20_000)] = 0.29
    return {POINTS[0]: out, POINTS[1]: np.round(0.25 + rng.normal(0, 0.002, n), 4)}


def site_point(tag: str) -> str:
    setup = load_setup(SITE)
    return next(p for p in sorted(setup.points) if p.endswith(f"/{tag}"))


def test_rules_over_a_file_find_what_the_live_engine_finds(tmp_path: Path) -> None:
    setup = load_setup(SITE)
    names = [site_point("ws.out_p"), site_point("ws.in_p")]
    t = T0 + np.arange(2 * 8640) * 10_000
    values = list(pressures().values())
    path = written(tmp_path / "p.csv", t, **dict(zip(names, values, strict=True)))
    done = CliRunner().invoke(
        app,
        [
            "backtest",
            str(path),
            "--site",
            str(SITE),
            "--rule",
            "water.*",
            "--json",
            "--out",
            str(tmp_path / "o"),
        ],
    )
    assert done.exit_code == 0, done.output
    result = orjson.loads(done.stdout)
    low = [a for a in result["alarms"] if a["rule"] == "water.out_p_low"]
    assert len(low) == 1
    assert low[0]["point"] == names[0]
    assert "0.29" in low[0]["sentence"]
    assert next(r for r in result["rules"] if r["rule"] == "water.out_p_low")["fired"] == 1

    infos = [backtest_rules._info(setup, setup.points[name], n + 1) for n, name in enumerate(names)]
    rules = [r for r in setup.rules if r.id.startswith("water.") and r.kind != "no_data"]
    live = Engine(rules, infos, T0)
    found = []
    for k in range(0, len(t), 7):  # as they arrive, in small and odd batches
        at = np.repeat(t[k : k + 7], 2)
        series = np.tile(np.array([1, 2], np.uint32), len(at) // 2)
        v = np.column_stack([c[k : k + 7] for c in values]).ravel().astype(np.float64)
        found += live.process(Samples(series, at, v, np.zeros(len(at), np.uint8)))
    found += live.tick(int(t[-1]) + 60_000)
    expected = sorted({f.id for f in found if f.active})
    again = backtest_rules.replay(
        rules, infos, backtest_rules.FileHistory([read_table(path)], {n: i + 1 for i, n in enumerate(names)}),
        (int(t[0]), int(t[-1]) + 1),
    )  # fmt: skip
    assert sorted({f.id for f in again if f.active}) == expected
    assert expected


def test_rules_over_the_store_stand_beside_alarms_and_orders(tmp_path: Path) -> None:
    point = site_point("ws.out_p")
    asset, tag = point.split("/")
    state = open_state(tmp_path / "state.db", durable=False)
    number = state.series([(asset, tag)])[asset, tag]
    t = T0 + np.arange(2 * 8640) * 10_000
    v = pressures()[POINTS[0]]
    onset = T0 + 34 * HOUR
    estate = load_setup(SITE).assets[asset].estate
    facts = {"condition": f"water.out_p_low@{point}"}
    state.commit(
        Commit(
            events=[
                Event("e1", estate, onset + 60_000, "alarm.raised", "a1", asset=asset, data=facts),
                Event("e2", estate, onset + 61_000, "order.created", "wo-1", asset=asset),
                Event("e3", estate, T0 + HOUR, "order.created", "wo-0", asset=asset),
            ]
        )
    )
    state.close()
    store = DuckStore(tmp_path)
    store.append(
        Samples(np.full(len(t), number, np.uint32), t, v, np.zeros(len(t), np.uint8)), [], historical=False
    )
    store.seal(T0)
    store.close()
    done = CliRunner().invoke(
        app,
        ["backtest", "--site", str(SITE), "--data", str(tmp_path), "--rule", "water.out_p_low", "--json"],
    )
    assert done.exit_code == 0, done.output
    result = orjson.loads(done.stdout)
    assert [(a["rule"], a["was_alarm"], a["orders"]) for a in result["alarms"]] == [
        ("water.out_p_low", True, ["wo-1"])
    ]
    assert result["orders_not_found"] == ["wo-0"]
    part = CliRunner().invoke(
        app, ["backtest", "--site", str(SITE), "--data", str(tmp_path), "--to", "2026-09-22", "--json"]
    )
    assert orjson.loads(part.stdout)["alarms"] == []


def test_a_file_for_rules_tells_what_it_lacks(tmp_path: Path) -> None:
    t, v = daily(2)
    path = written(tmp_path / "x.csv", t, **{site_point("ws.out_p"): v}, note=v)
    path.write_text(path.read_text().replace(f"{t[5]},", "yesterday,"))
    command = ["backtest", str(path), "--site", str(SITE), "--ignore", "note", "--json", "--rule", "water.*"]
    done = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "o")])
    assert done.exit_code == 0, done.output
    assert "7: 'yesterday'" in orjson.loads(done.stdout)["skipped"][0]
    assert sorted(p.name for p in (tmp_path / "o").iterdir()) == ["alarms.csv", "rules.csv"]
    for extra, said in (
        (["--minus", "a"], "--minus"),
        (["--threshold", "0.4"], "--threshold"),
        (["--lang", "fr"], "fr"),
    ):
        assert said in str(CliRunner().invoke(app, [*command, *extra]).exception)


def test_columns_that_are_no_points_are_named(tmp_path: Path) -> None:
    path = written(tmp_path / "x.csv", daily(2)[0], pressure=daily(2)[1])
    done = CliRunner().invoke(app, ["backtest", str(path), "--site", str(SITE)])
    assert "pressure: is no point of the site" in str(done.exception)
