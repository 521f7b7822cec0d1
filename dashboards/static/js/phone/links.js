// One-time links for contractors: made, shown once as address and QR code, listed, revoked.
import { ask, tell } from "../core/ask.js";
import { get, post, Refused } from "../core/api.js";
import { pick, t } from "../core/boot.js";
import { el, toast } from "../core/dom.js";
import { minute } from "../core/format.js";

const HOURS = [4, 12, 24, 72, 168];

export async function makeLink(live, order) {
  const firms = [...live.contractors.values()].map((c) => [pick(c.name), pick(c.name)]);
  const mine = live.contractors.get(live.assets.get(order.asset)?.contractor);
  const given = await ask({
    title: t("link.title"), text: t("link.text"), ok: t("link.make"),
    fields: [
      firms.length ? { name: "firm", kind: "select", label: t("link.firm"), options: firms, value: mine ? pick(mine.name) : "" } : { name: "firm", label: t("link.firm"), maxlength: 60 },
      { name: "name", label: t("link.name"), maxlength: 60, autocomplete: "off" },
      { name: "hours", kind: "select", label: t("link.hours"), options: HOURS.map((h) => [String(h), t("link.hours_n", { n: h })]), value: "24" },
    ],
  });
  if (!given) return;
  await tried(async () => {
    const { path, link } = await post(`/api/v1/orders/${order.id}/links`, { ...given, hours: Number(given.hours) });
    await show(`${location.origin}${path}`, link);
  });
}

async function show(address, link) {
  const { encodeQR } = await import("/static/vendor/qr/index.js");
  const picture = `data:image/svg+xml;utf8,${encodeURIComponent(encodeQR(address, "svg", { ecc: "low", border: 3 }))}`;
  const copy = async () => { await navigator.clipboard?.writeText(address); toast(t("link.copied")); };
  tell(t("link.title"), el("p", {}, t("link.once", { name: link.name, firm: link.firm })),
    el("img", { class: "link-qr", src: picture, alt: t("link.qr") }),
    el("output", { class: "link-address" }, address),
    navigator.clipboard ? el("button", { type: "button", class: "button", onclick: copy }, t("link.copy")) : null);
}

/** What was made for this order, each with a button that ends it. */
export async function listLinks(order) {
  await tried(async () => {
    const { links } = await get(`/api/v1/orders/${order.id}/links`);
    const row = (k) => el("li", {}, el("span", {}, `${k.name} · ${k.firm}`), el("span", { class: "muted" }, ` ${t(`link.state.${k.state}`)} ${minute(k.ended_at ?? k.opened_at ?? k.made_at)}`),
      ["sent", "open"].includes(k.state) ? el("button", { type: "button", class: "button", onclick: (e) => revoke(k, e.target) }, t("link.revoke")) : null);
    tell(t("link.list"), links.length ? el("ul", { class: "rows" }, links.map(row)) : el("p", { class: "muted" }, t("link.nothing")));
  });
}

async function revoke(link, button) {
  await tried(async () => {
    await post(`/api/v1/links/${link.id}/revoke`);
    button.replaceWith(el("span", { class: "muted" }, t("link.state.revoked")));
  });
}

async function tried(f) {
  try { await f(); } catch (e) { toast(e instanceof Refused ? e.message : t("ui.no_connection"), true); }
}
