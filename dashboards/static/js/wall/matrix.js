// Estates × systems on a canvas: one tile an asset when there are one or two estates, one cell a system otherwise.
import { can, pick, t } from "../core/boot.js";
import { el, fill, stateText } from "../core/dom.js";
import { onFlash } from "../core/flash.js";
import { stateOf } from "../core/model.js";
import { layout } from "./layout.js";
import { Painter } from "./painter.js";

export class Matrix {
  /** `choose(asset, alarm)` is called when a tile is touched. */
  constructor(live, canvas, table, choose) {
    Object.assign(this, { live, canvas, table, choose, tiles: [], dirty: false, focus: null, only: null });
    this.box = canvas.parentElement;
    this.painter = new Painter(canvas);
    this.described = "";
    new ResizeObserver(() => this.arrange()).observe(this.box);
    addEventListener("themechange", () => { this.painter.readTheme(); this.draw(); });
    onFlash(() => this.flashing && this.draw());
    live.on("values", () => this.draw()).on("alarm", () => this.draw()).on("cut", () => this.draw());
    live.on("ready", () => { this.arrange(); this.describe(); }).on("tick", () => this.describe());
    canvas.addEventListener("click", (e) => this.touched(e));
    canvas.addEventListener("pointermove", (e) => { canvas.title = this.at(e)?.title ?? ""; });
  }

  arrange() {
    if (!this.live.ready || !this.box.clientWidth) return;
    const { clientWidth: w, clientHeight: h } = this.box;
    this.plan = layout(this.live, w, h);
    this.painter.size(w, Math.max(h, this.plan.height));
    this.draw();
  }

  draw() {
    if (this.dirty || !this.plan) return;
    this.dirty = true;
    requestAnimationFrame(() => {
      this.dirty = false;
      this.flashing = this.painter.paint(this.live, this.plan, this.focus);
    });
  }

  at(e) {
    const box = this.canvas.getBoundingClientRect();
    const x = e.clientX - box.left; const y = e.clientY - box.top;
    const tile = this.plan?.tiles.find((k) => x >= k.x && x < k.x + k.w && y >= k.y && y < k.y + k.h);
    if (!tile) return null;
    tile.title = tile.assets.map((a) => `${pick(a.name)}: ${this.words(a)}`).join("\n");
    return tile;
  }

  touched(e) {
    const tile = this.at(e);
    if (!tile) return;
    const found = tile.assets.map((a) => [a, stateOf(this.live, a)]).find(([, s]) => s.worst);
    if (found) this.choose(found[0], found[1].worst);
    else if (can("view.asset")) location.assign(tile.assets.length === 1 ? `/asset/${tile.assets[0].id}` : `/site/${tile.estate}`);
  }

  /** The state of an asset in words. */
  words(asset) {
    const s = stateOf(this.live, asset);
    if (s.worst) return `${t(`priority.${s.worst.priority}`)}, ${stateText(s.worst.state)}, ${pick(s.worst.name)}`;
    if (s.silent) return t("tile.stale");
    if (s.mode === "commissioning") return t("status.commissioning");
    return s.quiet ? stateText(s.alarms[0].state) : t("status.normal");
  }

  /** The same as a table, for those who hear the page or walk it with the keyboard. */
  describe() {
    const rows = [...this.live.assets.values()].map((a) => [a, this.words(a)]);
    const signature = rows.map(([a, w]) => a.id + w).join();
    if (signature === this.described) return;
    this.described = signature;
    fill(this.table,
      el("caption", {}, t("wall.matrix")),
      el("thead", {}, el("tr", {}, ["stats.asset", "stats.system", "nav.site", "alarm.state"].map((k) => el("th", { scope: "col" }, t(k))))),
      el("tbody", {}, rows.map(([a, words]) => el("tr", {},
        el("th", { scope: "row" }, can("view.asset") ? this.link(a) : pick(a.name)),
        el("td", {}, t(`system.${a.system}`)),
        el("td", {}, pick(this.live.estates.find((e) => e.id === a.estate)?.name)),
        el("td", {}, words)))));
  }

  link(asset) {
    const focus = (on) => () => { this.focus = on ? asset.id : null; this.draw(); };
    return el("a", { href: `/asset/${asset.id}`, onfocus: focus(true), onblur: focus(false) }, pick(asset.name));
  }
}
