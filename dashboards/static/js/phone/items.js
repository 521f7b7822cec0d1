// The typed checklist: yes or no, number and meter with limits, choice, text, photo.
import { ask } from "../core/ask.js";
import { pick, t } from "../core/boot.js";
import { el } from "../core/dom.js";
import { unit } from "../core/format.js";
import { camera, figure } from "./photos.js";

const NUMBERS = new Set(["number", "meter"]);
export const answered = (i) => i.value !== null && i.value !== undefined;
const beyond = (i, v) => (i.low !== null && i.low !== undefined && v < i.low) || (i.high !== null && i.high !== undefined && v > i.high);
const limits = (i) => ({ low: i.low ?? "…", high: i.high ?? "…" });

/** One item; `open` says whether it may be answered now. */
export function item(order, i, step, open) {
  const send = async (value) => {
    let reason = "";
    if (NUMBERS.has(i.type) && beyond(i, value) && i.out === "reason") {
      const given = await ask({ title: t("item.beyond"), text: t("job.odd", limits(i)), ok: t("item.stays"), fields: [{ name: "reason", kind: "area", label: t("act.reason"), minlength: 2, maxlength: 500 }] });
      if (!given) return;
      ({ reason } = given);
    }
    step(order, "check", reason ? { item: i.id, value, reason } : { item: i.id, value });
  };
  const odd = NUMBERS.has(i.type) && typeof i.value === "number" && beyond(i, i.value);
  const answers = { yesno, choice, photo }[i.type] ?? typed;
  return el("div", { class: "item", "data-item": i.id, "data-type": i.type },
    el("span", { class: "what" }, pick(i.text), i.required ? null : el("span", { class: "muted" }, ` · ${t("item.optional")}`), i.waiting ? el("span", { class: "muted" }, ` · ${t("job.unsent")}`) : null),
    answers(),
    odd ? el("span", { class: "odd" }, t("job.odd", limits(i)), i.out === "follow_up" ? ` · ${t("item.follows")}` : "", i.reason ? ` · ${i.reason}` : "") : null);

  function press(values) {
    return el("div", { class: "answers", role: "group", "aria-label": pick(i.text) }, values.map(([v, text]) =>
      el("button", { type: "button", class: "button", "aria-pressed": String(i.value === v), disabled: !open, onclick: () => send(v) }, text)));
  }
  function yesno() { return press([[true, t("ui.yes")], [false, t("ui.no")]]); }
  function choice() { return press((i.options ?? []).map((o) => [o.id, pick(o.text)])); }
  function photo() {
    const had = (order.photos ?? []).find((p) => p.sha256 === i.value);
    return el("div", { class: "answers" }, had ? figure(order, had) : null, open ? camera(order, step, t(had ? "photo.again" : "photo.take"), { kind: "other", item: i.id }) : null);
  }
  function typed() {
    const number = NUMBERS.has(i.type);
    const box = el("input", { type: "text", inputmode: number ? "decimal" : "text", value: i.value ?? "", disabled: !open, "aria-label": pick(i.text), maxlength: 1000 });
    box.addEventListener("change", () => {
      const text = box.value.trim().replace(number ? "," : "\u0000", ".");
      box.setCustomValidity("");
      if (text === "" || text === String(i.value ?? "")) return;
      const wrong = number && (!Number.isFinite(Number(text)) || (i.type === "meter" && Number(text) < 0));
      if (wrong) { box.setCustomValidity(t("job.number")); box.reportValidity(); return; }
      send(number ? Number(text) : text);
    });
    const hint = number && (i.low ?? i.high ?? null) !== null ? el("span", { class: "muted" }, `${limits(i).low} – ${limits(i).high}`) : null;
    return el("div", { class: "answers" }, box, i.unit ? el("span", {}, unit(i.unit)) : null, hint);
  }
}
