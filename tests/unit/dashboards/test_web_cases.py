"""Papers of the fund's cases: known by their bytes, named in a slot only when they are there."""

from __future__ import annotations

from pathlib import Path

from dashboards.web import WebOptions
from gateway.adapters.attachments import Attachments
from gateway.ports.state import Commit
from tests.support.web_site import HASHER, Build

EN = {"Accept-Language": "en"}
PDF = b"%PDF-1.7 survey %%EOF"


async def test_a_paper_that_nobody_uploaded_fills_no_slot(build: Build, tmp_path: Path) -> None:
    site = build(WebOptions(hasher=HASHER, files=Attachments(tmp_path / "a")))
    lead = await site.login("supervisor")
    body = {"slot": "survey", "text": "both pumps", "files": [{"sha256": "a" * 64}]}
    refused = await lead.post("/api/v1/cases/c1/fill", json=body, headers={"Accept-Language": "zh"})
    assert (refused.status_code, refused.json()["detail"]) == (422, "材料尚未上传。")
    assert not [c for c in site.desk.commands if c.kind == "case.fill"]
    wrong: list[object] = [{"sha256": "x"}, {"sha256": "a" * 64, "junk": 1}, "a" * 64]
    for file in wrong:
        assert (await lead.post("/api/v1/cases/c1/fill", json=body | {"files": [file]})).status_code == 422
    await lead.aclose()


async def test_what_a_slot_says_of_a_paper_comes_from_its_bytes(build: Build, tmp_path: Path) -> None:
    site = build(WebOptions(hasher=HASHER, files=Attachments(tmp_path / "a")))
    lead = await site.login("supervisor")
    up = (await lead.post("/api/v1/cases/c1/papers", content=PDF)).json()
    told = {"sha256": up["sha256"], "name": "survey.pdf", "size": 1, "media": "image/png"}
    body = {"slot": "survey", "text": "both pumps", "files": [told]}
    assert (await lead.post("/api/v1/cases/c1/fill", json=body)).status_code == 200
    (command,) = [c for c in site.desk.commands if c.kind == "case.fill"]
    assert command.data["files"] == [up | {"name": "survey.pdf"}]
    assert up["media"] == "application/pdf"
    assert (await lead.get(f"/api/v1/cases/c1/papers/{up['sha256']}")).status_code == 404, "in no slot yet"
    await lead.aclose()


async def test_a_paper_or_photo_of_others_fills_no_slot_but_those_of_the_order_do(
    build: Build, tmp_path: Path
) -> None:
    site = build(WebOptions(hasher=HASHER, files=Attachments(tmp_path / "a")))
    store, state = Attachments(tmp_path / "a"), site.desk.state
    foreign, photo, held = (store.put(PDF + word) for word in (b"other", b"photo", b"held"))
    case, order = (dict(state.record(kind, id_) or {}) for kind, id_ in (("case", "c1"), ("order", "o1")))
    case |= {"order": "o1", "slots": {"plan": {"files": [{"sha256": held}]}}}
    order["photos"] = [{"sha256": photo, "kind": "before"}]
    records = [("case", "c1", case["estate"], case), ("order", "o1", order["estate"], order)]
    state.commit(Commit(records=[*records, ("case", "c2", case["estate"], case | {"id": "c2", "slots": {}})]))
    lead = await site.login("supervisor")
    body = {"slot": "survey", "text": "both pumps"}
    elsewhere = (await lead.post("/api/v1/cases/c2/papers", content=PDF)).json()["sha256"]
    for sha in (foreign, elsewhere):
        refused = await lead.post(
            "/api/v1/cases/c1/fill", json=body | {"files": [{"sha256": sha}]}, headers=EN
        )
        assert (refused.status_code, "upload it first" in refused.json()["detail"]) == (422, True)
    assert not [c for c in site.desk.commands if c.kind == "case.fill"]
    assert (await lead.post("/api/v1/cases/c1/papers", content=PDF)).json()["sha256"] == elsewhere
    files = [{"sha256": sha} for sha in (elsewhere, photo, held)]
    assert (await lead.post("/api/v1/cases/c1/fill", json=body | {"files": files})).status_code == 200
    await lead.aclose()


async def test_the_same_key_with_other_words_tells_the_core_so(build: Build, tmp_path: Path) -> None:
    site = build(WebOptions(hasher=HASHER, files=Attachments(tmp_path / "a")))
    lead = await site.login("supervisor")
    for n, body in enumerate(({"text": "one"}, {"text": "one", "sent_at": 5, "done_at": 5}, {"text": "two"})):
        key = {"Idempotency-Key": f"some-key-{n}"}
        assert (await lead.post("/api/v1/orders/o1/note", json=body, headers=key)).status_code == 200
    said = [c.said for c in site.desk.commands if c.kind == "order.note"]
    assert said[0] == said[1] != said[2], "when it was said is not what was said"
    await lead.aclose()
