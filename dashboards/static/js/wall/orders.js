// Open work orders with the time that is left, and what happened last.
import { can, pick, t } from "../core/boot.js";
import { get } from "../core/api.js";
import { el, eventText, fill, say, shape } from "../core/dom.js";
import { clock, time } from "../core/format.js";
import { nextClock } from "../core/model.js";

export class Orders {
  constructor(live, list, note, person) {
    Object.assign(this, { live, list, note, person, rows: [] });
    live.on("ready", () => this.show()).on("order", () => this.later()).on("tick", () => this.times());
  }

  later() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => { this.waiting = false; this.show(); });
  }

  show() {
    const now = this.live.now();
    const all = [...this.live.orders.values()].map((o) => ({ o, next: nextClock(o) }));
    all.sort((a, b) => a.o.priority - b.o.priority || (a.next?.due ?? Infinity) - (b.next?.due ?? Infinity));
    this.rows = all.map(({ o, next }) => ({ o, next, left: el("span", { class: "left" }) }));
    fill(this.list, this.rows.map(({ o, next, left }) => el("li", { class: `p${o.priority}` },
      shape(o.priority, ["DONE", "VERIFIED"].includes(o.state) ? "DONE" : "ACKED", 18),
      el("span", { class: "title" }, can("view.orders") ? el("a", { href: `/t#${o.id}` }, pick(o.title)) : pick(o.title), o.drill ? ` [${t("alarm.drill")}]` : ""),
      left,
      el("span", { class: "who" }, `${t(`order.state.${o.state}`)} · ${o.assignee ? this.person(o.assignee) : pick(o.party_name)}`),
      el("span", { class: "what" }, next ? t(`clock.${next.name}`) : ""))));
    if (!all.length) fill(this.list, el("li", { class: "empty" }, t("wall.no_orders")));
    this.times(now);
  }

  times() {
    const now = this.live.now();
    let over = 0;
    for (const { next, left } of this.rows) {
      const late = next && next.due < now;
      over += late ? 1 : 0;
      say(left, next ? (late ? t("order.over", { time: clock(now - next.due) }) : clock(next.due - now)) : "—");
      left.classList.toggle("overdue", Boolean(late));
    }
    say(this.note, t("wall.orders_note", { open: this.rows.length, over }));
  }
}

const KINDS = ["alarm.raised", "alarm.cleared", "alarm.acked", "alarm.shelved", "order.dispatched", "order.accepted", "order.arrived", "order.done", "order.verified", "order.closed", "order.escalated", "order.close_refused", "gateway.online", "gateway.offline"];

export class Recent {
  constructor(live, list) {
    Object.assign(this, { live, list, names: new Map() });
    live.on("ready", () => this.load()).on("alarm", (a) => this.heard(a.id, a.name)).on("order", (o) => this.heard(o.id, o.title));
    live.on("health", () => { this.stale = true; });
    live.on("tick", () => { if (this.stale && performance.now() - (this.at ?? 0) > 2000) this.load(); });
  }

  /** Names outlive what they name, so that its end can be told. */
  heard(id, name) {
    if (this.names.size > 2000) this.names.clear();
    this.names.set(id, name);
    this.stale = true;
  }

  async load() {
    this.stale = false; this.at = performance.now();
    for (const a of this.live.alarms.values()) this.names.set(a.id, a.name);
    for (const o of this.live.orders.values()) this.names.set(o.id, o.title);
    if (!can("view.events")) { this.local(); return; }
    try {
      const found = await get(`/api/v1/events?limit=40&${KINDS.map((k) => `kind=${k}`).join("&")}`);
      this.show(found.events.map((e) => [e.t, e.kind, e.asset, this.names.get(e.subject), e.subject]));
    } catch { /* the next turn asks again */ }
  }

  /** A wall may not read the log: it tells what the alarms themselves say. */
  local() {
    const seen = [...this.live.alarms.values()].flatMap((a) => [[a.raised_at, "alarm.raised", a.asset, a.name], a.acked_at && [a.acked_at, "alarm.acked", a.asset, a.name], a.cleared_at && [a.cleared_at, "alarm.cleared", a.asset, a.name]].filter(Boolean));
    this.show(seen.sort((a, b) => b[0] - a[0]).slice(0, 40));
  }

  show(rows) {
    fill(this.list, rows.map(([at, kind, asset, name, subject]) => {
      const text = pick(name);
      const who = pick(this.live.assets.get(asset)?.name) || (kind.startsWith("gateway") ? subject : "");
      const line = [eventText(kind), text.startsWith(who) ? text : [who, text].filter(Boolean).join(" · ")].filter(Boolean).join("  ");
      return el("li", {}, el("time", {}, time(at)), el("span", { title: line }, line));
    }));
    if (!rows.length) fill(this.list, el("li", { class: "empty" }, t("asset.no_story")));
  }
}
