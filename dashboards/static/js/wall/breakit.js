// The demonstration's box of breakages: faults in the simulated plant, and kill -9 of Steward's own processes.
import { boot, pick, t } from "../core/boot.js";
import { act } from "../core/api.js";
import { el, fill, toast } from "../core/dom.js";

/** Button → the fault and on which kind of asset. */
const FAULTS = [
  ["power_cut", "power"], ["trap_passenger", "elevator"], ["pump_stall", "water"], ["manhole_open", "manhole"],
  ["fire_alarm", "fire"], ["call_button", "call"], ["device_silent", "water"],
];

export class BreakIt {
  constructor(live, panel, box) {
    if (!boot.breakit) return;
    Object.assign(this, { live, box, active: [] });
    panel.hidden = false;
    live.on("ready", () => this.show());
    if (boot.me.actions.includes("breakit")) live.on("ready", () => this.look());
  }

  send(body) { return act("breakit", "/api/v1/breakit", body); }

  async look() {
    const found = await this.send({ do: "list" });
    if (found) { this.active = found.active ?? []; this.kinds = new Map(found.kinds.map((k) => [k.kind, k])); this.show(); }
  }

  target(kind, system) {
    const assets = this.kinds?.get(kind)?.assets ?? [...this.live.assets.values()].filter((a) => a.system === system).map((a) => a.id);
    return assets.find((id) => this.live.assets.get(id)?.system === system) ?? assets[0];
  }

  show() {
    const on = (kind) => this.active.find((f) => f.kind === kind);
    const faults = FAULTS.map(([kind, system]) => {
      const running = on(kind);
      const asset = running?.asset ?? this.target(kind, system);
      if (!asset) return null;
      return el("button", { type: "button", class: "button", "aria-pressed": String(Boolean(running)), title: pick(this.live.assets.get(asset)?.name), onclick: () => this.toggle(kind, asset, running) }, t(`break.${kind}`));
    });
    fill(this.box, faults, el("span", { class: "gap" }),
      ["edge", "broker"].map((name) => el("button", { type: "button", class: "button", onclick: () => this.kill(name) }, t(`break.kill_${name}`))),
      el("span", { class: "gap" }),
      el("button", { type: "button", class: "button primary", onclick: () => this.clear() }, t("break.clear")));
  }

  async toggle(kind, asset, running) {
    const done = await this.send(running ? { do: "clear", kind, asset } : { do: "fault", kind, asset });
    if (!done) return;
    this.active = running ? this.active.filter((f) => f.kind !== kind) : [...this.active, { kind, asset }];
    toast(t(running ? "break.mended" : "break.done", { what: t(`break.${kind}`), where: pick(this.live.assets.get(asset)?.name) }));
    this.show();
  }

  async kill(name) { if (await this.send({ do: "kill", name })) toast(t("break.killed", { what: t(`break.kill_${name}`) })); }

  async clear() { if (await this.send({ do: "clear" })) { this.active = []; toast(t("break.cleared")); this.show(); } }
}
