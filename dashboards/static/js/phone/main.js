// The technician's page: my jobs, one job, and what waits in the phone for a signal.
import "../core/flash.js";
import { me, t } from "../core/boot.js";
import { watchCut } from "../core/cut.js";
import { el, fill, say, toast } from "../core/dom.js";
import { reading } from "../core/format.js";
import { Live } from "../core/live.js";
import { levelOf, STALE } from "../core/model.js";
import { isMine, jobCard, sorted, tick } from "./jobs.js";
import { expected, Outbox } from "./outbox.js";
import { sheet } from "./sheet.js";

const KEPT = `steward.jobs.${me.id}`;
const root = document.getElementById("jobs");
const queue = document.getElementById("queue");
const live = new Live();
const outbox = new Outbox({
  changed: () => { count(); render(); },
  refused: (entry, text) => toast(t("job.refused", { what: t(`job.act.${entry.act}`), why: text }), true),
});

const orderAt = () => live.orders.get(location.hash.slice(1));
const open = (id) => { location.hash = id; };
const back = () => { location.hash = ""; };
const step = (order, act, body) => outbox.put(order.id, act, body);

function count() {
  const n = outbox.entries.length;
  queue.classList.toggle("waiting", n > 0);
  say(queue, n ? t(outbox.old ? "job.queue_old" : "job.queue", { n }) : "");
}

function render() {
  if (!live.ready) return;
  // Never under the fingers of somebody who types: the next change or the end of typing draws it.
  if (root.contains(document.activeElement) && document.activeElement.matches("input, textarea")) return;
  const order = orderAt();
  const scroll = scrollY;
  if (order) fill(root, sheet(live, expected(order, outbox.entries), { back, step }));
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
  try { localStorage.setItem(KEPT, JSON.stringify(small)); } catch { /* full: the page needs a connection then */ }
}

let waiting = null;
const later = () => { clearTimeout(waiting); waiting = setTimeout(() => { render(); keep(); }, 120); };
live.on("ready", () => { count(); render(); keep(); outbox.flush(); });
live.on("order", later).on("alarm", later).on("values", readings).on("tick", () => tick(root, live.now()));
live.on("cut", (ms) => { if (!ms) outbox.flush(); });
addEventListener("hashchange", render);
root.addEventListener("focusout", () => setTimeout(render, 0));
document.querySelector('form[action="/logout"]')?.addEventListener("submit", () => {
  localStorage.removeItem(KEPT);
  globalThis.caches?.keys().then((names) => names.forEach((n) => caches.delete(n)));
});
watchCut(live);
try { live.restore(JSON.parse(localStorage.getItem(KEPT))); } catch { /* nothing kept, or of another version */ }
live.start();
keepShell();

/** Without a secure context there is no worker: the page then works as long as it stays open. */
async function keepShell() {
  if (!navigator.serviceWorker) return;
  try {
    navigator.serviceWorker.addEventListener("message", (e) => { if (e.data.kept) document.body.dataset.kept = e.data.kept; });
    await navigator.serviceWorker.register("/t/sw.js", { scope: "/t" });
    const worker = (await navigator.serviceWorker.ready).active;
    worker.postMessage({ keep: performance.getEntriesByType("resource").map((r) => r.name) });
  } catch (e) { console.warn("the page is not kept for use without a signal:", e.message); }
}
