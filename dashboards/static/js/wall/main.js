// The wall: puts its parts together.
import "../core/flash.js";
import { boot, t } from "../core/boot.js";
import { watchCut } from "../core/cut.js";
import { el, fill, shape } from "../core/dom.js";
import { Live } from "../core/live.js";
import { Acts } from "./acts.js";
import { AlarmList } from "./alarms.js";
import { BreakIt } from "./breakit.js";
import { Detail } from "./detail.js";
import { Flood } from "./flood.js";
import { header } from "./header.js";
import { fullScreen, Keys } from "./keys.js";
import { Matrix } from "./matrix.js";
import { Orders, Recent } from "./orders.js";
import { Sound } from "./sound.js";

const at = (id) => document.getElementById(id);
const live = new Live();
const acts = new Acts(live);
const detail = new Detail(live, at("detail"), acts);
const list = new AlarmList(live, at("alarms"), {
  filters: at("filters"), search: at("search"), note: at("alarm-note"),
  choose: (alarm) => detail.show(alarm), acknowledge: (alarm) => acts.acknowledge(alarm),
});
header(live, list);
const flood = new Flood(live, list, at("flood"));
new Matrix(live, at("matrix"), at("matrix-table"), (asset, alarm) => list.select(alarm.id));
new Orders(live, at("orders"), at("order-note"), (id) => list.person(id));
new Recent(live, at("events"));
new BreakIt(live, at("breakit"), at("break-buttons"));
const sound = new Sound(live, at("sound"));
const keys = new Keys(list, acts, sound);
watchCut(live, (cut) => cut && sound.cut());

fill(at("legend"),
  [1, 2, 3, 4].map((p) => el("span", {}, shape(p, "ACKED", 14), t(`priority.${p}`))),
  el("span", {}, el("i"), t("status.normal")), el("span", {}, el("i", { class: "stale" }), t("tile.stale")));
at("help").addEventListener("click", () => acts.help(keys));
at("full").addEventListener("click", fullScreen);
at("drill").addEventListener("click", () => acts.drill());
at("drill").hidden = boot.me.role !== "display" && !boot.me.actions.includes("drill.start");

// The first time, the most urgent alarm is shown at once.
live.on("ready", () => { const first = list.listed()[0]; if (!list.selected && first) list.select(first.id, false); });
live.start();
window.wall = { live, list, sound, flood }; // for the tests and for whoever looks for the cause of something
