// Acts that wait in the phone until there is a signal. Each has its key, so that it counts once however often it is sent.
import { me } from "../core/boot.js";
import { freshKey, post, Refused } from "../core/api.js";

const AGAIN_MS = 5000;
const WARN_MS = 3600e3;

export class Outbox {
  /** `changed()` when the queue changed; `refused(entry, text)` when the server will never take an act. */
  constructor({ changed, refused }) {
    this.name = `steward.outbox.${me.id}`;
    Object.assign(this, { changed, refused, busy: false });
    for (const moment of ["online", "pageshow"]) addEventListener(moment, () => this.flush());
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.flush(); });
    addEventListener("storage", (e) => { if (e.key === this.name) this.changed(); });
    setInterval(() => this.flush(), AGAIN_MS);
    navigator.storage?.persist?.().catch(() => undefined);
  }

  /** What waits, oldest first. */
  get entries() { try { return JSON.parse(localStorage.getItem(this.name) ?? "[]"); } catch { return []; } }

  write(entries) { localStorage.setItem(this.name, JSON.stringify(entries)); this.changed(); }

  /** Whether something has waited for more than an hour. */
  get old() { const first = this.entries[0]; return Boolean(first) && Date.now() - first.at > WARN_MS; }

  /** Take an act; it is sent at once when there is a connection. */
  put(order, act, body = {}) {
    this.write([...this.entries, { key: freshKey(), order, act, body, at: Date.now() }]);
    return this.flush();
  }

  async flush() {
    if (this.busy || !this.entries.length) return;
    this.busy = true;
    try {
      // Two pages of one phone: only one of them sends. Without locks the keys keep it exactly-once.
      if (navigator.locks) await navigator.locks.request(this.name, () => this.send());
      else await this.send();
    } finally { this.busy = false; }
  }

  async send() {
    for (let entry = this.entries[0]; entry; entry = this.entries[0]) {
      const body = { ...entry.body, done_at: entry.at, sent_at: Date.now() };
      try {
        await post(`/api/v1/orders/${entry.order}/${entry.act}`, body, { key: entry.key });
      } catch (e) {
        const final = e instanceof Refused && [400, 403, 404, 409, 422].includes(e.status);
        if (!final) return; // no signal, the server is away, or one has to log in again: later
        this.refused(entry, e.message);
      }
      this.write(this.entries.filter((x) => x.key !== entry.key));
    }
  }
}

const LEADS = { accept: "ACCEPTED", en_route: "EN_ROUTE", arrive: "ON_SITE", work: "WORKING", done: "DONE", reject: "REJECTED", reassign: "REASSIGNED", hold: "ON_HOLD", verify: "VERIFIED", close: "CLOSED" };

/** The order as it will be when everything that waits has arrived. */
export function expected(order, entries) {
  const mine = entries.filter((e) => e.order === order.id);
  if (!mine.length) return order;
  const next = { ...order, stamps: { ...order.stamps }, checklist: order.checklist.map((i) => ({ ...i })), pending: mine.length };
  for (const e of mine) {
    if (e.act === "check") {
      const item = next.checklist.find((i) => i.id === e.body.item);
      if (item) { item.value = e.body.value; item.waiting = true; }
    } else if (e.act === "resume") next.state = "ACCEPTED";
    else if (LEADS[e.act]) { next.state = LEADS[e.act]; next.stamps[next.state] = null; }
    if (e.act === "accept") next.assignee = me.id;
  }
  return next;
}
