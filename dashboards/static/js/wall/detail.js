// The alarm that is selected: its trend with the limit, why it matters, what to do, and the buttons for it.
import { boot, can, pick, t } from "../core/boot.js";
import { cardSteps } from "../core/card.js";
import { el, fill, say, shape, stateText } from "../core/dom.js";
import { number, pointName, span, unit } from "../core/format.js";
import { quiet, unacked } from "../core/model.js";
import { Trend } from "../core/trend.js";

const wall = boot.me.role === "display";

export class Detail {
  constructor(live, panel, acts) {
    Object.assign(this, { live, acts, alarm: null, shown: "" });
    this.head = panel.querySelector("header");
    this.body = panel.querySelector("#detail-body");
    this.title = el("div", { class: "detail-title" });
    this.line = el("div", { class: "detail-line" });
    this.box = el("div", { class: "trend live" });
    this.right = el("div", { class: "detail-right", tabindex: "0", role: "region", "aria-label": t("alarm.what") });
    this.buttons = el("div", { class: "actions" });
    this.head.append(el("span", { class: "push" }), this.buttons);
    live.on("alarm", (a) => a.id === this.alarm?.id && this.show(this.live.alarms.get(a.id) ?? null));
    live.on("ready", () => this.show(this.alarm ? this.live.alarms.get(this.alarm.id) ?? null : null));
  }

  show(alarm) {
    const other = alarm?.occurrence !== this.alarm?.occurrence;
    this.alarm = alarm;
    if (!alarm) { this.trend = null; this.shown = ""; fill(this.buttons); fill(this.body, el("p", { class: "detail-empty" }, t("wall.select_one"))); return; }
    if (!this.trend) {
      fill(this.body, el("div", { class: "detail-left" }, this.title, this.line, this.box), this.right);
      this.trend = new Trend(this.live, this.box, "15m");
    }
    const asset = this.live.assets.get(alarm.asset);
    const point = this.live.points.get(alarm.point);
    fill(this.title, shape(alarm.priority, alarm.state, 22), el("strong", {}, `${pick(asset?.name) || alarm.asset} · ${pick(alarm.name)}`));
    say(this.line, [stateText(alarm.state), pick(asset?.place), point ? pointName(point) : ""].filter(Boolean).join(" · "));
    this.actions(alarm);
    if (other || this.shown !== alarm.id) this.explain(alarm, asset);
    this.shown = alarm.id;
    const analog = point && point.kind !== "text" && alarm.limit !== null && point.kind === "analog";
    const limit = analog ? { value: alarm.limit, label: `${t("trend.limit")} ${number(alarm.limit, point.decimals)} ${unit(point.unit)}` } : null;
    this.trend.show(point ?? null, { limit, marks: [alarm.raised_at, ...(alarm.cleared_at ? [alarm.cleared_at] : [])] });
  }

  actions(a) {
    const may = (action) => can(action) || wall;
    const button = (key, name, f, primary = false) => el("button", { type: "button", class: `button small${primary ? " primary" : ""}`, onclick: () => f.call(this.acts, this.alarm), "aria-keyshortcuts": key }, t(name));
    fill(this.buttons,
      unacked(a) && may("alarm.ack") && button("A", "act.ack", this.acts.acknowledge, true),
      a.latched && may("alarm.reset") && button("R", "act.reset", this.acts.reset),
      !a.life && may("alarm.shelve") && button("S", quiet(a) ? "act.unshelve" : "act.shelve", this.acts.shelve),
      may("alarm.assign") && button("D", "act.assign", this.acts.assign),
      may("alarm.note") && button("N", "act.note", this.acts.note),
      el("a", { class: "button small", href: `/alarm/${a.id}` }, t("act.details")));
  }

  explain(a, asset) {
    const keeper = this.live.contractors.get(asset?.contractor);
    const pairs = [
      ["alarm.cause", pick(a.cause)], ["alarm.consequence", pick(a.consequence)], ["alarm.response", pick(a.response)],
      ["alarm.limit_s", a.time_limit_s ? span(a.time_limit_s * 1000) : "—"],
    ];
    fill(this.right,
      a.card?.length ? [el("h3", {}, t("card.title")), cardSteps(a)] : null,
      el("dl", { class: "pairs" }, pairs.flatMap(([key, text]) => [el("dt", {}, t(key)), el("dd", {}, text)]),
        keeper ? [el("dt", {}, t("asset.keeper")), el("dd", {}, `${pick(keeper.name)} `, el("a", { href: `tel:${keeper.phone.replaceAll("-", "")}` }, keeper.phone))] : null,
        pick(a.root_sentence) ? [el("dt", {}, t("alarm.root")), el("dd", { class: "root" }, pick(a.root_sentence))] : null,
        a.suppressed_by ? [el("dt", {}, t("alarm.suppressed_by")), el("dd", {}, this.root(a.suppressed_by))] : null));
  }

  root(id) {
    const found = this.live.alarms.get(id) ?? [...this.live.alarms.values()].find((x) => x.condition === id);
    return found ? `${pick(this.live.assets.get(found.asset)?.name)} · ${pick(found.name)}` : pick(this.live.assets.get(id)?.name) || id;
  }
}
