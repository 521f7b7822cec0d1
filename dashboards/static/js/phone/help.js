// Help: whom to call, a word to the control room, handing the work to a colleague.
import { ask } from "../core/ask.js";
import { can, me, pick, t } from "../core/boot.js";
import { el, toast } from "../core/dom.js";
import { offers } from "./where.js";

/** Numbers that belong to a job: the estate's room, the keeper of the asset. */
export function numbers(live, order) {
  const asset = live.assets.get(order.asset);
  const estate = live.estates.find((e) => e.id === order.estate);
  const keeper = live.contractors.get(asset?.contractor);
  return [[t("job.room"), estate?.complaint_phone], keeper && [pick(keeper.name), keeper.phone]].filter((x) => x && x[1]);
}

export const dial = ([name, phone]) => el("a", { class: "button", href: `tel:${phone.replaceAll("-", "")}` }, el("span", {}, name), el("strong", {}, phone));

/** A dialog: call, or write what is needed; a note of the order that the room reads. */
export async function help(live, order, step) {
  const given = await ask({
    title: t("help.title"), text: t(offers("note", can) ? "help.text" : "help.call"), ok: offers("note", can) ? t("help.send") : "",
    fields: [
      ...numbers(live, order).map((n) => ({ kind: () => el("p", { class: "calls" }, dial(n)) })),
      ...(offers("note", can) ? [{ name: "what", kind: "select", label: t("help.need"), options: ["people", "parts", "access", "danger", "other"].map((k) => [k, t(`help.${k}`)]) }, { name: "more", kind: "area", label: t("help.more"), required: false, maxlength: 500 }] : []),
    ],
  });
  if (!given?.what) return;
  await step(order, "note", { text: [t("help.prefix"), t(`help.${given.what}`), given.more.trim()].filter(Boolean).join(" · ") });
  toast(t("help.noted"));
}

/** A dialog: a colleague of the duty, and what they should know. */
export async function handOver(live, order, step) {
  const duties = new Set([order.party, order.backup]);
  const rows = live.shift.filter((s) => duties.has(s.duty) || !["technician", "contractor"].includes(me.role));
  const people = new Map(rows.flatMap((s) => s.people.filter((p) => p.id && p.id !== me.id).map((p) => [p.id, `${p.name} · ${t(`duty.${s.duty}`)}`])));
  if (!people.size) { toast(t("pass.nobody"), true); return; }
  const given = await ask({
    title: t("pass.title"), text: t("pass.text"), ok: t("pass.ok"),
    fields: [{ name: "to", kind: "select", label: t("act.to"), options: [...people] }, { name: "note", kind: "area", label: t("pass.note"), required: false, maxlength: 500 }],
  });
  if (!given) return;
  const note = given.note.trim();
  if (note) await step(order, "note", { text: `${t("pass.prefix")} · ${note}` });
  step(order, "handover", { to: given.to });
}
