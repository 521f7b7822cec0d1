// Keeps the page of the technician in the phone, so that it opens in a basement. Data is never kept here.
const CACHE = "steward-t-1";
const SHELL = ["/t"];
const KEPT = /^\/(t$|static\/|i18n\/)/;

addEventListener("install", (e) => {
  e.waitUntil(caches.open(CACHE).then((c) => c.addAll(SHELL)).then(() => self.skipWaiting()));
});

addEventListener("activate", (e) => {
  e.waitUntil(caches.keys().then((names) => Promise.all(names.filter((n) => n !== CACHE).map((n) => caches.delete(n)))).then(() => self.clients.claim()));
});

// What the first visit loaded before this worker was there; the page names it.
addEventListener("message", (e) => {
  const paths = (e.data.keep ?? []).map((u) => new URL(u, location)).filter((u) => u.origin === location.origin && KEPT.test(u.pathname));
  e.waitUntil(caches.open(CACHE)
    .then((c) => c.addAll([...new Set(paths.map((u) => u.pathname))]))
    .then(() => e.source.postMessage({ kept: paths.length })));
});

addEventListener("fetch", (e) => {
  const url = new URL(e.request.url);
  if (e.request.method !== "GET" || url.origin !== location.origin || !KEPT.test(url.pathname)) return;
  e.respondWith((async () => {
    const cache = await caches.open(CACHE);
    const key = url.pathname;
    try {
      const answer = await fetch(e.request);
      if (answer.ok && !answer.redirected) await cache.put(key, answer.clone());
      return answer;
    } catch (error) {
      const kept = await cache.match(key);
      if (kept) return kept;
      throw error;
    }
  })());
});
