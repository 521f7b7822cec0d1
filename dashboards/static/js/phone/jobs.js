// The list of jobs and which of them are mine.
import { me, pick, t } from "../core/boot.js";
import { guest } from "./where.js";
import { el, say, shape } from "../core/dom.js";
import { clock } from "../core/format.js";
import { nextClock } from "../core/model.js";

const BOUND = new Set(["technician", "contractor"]);
export const WAITING = new Set(["NEW", "DISPATCHED", "REJECTED", "REASSIGNED"]);

/** Whether the order is of my duty or on my name; people without a duty of their own see all of their scope. */
export function isMine(order) {
  if (guest || !BOUND.has(me.role)) return true;
  return me.duties.includes(order.party) || [order.assignee, order.backup].includes(me.id)
    || (order.ladder ?? []).some((s) => me.duties.includes(s.role));
}

/** Urgent first; what waits for us before what is under way; then by the clock that runs out next. */
export function sorted(orders) {
  const due = (o) => nextClock(o)?.due ?? Infinity;
  const over = (o) => ["DONE", "VERIFIED"].includes(o.state);
  return orders.sort((a, b) => over(a) - over(b) || a.priority - b.priority || due(a) - due(b));
}

/** The countdown of an order, kept up to date by `tick`. */
export function countdown(order, tag = "span", className = "left") {
  const next = nextClock(order);
  return el(tag, { class: className, "data-due": next?.due ?? "", "data-clock": next?.name ?? "" });
}

export function tick(root, now) {
  for (const node of root.querySelectorAll("[data-due]")) {
    if (!node.dataset.due) { say(node, "—"); continue; }
    const left = Number(node.dataset.due) - now;
    say(node, left < 0 ? t("order.over", { time: clock(-left) }) : clock(left));
    node.classList.toggle("over", left < 0);
  }
}

/** One job in the list, with its next step where that needs nothing but a touch. */
export function jobCard(live, order, open, step) {
  const asset = live.assets.get(order.asset);
  const estate = live.estates.find((e) => e.id === order.estate);
  const next = nextClock(order);
  return el("li", { class: `job p${order.priority}`, "data-order": order.id },
    el("button", { type: "button", class: "job-open", onclick: () => open(order.id) },
      shape(order.priority, WAITING.has(order.state) ? "UNACK" : "ACKED", 24),
      el("span", { class: "title" }, pick(order.title), order.drill ? el("span", { class: "tag" }, t("alarm.drill")) : null),
      countdown(order),
      el("span", { class: "place" }, `${pick(estate?.name)} · ${pick(asset?.place)}`),
      el("span", { class: "what" }, next ? t(`clock.${next.name}`) : t(`order.state.${order.state}`))),
    WAITING.has(order.state) ? el("button", { type: "button", class: "button primary step", onclick: () => step(order, "accept") }, t("job.accept")) : null);
}
