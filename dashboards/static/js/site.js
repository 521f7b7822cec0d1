// One estate: systems and their assets with their state and key values, live.
import "./core/flash.js";
import { boot, pick, t } from "./core/boot.js";
import { watchCut } from "./core/cut.js";
import { el, fill, say, shape, stateText } from "./core/dom.js";
import { pointName, reading } from "./core/format.js";
import { Live } from "./core/live.js";
import { keyPoints, levelOf, quiet, STALE, stateOf, unacked } from "./core/model.js";

const live = new Live(`estate=${encodeURIComponent(boot.estate)}`);
const box = document.getElementById("systems");
const summary = document.getElementById("summary");
let cells = new Map();

function row(asset) {
  const s = stateOf(live, asset);
  const sign = s.worst ? shape(s.worst.priority, s.worst.state, 22) : el("span", { class: `dot ${s.silent ? "stale" : ""}` });
  const words = s.worst ? [t(`priority.${s.worst.priority}`), stateText(s.worst.state), pick(s.worst.name)].join(" · ")
    : s.silent ? t("tile.stale") : s.mode === "commissioning" ? t("status.commissioning") : [t("status.normal"), pick(asset.place)].filter(Boolean).join(" · ");
  const values = el("span", { class: "values live" }, keyPoints(live, asset).slice(0, 2).map((p) => {
    const out = el("b"); cells.set(p.id, [p, out]);
    return el("span", {}, el("small", {}, pointName(p)), out);
  }));
  return el("li", {}, el("a", { class: `asset-row ${s.worst ? `p${s.worst.priority}` : ""}`, href: `/asset/${asset.id}` }, sign,
    el("span", {}, el("span", { class: "name" }, pick(asset.name)), el("span", { class: "place" }, words)), values));
}

function show() {
  cells = new Map();
  fill(box, boot.systems.map((system) => {
    const assets = [...live.assets.values()].filter((a) => a.system === system);
    if (!assets.length) return null;
    const id = `h-${system}`;
    return el("section", { class: "panel system", "aria-labelledby": id },
      el("header", {}, el("h2", { id }, t(`system.${system}`)), el("span", { class: "muted" }, String(assets.length))),
      el("ul", {}, assets.map(row)));
  }));
  readings(live.values);
  count();
}

function readings(values) {
  for (const [id, [point, out]] of cells) {
    const v = id in values ? live.values[id] : null;
    if (!v) continue;
    say(out, reading(point, v[1]));
    out.classList.toggle("stale", levelOf(v[2]) >= STALE);
  }
}

function count() {
  const open = [...live.alarms.values()].filter((a) => !quiet(a));
  const all = Object.values(live.values); const good = all.filter((v) => levelOf(v[2]) < STALE).length;
  const kpi = (key, big, note = "") => el("section", { class: "kpi" }, el("h2", {}, t(key)), el("p", { class: "big num" }, big), el("p", { class: "muted" }, note));
  fill(summary,
    kpi("site.alarms", String(open.length), t("site.unacked", { n: open.filter(unacked).length })),
    kpi("site.urgent", String(open.filter((a) => a.priority === 1).length)),
    kpi("site.orders", String(live.orders.size)),
    kpi("wall.online", all.length ? `${((good / all.length) * 100).toFixed(1)}\u2009%` : "—", t("site.points", { n: all.length })),
    kpi("site.assets", String(live.assets.size)));
}

let waiting = false;
const later = () => { if (!waiting) { waiting = true; setTimeout(() => { waiting = false; show(); }, 300); } };
live.on("ready", show).on("values", readings).on("alarm", later).on("order", count);
let ticks = 0;
live.on("tick", () => { ticks += 1; if (ticks % 5 === 0) count(); });
watchCut(live);
live.start();
