// The technician's page: my jobs, one job, and what waits in the phone for a signal. For a guest: one job.
import "../core/flash.js";
import { me, t } from "../core/boot.js";
import { watchCut } from "../core/cut.js";
import { el, fill, say, toast } from "../core/dom.js";
import { reading } from "../core/format.js";
import { Live } from "../core/live.js";
import { levelOf, STALE } from "../core/model.js";
import { Store } from "./db.js";
import { GuestLive } from "./guest.js";
import { isMine, jobCard, sorted, tick } from "./jobs.js";
import { expected, Outbox } from "./outbox.js";
import { showQueue } from "./queue.js";
import { sheet } from "./sheet.js";
import { guest } from "./where.js";

const root = document.getElementById("jobs");
const queue = document.getElementById("queue");
const store = new Store(`steward.phone.${me.id}`);
const live = guest ? new GuestLive() : new Live();
const outbox = new Outbox(store, {
  changed: () => { count(); render(); if (guest && live.ready && !outbox.entries.length) live.again(); },
  refused: (entry, text) => toast(t("job.refused", { what: t(`job.act.${entry.act}`), why: text }), true),
});

const orderAt = () => (guest ? live.orders.get(guest.order) : live.orders.get(location.hash.slice(1)));
const open = (id) => { location.hash = id; };
const back = () => { location.hash = ""; };
const step = (order, act, body, more) => outbox.put(order.id, act, body, more).catch((e) => {
  console.error(e);
  toast(t("queue.full"), true);
});

function count() {
  const n = outbox.entries.length;
  queue.classList.toggle("waiting", n > 0);
  say(queue, n ? t(outbox.old ? "job.queue_old" : "job.queue", { n }) : "\u2713");
  queue.setAttribute("aria-label", n ? queue.textContent : t("queue.empty"));
}

/** Never under the fingers of somebody who types: the next change or the end of typing draws it. */
const typing = () => root.contains(document.activeElement) && document.activeElement.matches("input:not([type=checkbox], [type=file]), textarea");

function render() {
  if (!live.ready || typing()) return;
  const order = orderAt();
  const scroll = scrollY;
  if (order) fill(root, sheet(live, expected(order, outbox.entries), { back, step }));
  else if (guest) over();
  else list();
  tick(root, live.now());
  scrollTo(0, root.dataset.view === (order?.id ?? "") ? scroll : 0);
  root.dataset.view = order?.id ?? "";
}

function list() {
  const mine = sorted([...live.orders.values()].map((o) => expected(o, outbox.entries)).filter(isMine));
  const parts = [el("header", { class: "jobs-head" }, el("h1", {}, t("nav.jobs")), el("span", { class: "muted" }, t("job.count", { n: mine.length })))];
  parts.push(mine.length ? el("ul", {}, mine.map((o) => jobCard(live, o, open, step))) : el("p", { class: "nothing" }, t("job.none")));
  fill(root, parts);
}

/** The link has ended: what is shown must not look as if it went on. */
function over() { fill(root, el("h1", {}, t("nav.jobs")), el("p", { class: "waiting-note", role: "status" }, t("guest.over"))); }

function readings(changed) {
  for (const node of root.querySelectorAll("[data-point]")) {
    const id = node.dataset.point;
    if (!(id in changed)) continue;
    const v = live.values[id];
    say(node, reading(live.points.get(id), v[1]));
    node.parentElement.classList.toggle("stale", levelOf(v[2]) >= STALE);
  }
}

/** What is needed to show the jobs without a connection; written whenever they change. */
function keep() {
  const s = live.snapshot;
  const wanted = new Set([...live.alarms.values()].map((a) => a.point));
  const small = {
    ...s, now: live.now(), alarms: [...live.alarms.values()], orders: [...live.orders.values()].filter(isMine),
    points: s.points.filter((p) => wanted.has(p.id)), values: Object.fromEntries(Object.entries(live.values).filter(([id]) => wanted.has(id))),
    health: { speed: live.speed }, kept_at: Date.now(),
  };
  return store.keepPicture(small).catch((e) => console.warn("the jobs are not kept:", e.message));
}

let waiting = null;
const later = () => { clearTimeout(waiting); waiting = setTimeout(() => { render(); keep(); }, 120); };
live.on("ready", () => { count(); render(); keep(); outbox.flush(); });
live.on("order", later).on("alarm", later).on("values", readings).on("tick", () => tick(root, live.now()));
live.on("cut", (ms) => { if (!ms) outbox.flush(); });
live.on("over", () => { live.orders.clear(); live.ready = true; outbox.flush(); over(); store.keepPicture(undefined); });
addEventListener("hashchange", render);
queue.addEventListener("click", () => showQueue(live, outbox));
root.addEventListener("focusout", () => setTimeout(render, 0));
document.querySelector('form[action="/logout"]')?.addEventListener("submit", logOut);
watchCut(live);
await begin();

/** Acts that wait come first: whatever the network does, they are shown and never lost. */
async function begin() {
  try {
    const kept = await store.picture();
    if (kept) live.restore(kept);
    await outbox.begin();
  } catch (e) {
    console.warn("this browser keeps nothing:", e.message);
    toast(t("queue.no_store"), true);
  }
  document.body.dataset.ready = "yes";
  live.start();
  keepShell();
}

/** Logging out empties the phone, but not before the person knows what would be lost. */
async function logOut(e) {
  e.preventDefault();
  const form = e.target;
  if (outbox.entries.length && !confirm(t("queue.lose", { n: outbox.entries.length }))) return;
  const names = await (globalThis.caches?.keys() ?? []);
  await Promise.all([...names.map((n) => caches.delete(n)), store.wipe().catch(() => undefined)]);
  form.submit();
}

/** Without a secure context there is no worker: the page then works as long as it stays open. */
async function keepShell() {
  if (!navigator.serviceWorker) return;
  try {
    navigator.serviceWorker.addEventListener("message", (e) => { if (e.data.kept) document.body.dataset.kept = e.data.kept; });
    const there = await navigator.serviceWorker.register("/t/sw.js", { scope: location.pathname });
    const worker = there.active ?? await new Promise((done) => {
      const next = there.installing ?? there.waiting;
      next.addEventListener("statechange", () => { if (next.state === "activated") done(next); });
    });
    const more = ["decode.js", "index.js"].map((f) => `${location.origin}/static/vendor/qr/${f}`);
    worker.postMessage({ keep: [...performance.getEntriesByType("resource").map((r) => r.name), ...more] });
  } catch (e) { console.warn("the page is not kept for use without a signal:", e.message); }
}
