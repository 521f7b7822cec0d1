// The alarm list: sorted, filtered, walked with the arrow keys, and what one does to an alarm.
import { boot, can, pick, t } from "../core/boot.js";
import { el, fill, say, shape, stateText } from "../core/dom.js";
import { clock, number, reading, unit } from "../core/format.js";
import { byUrgency, levelOf, quiet, STALE, unacked } from "../core/model.js";

const MOST = 300;

export class AlarmList {
  constructor(live, table, { filters, search, note, choose, acknowledge }) {
    Object.assign(this, { live, table, note, choose, acknowledge, selected: null, priorities: new Set(), words: "", opened: new Set(), flood: null });
    this.body = el("tbody");
    this.columns = ["priority", "state", "age", "what", "value", "count", "order", "act"];
    fill(table, el("thead", {}, el("tr", {}, this.columns.map((c) => el("th", { scope: "col", class: `col-${c}` }, c === "act" ? el("span", { class: "hidden" }, t("list.act")) : t(`list.${c}`))))), this.body);
    this.filterButtons = [1, 2, 3, 4].map((p) => el("button", {
      type: "button", "aria-pressed": "false", title: t(`priority.${p}`), "aria-label": `${p} ${t("wall.only", { name: t(`priority.${p}`) })}`, onclick: () => this.filter(p),
    }, shape(p, "ACKED", 16)));
    fill(filters, this.filterButtons);
    search.addEventListener("input", () => { this.words = search.value.trim().toLowerCase(); this.show(); });
    live.on("ready", () => this.show()).on("alarm", () => this.later()).on("order", () => this.later());
    live.on("tick", () => this.ages()).on("values", (v) => this.readings(v));
  }

  later() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => { this.waiting = false; this.show(); });
  }

  filter(p) {
    if (this.priorities.has(p)) this.priorities.delete(p); else this.priorities.add(p);
    this.filterButtons.forEach((b, n) => b.setAttribute("aria-pressed", String(this.priorities.has(n + 1))));
    this.show();
    this.onFilter?.(this.priorities);
  }

  /** Those that the filters let through, in their order. */
  listed() {
    return [...this.live.alarms.values()]
      .filter((a) => (!this.priorities.size || this.priorities.has(a.priority)) && (!this.words || this.textOf(a).includes(this.words)))
      .sort(byUrgency);
  }

  textOf(a) {
    const asset = this.live.assets.get(a.asset);
    return [a.asset, pick(asset?.name), pick(asset?.place), pick(a.name), pick(a.sentence)].join(" ").toLowerCase();
  }

  show() {
    const all = this.listed();
    this.rows = new Map();
    const focused = this.body.contains(document.activeElement) ? document.activeElement.dataset.id : null;
    if (this.selected && !this.live.alarms.has(this.selected)) this.select(null, false);
    const grouped = this.flood?.on && !this.priorities.size && !this.words;
    fill(this.body, grouped ? this.flood.lines().flatMap((l) => this.group(l)) : all.slice(0, MOST).map((a) => this.row(a)));
    if (!all.length) fill(this.body, el("tr", {}, el("td", { colspan: this.columns.length, class: "empty" }, t(this.live.alarms.size ? "wall.none_filtered" : "wall.no_alarms"))));
    const shelved = all.filter(quiet).length;
    say(this.note, [grouped ? t("flood.note", { n: all.length }) : "", !grouped && all.length > MOST ? t("wall.more", { n: all.length - MOST }) : "", shelved ? t("wall.quiet", { n: shelved }) : ""].filter(Boolean).join(" · "));
    if (focused) this.body.querySelector(`[data-id="${focused}"]`)?.focus();
    this.ages();
  }

  row(a) {
    const asset = this.live.assets.get(a.asset);
    const estate = this.live.estates.length > 1 ? pick(this.live.estates.find((e) => e.id === a.estate)?.name) : "";
    const age = el("td", { class: "age" });
    const value = el("td", { class: "value col-value" });
    const row = el("tr", {
      class: `p${a.priority} ${unacked(a) ? "unack" : ""} ${quiet(a) ? "quiet" : ""}`, tabindex: a.id === this.selected || (!this.selected && !this.rows.size) ? "0" : "-1",
      "aria-current": a.id === this.selected ? "true" : null, "data-id": a.id,
      onclick: () => this.select(a.id), onfocus: () => a.id !== this.selected && this.select(a.id, false),
    },
    el("td", {}, el("span", { class: "prio" }, shape(a.priority, a.state), el("span", {}, t(`priority.${a.priority}`), el("small", { class: "merged" }, stateText(a.state))))),
    el("td", { class: "state col-state" }, stateText(a.state), a.drill ? el("span", { class: "tag" }, t("alarm.drill")) : null, a.commissioning ? el("span", { class: "tag" }, t("status.commissioning")) : null),
    age,
    el("td", { title: pick(a.sentence) }, el("span", { class: "asset" }, [estate, pick(asset?.name) || a.asset].filter(Boolean).join(" · "), a.drill ? el("span", { class: "tag merged-tag" }, t("alarm.drill")) : null),
      el("span", { class: "msg" }, pick(a.name), a.count > 1 ? el("small", { class: "merged" }, ` ×${a.count}`) : null, this.cause(a), asset ? ` · ${pick(asset.place)}` : "")),
    value,
    el("td", { class: "count col-count" }, a.count > 1 ? `×${a.count}` : ""),
    el("td", { class: "order col-order" }, this.order(a)),
    el("td", {}, unacked(a) && (can("alarm.ack") || boot.me.role === "display")
      ? el("button", { class: "button small", type: "button", tabindex: "-1", onclick: (e) => { e.stopPropagation(); this.acknowledge(a); } }, t("act.ack.short")) : null));
    this.rows.set(a.id, { a, age, value });
    this.reading(a, value);
    return row;
  }

  /** One line of a flood: its head, how many stand behind it, and those when it is opened. */
  group(line) {
    const [head, ...rest] = line.alarms;
    const row = this.row(head);
    if (!rest.length) return [row];
    const open = this.opened.has(head.id);
    const key = { life: "flood.same", cause: "flood.follow", rest: "flood.rest" }[line.kind] ?? "flood.follow";
    const assets = new Set(line.alarms.map((a) => a.asset)).size;
    row.classList.add("group", `group-${line.kind}`);
    row.querySelector(".msg").append(el("button", {
      type: "button", class: "linkish more-of-it", tabindex: "-1", "aria-expanded": String(open),
      onclick: (e) => { e.stopPropagation(); if (open) this.opened.delete(head.id); else this.opened.add(head.id); this.show(); },
    }, t(key, { n: rest.length, assets })));
    return [row, ...(open ? rest.slice(0, MOST).map((a) => { const child = this.row(a); child.classList.add("member"); return child; }) : [])];
  }

  /** What it probably follows from, as far as that is known here. */
  cause(a) {
    const root = a.root && a.root !== a.id ? this.live.alarms.get(a.root) : null;
    if (!root) return null;
    return el("span", { class: "root-line", title: pick(a.root_sentence) }, ` ↳ ${pick(this.live.assets.get(root.asset)?.name) || root.asset} ${pick(root.name)}`);
  }

  order(a) {
    const o = a.order && this.live.orders.get(a.order);
    if (!o) return a.assignee ? [this.person(a.assignee)] : ["—"];
    return [t(`order.state.${o.state}`), el("small", {}, o.assignee ? this.person(o.assignee) : pick(o.party_name))];
  }

  /** The name of somebody on shift, else the id. */
  person(id) {
    for (const s of this.live.shift) for (const p of s.people) if (p.id === id) return p.name;
    return id;
  }

  reading(a, cell) {
    const point = this.live.points.get(a.point);
    const v = this.live.values[a.point];
    if (!point) { say(cell, ""); return; }
    const shown = reading(point, v ? v[1] : a.value);
    cell.classList.toggle("stale", Boolean(v) && levelOf(v[2]) >= STALE);
    const analog = point.kind === "analog" && a.limit !== null && a.limit !== undefined;
    const sign = !a.active ? "/" : a.level.startsWith("L") ? "<" : a.level.startsWith("H") ? ">" : "/";
    fill(cell, shown, analog ? el("span", { class: "limit" }, ` ${sign} ${number(a.limit, point.decimals)}${point.unit ? `\u2009${unit(point.unit)}` : ""}`) : null);
  }

  readings(changed) { for (const { a, value } of this.rows?.values() ?? []) if (a.point in changed) this.reading(a, value); }

  ages() {
    const now = this.live.now();
    for (const { a, age } of this.rows?.values() ?? []) {
      say(age, a.state === "SHELVED" && a.shelved_until ? t("list.left", { time: clock(a.shelved_until - now) }) : clock(now - a.raised_at));
    }
  }

  select(id, focus = true) {
    this.selected = id;
    for (const row of this.body.children) {
      const mine = row.dataset.id === id;
      if (mine) row.setAttribute("aria-current", "true"); else row.removeAttribute("aria-current");
      row.tabIndex = mine ? 0 : -1;
      if (mine && focus) { row.focus({ preventScroll: true }); row.scrollIntoView({ block: "nearest" }); }
    }
    this.choose(id ? this.live.alarms.get(id) : null);
  }

  step(by) {
    const ids = [...this.rows.keys()];
    if (!ids.length) return;
    const at = ids.indexOf(this.selected);
    this.select(ids[Math.max(0, Math.min(ids.length - 1, at < 0 ? 0 : at + by))]);
  }
}
