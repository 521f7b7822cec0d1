// The card 处置卡 of an urgent alarm: numbered steps with tick boxes and numbers to call; ticks stay on this screen.
import { pick } from "./boot.js";
import { el } from "./dom.js";

const PHONE = /(?<![\d.])(\d{3,4}-\d{4}-\d{3,4}|\d{3,4}-\d{7,8}|1[12]\d|9\d{4}|12345|12315)(?![\d.])/;

/** Text with its phone numbers as links. */
export function dialable(text) {
  return text.split(PHONE).map((piece, n) => (n % 2 ? el("a", { href: `tel:${piece.replaceAll("-", "")}` }, piece) : piece));
}

const stored = (key) => { try { return JSON.parse(localStorage.getItem(key) ?? "[]"); } catch { return []; } };

/** The steps of an alarm's card. */
export function cardSteps(alarm) {
  const key = `card.${alarm.occurrence}`;
  const done = new Set(stored(key));
  const tick = (n) => (e) => {
    if (e.target.checked) done.add(n); else done.delete(n);
    try { localStorage.setItem(key, JSON.stringify([...done])); } catch { /* full or private: for this page only */ }
  };
  return el("ol", { class: "card-steps" }, alarm.card.map((step, n) => {
    const id = `step-${alarm.id}-${n}`;
    return el("li", {}, el("label", { for: id }, dialable(pick(step))), el("input", { type: "checkbox", id, checked: done.has(n), onchange: tick(n) }));
  }));
}
