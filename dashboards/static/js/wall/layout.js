// Where the tiles of the matrix stand. Pure: (live picture, width, height) → tiles and labels.
import { boot, lang } from "../core/boot.js";

const HEAD = 26;

/** Assets by estate and system, in the order of the site file and of the systems. */
function grouped(live) {
  const out = new Map(live.estates.map((e) => [e.id, new Map()]));
  for (const a of live.assets.values()) {
    const systems = out.get(a.estate);
    if (systems) systems.set(a.system, [...(systems.get(a.system) ?? []), a]);
  }
  return out;
}

export function layout(live, w, h) {
  return live.estates.length <= 2 ? byAsset(live, w, h) : bySystem(live, w, h);
}

/** Blocks of systems in columns; in each block a tile an asset. */
function byAsset(live, w, h) {
  const plan = { kind: "assets", tiles: [], labels: [], heads: [], height: h };
  const groups = grouped(live);
  const columns = w < 460 ? 1 : 2;
  const gap = 6; const pad = 10;
  const label = lang === "zh" ? 68 : 88;
  const rows = [...groups.values()].map((systems) => Math.ceil(systems.size / columns));
  const heads = groups.size > 1 ? HEAD : 0;
  const free = h - pad - groups.size * heads;
  const rowHeight = Math.max(46, Math.min(92, free / rows.reduce((a, b) => a + b, 0)));
  const blockWidth = (w - 2 * pad - (columns - 1) * pad) / columns;
  let y = pad - gap / 2;
  for (const [estate, systems] of groups) {
    if (heads) { plan.heads.push({ estate, x: pad, y, w }); y += heads; }
    const names = boot.systems.filter((s) => systems.has(s));
    const perColumn = Math.ceil(names.length / columns);
    names.forEach((system, n) => {
      const bx = pad + Math.floor(n / perColumn) * (blockWidth + pad);
      const by = y + (n % perColumn) * rowHeight;
      const assets = systems.get(system);
      plan.labels.push({ system, x: bx, y: by, w: label, h: rowHeight - gap });
      const tw = (blockWidth - label - (assets.length - 1) * 5) / assets.length;
      assets.forEach((a, k) => plan.tiles.push({
        assets: [a], estate, system, x: bx + label + k * (tw + 5), y: by, w: tw, h: rowHeight - gap,
      }));
    });
    y += perColumn * rowHeight;
  }
  plan.height = Math.ceil(y);
  return plan;
}

/** Rows of estates, columns of systems. */
function bySystem(live, w, h) {
  const plan = { kind: "cells", tiles: [], labels: [], heads: [], columns: [], height: h };
  const groups = grouped(live);
  const systems = boot.systems.filter((s) => [...groups.values()].some((g) => g.has(s)));
  const name = Math.min(150, w * 0.2);
  const cw = (w - name - 12) / systems.length;
  const rh = Math.max(28, Math.min(52, (h - HEAD - 8) / groups.size));
  systems.forEach((system, n) => plan.columns.push({ system, x: name + n * cw, y: 0, w: cw, h: HEAD }));
  [...groups].forEach(([estate, found], row) => {
    const y = HEAD + row * rh;
    plan.heads.push({ estate, x: 12, y: y + rh / 2 - HEAD / 2, w: name - 12 });
    systems.forEach((system, n) => {
      if (found.has(system)) plan.tiles.push({ assets: found.get(system), estate, system, x: name + n * cw + 2, y: y + 2, w: cw - 4, h: rh - 4 });
    });
  });
  plan.height = Math.ceil(HEAD + groups.size * rh + 8);
  return plan;
}
