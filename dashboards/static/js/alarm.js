// One alarm: its trend and the buttons; the rest is from the server and is fetched anew when something happens.
import "./core/flash.js";
import "./core/forms.js";
import { boot, can, t } from "./core/boot.js";
import { watchCut } from "./core/cut.js";
import { el, fill, say } from "./core/dom.js";
import { pointName, reading, span } from "./core/format.js";
import { Live } from "./core/live.js";
import { quiet, unacked } from "./core/model.js";
import { refreshParts } from "./core/refresh.js";
import { rangeButtons, Trend } from "./core/trend.js";
import { evidenceButtons, judge, silence } from "./alarm_life.js";
import { Acts } from "./wall/acts.js";

const at = (id) => document.getElementById(id);
const live = new Live();
const trend = new Trend(live, at("trend"), "1h");
const acts = new Acts(live);

function show() {
  const a = live.alarms.get(boot.alarm);
  const wall = boot.me.role === "display";
  const button = (action, key, f, primary) => ((can(action) || wall) ? el("button", { type: "button", class: `button${primary ? " primary" : ""}`, onclick: () => f.call(acts, live.alarms.get(boot.alarm)) }, t(key)) : null);
  fill(at("actions"), a ? [
    unacked(a) && button("alarm.ack", "act.ack", acts.acknowledge, true),
    a.latched && button("alarm.reset", "act.reset", acts.reset),
    !a.life && button("alarm.shelve", quiet(a) ? "act.unshelve" : "act.shelve", acts.shelve),
    !a.life && button("silence.create", "act.silence", silence),
    button("alarm.judge", "act.judge", judge),
    button("alarm.assign", "act.assign", acts.assign),
    button("alarm.note", "act.note", acts.note),
  ] : []);
  const point = live.points.get(a?.point);
  if (!a || !point) { trend.show(null); return; }
  say(at("trend-name"), pointName(point));
  trend.show(point, {
    limit: point.kind === "analog" && a.limit !== null ? { value: a.limit, label: `${t("trend.limit")} ${reading(point, a.limit)}` } : null,
    marks: [a.raised_at, a.cleared_at].filter(Boolean),
  });
}

for (const node of document.querySelectorAll("[data-span]")) say(node, span(Number(node.dataset.span) * 1000));
live.on("ready", () => { show(); rangeButtons(trend, at("ranges")); });
live.on("alarm", (a) => { if (a.id === boot.alarm) { show(); refreshParts(); } });
live.on("order", (o) => { if (o.alarms?.includes(boot.alarm)) refreshParts(); });
watchCut(live);
evidenceButtons(live, at("evidence"));
live.start();
