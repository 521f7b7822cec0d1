// Small tools for elements; text always goes in as text.
import { maybe, t } from "./boot.js";

/** An element. Attributes: `class`, `on…` handlers, `hidden` and other booleans, the rest as they are. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "value") node.value = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((c) => c !== null && c !== undefined && c !== false));
  return node;
}

const SVG = "http://www.w3.org/2000/svg";
export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

const PATHS = {
  1: ["rect", { x: 2, y: 2, width: 16, height: 16, rx: 1.5 }],
  2: ["path", { d: "M10 .8 19.2 10 10 19.2 .8 10z" }],
  3: ["path", { d: "M10 1.5 19.3 18H.7z" }],
  4: ["circle", { cx: 10, cy: 10, r: 8.6 }],
};
const GLYPHS = { SHELVED: "M10 5v5l3.5 2", SUPPRESSED: "M4 16 16 4", OUT_OF_SERVICE: "M4 16 16 4" };

/** The sign of a priority in a state: shape, colour, digit. */
export function shape(priority, state = "", size = 20) {
  const [tag, form] = PATHS[priority];
  const mark = GLYPHS[state]
    ? svg("path", { d: GLYPHS[state], fill: "none", stroke: "currentColor", "stroke-width": 1.8 })
    : svg("text", { x: 10, y: priority === 3 ? 15.2 : 14 }, String(priority));
  const box = { class: `shape p${priority} s-${state.toLowerCase()}`, viewBox: "0 0 20 20", width: size, height: size };
  return svg("svg", { ...box, "aria-hidden": "true" }, svg(tag, form), mark);
}

export const stateText = (state) => t(`alarm.state.${state}`);
export const eventText = (kind) => maybe(`event.${kind}`, kind);

/** Puts children in place of what is there, without touching the page when nothing differs. */
export function fill(node, ...children) {
  node.replaceChildren(...children.flat().filter((c) => c !== null && c !== undefined && c !== false));
}

/** Text of a node, set only when it differs. */
export function say(node, text) { if (node.textContent !== text) node.textContent = text; }

/** A message at the corner for some seconds. */
export function toast(text, bad = false) {
  const box = document.getElementById("toasts");
  const note = el("div", { class: bad ? "toast bad" : "toast" }, text);
  box.append(note);
  setTimeout(() => note.remove(), bad ? 9000 : 4500);
}
