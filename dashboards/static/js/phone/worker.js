// Keeps the page of the technician, or of a guest, in the phone, so that it opens in a basement. Data is never kept here.
const PAGE = new URL(self.registration.scope).pathname;
const CACHE = `steward-2${PAGE}`;
const KEPT = /^\/(t$|g\/[0-9a-f]+$|static\/|i18n\/)/;

addEventListener("install", (e) => {
  e.waitUntil(caches.open(CACHE).then((c) => c.addAll([PAGE])).then(() => self.skipWaiting()));
});

// Caches of older versions of this page go; those of other pages of this phone stay.
const mine = (name) => name.endsWith(PAGE) || /^steward-t-/.test(name);
addEventListener("activate", (e) => {
  e.waitUntil(caches.keys().then((names) => Promise.all(names.filter((n) => n !== CACHE && mine(n)).map((n) => caches.delete(n)))).then(() => self.clients.claim()));
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
