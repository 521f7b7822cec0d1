// One job: where, what now, whom to call, the checklist, and one large button for the next step.
import { boot, can, me, pick, t } from "../core/boot.js";
import { ask } from "../core/ask.js";
import { cardSteps } from "../core/card.js";
import { el, shape } from "../core/dom.js";
import { minute, pointName, reading, unit } from "../core/format.js";
import { levelOf, STALE } from "../core/model.js";
import { countdown, WAITING } from "./jobs.js";

const PATH = ["DISPATCHED", "ACCEPTED", "ON_SITE", "DONE", "VERIFIED"];
const SAME = { EN_ROUTE: "ACCEPTED", WORKING: "ON_SITE", REJECTED: "DISPATCHED", REASSIGNED: "DISPATCHED", NEW: "DISPATCHED", CLOSED: "VERIFIED" };
const AT_WORK = new Set(["ACCEPTED", "EN_ROUTE", "ON_SITE", "WORKING"]);

export function sheet(live, order, { back, step }) {
  const asset = live.assets.get(order.asset);
  const estate = live.estates.find((e) => e.id === order.estate);
  const alarm = live.alarms.get(order.alarm) ?? order.alarms?.map((id) => live.alarms.get(id)).find(Boolean);
  return el("article", { class: "sheet", "data-order": order.id },
    el("button", { type: "button", class: "back", onclick: back }, `‹ ${t("nav.jobs")}`),
    el("h1", { class: `p${order.priority}` }, shape(order.priority, WAITING.has(order.state) ? "UNACK" : "ACKED", 26), el("span", {}, pick(order.title))),
    el("p", {}, [pick(estate?.name), pick(asset?.place), pick(estate?.address)].filter(Boolean).join(" · "), order.drill ? el("span", { class: "tag" }, t("alarm.drill")) : null),
    progress(order),
    clocks(order),
    alarm ? now(live, alarm) : null,
    calls(live, order, asset, estate),
    alarm?.card?.length ? panel("card.title", cardSteps(alarm)) : null,
    order.checklist.length ? panel("job.checklist", ...order.checklist.map((i) => item(order, i, step)), `${order.checklist.filter((i) => i.value !== null && i.value !== undefined).length}/${order.checklist.length}`) : null,
    order.notes.length ? panel("alarm.notes", el("ul", { class: "rows" }, order.notes.map((n) => el("li", {}, n.text, el("span", { class: "push" }), el("span", { class: "muted" }, `${n.by} ${minute(n.t)}`))))) : null,
    others(order, step, live),
    nextStep(order, step));
}

const panel = (key, ...parts) => {
  const note = typeof parts.at(-1) === "string" ? parts.pop() : "";
  return el("section", { class: "panel" }, el("header", {}, el("h2", {}, t(key)), el("span", { class: "muted" }, note)), ...parts);
};

function progress(order) {
  const here = PATH.indexOf(SAME[order.state] ?? (order.state === "ON_HOLD" ? "ACCEPTED" : order.state));
  return el("ol", { class: "panel path" }, PATH.map((s, n) => el("li", { class: n <= here ? "done" : "", "aria-current": n === here ? "step" : null },
    t(`job.path.${s}`), el("small", {}, order.stamps[s] ? minute(order.stamps[s]) : order.stamps[s] === null ? t("job.unsent") : "\u00a0"))));
}

function clocks(order) {
  const all = ["accept", "arrive", "restore"].filter((name) => order.clocks?.[name]?.due);
  return el("dl", { class: "panel clocks" }, all.map((name) => {
    const c = order.clocks[name];
    const cell = c.met_at ? el("dd", {}, `✓ ${minute(c.met_at)}`) : el("dd", { "data-due": c.due });
    return el("div", {}, el("dt", {}, t(`clock.${name}`)), cell);
  }));
}

/** What the sensor says at this moment. */
function now(live, alarm) {
  const point = live.points.get(alarm.point);
  const v = point && live.values[alarm.point];
  const value = el("b", { "data-point": alarm.point }, v ? reading(point, v[1]) : "—");
  return panel("job.now", el("p", { class: `live-value live ${v && levelOf(v[2]) >= STALE ? "stale" : ""}` }, el("span", { class: "muted" }, point ? pointName(point) : pick(alarm.name)), value,
    el("span", { class: "muted" }, point?.kind === "analog" && alarm.limit !== null ? `${t("trend.limit")} ${reading(point, alarm.limit)}` : "")),
  el("dl", { class: "pairs" }, ["cause", "response"].flatMap((k) => [el("dt", {}, t(`alarm.${k}`)), el("dd", {}, pick(alarm[k]))])));
}

function calls(live, order, asset, estate) {
  const keeper = live.contractors.get(asset?.contractor);
  const numbers = [[t("job.room"), estate?.complaint_phone], keeper && [pick(keeper.name), keeper.phone]].filter((x) => x && x[1]);
  return el("section", { class: "panel calls" }, numbers.map(([name, phone]) => el("a", { class: "button", href: `tel:${phone.replaceAll("-", "")}` }, el("span", {}, name), el("strong", {}, phone))));
}

function item(order, i, step) {
  const open = AT_WORK.has(order.state);
  const send = (value) => step(order, "check", { item: i.id, value });
  const same = (v) => String(i.value === v);
  const answers = { yesno: yesno, number: typed, text: typed }[i.type] ?? typed;
  const odd = i.type === "number" && typeof i.value === "number" && ((i.low !== null && i.low !== undefined && i.value < i.low) || (i.high !== null && i.high !== undefined && i.value > i.high));
  return el("div", { class: "item", "data-item": i.id }, el("span", {}, pick(i.text), i.waiting ? el("span", { class: "muted" }, ` · ${t("job.unsent")}`) : null), answers(),
    odd ? el("span", { class: "odd" }, t("job.odd", { low: i.low ?? "—", high: i.high ?? "—" })) : null);

  function yesno() {
    return el("div", { class: "answers" }, [[true, "ui.yes"], [false, "ui.no"]].map(([v, key]) => el("button", { type: "button", class: "button", "aria-pressed": same(v), disabled: !open, onclick: () => send(v) }, t(key))));
  }
  function typed() {
    const box = el("input", { type: "text", inputmode: i.type === "number" ? "decimal" : "text", value: i.value ?? "", disabled: !open, "aria-label": pick(i.text) });
    const take = () => {
      const text = box.value.trim().replace(",", ".");
      if (text === "" || text === String(i.value ?? "")) return;
      if (i.type === "number" && !Number.isFinite(Number(text))) { box.setCustomValidity(t("job.number")); box.reportValidity(); return; }
      box.setCustomValidity("");
      send(i.type === "number" ? Number(text) : text);
    };
    box.addEventListener("change", take);
    return el("div", { class: "answers" }, box, i.unit ? el("span", {}, unit(i.unit)) : null);
  }
}

/** Everything that is not the next step: small, and each asks for a reason. */
function others(order, step, live) {
  const buttons = [];
  const add = (action, key, f) => can(action) && buttons.push(el("button", { type: "button", class: "button", onclick: f }, t(key)));
  const reason = (kind, title, act, options) => async () => {
    const given = await ask({ title: t(title), ok: t(kind), fields: [options ? { name: "reason", kind: "select", label: t("act.reason"), options } : { name: "reason", kind: "area", label: t("act.reason"), minlength: 2 }] });
    if (given) step(order, act, given);
  };
  if (["DISPATCHED", "REASSIGNED"].includes(order.state)) add("order.reject", "job.reject", reason("job.reject", "job.reject", "reject"));
  if (AT_WORK.has(order.state) || WAITING.has(order.state)) add("order.reassign", "job.reassign", () => reassign(order, step, live));
  if (order.state === "ACCEPTED") add("order.en_route", "job.en_route", () => step(order, "en_route"));
  if (AT_WORK.has(order.state)) add("order.hold", "job.hold", reason("job.hold", "job.hold", "hold", Object.entries(boot.holds).map(([k, v]) => [k, pick(v)])));
  add("order.note", "act.note", async () => {
    const given = await ask({ title: t("act.note_title"), ok: t("act.note"), fields: [{ name: "text", kind: "area", label: t("act.text_of_note") }] });
    if (given) step(order, "note", given);
  });
  return el("div", { class: "others" }, buttons);
}

async function reassign(order, step, live) {
  const people = live.shift.flatMap((s) => s.people.filter((p) => p.id !== me.id).map((p) => [p.id, `${p.name} · ${t(`duty.${s.duty}`)}`]));
  const given = await ask({ title: t("job.reassign"), ok: t("job.reassign"), fields: [{ name: "to", kind: "select", label: t("act.to"), options: people }] });
  if (given) step(order, "reassign", given);
}

async function done(order, step) {
  const open = order.checklist.filter((i) => i.value === null || i.value === undefined);
  const given = await ask({
    title: t("job.done"), ok: t("job.done"), text: open.length ? t("job.open_items", { n: open.length }) : "",
    fields: [
      { name: "cause_code", kind: "select", label: t("job.cause"), options: Object.entries(boot.causes).map(([k, v]) => [k, pick(v)]) },
      { name: "action", kind: "area", label: t("job.action"), minlength: 1, maxlength: 2000 },
    ],
  });
  if (given) step(order, "done", given);
}

function nextStep(order, step) {
  const big = (key, f) => el("div", { class: "next" }, el("button", { type: "button", class: "button primary step", onclick: f }, t(key)));
  if (WAITING.has(order.state)) return big("job.accept", () => step(order, "accept"));
  if (["ACCEPTED", "EN_ROUTE"].includes(order.state)) return big("job.arrive", () => step(order, "arrive"));
  if (["ON_SITE", "WORKING"].includes(order.state)) return big("job.done", () => done(order, step));
  if (order.state === "ON_HOLD") return big("job.resume", () => step(order, "resume"));
  if (order.state === "DONE" && can("order.verify")) {
    return big("job.verify", async () => {
      const given = await ask({ title: t("job.verify"), text: t("job.verify_text"), ok: t("job.verify"), fields: [{ name: "reason", kind: "area", label: t("act.reason"), minlength: 2 }] });
      if (given) step(order, "verify", given);
    });
  }
  if (order.state === "VERIFIED" && can("order.close")) return big("job.close", () => step(order, "close"));
  return el("p", { class: "waiting-note" }, t(order.state === "DONE" ? "job.waits" : "job.verified"));
}
