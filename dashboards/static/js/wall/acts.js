// What one can do to an alarm at the wall; each asks for what it needs and sends one command.
import { boot, pick, t } from "../core/boot.js";
import { act } from "../core/api.js";
import { ask, tell } from "../core/ask.js";
import { el, toast } from "../core/dom.js";

const path = (a, what) => `/api/v1/alarms/${a.id}/${what}`;
const versioned = (a) => ({ version: a.version });

export class Acts {
  constructor(live) { this.live = live; }

  name(a) { return `${pick(this.live.assets.get(a.asset)?.name)} · ${pick(a.name)}`; }

  async acknowledge(a) {
    const done = await act("alarm.ack", path(a, "ack"), {}, versioned(a));
    if (done) toast(t("act.acked", { name: this.name(a) }));
    return done;
  }

  async shelve(a) {
    if (a.life) { toast(t("act.life_never"), true); return; }
    if (a.state === "SHELVED") { await act("alarm.unshelve", path(a, "unshelve"), {}, versioned(a)); return; }
    const given = await ask({
      title: t("act.shelve_title"), text: this.name(a), ok: t("act.shelve"),
      fields: [
        { name: "minutes", kind: "choice", label: t("act.for"), value: "60", options: [["15", t("act.m15")], ["60", t("act.m60")], ["480", t("act.m480")]] },
        { name: "reason", kind: "area", label: t("act.reason"), minlength: 2, maxlength: 500 },
      ],
    });
    if (given) await act("alarm.shelve", path(a, "shelve"), { minutes: Number(given.minutes), reason: given.reason }, versioned(a));
  }

  async assign(a) {
    const people = new Map(this.live.shift.flatMap((s) => s.people.map((p) => [p.id, `${p.name} · ${t(`duty.${s.duty}`)}`])));
    const given = await ask({
      title: t("act.assign_title"), text: this.name(a), ok: t("act.assign"),
      fields: [{ name: "to", kind: "select", label: t("act.to"), options: [...people], value: a.assignee }],
    });
    if (given) await act("alarm.assign", path(a, "assign"), given, versioned(a));
  }

  async note(a) {
    const given = await ask({ title: t("act.note_title"), text: this.name(a), ok: t("act.note"), fields: [{ name: "text", kind: "area", label: t("act.text_of_note"), maxlength: 2000 }] });
    if (given && await act("alarm.note", path(a, "note"), given)) toast(t("act.noted"));
  }

  async reset(a) {
    const given = await ask({ title: t("act.reset_title"), text: this.name(a), ok: t("act.reset"), fields: [{ name: "evidence", kind: "area", label: t("act.evidence"), minlength: 2 }] });
    if (given) await act("alarm.reset", path(a, "reset"), given, versioned(a));
  }

  async drill(assetId = null) {
    const options = [...this.live.assets.values()].map((a) => [a.id, `${pick(a.name)} · ${pick(a.place)}`]);
    const given = await ask({
      title: t("wall.drill"), text: t("act.drill_text"), ok: t("act.drill_start"),
      fields: [{ name: "asset", kind: "select", label: t("stats.asset"), options, value: assetId ?? options[0]?.[0] }],
    });
    if (given && await act("drill.start", "/api/v1/drill", given)) toast(t("act.drill_started"));
  }

  help(keys) {
    const rows = [["↑ ↓", "row"], ["A", "ack"], ["S", "shelve"], ["D", "assign"], ["N", "note"], ["Enter", "details"], ["M", "silence"], ["1 – 4", "filter"], ["/", "search"], ["F", "full"], ["?", "help"]];
    const off = el("input", { type: "checkbox", checked: keys.enabled, onchange: () => keys.enable(off.checked) });
    tell(t("wall.help"),
      el("table", {}, el("tbody", {}, rows.map(([k, name]) => el("tr", {}, el("td", {}, el("kbd", {}, k)), el("td", {}, t(`key.${name}`)))))),
      el("label", { class: "check-line" }, off, el("span", {}, t("key.enabled"))),
      el("p", { class: "muted small" }, `${t("role." + boot.me.role)} · ${boot.me.name}`));
  }
}
