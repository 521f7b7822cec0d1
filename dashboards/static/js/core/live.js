// The live picture: a snapshot, then the stream; goes on after a cut where it was, begins anew when told to.
import { get } from "./api.js";

const CUT_MS = 3000;
const QUIET_MS = 3000;
const PROBE_MS = 2000;
const ENDED = new Set(["CLOSED", "CANCELLED"]);

export class Live {
  /** `scope`: a query string such as "estate=x". */
  constructor(scope = "") {
    this.scope = scope;
    this.listeners = new Map();
    this.points = new Map(); this.assets = new Map(); this.alarms = new Map(); this.orders = new Map();
    this.values = {}; this.estates = []; this.contractors = new Map(); this.shift = []; this.health = {};
    this.ready = false;
    this.lostAt = null; // performance.now() of the cut
    this.lastT = 0; // newest time of the stream, site time
  }

  /** Events: ready, values, alarm, order, health, cut, tick. */
  on(name, f) { this.listeners.set(name, [...(this.listeners.get(name) ?? []), f]); return this; }
  tell(name, detail) { for (const f of this.listeners.get(name) ?? []) f(detail); }

  /** Site time now; stands still while the stream is cut. */
  now() { return this.base + ((this.lostAt ?? performance.now()) - this.at) * this.speed; }

  /** How long the stream has been cut, ms; 0 when it is not, or for less than three seconds. */
  cutFor() {
    const ms = this.lostAt === null ? 0 : performance.now() - this.lostAt;
    return ms > CUT_MS ? ms : 0;
  }

  async start() {
    setInterval(() => this.watch(), 1000);
    await this.begin();
  }

  async begin() {
    this.source?.close();
    try {
      this.take(await get(`/api/v1/snapshot?${this.scope}`));
      this.open();
    } catch (e) {
      if (e.status === 401) return;
      this.lost();
      setTimeout(() => this.begin(), 2000);
    }
  }

  /** Shows what was kept from before, marked as cut, until the server answers. */
  restore(s) {
    if (!s) return;
    this.take({ ...s, now: s.now + (Date.now() - s.kept_at) * (s.health.speed ?? 1) });
    this.lastT = s.now;
    this.lostAt = performance.now();
  }

  take(s) {
    this.snapshot = s;
    this.site = s.site; this.estates = s.estates; this.shift = s.shift; this.health = s.health;
    this.points = new Map(s.points.map((p) => [p.id, p]));
    this.assets = new Map(s.assets.map((a) => [a.id, a]));
    this.alarms = new Map(s.alarms.map((a) => [a.id, a]));
    this.orders = new Map(s.orders.map((o) => [o.id, o]));
    this.contractors = new Map(s.contractors.map((c) => [c.id, c]));
    this.pointsOf = Map.groupBy ? Map.groupBy(s.points, (p) => p.asset) : group(s.points);
    this.values = s.values;
    this.speed = s.health.speed ?? 1;
    this.setClock(s.now);
    this.lastT = s.now;
    this.cursor = s.cursor;
    this.found();
    this.ready = true;
    this.tell("ready");
  }

  setClock(now) { this.base = now; this.at = performance.now(); }

  open() {
    const scope = this.scope ? `${this.scope}&` : "";
    const source = new EventSource(`/api/v1/stream?${scope}after=${encodeURIComponent(this.cursor)}`);
    this.source = source;
    const heard = (f) => (e) => {
      if (e.lastEventId) this.cursor = e.lastEventId;
      this.found();
      f(JSON.parse(e.data));
    };
    source.addEventListener("open", () => this.found());
    source.addEventListener("v", heard((m) => {
      Object.assign(this.values, m.values);
      this.lastT = Math.max(this.lastT, m.t);
      if (m.t > this.now()) this.setClock(m.t);
      this.tell("values", m.values);
    }));
    source.addEventListener("a", heard((a) => {
      if (a.state === "NORM") this.alarms.delete(a.id); else this.alarms.set(a.id, a);
      this.tell("alarm", a);
    }));
    source.addEventListener("o", heard((o) => {
      if (ENDED.has(o.state)) this.orders.delete(o.id); else this.orders.set(o.id, o);
      this.tell("order", o);
    }));
    source.addEventListener("h", heard((h) => {
      const edge = this.health.edges?.[h.gateway];
      if (edge) edge.online = h.online;
      this.tell("health", h);
    }));
    source.addEventListener("resync", () => this.begin());
    source.addEventListener("error", () => {
      if (source !== this.source) return;
      this.lost();
      if (source.readyState === EventSource.CLOSED) setTimeout(() => source === this.source && this.begin(), 2000);
    });
  }

  found() {
    this.heardAt = performance.now();
    if (this.lostAt !== null) {
      const was = this.cutFor() > 0;
      this.base = this.now() + (performance.now() - this.lostAt) * this.speed;
      this.at = performance.now();
      this.lostAt = null;
      if (was) this.tell("cut", 0);
    }
  }

  lost() { this.lostAt ??= performance.now(); }

  /** A cable that was pulled says nothing: after three quiet seconds the server is asked whether it is there. */
  async probe() {
    if (this.probing || performance.now() < (this.probeAt ?? 0)) return;
    this.probing = true;
    const since = this.heardAt;
    try {
      await fetch("/api/v1/me", { method: "HEAD", cache: "no-store", signal: AbortSignal.timeout(PROBE_MS) });
      this.probeAt = performance.now() + QUIET_MS;
      if (this.lostAt !== null && this.source?.readyState === EventSource.OPEN) this.begin();
    } catch {
      if (this.heardAt === since) this.lostAt ??= since;
    } finally { this.probing = false; }
  }

  watch() {
    if (this.heardAt && performance.now() - this.heardAt > QUIET_MS) this.probe();
    const cut = this.cutFor();
    if (cut) this.tell("cut", cut);
    if (this.ready) this.tell("tick");
  }
}

function group(points) {
  const out = new Map();
  for (const p of points) out.set(p.asset, [...(out.get(p.asset) ?? []), p]);
  return out;
}
