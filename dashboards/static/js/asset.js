// One facility: state, trend of a point, all points with their quality, alarms, orders, keeper.
import "./core/flash.js";
import { boot, pick, t } from "./core/boot.js";
import { watchCut } from "./core/cut.js";
import { el, fill, say, shape, stateText } from "./core/dom.js";
import { clock, number, pointName, reading } from "./core/format.js";
import { Live } from "./core/live.js";
import { keyPoints, levelOf, nextClock, reasonOf, STALE, stateOf } from "./core/model.js";
import { get } from "./core/api.js";
import { band } from "./core/band.js";
import { refreshParts } from "./core/refresh.js";
import { rangeButtons, Trend } from "./core/trend.js";
import { Acts } from "./wall/acts.js";

const live = new Live();
const at = (id) => document.getElementById(id);
const trend = new Trend(live, at("trend"), "1h");
const acts = new Acts(live);
let rows = new Map();
let chosen = null;

const asset = () => live.assets.get(boot.asset);

function choose(point) {
  chosen = point.id;
  say(at("trend-name"), `${pointName(point)}${point.unit ? ` · ${point.unit}` : ""}`);
  const alarm = [...live.alarms.values()].find((a) => a.point === point.id && a.limit !== null && point.kind === "analog");
  trend.show(point, {
    limit: alarm ? { value: alarm.limit, label: `${t("trend.limit")} ${reading(point, alarm.limit)}` } : null,
    marks: [...live.alarms.values()].filter((a) => a.point === point.id).map((a) => a.raised_at),
  });
  for (const [id, r] of rows) if (id === chosen) r.row.setAttribute("aria-current", "true"); else r.row.removeAttribute("aria-current");
}

function points() {
  const all = live.pointsOf.get(boot.asset) ?? [];
  const body = el("tbody", {}, all.map((p) => {
    const cells = { v: el("td", { class: "v live" }), band: el("td", { class: "col-band" }), q: el("td", { class: "q" }), month: el("td", { class: "col-month num" }), age: el("td", { class: "age col-age" }) };
    const row = el("tr", { onclick: () => choose(p) }, el("th", { scope: "row" }, el("button", { type: "button", class: "name" }, pointName(p)), el("code", { class: "muted" }, p.tag)), cells.v, cells.band, cells.q, cells.month, cells.age);
    rows.set(p.id, { p, row, ...cells });
    return row;
  }));
  fill(at("points"), el("thead", {}, el("tr", {}, ["name", "value", "band", "quality", "month", "age"].map((c) => el("th", { scope: "col", class: `col-${c}` }, t(`point.${c}`))))), body);
  say(at("points-note"), String(all.length));
}

const percent = (part, of) => `${number(of ? (100 * part) / of : 0, 1)} %`;

// How much of 30 days is recorded, and of a contact for how much of that it was on.
async function month() {
  const end = live.now(), length = 30 * 86_400_000;
  const query = new URLSearchParams({ from: Math.round(end - length), to: Math.round(end) });
  for (const id of [...rows.keys()].slice(0, 500)) query.append("point", id);
  const found = rows.size ? await get(`/api/v1/shares?${query}`) : { points: {} };
  for (const [id, { p, month: cell }] of rows) {
    const s = found.points[id];
    say(cell, !s ? "—" : p.kind === "analog" ? percent(s.known_ms, length) : t("point.month_on", { on: percent(s.on_ms, s.known_ms), known: percent(s.known_ms, length) }));
  }
}

function readings(changed) {
  for (const id of Object.keys(changed)) {
    const r = rows.get(id);
    if (r) one(r);
  }
}

function one({ p, row, v, q, band: cell }) {
  const value = live.values[p.id];
  const level = value ? levelOf(value[2]) : STALE;
  const alarm = [...live.alarms.values()].find((a) => a.point === p.id);
  row.className = `${level ? "bad" : ""} ${alarm ? `in-alarm p${alarm.priority}` : ""}`;
  fill(v, el("span", { class: "with-shape" }, alarm ? shape(alarm.priority, alarm.state, 15) : null, value ? reading(p, value[1]) : "—"));
  v.classList.toggle("stale", level >= STALE);
  const reason = value ? reasonOf(value[2]) : 10;
  say(q, level ? `${t(`quality.${level}`)}${reason ? ` · ${t(`reason.${reason}`)}` : ""}` : t("quality.0"));
  if (p.kind === "analog" && p.low !== null && p.high !== null && value && value[1] !== null) fill(cell, band(p, value[1], alarm?.limit ?? null));
}

function ages() {
  const now = live.now();
  for (const { p, age } of rows.values()) { const v = live.values[p.id]; say(age, v ? clock(now - v[0]) : "—"); }
  for (const node of document.querySelectorAll("[data-due]")) {
    const left = Number(node.dataset.due) - now;
    say(node, left < 0 ? t("order.over", { time: clock(-left) }) : clock(left));
    node.classList.toggle("problem", left < 0);
  }
}

function state() {
  const s = stateOf(live, asset());
  const chips = s.worst ? [el("span", { class: `chip p${s.worst.priority}` }, shape(s.worst.priority, s.worst.state, 22), `${t(`priority.${s.worst.priority}`)} · ${stateText(s.worst.state)}`)]
    : [el("span", { class: "chip" }, s.silent ? t("tile.stale") : t("status.normal"))];
  chips.push(el("span", { class: `chip ${s.stale ? "stale" : ""}` }, s.stale ? t("asset.some_stale", { n: s.stale, all: s.known }) : t("asset.all_good", { n: s.known })));
  if (asset().mode === "commissioning") chips.push(el("span", { class: "chip" }, t("status.commissioning")));
  fill(at("state"), chips);
  fill(at("asset-alarms"), s.alarms.map((a) => el("li", {}, shape(a.priority, a.state, 18), el("a", { href: `/alarm/${a.id}` }, pick(a.name)), el("span", { class: "push" }), el("span", { class: "muted" }, stateText(a.state)))));
  if (!s.alarms.length) fill(at("asset-alarms"), el("li", { class: "empty" }, t("asset.no_alarms")));
  const orders = [...live.orders.values()].filter((o) => o.asset === boot.asset);
  fill(at("asset-orders"), orders.map((o) => { const c = nextClock(o); return el("li", {}, shape(o.priority, "ACKED", 18), el("a", { href: `/order/${o.id}` }, pick(o.title)), el("span", { class: "push" }), c ? el("span", { class: "num", "data-due": c.due }) : null, el("span", { class: "muted whole" }, `${t(`order.state.${o.state}`)} · ${pick(o.party_name)}${c ? ` · ${t(`clock.${c.name}`)}` : ""}`)); }));
  if (!orders.length) fill(at("asset-orders"), el("li", { class: "empty" }, t("wall.no_orders")));
}

function keeper() {
  const c = live.contractors.get(asset().contractor);
  const estate = live.estates.find((e) => e.id === asset().estate);
  const pairs = [["asset.contractor", c ? pick(c.name) : pick(estate.firm_name)], c && ["asset.phone", el("a", { href: `tel:${c.phone.replaceAll("-", "")}` }, c.phone)],
    ["asset.boundary", t(`boundary.${asset().boundary}`)], asset().depends_on.length && ["asset.depends", asset().depends_on.map((id) => pick(live.assets.get(id)?.name) || id).join(", ")]].filter(Boolean);
  fill(at("keeper"), pairs.flatMap(([k, v]) => [el("dt", {}, t(k)), el("dd", {}, v)]));
}

live.on("ready", () => {
  rows = new Map();
  points(); readings(live.values); state(); keeper(); ages(); month().catch(() => {});
  const all = live.pointsOf.get(boot.asset) ?? [];
  const wanted = stateOf(live, asset()).alarms.map((a) => live.points.get(a.point)).find((p) => p?.kind === "analog");
  const first = live.points.get(chosen) ?? wanted ?? keyPoints(live, asset()).find((p) => p.kind === "analog") ?? all[0];
  if (first) choose(first); else trend.show(null);
  rangeButtons(trend, at("ranges"));
});
live.on("values", readings).on("tick", ages);
live.on("alarm", (a) => { if (a.asset === boot.asset) { state(); readings(live.values); refreshParts(); } });
live.on("order", (o) => { if (o.asset === boot.asset) { state(); refreshParts(); } });
at("drill")?.addEventListener("click", () => acts.drill(boot.asset));
watchCut(live);
live.start();
