// What waits and what was sent lately, each with the time of the phone and the time at which the server had it.
import { tell } from "../core/ask.js";
import { pick, t } from "../core/boot.js";
import { el } from "../core/dom.js";
import { time } from "../core/format.js";

const named = (live, e) => {
  const title = live.orders.get(e.order)?.title;
  return el("span", {}, t(`job.act.${e.act}`), title ? el("small", { class: "muted" }, ` ${pick(title)}`) : null);
};

export async function showQueue(live, outbox) {
  const sent = (await outbox.store.sent()).reverse().slice(0, 30);
  const row = (e, ...more) => el("li", {}, named(live, e), el("span", { class: "push" }), el("span", {}, time(e.at)), ...more);
  tell(t("queue.title"),
    el("h3", {}, t("queue.waiting")),
    outbox.entries.length ? el("ul", { class: "rows queue-rows" }, outbox.entries.map((e) => row(e, el("span", { class: "muted" }, t("job.unsent"))))) : el("p", { class: "muted" }, t("queue.none")),
    el("h3", {}, t("queue.sent")),
    sent.length ? el("ul", { class: "rows queue-rows" }, sent.map((e) => row(e, el("span", { class: e.why ? "odd" : "muted" }, e.why || `→ ${time(e.received)}`)))) : el("p", { class: "muted" }, t("queue.none")));
}
