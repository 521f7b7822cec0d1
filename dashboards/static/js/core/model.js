// Questions to the live picture that several pages ask.
export const STALE = 2;
export const levelOf = (q) => q >> 5;
export const reasonOf = (q) => q & 31;

const UNACKED = new Set(["UNACK", "RTNUN"]);
const QUIET = new Set(["SHELVED", "SUPPRESSED", "OUT_OF_SERVICE"]);
export const unacked = (a) => UNACKED.has(a.state);
export const quiet = (a) => QUIET.has(a.state);

/** Urgent first, then what nobody has acknowledged, then the newest; what is quiet comes last. */
export function byUrgency(a, b) {
  return quiet(a) - quiet(b) || a.priority - b.priority || unacked(b) - unacked(a) || b.raised_at - a.raised_at || (a.id < b.id ? -1 : 1);
}

/** The alarms of an asset, urgent first. */
export const alarmsOf = (live, asset) => [...live.alarms.values()].filter((a) => a.asset === asset).sort(byUrgency);

/** How an asset is: its worst alarm that is not quiet, and whether all, some or none of its values are stale. */
export function stateOf(live, asset) {
  const alarms = alarmsOf(live, asset.id);
  let stale = 0; let known = 0;
  for (const p of live.pointsOf.get(asset.id) ?? []) {
    const v = live.values[p.id];
    if (!v) continue;
    known += 1;
    if (levelOf(v[2]) >= STALE) stale += 1;
  }
  const worst = alarms.find((a) => !quiet(a)) ?? null;
  // Half of the values or more: what is left does not tell how the asset is.
  const silent = known > 0 && stale * 2 >= known;
  return { worst, alarms, quiet: alarms.length > 0 && !worst, silent, stale, known, mode: asset.mode };
}

/** The values by which one recognises an asset at a glance, by system, in order. */
export const KEY_TAGS = {
  elevator: ["lift.floor", "lift.service_mode", "lift.speed", "lift.motor_temp"],
  fire: ["fire.hydrant_p", "fire.tank_level", "fire.alarm_count", "fire.sprinkler_p"],
  water: ["ws.out_p", "ws.flow", "ws.tank_level", "ws.cl"],
  drain: ["sump.level", "sump.pump1.run", "sump.pump2.run"],
  manhole: ["mh.ch4", "mh.h2s", "mh.level", "mh.tilt"],
  power: ["pw.load", "pw.ua", "pw.ia", "tr.temp_a"],
  lighting: ["lt.mode", "lt.lux", "lt.c1.current"],
  generator: ["gen.state", "gen.fuel", "gen.batt", "gen.coolant"],
  septic: ["sep.ch4", "sep.h2s", "sep.pressure", "sep.level"],
  meter: ["em.p", "wm.flow", "em.kwh", "wm.m3"],
  call: ["call.active", "call.line", "call.batt"],
  gateway: ["gw.online", "gw.disk_free", "gw.outbox"],
};

/** Key points of an asset that exist. */
export function keyPoints(live, asset) {
  const points = new Map((live.pointsOf.get(asset.id) ?? []).map((p) => [p.tag, p]));
  return (KEY_TAGS[asset.system] ?? []).map((tag) => points.get(tag)).filter(Boolean);
}

/** The clock of an order that runs out next: {name, due} or null. */
export function nextClock(order) {
  let best = null;
  for (const name of ["accept", "arrive", "restore", "close"]) {
    const c = order.clocks?.[name];
    if (!c || c.due === null || c.met_at || c.state === "off" || c.state === "met") continue;
    if (!best || c.due < best.due) best = { name, due: c.due, state: c.state };
  }
  return best;
}
