// Draws the matrix. Grey when normal; a colour only with its shape and a word; hatched when not to be trusted.
import { pick, t } from "../core/boot.js";
import { pointName, reading } from "../core/format.js";
import { phase } from "../core/flash.js";
import { keyPoints, levelOf, STALE, stateOf, unacked } from "../core/model.js";

const FONT = '"Noto Sans SC","PingFang SC","Microsoft YaHei","Noto Sans CJK SC","WenQuanYi Micro Hei",sans-serif';
const NAMES = ["panel", "tile", "line", "edge", "text", "muted", "hatch", "focus", "p1", "p2", "p3", "p4", "p1-on", "p2-on", "p3-on", "p4-on", "p1-edge", "p2-edge", "p3-edge", "p4-edge", "p1-tint", "p2-tint", "p3-tint", "p4-tint", "p1-text", "p2-text", "p3-text", "p4-text"];

export class Painter {
  constructor(canvas) {
    this.canvas = canvas;
    this.g = canvas.getContext("2d");
    this.readTheme();
  }

  readTheme() {
    const style = getComputedStyle(document.documentElement);
    this.c = Object.fromEntries(NAMES.map((n) => [n, style.getPropertyValue(`--${n}`).trim()]));
    const size = 8; const cell = document.createElement("canvas");
    cell.width = cell.height = size;
    const g = cell.getContext("2d");
    g.strokeStyle = this.c.hatch; g.lineWidth = 1.4;
    for (const at of [-size, 0, size]) { g.beginPath(); g.moveTo(at, size); g.lineTo(at + size, 0); g.stroke(); }
    this.hatch = this.g.createPattern(cell, "repeat");
  }

  size(w, h) {
    const ratio = devicePixelRatio || 1;
    this.canvas.width = Math.round(w * ratio); this.canvas.height = Math.round(h * ratio);
    this.canvas.style.width = `${w}px`; this.canvas.style.height = `${h}px`;
    Object.assign(this, { w, h, ratio });
  }

  font(size, weight = 400) { this.g.font = `${weight} ${size}px ${FONT}`; }

  /** Draws everything; whether something flashes. */
  paint(live, plan, focus) {
    const { g } = this;
    g.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    g.clearRect(0, 0, this.w, this.h);
    g.textBaseline = "middle";
    this.live = live;
    for (const head of plan.heads) this.head(live, head);
    for (const label of plan.labels) this.label(label);
    for (const column of plan.columns ?? []) this.column(column);
    let flashes = false;
    const cut = live.cutFor() > 0;
    for (const tile of plan.tiles) {
      const states = tile.assets.map((a) => stateOf(live, a));
      const worst = states.map((s) => s.worst).filter(Boolean).sort((a, b) => a.priority - b.priority || unacked(b) - unacked(a))[0] ?? null;
      flashes ||= Boolean(worst && unacked(worst));
      this.box(tile, worst, cut || states.every((s) => s.silent));
      if (plan.kind === "assets") this.asset(live, tile, states[0], worst, cut);
      else this.cell(tile, states, worst);
      if (focus && tile.assets.some((a) => a.id === focus)) this.ring(tile);
    }
    return flashes;
  }

  head(live, { estate, x, y, w }) {
    this.font(13, 600); this.g.fillStyle = this.c.text; this.g.textAlign = "left";
    this.text(pick(live.estates.find((e) => e.id === estate)?.name), x, y + 13, w);
  }

  label({ system, x, y, w, h }) {
    this.font(13); this.g.fillStyle = this.c.muted; this.g.textAlign = "left";
    this.wrap(t(`system.${system}`), x, y + h / 2, w - 8);
  }

  column({ system, x, y, w, h }) {
    this.font(12); this.g.fillStyle = this.c.muted; this.g.textAlign = "center";
    this.text(t(`system.short.${system}`), x + w / 2, y + h / 2, w - 2);
  }

  box({ x, y, w, h }, worst, stale) {
    const { g, c } = this;
    g.beginPath(); g.roundRect(x + 0.5, y + 0.5, w - 1, h - 1, 3);
    g.fillStyle = worst ? c[`p${worst.priority}-tint`] : c.tile; g.fill();
    if (stale) { g.fillStyle = this.hatch; g.fill(); }
    const lit = !worst || !unacked(worst) || !(worst.priority === 1 ? phase.fast : phase.slow);
    g.lineWidth = worst ? 2 : 1;
    g.strokeStyle = worst && lit ? c[`p${worst.priority}-edge`] : c.line;
    g.stroke();
  }

  ring({ x, y, w, h }) {
    this.g.lineWidth = 3; this.g.strokeStyle = this.c.focus;
    this.g.strokeRect(x - 1, y - 1, w + 2, h + 2);
  }

  asset(live, { assets: [asset], x, y, w, h }, state, worst, cut) {
    const { g, c } = this;
    const left = x + 9; let room = w - 14;
    if (worst) { this.shape(worst, x + w - 13, y + 13, 15); room -= 18; }
    this.font(13, worst ? 700 : 600); g.fillStyle = c.text; g.textAlign = "left";
    const wide = w > 210;
    const rows = h >= 62 ? 3 : 2;
    const first = y + h * (rows === 3 ? 0.22 : 0.3);
    this.text(this.fit(pick(asset.name), room), left, first, room);
    if (worst) {
      this.font(12, 600); g.fillStyle = c[`p${worst.priority}-text`];
      this.text(pick(worst.name), left, y + h * (rows === 3 ? 0.51 : 0.72), w - 16);
    } else if (state.silent || cut) {
      this.font(12, 600); g.fillStyle = c.text;
      this.chip(t("tile.stale"), left, y + h * (rows === 3 ? 0.51 : 0.72), w - 16);
      return;
    }
    if (worst && (state.silent || cut)) {
      if (rows === 3) { this.font(12, 600); g.fillStyle = c.text; this.chip(t("tile.stale"), left, y + h * 0.8, w - 16); }
      return;
    }
    const fits = Math.max(1, Math.min(4, Math.floor(w / 118)));
    const points = keyPoints(live, asset).slice(0, wide ? fits : 1);
    if (worst && rows < 3) return;
    this.values(live, points, left, worst ? y + h * 0.8 : y + h * (rows === 3 ? 0.62 : 0.72), w - 16, wide);
  }

  values(live, points, x, y, w, wide) {
    const step = w / Math.max(1, points.length);
    points.forEach((p, n) => {
      const v = live.values[p.id];
      const bad = !v || levelOf(v[2]) >= STALE;
      const at = x + n * step;
      this.font(12); this.g.fillStyle = this.c.muted;
      let shown = v ? reading(p, v[1]) : "—";
      this.font(13, 600);
      if (this.g.measureText(shown).width > step - 6 && p.unit) [shown] = shown.split("\u2009");
      this.font(12);
      const name = wide || this.g.measureText(`${pointName(p)} ${shown}`).width + 10 < step ? pointName(p) : "";
      if (bad) { this.g.fillStyle = this.hatch; this.g.fillRect(at - 3, y - 9, step - 4, 18); this.g.fillStyle = this.c.muted; }
      const used = name ? this.text(name, at, y, step * 0.6) + 6 : 0;
      this.font(13, bad ? 400 : 600); this.g.fillStyle = bad ? this.c.muted : this.c.text;
      const room = step - used - 6;
      if (this.g.measureText(shown).width > room && p.unit) [shown] = shown.split("\u2009");
      this.text(shown, at + used, y, room);
    });
  }

  cell({ x, y, w, h }, states, worst) {
    const { g, c } = this;
    g.textAlign = "center";
    const cx = x + w / 2; const cy = y + h / 2;
    if (worst) {
      const n = states.reduce((sum, s) => sum + s.alarms.length, 0);
      this.shape(worst, n > 1 && w > 44 ? cx - 9 : cx, cy, Math.min(20, h - 8));
      if (n > 1 && w > 44) { this.font(12, 600); g.fillStyle = c.text; g.fillText(`×${n}`, cx + 13, cy); }
      return;
    }
    this.font(13, 600); g.fillStyle = c.muted;
    g.fillText(states.every((s) => s.silent) ? "≈" : states.every((s) => s.quiet) ? "—" : "·", cx, cy);
  }

  /** Text on a solid ground, readable over hatching. */
  chip(text, x, y, w) {
    const width = Math.min(w, this.g.measureText(text).width + 10);
    const ink = this.g.fillStyle;
    this.g.fillStyle = this.c.panel; this.g.fillRect(x - 3, y - 9, width, 18);
    this.g.fillStyle = ink; this.text(text, x + 2, y, w - 8);
  }

  shape(alarm, x, y, size) {
    const { g, c } = this; const r = size / 2; const p = alarm.priority;
    const back = alarm.state === "RTNUN";
    const hollow = back || (alarm.state === "UNACK" && Boolean(p === 1 ? phase.fast : phase.slow));
    g.setLineDash(back && phase.slow ? [3, 3] : []);
    g.beginPath();
    if (p === 1) g.rect(x - r, y - r, size, size);
    else if (p === 2) { g.moveTo(x, y - r * 1.2); g.lineTo(x + r * 1.2, y); g.lineTo(x, y + r * 1.2); g.lineTo(x - r * 1.2, y); g.closePath(); }
    else if (p === 3) { g.moveTo(x, y - r); g.lineTo(x + r * 1.15, y + r); g.lineTo(x - r * 1.15, y + r); g.closePath(); }
    else g.arc(x, y, r, 0, 7);
    g.lineWidth = hollow ? 2 : 1.2; g.strokeStyle = c[`p${p}-edge`];
    if (!hollow) { g.fillStyle = c[`p${p}`]; g.fill(); }
    g.stroke();
    g.setLineDash([]);
    this.font(Math.round(size * 0.62), 700); g.textAlign = "center";
    g.fillStyle = hollow ? c[`p${p}-text`] : c[`p${p}-on`];
    g.fillText(String(p), x, y + (p === 3 ? size * 0.14 : 1));
    g.textAlign = "left";
  }

  /** Draws text within a width, with an ellipsis where it must be cut; the width that it took. */
  text(text, x, y, width) {
    const { g } = this;
    let shown = text;
    if (g.measureText(shown).width > width) {
      while (shown.length > 1 && g.measureText(`${shown}…`).width > width) shown = shown.slice(0, -1);
      shown += "…";
    }
    g.fillText(shown, x, y);
    return g.measureText(shown).width;
  }

  /** The name, or its number where the tile is too narrow for more. */
  fit(name, width) {
    if (this.g.measureText(name).width <= width) return name;
    const number = name.match(/\d+/);
    return width < 60 && number ? `#${number[0]}` : name;
  }

  /** One line, or two at a space, centred on y. */
  wrap(text, x, y, width) {
    const words = text.split(" ");
    if (words.length < 2 || this.g.measureText(text).width <= width) { this.text(text, x, y, width); return; }
    const middle = Math.ceil(words.length / 2);
    this.text(words.slice(0, middle).join(" "), x, y - 8, width);
    this.text(words.slice(middle).join(" "), x, y + 8, width);
  }
}
