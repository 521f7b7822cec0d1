// Times in the site's zone, lengths of time, numbers with their unit.
import { boot, maybe, pick, t } from "./boot.js";

const THIN = "\u2009";
const formats = new Map();

function parts(ms) {
  let format = formats.get(boot.zone);
  if (!format) {
    format = new Intl.DateTimeFormat("en-GB", {
      timeZone: boot.zone, hourCycle: "h23", year: "numeric", month: "2-digit", day: "2-digit",
      hour: "2-digit", minute: "2-digit", second: "2-digit",
    });
    formats.set(boot.zone, format);
  }
  return Object.fromEntries(format.formatToParts(ms).map((p) => [p.type, p.value]));
}

export const date = (ms) => { const p = parts(ms); return `${p.year}-${p.month}-${p.day}`; };
export const time = (ms) => { const p = parts(ms); return `${p.hour}:${p.minute}:${p.second}`; };
export const minute = (ms) => { const p = parts(ms); return `${p.hour}:${p.minute}`; };
export const day = (ms) => { const p = parts(ms); return `${p.month}-${p.day}`; };
export const moment = (ms) => (ms === null || ms === undefined ? "—" : `${date(ms)} ${time(ms)}`);

/** 4:12 below an hour, 2:05:00 below a day, else days and hours. */
export function clock(ms) {
  const s = Math.max(0, Math.floor(Math.abs(ms) / 1000));
  const two = (n) => String(n).padStart(2, "0");
  const h = Math.floor(s / 3600);
  if (h >= 24) return `${Math.floor(h / 24)}${THIN}${t("unit.d")} ${h % 24}${THIN}${t("unit.h")}`;
  const rest = `${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
  return h ? `${h}:${rest}` : rest;
}

/** In words, two units at most: 3 min 12 s. */
export function span(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  const steps = [[86400, "unit.d", 3600, "unit.h"], [3600, "unit.h", 60, "unit.min"], [60, "unit.min", 1, "unit.s"]];
  for (const [size, big, lower, small] of steps) {
    if (s < size) continue;
    const rest = Math.floor((s % size) / lower);
    return `${Math.floor(s / size)}${THIN}${t(big)}${rest ? ` ${rest}${THIN}${t(small)}` : ""}`;
  }
  return `${s}${THIN}${t("unit.s")}`;
}

const UNITS = { "°C": "°C", m3: "m³", "m3/h": "m³/h", "mg/m3": "mg/m³", "m/s2": "m/s²", "°": "°" };
export const unit = (u) => UNITS[u] ?? u ?? "";

/** A bare number with fixed decimals; never grouped, so that both languages read the same. */
export function number(v, decimals = 2) {
  if (v === null || v === undefined || Number.isNaN(v)) return "—";
  const text = v.toFixed(decimals);
  return /^-0\.?0*$/.test(text) ? text.slice(1) : text;
}

/** What a point reads: the word of its code, or the number with its unit; a dash when there is none. */
export function reading(point, v) {
  if (v === null || v === undefined) return "—";
  const word = point?.codes?.[String(v)];
  if (word) return pick(word);
  if (point?.kind === "digital") return v ? t("value.on") : t("value.off");
  if (point?.kind === "enum" || point?.kind === "counter") return withUnit(number(v, Number.isInteger(v) ? 0 : point.decimals), point.unit);
  return withUnit(number(v, point ? point.decimals : 2), point?.unit);
}

const withUnit = (text, u) => (u ? `${text}${THIN}${unit(u)}` : text);

/** The name of a point: its own, else its tag. */
export const pointName = (point) => pick(point.name) || maybe(`tag.${point.tag}`, point.tag);
