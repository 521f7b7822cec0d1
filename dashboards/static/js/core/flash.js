// One clock for all that flashes, so that everything is in phase: 1 Hz for priority 1, 0.5 Hz for the others.
const root = document.documentElement;
const still = matchMedia("(prefers-reduced-motion: reduce)");
const listeners = new Set();

export const phase = { fast: 0, slow: 0 };
/** Calls back at every half second with the phase; used by what is drawn on a canvas. */
export const onFlash = (f) => listeners.add(f);

setInterval(() => {
  const half = Math.floor(Date.now() / 500);
  phase.fast = still.matches ? 0 : half % 2;
  phase.slow = still.matches ? 0 : Math.floor(half / 2) % 2;
  root.dataset.f1 = phase.fast;
  root.dataset.f2 = phase.slow;
  for (const f of listeners) f();
}, 500);
