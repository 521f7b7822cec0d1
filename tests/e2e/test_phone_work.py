"""The technician's phone: proof of arrival, typed items, photos, help; a bad line, a killed tab; a guest."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Dialog, Page, expect

from tests.e2e.pages_support import (
    FLAGS,
    PHONE,
    Enter,
    Visit,
    Wire,
    browser,
    chromium_path,
    demo,
    enter,
    until,
    wire,
)
from tests.e2e.phone_support import (
    BadLine,
    arrive_without_code,
    events_of,
    film,
    job,
    next_step,
    phone,
    picture,
    sent,
    sticker,
)

pytestmark = [pytest.mark.browser, pytest.mark.slow]
__all__ = ["browser", "demo", "enter", "wire"]

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}


def code_of(enter: Enter, asset: str) -> str:
    """The address on the asset's sticker."""
    return str(enter("supervisor").get(f"/api/v1/assets/{asset}/report-code")["url"])


def sound(page: Page, what: str) -> None:
    """No complaint of axe, nothing wider than the screen."""
    page.evaluate(AXE.read_text("utf-8"))
    # As tall as it is: the button that stays at the bottom hides nothing for good.
    tall = page.evaluate("document.documentElement.scrollHeight")
    page.set_viewport_size({"width": PHONE[0], "height": max(PHONE[1], tall)})
    found = page.evaluate("rules => axe.run(document, rules)", RULES)["violations"]
    assert [(v["id"], n["target"], n["failureSummary"][:200]) for v in found for n in v["nodes"]] == [], what
    page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0], what


def test_a_photo_of_the_qr_code_proves_the_arrival(enter: Enter) -> None:
    order, address = job(enter, "mh-2"), code_of(enter, "mh-2")
    visit = phone(enter, order)
    next_step(visit.page).click()
    next_step(visit.page).filter(has_text="我已到达").click()
    visit.page.locator("dialog.scan input[name=photo]").set_input_files(sticker(address))
    expect(visit.page.locator(".path .proof")).to_have_text("已扫码", timeout=20_000)
    arrived = [e for e in events_of(visit, order) if e["kind"] == "order.arrived"]
    assert [(e["data"]["proof"], e["data"]["evidence"]) for e in arrived] == [("qr", "code")]
    assert visit.errors == []
    assert visit.foreign == []


def test_the_camera_reads_the_code(enter: Enter, browser: Browser, tmp_path: Path) -> None:
    order, address = job(enter, "mh-4"), code_of(enter, "mh-4")
    (tmp_path / "wall.y4m").write_bytes(film(address))
    flags = [
        *FLAGS, "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={tmp_path / 'wall.y4m'}",
    ]  # fmt: skip
    other = browser.browser_type.launch(executable_path=chromium_path(), args=flags)
    try:
        there = enter().demo
        context = other.new_context(viewport={"width": PHONE[0], "height": PHONE[1]}, locale="zh-CN")
        visit = Visit(there, context, context.new_page())
        visit.watch()
        visit.log_in("technician")
        page = visit.page
        page.locator(f'.job[data-order="{order}"] .job-open').click()
        next_step(page).click()
        next_step(page).filter(has_text="我已到达").click()
        page.locator("dialog.scan .primary").click()
        expect(page.locator(".path .proof")).to_have_text("已扫码", timeout=40_000)
        assert visit.errors == []
    finally:
        other.close()


def test_a_typed_code_counts_and_that_of_another_facility_does_not(enter: Enter) -> None:
    wrong = code_of(enter, "ws-1").rpartition("/")[2]
    for asset, given, proof in (("lt-1", "", "typed"), ("gen-1", wrong, "none")):
        order = job(enter, asset)
        visit = phone(enter, order)
        next_step(visit.page).click()
        next_step(visit.page).filter(has_text="我已到达").click()
        visit.page.locator("dialog.scan input[name=code]").fill(given or code_of(enter, asset)[-12:].upper())
        visit.page.locator("dialog.scan button[value=code]").click()
        expect(next_step(visit.page)).to_have_text("处理完成")
        sent(visit.page)
        body = visit.get(f"/api/v1/orders/{order}")["order"]
        assert (body["state"], body["arrival"]) == ("ON_SITE", proof), "an arrival is never lost"


def test_what_is_sent_is_what_is_hashed_and_it_is_small(enter: Enter) -> None:
    order = job(enter, "sump-2")
    visit = phone(enter, order)
    page = visit.page
    next_step(page).click()
    expect(next_step(page)).to_have_text("我已到达")
    bodies: list[bytes] = []
    page.on("request", lambda r: bodies.append(r.post_data_buffer or b"") if "/photos?" in r.url else None)
    for n, name in enumerate(("拍维修前", "拍维修后")):
        page.locator(".photo-button", has_text=name).locator("input").set_input_files(picture(seed=n))
        expect(page.locator(".photos .photo")).to_have_count(n + 1, timeout=60_000)
    sent(page)
    photos = visit.get(f"/api/v1/orders/{order}")["order"]["photos"]
    assert [p["kind"] for p in photos] == ["before", "after"]
    assert [p["sha256"] for p in photos] == [hashlib.sha256(b).hexdigest() for b in bodies]
    assert all(b[:3] == b"\xff\xd8\xff" and len(b) <= 400_000 for b in bodies)
    shown = page.locator(".photos code").all_inner_texts()
    assert shown == [p["sha256"][:8] for p in photos]
    for p in photos:
        kept = visit.context.request.get(f"{visit.demo.url}/api/v1/orders/{order}/photos/{p['sha256']}")
        assert hashlib.sha256(kept.body()).hexdigest() == p["sha256"]


def test_help_reaches_the_order_and_work_goes_to_a_colleague_only(enter: Enter) -> None:
    order = job(enter, "ws-1")
    visit = phone(enter, order)
    visit.page.get_by_role("button", name="求助").click()
    assert visit.page.locator("dialog a[href^='tel:']").count() >= 1
    visit.page.locator("dialog select").select_option("parts")
    visit.page.locator("dialog .primary").click()
    notes = until("note", lambda: visit.get(f"/api/v1/orders/{order}")["order"]["notes"])
    assert [n["text"] for n in notes] == ["求助 · 备件或工具"]
    assert visit.post(f"/api/v1/orders/{order}/handover", {"to": "regulator"})[0] == 422
    assert visit.post(f"/api/v1/orders/{order}/reassign", {"to": "TE"})[0] == 403


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_every_step_fits_the_screen_and_is_accessible(enter: Enter, lang: str) -> None:
    order = job(enter, {"zh": "gw-1", "en": "em-1"}[lang])
    visit = phone(enter, order, lang=lang)
    page = visit.page
    sound(page, "waiting")
    next_step(page).click()
    expect(page.locator('.sheet[data-state="ACCEPTED"]')).to_be_visible()
    next_step(page).click()
    sound(page, "proof of arrival")
    page.locator("dialog .without").click()
    expect(page.locator('.sheet[data-state="ON_SITE"]')).to_be_visible()
    page.locator(".photo-button input").first.set_input_files(picture(600, 400))
    page.locator(".photos .photo").wait_for(timeout=60_000)
    sound(page, "at work")
    page.locator("#queue").click()
    sound(page, "queue")
    page.keyboard.press("Escape")
    assert visit.errors == []


def answer(page: Page, given: str) -> None:
    """Fill in the only item: type a number, or press what is offered."""
    item = page.locator(".sheet .item")
    if item.locator("input[type=text]").count():
        item.locator("input[type=text]").fill(given)
        item.locator("input[type=text]").press("Tab")
    else:
        item.get_by_role("button", name=given).click()


@pytest.mark.parametrize(
    ("asset", "given", "kept"), [("mh-1", "7,5", 7.5), ("sep-1", "12", 12.0), ("sump-1", "已疏通", "")]
)
def test_answers_keep_their_type(enter: Enter, asset: str, given: str, kept: object) -> None:
    order = job(enter, asset)
    visit = phone(enter, order)
    next_step(visit.page).click()
    expect(visit.page.locator('.sheet[data-state="ACCEPTED"]')).to_be_visible()
    answer(visit.page, given)
    sent(visit.page)
    until("answer", lambda: visit.get(f"/api/v1/orders/{order}")["order"]["checklist"][0]["by"])
    value = visit.get(f"/api/v1/orders/{order}")["order"]["checklist"][0]["value"]
    assert isinstance(value, type(kept)), value


def test_a_meter_takes_no_negative_reading_and_what_is_beyond_is_marked(enter: Enter) -> None:
    order = job(enter, "wm-1")
    visit = phone(enter, order)
    next_step(visit.page).click()
    expect(visit.page.locator('.sheet[data-state="ACCEPTED"]')).to_be_visible()
    box = visit.page.locator('.item[data-type="meter"] input')
    box.fill("-3")
    box.press("Tab")
    assert not box.evaluate("box => box.validity.valid")
    box.fill("1234.5")
    box.press("Tab")
    sent(visit.page)
    checks = until("reading", lambda: [e for e in events_of(visit, order) if e["kind"] == "order.checked"])
    assert [e["data"]["value"] for e in checks] == [1234.5]


# ── bad lines ─────────────────────────────────────────────────────────────────────────────────────────


def note(page: Page, text: str) -> None:
    page.get_by_role("button", name="备注").click()
    page.locator("dialog textarea").fill(text)
    page.locator("dialog .primary").click()
    # What is shown is on the disk.
    expect(page.locator(".sheet .rows li", has_text=re.compile(rf"^{text}(?!\d)"))).to_be_visible()


def test_a_third_of_the_answers_lost_and_the_tab_killed_every_act_arrives_once_in_order(enter: Enter) -> None:
    order = job(enter, "pw-1")
    line = BadLine(share=0.3, seed=4)
    # Without the worker: so it is on a plain address in a local network.
    visit = phone(enter, order, service_workers="block")
    visit.context.route("**/api/v1/orders/**", line)
    page = visit.page
    next_step(page).click()
    expect(next_step(page)).to_have_text("我已到达")
    arrive_without_code(page)
    expect(next_step(page)).to_have_text("处理完成")
    wanted = [f"note {n}" for n in range(12)]
    for n, text in enumerate(wanted):
        note(page, text)
        if n == 3:
            page.locator(".photo-button input").first.set_input_files(picture(900, 600))
            page.locator(".photos .photo").wait_for(timeout=60_000)
        if n in (5, 9):
            page.close()  # nothing is said goodbye to: what was pressed is on the disk
            page = visit.page = visit.context.new_page()
            page.goto(f"{visit.demo.url}/t#{order}")
            page.locator(".sheet").wait_for()
    sent(page, 120)
    assert line.before >= 2
    assert line.after >= 2
    events = events_of(visit, order)
    assert [e["data"]["text"] for e in events if e["kind"] == "order.noted"] == wanted
    assert [e["kind"] for e in events].count("order.photo") == 1
    own = [e["kind"] for e in events if e["actor"] == "technician"]
    assert own[:2] == ["order.accepted", "order.arrived"]
    assert len(own) == 2 + len(wanted) + 1
    assert [e["t"] for e in events if e["actor"] == "technician"][:2] == sorted(
        e["t"] for e in events if e["actor"] == "technician"
    )[:2]


def test_the_queue_tells_the_time_of_the_phone_and_of_the_server(enter: Enter, wire: Wire) -> None:
    order = job(enter, "mh-3")
    visit = phone(enter, order, url=wire.url)
    page = visit.page
    page.locator("body[data-kept]").wait_for()
    wire.cut()
    next_step(page).click()
    arrive_without_code(page)
    page.locator(".photo-button input").first.set_input_files(picture(500, 400))
    expect(page.locator("#queue")).to_have_text("3 项待上传")
    page.reload()  # in the basement: page, jobs, acts and picture are all in the phone
    expect(page.locator("#queue")).to_have_text("3 项待上传", timeout=15_000)
    expect(page.locator(".photo.waiting img")).to_have_js_property("complete", True)
    page.locator("#queue").click()
    expect(page.locator("dialog .queue-rows li")).to_have_count(3)
    page.keyboard.press("Escape")
    wire.mend()
    sent(page)
    page.locator("#queue").click()
    expect(page.locator("dialog .queue-rows li")).to_have_count(3)
    rows = page.locator("dialog .queue-rows li").all_inner_texts()
    assert [r.split()[0] for r in rows] == ["照片", "到达", "接单"]
    assert all("→" in r for r in rows)
    kinds = [e["kind"] for e in events_of(visit, order) if e["actor"] == "technician"]
    assert kinds == ["order.accepted", "order.arrived", "order.photo"]


def test_logging_out_with_acts_that_wait_asks_first(enter: Enter, wire: Wire) -> None:
    order = job(enter, "lift-1", "LM")
    visit = phone(enter, order, "lift-tech", url=wire.url)
    page = visit.page
    wire.cut()
    next_step(page).click()
    expect(page.locator("#queue")).to_have_text("1 项待上传")
    asked: list[str] = []

    def refuse(question: Dialog) -> None:
        asked.append(question.message)
        question.dismiss()

    page.on("dialog", refuse)
    page.locator("details.person summary").click()
    page.locator("details.person .linkish").click()
    assert until("question", lambda: asked) == ["还有 1 项没有上传，退出后将丢失。仍要退出吗？"]
    expect(page.locator("#queue")).to_have_text("1 项待上传")
    wire.mend()
    sent(page)


# ── a guest ───────────────────────────────────────────────────────────────────────────────────────────


def link_for(enter: Enter, order: str) -> tuple[Visit, str]:
    """The supervisor's page with a fresh link, and its address."""
    lead = phone(enter, order, "supervisor")
    lead.page.get_by_role("button", name="外单位链接").click()
    lead.page.locator("dialog input[name=name]").fill("张三")
    lead.page.locator("dialog .primary").click()
    address = lead.page.locator(".link-address").inner_text()
    sound(lead.page, "link")
    lead.page.keyboard.press("Escape")
    return lead, address


def test_a_contractor_works_by_a_link_on_one_phone_until_it_is_revoked(enter: Enter) -> None:
    order = job(enter, "lift-2", "LM")
    lead, address = link_for(enter, order)
    visit = enter(size=PHONE)
    page = visit.page
    page.goto(address)
    sound(page, "door")
    page.locator("#door .primary").click()
    page.locator(".sheet").wait_for()
    assert "#" not in page.url
    sound(page, "guest")
    assert page.locator("header.bar nav").count() == 0
    next_step(page).click()
    expect(next_step(page)).to_have_text("我已到达")
    arrive_without_code(page)
    expect(next_step(page)).to_have_text("处理完成")
    page.locator(".photo-button input").first.set_input_files(picture(500, 400))
    page.locator(".photos .photo").wait_for(timeout=60_000)
    sent(page)
    guest = next(e for e in events_of(lead, order) if e["kind"] == "order.accepted")["actor"]
    assert guest.startswith("guest-")
    own = [e["kind"] for e in events_of(lead, order) if e["actor"] == guest]
    assert own == ["order.accepted", "order.arrived", "order.photo"]
    other = enter(size=PHONE)
    other.page.goto(address)
    other.page.locator("#door .primary").click()
    expect(other.page.locator("#door .problem")).to_contain_text("另一台设备")
    assert visit.context.request.get(f"{visit.demo.url}/api/v1/orders/{order}").status == 401
    lead.page.get_by_role("button", name="已发链接").click()
    lead.page.locator("dialog li button").click()
    expect(page.locator("#jobs")).to_contain_text("链接已失效", timeout=20_000)
