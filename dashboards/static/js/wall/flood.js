// Alarm floods: asks for the list by cause while there is one, and says so in a badge.
import { t } from "../core/boot.js";
import { get } from "../core/api.js";
import { say } from "../core/dom.js";
import { time } from "../core/format.js";

const PAUSE_MS = 1500;
const AGAIN_MS = 20000;

export class Flood {
  constructor(live, list, badge) {
    Object.assign(this, { live, list, badge, picture: null, asked: -Infinity, due: null });
    list.flood = this;
    live.on("ready", () => this.soon()).on("alarm", () => this.soon());
    live.on("tick", () => performance.now() - this.asked > AGAIN_MS && this.soon());
  }

  get on() { return Boolean(this.picture?.on); }

  /** Not more often than the list can be read. */
  soon() {
    if (this.due !== null) return;
    const wait = Math.max(0, PAUSE_MS - (performance.now() - this.asked));
    this.due = setTimeout(() => this.ask(), wait);
  }

  async ask() {
    this.due = null;
    this.asked = performance.now();
    try {
      this.picture = await get("/api/v1/flood");
    } catch {
      return; // cut off: the band says so, and the list by single alarms stays true
    }
    this.show();
  }

  show() {
    this.badge.hidden = !this.on;
    if (this.on) say(this.badge, t("flood.badge", { time: time(this.picture.since), n: this.picture.count, groups: this.picture.groups }));
    this.list.show();
  }

  /** The lines of the screen: {alarms, head, kind, title}, what came since the last answer first if it is urgent. */
  lines() {
    const known = new Set(this.picture.lines.flatMap((l) => l.alarms));
    const fresh = [...this.live.alarms.values()].filter((a) => !known.has(a.id) && a.priority === 1);
    const of = (l) => ({ ...l, alarms: l.alarms.map((id) => this.live.alarms.get(id)).filter(Boolean) });
    return [...fresh.map((a) => ({ kind: "single", alarms: [a] })), ...this.picture.lines.map(of)].filter((l) => l.alarms.length);
  }
}
