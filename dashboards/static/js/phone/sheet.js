// One job: where, what now, whom to call, the checklist, the photos, and one large button for the next step.
import { boot, can, pick, t } from "../core/boot.js";
import { ask } from "../core/ask.js";
import { cardSteps } from "../core/card.js";
import { el, shape } from "../core/dom.js";
import { minute, pointName, reading } from "../core/format.js";
import { levelOf, STALE } from "../core/model.js";
import { dial, handOver, help, numbers } from "./help.js";
import { answered, item } from "./items.js";
import { countdown, WAITING } from "./jobs.js";
import { listLinks, makeLink } from "./links.js";
import { gallery } from "./photos.js";
import { prove } from "./scan.js";
import { guest, offers } from "./where.js";

const PATH = ["DISPATCHED", "ACCEPTED", "ON_SITE", "DONE", "VERIFIED"];
const SAME = { EN_ROUTE: "ACCEPTED", WORKING: "ON_SITE", REJECTED: "DISPATCHED", REASSIGNED: "DISPATCHED", NEW: "DISPATCHED", CLOSED: "VERIFIED" };
const AT_WORK = new Set(["ACCEPTED", "EN_ROUTE", "ON_SITE", "WORKING"]);

export function sheet(live, order, { back, step }) {
  const asset = live.assets.get(order.asset);
  const estate = live.estates.find((e) => e.id === order.estate);
  const alarm = live.alarms.get(order.alarm) ?? order.alarms?.map((id) => live.alarms.get(id)).find(Boolean);
  const open = AT_WORK.has(order.state);
  const list = order.checklist;
  return el("article", { class: "sheet", "data-order": order.id, "data-state": order.state },
    guest ? null : el("button", { type: "button", class: "back", onclick: back }, `‹ ${t("nav.jobs")}`),
    el("h1", { class: `p${order.priority}` }, shape(order.priority, WAITING.has(order.state) ? "UNACK" : "ACKED", 26), el("span", {}, pick(order.title))),
    el("p", {}, [pick(estate?.name), pick(asset?.place), pick(estate?.address)].filter(Boolean).join(" · "), order.drill ? el("span", { class: "tag" }, t("alarm.drill")) : null),
    progress(order),
    clocks(order),
    alarm ? now(live, alarm) : null,
    calls(live, order, step),
    alarm?.card?.length ? panel("card.title", cardSteps(alarm)) : null,
    list.length ? panel("job.checklist", ...list.map((i) => item(order, i, step, open)), `${list.filter(answered).length}/${list.length}`) : null,
    open || order.photos?.length ? panel("photo.title", ...gallery(order, step, open || order.state === "DONE")) : null,
    order.notes.length ? panel("alarm.notes", el("ul", { class: "rows" }, order.notes.map((n) => el("li", {}, n.text, el("span", { class: "push" }), el("span", { class: "muted" }, n.waiting ? t("job.unsent") : `${n.by} ${minute(n.t)}`))))) : null,
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
    t(`job.path.${s}`), el("small", {}, order.stamps[s] ? minute(order.stamps[s]) : order.stamps[s] === null ? t("job.unsent") : "\u00a0"),
    s === "ON_SITE" && order.arrival && n <= here ? el("small", { class: "proof" }, t(`job.proof.${order.arrival}`)) : null)));
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

function calls(live, order, step) {
  return el("section", { class: "panel calls" }, numbers(live, order).map(dial),
    el("button", { type: "button", class: "button", onclick: () => help(live, order, step) }, t("help.button")));
}

/** Everything that is not the next step: small, and each asks for a reason. */
function others(order, step, live) {
  const buttons = [];
  const add = (action, key, f) => (guest ? offers(action.slice(6), can) : can(action)) && buttons.push(el("button", { type: "button", class: "button", onclick: f }, t(key)));
  const reason = (kind, title, act, options) => async () => {
    const given = await ask({ title: t(title), ok: t(kind), fields: [options ? { name: "reason", kind: "select", label: t("act.reason"), options } : { name: "reason", kind: "area", label: t("act.reason"), minlength: 2 }] });
    if (given) step(order, act, given);
  };
  if (["DISPATCHED", "REASSIGNED"].includes(order.state)) add("order.reject", "job.reject", reason("job.reject", "job.reject", "reject"));
  if (AT_WORK.has(order.state) || WAITING.has(order.state)) add("order.handover", "pass.button", () => handOver(live, order, step));
  if (AT_WORK.has(order.state) || WAITING.has(order.state)) {
    add("link.make", "link.button", () => makeLink(live, order));
    add("link.make", "link.list", () => listLinks(order));
  }
  if (order.state === "ACCEPTED") add("order.en_route", "job.en_route", () => step(order, "en_route"));
  if (AT_WORK.has(order.state)) add("order.hold", "job.hold", reason("job.hold", "job.hold", "hold", Object.entries(boot.holds).map(([k, v]) => [k, pick(v)])));
  if (!guest) buttons.push(el("a", { class: "button", href: `/order/${order.id}` }, t("order.more")));
  add("order.note", "act.note", async () => {
    const given = await ask({ title: t("act.note_title"), ok: t("act.note"), fields: [{ name: "text", kind: "area", label: t("act.text_of_note") }] });
    if (given) step(order, "note", given);
  });
  return el("div", { class: "others" }, buttons);
}

async function done(order, step) {
  const open = order.checklist.filter((i) => i.required !== false && !answered(i));
  const given = await ask({
    title: t("job.done"), ok: t("job.done"), text: open.length ? t("job.open_items", { n: open.length }) : "",
    fields: [
      { name: "cause_code", kind: "select", label: t("job.cause"), options: Object.entries(boot.causes).map(([k, v]) => [k, pick(v)]) },
      { name: "action", kind: "area", label: t("job.action"), minlength: 1, maxlength: 2000 },
    ],
  });
  if (given) step(order, "done", given);
}

/** The time of the arrival is that of the touch, however long the scan takes. */
async function arrive(order, step) {
  const at = Date.now();
  const proof = await prove();
  if (proof) step(order, "arrive", proof, { at });
}

function nextStep(order, step) {
  const big = (key, f) => el("div", { class: "next" }, el("button", { type: "button", class: "button primary step", onclick: f }, t(key)));
  if (WAITING.has(order.state) && offers("accept", can)) return big("job.accept", () => step(order, "accept"));
  if (["ACCEPTED", "EN_ROUTE"].includes(order.state)) return big("job.arrive", () => arrive(order, step));
  if (["ON_SITE", "WORKING"].includes(order.state)) return big("job.done", () => done(order, step));
  if (order.state === "ON_HOLD" && offers("resume", can)) return big("job.resume", () => step(order, "resume"));
  if (order.state === "DONE" && offers("verify", can)) {
    return big("job.verify", async () => {
      const given = await ask({ title: t("job.verify"), text: t("job.verify_text"), ok: t("job.verify"), fields: [{ name: "reason", kind: "area", label: t("act.reason"), minlength: 2 }] });
      if (given) step(order, "verify", given);
    });
  }
  if (order.state === "VERIFIED" && offers("close", can)) return big("job.close", async () => {
    const total = order.costs_total?.total ?? 0;
    const sure = total === 0 || (await ask({ title: t("job.close"), ok: t("job.close"), text: t("job.costs", { sum: (total / 100).toFixed(2) }), fields: [] }));
    if (sure) step(order, "close", { total_fen: total });
  });
  return el("p", { class: "waiting-note" }, t(order.state === "DONE" ? "job.waits" : "job.verified"));
}
