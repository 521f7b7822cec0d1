// The counters, the facts and the clock at the top.
import { pick, t } from "../core/boot.js";
import { el, fill, say, shape } from "../core/dom.js";
import { clock, date, time } from "../core/format.js";
import { levelOf, quiet, STALE, unacked } from "../core/model.js";

export function header(live, list) {
  const counters = document.getElementById("counters");
  const buttons = [1, 2, 3, 4].map((p) => {
    const n = el("b"); const sign = el("span", {}, t(`priority.${p}`));
    const button = el("button", { type: "button", "aria-pressed": "false", onclick: () => list.filter(p) }, shape(p, "ACKED", 20), n, sign);
    return { button, n, p, box: button };
  });
  fill(counters, buttons.map((b) => b.button));
  list.onFilter = (chosen) => buttons.forEach((b) => b.button.setAttribute("aria-pressed", String(chosen.has(b.p))));

  const facts = document.getElementById("facts");
  const fact = (key) => { const dd = el("dd"); const box = el("div", {}, el("dt", {}, t(key)), dd); facts.append(box); return { box, dd }; };
  const oldest = fact("wall.oldest"); const online = fact("wall.online"); const shift = fact("wall.shift");
  const plain = document.getElementById("plain");
  const stamp = document.getElementById("clock"); const day = el("small"); const now = el("span");
  fill(stamp, day, now);

  const count = () => {
    for (const { n, p, box } of buttons) {
      const mine = [...live.alarms.values()].filter((a) => a.priority === p && !quiet(a));
      say(n, String(mine.length));
      box.classList.toggle("zero", mine.length === 0);
      box.querySelector(".shape").setAttribute("class", `shape p${p} s-${mine.some(unacked) ? "unack" : "acked"}`);
    }
  };
  const tick = () => {
    const at = live.now();
    const waiting = [...live.alarms.values()].filter((a) => unacked(a) && !quiet(a)).map((a) => a.raised_at);
    say(oldest.dd, waiting.length ? clock(at - Math.min(...waiting)) : "—");
    oldest.box.classList.toggle("warn", waiting.length > 0);
    const all = Object.values(live.values); const good = all.filter((v) => levelOf(v[2]) < STALE).length;
    const edges = Object.values(live.health.edges ?? {});
    const gone = edges.filter((e) => !e.online).length;
    const share = all.length ? (good / all.length) * 100 : 0;
    say(online.dd, (all.length ? `${share > 99.9 && share < 100 ? "99.9" : share.toFixed(1)}\u2009%` : "—") + (gone ? ` · ${t("wall.edges_gone", { n: gone })}` : ""));
    online.box.classList.toggle("warn", gone > 0);
    const open = Object.keys(live.health.plain ?? {});
    plain.hidden = open.length === 0; plain.title = open.map((what) => t(`wall.plain_${what}`)).join("\n");
    say(day, date(at)); say(now, time(at));
    stamp.dateTime = new Date(at).toISOString();
  };
  live.on("ready", () => {
    const room = live.shift.find((s) => s.duty === "CR") ?? live.shift[0];
    say(shift.dd, room?.people.map((p) => p.name).join(", ") || t("wall.nobody"));
    shift.dd.title = live.shift.map((s) => `${t(`duty.${s.duty}`)}: ${s.people.map((p) => p.name).join(", ")}`).join("\n");
    document.title = `${t("nav.wall")} · ${pick(live.site.name)}`;
    count(); tick();
  });
  live.on("alarm", count).on("tick", tick);
}
