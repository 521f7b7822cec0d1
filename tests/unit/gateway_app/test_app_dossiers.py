"""A dossier over a real store: slots filled or named, hashes as on receipt, verified offline."""

import hashlib
import zipfile
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from alerts.cases import SLOTS
from gateway.adapters.attachments import Attachments
from gateway.adapters.dossier import verify
from gateway.adapters.keys import InstallationKeys
from gateway.adapters.memory_store import MemoryStore
from gateway.adapters.state import open_state
from gateway.app.dossiers import Dossiers
from gateway.cli import app
from gateway.errors import BadInput, NotFound
from gateway.model import Event, Samples
from gateway.ports import Commit

T0 = 1_790_000_000_000
BEFORE, AFTER, PAPER = (
    b"\xff\xd8\xff before \xff\xd9",
    b"\xff\xd8\xff after \xff\xd9",
    b"%PDF-1.7 contract %%EOF",
)
TEXT = {"zh": "供水压力低", "en": "pressure low"}


@pytest.fixture
def made(tmp_path: Path) -> tuple[Dossiers, dict[str, str], InstallationKeys]:
    state = open_state(tmp_path / "state.db", durable=False)
    samples, files, keys = MemoryStore(), Attachments(tmp_path / "a"), InstallationKeys(tmp_path)
    hashes = {k: files.put(d) for k, d in (("before", BEFORE), ("after", AFTER), ("paper", PAPER))}
    series = state.series([("ws", "ws.out_p")])["ws", "ws.out_p"]
    times = [T0 + n * 60_000 for n in range(-20, 21)]
    samples.append(Samples.of([series] * len(times), times, [0.2] * len(times)), [], historical=False)
    photos = [{"sha256": hashes[k], "kind": k, "media": "image/jpeg", "size": 1} for k in ("before", "after")]
    order = {
        "id": "wo-1",
        "estate": "e1",
        "alarms": ["a1"],
        "notes": [],
        "photos": photos,
        "title": TEXT,
        "verified_by": "sensor",
        "override_reason": "",
        "costs_total": {"total": 12_345},
        "keep": {"x": 1},
    }
    alarm = {
        "id": "a1",
        "point": "ws/ws.out_p",
        "raised_at": T0,
        "cleared_at": None,
        "sentence": TEXT,
        "name": TEXT,
        "memory": {"x": 1},
    }
    paper = {"sha256": hashes["paper"], "media": "application/pdf"}
    slots = {
        s: {"text": f"说明 {s}", "files": [paper] if s == "contract" else [], "by": "z", "at": T0}
        for s in ("survey", "necessity", "plan", "budget", "contractor", "contract")
    }
    case: dict[str, Any] = {
        "id": "case-1",
        "estate": "e1",
        "order": "wo-1",
        "slots": slots,
        "amount_fen": 12_345,
        "review": None,
    }
    state.commit(
        Commit(
            records=[
                ("case", "case-1", "e1", case),
                ("order", "wo-1", "e1", order),
                ("alarm", "a1", "e1", alarm),
            ],
            events=[
                Event("x1", "e1", T0, "order.created", "wo-1"),
                Event("x2", "e1", T0, "alarm.raised", "a1"),
            ],
        )
    )
    return Dossiers(state, samples, files, keys), hashes, keys


def test_all_slots_are_there_or_named_and_the_hashes_are_those_of_receipt(
    made: tuple[Dossiers, dict[str, str], InstallationKeys], tmp_path: Path
) -> None:
    dossiers, hashes, keys = made
    data = dossiers.make("case-1")
    assert data == dossiers.make("case-1"), "the same case gives the same bytes"
    path = tmp_path / "case-1.zip"
    path.write_bytes(data)
    found = verify(path, keys.public.hex())
    assert (found.faults, found.missing, found.case) == ([], ["notice"], "case-1")
    with zipfile.ZipFile(path) as z:
        names = set(z.namelist())
        for name, content in (
            (f"photos/before_{hashes['before']}.jpg", BEFORE),
            (f"photos/after_{hashes['after']}.jpg", AFTER),
            (f"papers/contract_{hashes['paper']}.pdf", PAPER),
        ):
            assert z.read(name) == content
            assert hashlib.sha256(content).hexdigest() in name
        assert z.read("dossier.pdf").startswith(b"%PDF-")
        raw = z.read("raw/ws_ws.out_p_a1.csv").decode().splitlines()
        assert (raw[0], len(raw)) == ("t_ms,value,quality", 21), "ten minutes before and after"
        assert [orjson.loads(line)["kind"] for line in z.read("events.jsonl").splitlines()] == [
            "order.created", "alarm.raised",
        ]  # fmt: skip
        assert b"keep" not in z.read("order.json")
    assert {"case.json", "alarms.json", "manifest.json", "manifest.sig"} <= names
    assert len(SLOTS) == 14
    with pytest.raises(NotFound):
        dossiers.make("case-9")


def test_a_paper_that_is_not_there_is_named_and_the_dossier_is_made_all_the_same(
    made: tuple[Dossiers, dict[str, str], InstallationKeys], tmp_path: Path
) -> None:
    dossiers, _, keys = made
    case = dossiers._state.record("case", "case-1") or {}
    gone = {"sha256": "a" * 64, "media": "application/pdf"}
    slots = case["slots"] | {"plan": {"text": "new pumps", "files": [gone], "by": "z", "at": T0}}
    dossiers._state.commit(Commit(records=[("case", "case-1", "e1", {**case, "slots": slots})]))
    path = tmp_path / "case-1.zip"
    path.write_bytes(dossiers.make("case-1"))
    found = verify(path, keys.public.hex())
    assert (found.faults, found.missing) == ([], ["plan", "notice"])
    with zipfile.ZipFile(path) as z:
        assert b'"lost"' in z.read("manifest.json")


def change(path: Path, to: Path, name: str, data: bytes | None) -> None:
    with zipfile.ZipFile(path) as z, zipfile.ZipFile(to, "w") as out:
        for n in z.namelist():
            if n != name:
                out.writestr(n, z.read(n))
        if data is not None:
            out.writestr(name, data)


def test_nothing_can_be_changed_added_or_taken_away(
    made: tuple[Dossiers, dict[str, str], InstallationKeys], tmp_path: Path
) -> None:
    dossiers, hashes, _ = made
    path, bad = tmp_path / "a.zip", tmp_path / "b.zip"
    path.write_bytes(dossiers.make("case-1"))
    photo = f"photos/after_{hashes['after']}.jpg"
    with zipfile.ZipFile(path) as z:
        manifest = z.read("manifest.json")
    for name, data, said in (
        (photo, BEFORE, "was changed"),
        (photo, None, "is missing"),
        ("extra.txt", b"x", "not in the manifest"),
        ("manifest.json", manifest.replace(b'"notice"', b'"amount"'), "signature"),
        ("manifest.sig", b"\0" * 64, "signature"),
    ):
        change(path, bad, name, data)
        assert any(said in f for f in verify(bad).faults), (name, said)
    other = InstallationKeys(tmp_path / "other").public.hex()
    assert "not by" in verify(path, other).faults[0]
    bad.write_bytes(b"no zip")
    with pytest.raises(BadInput):
        verify(bad)
    change(path, bad, "manifest.sig", None)
    with pytest.raises(BadInput, match="no dossier"):
        verify(bad)


def test_the_command_says_it_with_its_exit_code(
    made: tuple[Dossiers, dict[str, str], InstallationKeys], tmp_path: Path
) -> None:
    dossiers, _, keys = made
    path = tmp_path / "a.zip"
    path.write_bytes(dossiers.make("case-1"))
    run = CliRunner()
    good = run.invoke(app, ["dossier", "verify", str(path), "--key", keys.public.hex(), "--json"])
    assert (good.exit_code, orjson.loads(good.stdout)["faults"]) == (0, [])
    assert run.invoke(app, ["dossier", "verify", str(path), "--key", "00"]).exit_code == 1
