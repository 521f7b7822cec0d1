// A trend of one point: history from the server, then the live values; limit line; gaps stay gaps.
import { pick, t } from "./boot.js";
import { get } from "./api.js";
import { el, fill } from "./dom.js";
import { day, minute, number, time, unit } from "./format.js";
import { levelOf } from "./model.js";

export const RANGES = { "15m": 900e3, "1h": 3600e3, "24h": 86400e3, "7d": 604800e3 };

/** About how wide a label is, px. */
const wide = (text) => [...text].reduce((sum, c) => sum + (c > "\u2e7f" ? 12.5 : 7.2), 0);

export class Trend {
  constructor(live, box, range = "1h") {
    Object.assign(this, { live, box, range, point: null, limit: null, marks: [], turn: 0 });
    new ResizeObserver(() => this.resize()).observe(box);
    addEventListener("themechange", () => this.point && this.build());
    live.on("values", (v) => this.append(v)).on("tick", () => this.step());
    live.on("cut", (ms) => { if (!ms) this.load(); });
  }

  /** Show a point with an optional limit {value, label} and marks [ms]. */
  show(point, { limit = null, marks = [] } = {}) {
    const same = point && this.point?.id === point.id;
    Object.assign(this, { point, limit, marks });
    if (!point) { this.plot?.destroy(); this.plot = null; fill(this.box, el("div", { class: "none" }, t("trend.none"))); return; }
    if (same && this.plot) { this.plot.redraw(); return; }
    this.load();
  }

  setRange(range) { this.range = range; this.load(); }

  async load() {
    if (!this.point) return;
    const turn = ++this.turn;
    const to = Math.round(this.live.now()); const from = to - RANGES[this.range];
    const px = Math.max(200, Math.min(2000, Math.round(this.box.clientWidth || 600)));
    let s;
    try {
      s = await get(`/api/v1/series?point=${encodeURIComponent(this.point.id)}&from=${from}&to=${to}&px=${px}`);
    } catch { if (turn === this.turn) fill(this.box, el("div", { class: "none" }, t("trend.none"))); return; }
    if (turn !== this.turn) return;
    this.take(s);
    this.build();
  }

  take(s) {
    this.banded = s.kind === "minmax";
    this.x = s.t.map((v) => v / 1000);
    const clean = (column) => column.map((v) => (v === null || Number.isNaN(v) ? null : v));
    if (this.banded) {
      this.y = clean(s.mean); this.low = clean(s.low); this.high = clean(s.high);
    } else {
      this.y = s.v.map((v, n) => (v === null || levelOf(s.q[n]) >= 3 ? null : v));
      this.low = this.high = this.y;
    }
  }

  get stepped() { return this.point.kind !== "analog"; }

  data() {
    const now = this.live.now() / 1000;
    const x = [...this.x]; const columns = [this.y, this.low, this.high].map((c) => [...c]);
    const v = this.live.values[this.point.id];
    // What was reported by exception holds until now, as long as the value is to be trusted.
    if (v && v[1] !== null && levelOf(v[2]) < 2 && (!x.length || now > x[x.length - 1])) {
      x.push(now); columns.forEach((c) => c.push(v[1]));
    }
    return [x, ...columns];
  }

  colours() {
    const style = getComputedStyle(document.documentElement);
    return (name) => style.getPropertyValue(`--${name}`).trim();
  }

  build() {
    this.plot?.destroy();
    this.box.replaceChildren();
    const c = this.colours();
    const font = `12px ${c("font")}`;
    const long = RANGES[this.range] > 43200e3;
    const label = (s) => (long ? (RANGES[this.range] > 86400e3 ? day(s * 1000) : minute(s * 1000)) : minute(s * 1000));
    const axis = { stroke: c("muted"), font, grid: { stroke: c("grid"), width: 1 }, ticks: { stroke: c("grid"), width: 1, size: 4 } };
    // A value holds until the next report: what was not sent had not changed.
    const path = this.banded ? uPlot.paths.linear() : uPlot.paths.stepped({ align: 1 });
    this.plot = new uPlot({
      ...this.measure(), legend: { show: false }, cursor: { y: false, points: { size: 7 } },
      scales: { x: { time: true, range: () => this.window() }, y: { range: (u, low, high) => this.span(low, high) } },
      axes: [
        { ...axis, values: (u, splits) => splits.map(label), space: 64, size: 30 },
        { ...axis, ...(this.stepped ? { splits: (u, a, low, high) => this.steps(low, high) } : {}), values: (u, splits) => splits.map((v) => this.tick(v, splits)), size: (u, values) => 16 + Math.max(20, ...(values ?? []).map(wide)) },
      ],
      series: [{}, { stroke: c("trace"), width: 1.8, paths: path, points: { show: false }, spanGaps: false },
        { stroke: "transparent", width: 0, paths: path, points: { show: false } }, { stroke: "transparent", width: 0, paths: path, points: { show: false } }],
      bands: this.banded ? [{ series: [3, 2], fill: `${c("hatch")}55` }] : [],
      hooks: { draw: [(u) => this.lines(u, c, font)], setCursor: [(u) => this.tip(u)] },
    }, this.data(), this.box);
    this.hint = el("div", { class: "trend-tip", hidden: true });
    this.plot.over.append(this.hint);
  }

  tick(v, splits) {
    const word = this.stepped && this.point.codes?.[String(v)];
    if (word) return pick(word);
    const step = splits.length > 1 ? Math.abs(splits[1] - splits[0]) : 1;
    return number(v, Math.max(0, Math.min(4, Math.ceil(-Math.log10(step) - 1e-9))));
  }

  /** Whole numbers only for what has states; those that have a name, when there are few. */
  steps(low, high) {
    const named = Object.keys(this.point.codes ?? {}).map(Number).filter((n) => n >= low && n <= high);
    if (named.length) return named.slice(0, 12);
    const step = Math.max(1, Math.ceil((high - low) / 6));
    const out = [];
    for (let n = Math.ceil(low); n <= high; n += step) out.push(n);
    return out;
  }

  window() { const now = this.live.now() / 1000; return [now - RANGES[this.range] / 1000, now]; }

  /** Room for the trace and the limit, never thinner than the noise of a steady value. */
  span(low, high) {
    let a = low ?? 0; let b = high ?? 1;
    if (this.point.kind === "digital") return [-0.15, 1.15];
    if (this.limit) { a = Math.min(a, this.limit.value); b = Math.max(b, this.limit.value); }
    const least = Math.max(Math.abs(b) * 0.02, 10 ** -this.point.decimals * 4);
    const more = Math.max((b - a) * 0.12, b - a < least ? least / 2 : 0);
    return [a - more, b + more];
  }

  lines(u, c, font) {
    const g = u.ctx; const { left, top, width, height } = u.bbox; const ratio = devicePixelRatio;
    g.save();
    g.font = font.replace("12px", `${12 * ratio}px`);
    if (this.limit) {
      const y = u.valToPos(this.limit.value, "y", true);
      g.strokeStyle = c("p2-edge"); g.lineWidth = 1.6 * ratio; g.setLineDash([7 * ratio, 5 * ratio]);
      g.beginPath(); g.moveTo(left, y); g.lineTo(left + width, y); g.stroke();
      g.setLineDash([]); g.fillStyle = c("p2-text"); g.textAlign = "left";
      g.fillText(this.limit.label, left + 6 * ratio, y - 6 * ratio < top + 12 * ratio ? y + 15 * ratio : y - 6 * ratio);
    }
    for (const mark of this.marks) {
      const x = u.valToPos(mark / 1000, "x", true);
      if (x < left || x > left + width) continue;
      g.strokeStyle = c("edge"); g.lineWidth = ratio; g.setLineDash([2 * ratio, 3 * ratio]);
      g.beginPath(); g.moveTo(x, top); g.lineTo(x, top + height); g.stroke();
      g.setLineDash([]); g.fillStyle = c("text");
      g.beginPath(); g.moveTo(x, top + 9 * ratio); g.lineTo(x - 5 * ratio, top); g.lineTo(x + 5 * ratio, top); g.fill();
    }
    g.restore();
  }

  tip(u) {
    if (!this.hint) return;
    const at = u.cursor.idx;
    this.hint.hidden = at === null || at === undefined || u.cursor.left < 0;
    if (this.hint.hidden) return;
    const v = u.data[1][at];
    this.hint.textContent = `${RANGES[this.range] > 86400e3 ? `${day(u.data[0][at] * 1000)} ` : ""}${time(u.data[0][at] * 1000)}  ${v === null ? "—" : `${number(v, this.point.decimals)} ${unit(this.point.unit)}`}`;
    this.hint.style.left = `${Math.min(u.cursor.left + 10, u.over.clientWidth - this.hint.offsetWidth - 4)}px`;
  }

  measure() { return { width: Math.max(160, this.box.clientWidth), height: Math.max(60, this.box.clientHeight - 2) }; }
  resize() { if (this.plot && this.box.clientWidth) this.plot.setSize(this.measure()); }

  append(changed) {
    const v = this.point && changed[this.point.id];
    if (!v || !this.x) return;
    const at = v[0] / 1000;
    if (this.x.length && at <= this.x[this.x.length - 1]) return;
    const y = v[1] !== null && levelOf(v[2]) < 3 ? v[1] : null;
    this.x.push(at);
    for (const column of new Set([this.y, this.low, this.high])) column.push(y);
    this.trim();
  }

  /** A wall stays open for weeks: what has left the window is forgotten. */
  trim() {
    const from = this.live.now() / 1000 - (RANGES[this.range] / 1000) * 1.05;
    let old = 0;
    while (old + 1 < this.x.length && this.x[old + 1] < from) old += 1;
    if (old < 500) return;
    for (const column of new Set([this.x, this.y, this.low, this.high])) column.splice(0, old);
  }

  /** Once a second at most on short ranges, once in ten on long ones. */
  step() {
    this.count = (this.count ?? 0) + 1;
    const due = RANGES[this.range] <= 3600e3 || this.count % 10 === 0;
    if (this.plot && due) this.plot.setData(this.data());
  }
}

/** Buttons that choose the range of a trend. */
export function rangeButtons(trend, box) {
  const buttons = Object.keys(RANGES).map((range) => el("button", {
    type: "button", "aria-pressed": String(range === trend.range),
    onclick: () => { trend.setRange(range); buttons.forEach((b, n) => b.setAttribute("aria-pressed", String(Object.keys(RANGES)[n] === range))); },
  }, t(`range.${range}`)));
  fill(box, buttons);
}
