// A value between the ends of its range, with the limit of an alarm where there is one.
import { t } from "./boot.js";
import { svg } from "./dom.js";
import { number } from "./format.js";

const WIDE = 120;

export function band(point, value, limit) {
  const place = (v) => 2 + (WIDE - 4) * Math.max(0, Math.min(1, (v - point.low) / (point.high - point.low || 1)));
  const label = t("point.between", { v: number(value, point.decimals), low: number(point.low, 1), high: number(point.high, 1) });
  const parts = [svg("rect", { class: "scale", x: 0.5, y: 3.5, width: WIDE - 1, height: 7, rx: 2 }), svg("rect", { class: "mark", x: place(value) - 1.5, y: 0, width: 3, height: 14 })];
  if (limit !== null) parts.push(svg("line", { class: "limit", x1: place(limit), x2: place(limit), y1: 1, y2: 13 }));
  return svg("svg", { class: "band", viewBox: `0 0 ${WIDE} 14`, role: "img", "aria-label": label }, ...parts);
}
