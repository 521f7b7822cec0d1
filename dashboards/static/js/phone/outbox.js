// Acts that wait in the phone until there is a signal. Each has its key, so that it counts once however often it is
// sent, and they go one after the other, so that they arrive in the order in which they were done.
import { me, t } from "../core/boot.js";
import { freshKey } from "../core/api.js";
import { actPath, guest, photoPath } from "./where.js";

const FIRST_MS = 700;
const MOST_MS = 8000;
const WARN_MS = 3600e3;
const PATIENCE = { photos: 90e3, other: 20e3 };
/** Answers after which sending it again would give the same answer. */
const FINAL = new Set([400, 404, 409, 413, 422]);

export class Outbox {
  /** `changed()` when the queue changed; `refused(entry, text)` when the server will never take an act. */
  constructor(store, { changed, refused }) {
    Object.assign(this, { store, changed, refused, entries: [], busy: false, pause: FIRST_MS, lock: `steward.outbox.${me.id}` });
    this.others = globalThis.BroadcastChannel ? new BroadcastChannel(this.lock) : null;
    this.others?.addEventListener("message", () => this.reload());
    for (const moment of ["online", "pageshow"]) addEventListener(moment, () => this.flush());
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.flush(); });
    navigator.storage?.persist?.().catch(() => undefined);
  }

  /** Read what an earlier page left; once, before anything else. */
  async begin() { await this.adopt(); await this.reload(); this.flush(); }

  async reload() { this.entries = await this.store.waiting(); this.changed(); }

  /** Acts that an older version of this page kept elsewhere. */
  async adopt() {
    const old = JSON.parse(localStorage.getItem(this.lock) ?? "[]");
    for (const entry of old) await this.store.add(entry);
    localStorage.removeItem(this.lock);
  }

  /** Whether something has waited for more than an hour. */
  get old() { const first = this.entries[0]; return Boolean(first) && Date.now() - first.at > WARN_MS; }

  /** Take an act. It is on the disk when this returns; it is sent at once when there is a connection. */
  async put(order, act, body = {}, { at = Date.now(), photo = null } = {}) {
    await this.store.add({ key: freshKey(), order, act, body, at, photo });
    await this.told();
    this.flush();
  }

  async told() { this.others?.postMessage("changed"); await this.reload(); }

  async flush() {
    clearTimeout(this.again);
    if (this.busy || !this.entries.length) return;
    this.busy = true;
    let all = false;
    try {
      // Two pages of one phone: only one of them sends. Without locks the keys keep it exactly-once.
      if (navigator.locks) all = await navigator.locks.request(this.lock, () => this.drain());
      else all = await this.drain();
    } catch (e) {
      console.warn("the queue stays as it is:", e.message);
    } finally { this.busy = false; }
    if (all) { this.pause = FIRST_MS; return; }
    this.again = setTimeout(() => this.flush(), this.pause);
    this.pause = Math.min(MOST_MS, this.pause * 1.7);
  }

  /** Sends from the oldest on; true when nothing is left. */
  async drain() {
    await this.reload();
    for (let entry = this.entries[0]; entry; entry = this.entries[0]) {
      const answer = await this.send(entry).catch(() => null); // no signal: later
      if (!answer || !(answer.ok || this.final(answer))) return false;
      const { order, act, at, body } = entry;
      await this.store.settle(entry, { order, act, at, item: body.item, text: body.text, received: answer.received, why: answer.ok ? "" : answer.why });
      this.pause = FIRST_MS;
      await this.told();
      if (!answer.ok) this.refused(entry, answer.why);
      else if (answer.odd) this.refused(entry, answer.odd);
    }
    return true;
  }

  /** 401 and a lost token mean: log in again, then it goes on. A role or a link that may not: never. */
  final(answer) { return FINAL.has(answer.status) || (answer.status === 403 && !answer.stale) || (guest && answer.status === 401); }

  async send(entry, again = false) {
    const stamps = { done_at: entry.at, sent_at: Date.now() };
    const headers = { Accept: "application/json", "X-CSRF-Token": me.csrf, "Idempotency-Key": entry.key };
    const signal = AbortSignal.timeout(PATIENCE[entry.act] ?? PATIENCE.other);
    let answer;
    if (entry.photo) {
      const query = new URLSearchParams({ ...entry.body, ...stamps });
      answer = await fetch(`${photoPath(entry.order)}?${query}`, { method: "POST", signal, headers: { ...headers, "Content-Type": entry.photo.media }, body: entry.photo.data });
    } else {
      answer = await fetch(actPath(entry.order, entry.act), { method: "POST", signal, headers: { ...headers, "Content-Type": "application/json" }, body: JSON.stringify({ ...entry.body, ...stamps }) });
    }
    const said = await answer.json();
    if (answer.status === 403 && !said.action && !guest && !again) {
      const stale = await this.renew();
      return stale ? { status: 403, stale } : this.send(entry, true);
    }
    return { ok: answer.ok, status: answer.status, received: Date.parse(answer.headers.get("Date")), why: reason(said, answer.status), odd: entry.photo ? differs(entry, said) : "" };
  }

  /** The page was kept from another session: take the token of the present one. True when there is none. */
  async renew() {
    const answer = await fetch("/api/v1/me", { headers: { Accept: "application/json" } });
    const now = answer.ok ? await answer.json() : null;
    if (now?.id !== me.id || now.csrf === me.csrf) return now?.id !== me.id;
    me.csrf = now.csrf;
    return false;
  }
}

const reason = (said, status) => said.errors?.map((e) => e.message).join("; ") || said.detail || said.title || String(status);

/** What was sent is what was hashed here; another hash in the answer would be another picture. */
function differs(entry, said) {
  const known = said.order?.photos;
  return known && !known.some((p) => p.sha256 === entry.photo.sha) ? t("photo.differs") : "";
}

const LEADS = { accept: "ACCEPTED", en_route: "EN_ROUTE", arrive: "ON_SITE", work: "WORKING", done: "DONE", reject: "REJECTED", handover: "REASSIGNED", hold: "ON_HOLD", verify: "VERIFIED", close: "CLOSED" };

/** The order as it will be when everything that waits has arrived. */
export function expected(order, entries) {
  const mine = entries.filter((e) => e.order === order.id);
  if (!mine.length) return order;
  const next = { ...order, stamps: { ...order.stamps }, checklist: order.checklist.map((i) => ({ ...i })), photos: [...(order.photos ?? [])], notes: [...(order.notes ?? [])], pending: mine.length };
  for (const e of mine) {
    const item = e.body.item && next.checklist.find((i) => i.id === e.body.item);
    if (e.photo) {
      next.photos = [...next.photos.filter((p) => p.sha256 !== e.photo.sha || p.kind !== e.body.kind), { sha256: e.photo.sha, kind: e.body.kind, at: e.at, waiting: e }];
      if (item) Object.assign(item, { value: e.photo.sha, waiting: true });
    } else if (e.act === "check") {
      if (item) Object.assign(item, { value: e.body.value, reason: e.body.reason, waiting: true });
    } else if (e.act === "note") next.notes.push({ t: e.at, by: me.name || me.id, text: e.body.text, waiting: true });
    else if (e.act === "resume") next.state = "ACCEPTED";
    else if (LEADS[e.act]) { next.state = LEADS[e.act]; next.stamps[next.state] = null; }
    if (e.act === "accept") next.assignee = me.id;
    if (e.act === "handover") next.assignee = e.body.to;
  }
  return next;
}
