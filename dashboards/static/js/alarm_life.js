// Verdicts, silences and frozen samples on the page of an alarm.
import { boot, me, pick, t } from "./core/boot.js";
import { act, get, post } from "./core/api.js";
import { ask } from "./core/ask.js";
import { el, fill, toast } from "./core/dom.js";
import { minute, pointName } from "./core/format.js";
import { levelOf } from "./core/model.js";

const path = (what) => `/api/v1/alarms/${boot.alarm}/${what}`;

/** Was it right? */
export async function judge(a) {
  const given = await ask({
    title: t("verdict.ask"), text: pick(a.name), ok: t("act.judge"),
    fields: [
      { name: "verdict", kind: "choice", label: t("occ.verdict"), value: "true", options: ["true", "false", "nuisance"].map((v) => [v, t(`verdict.${v}`)]) },
      { name: "note", kind: "area", label: t("verdict.note"), maxlength: 2000, required: false },
    ],
  });
  if (given && await act("alarm.judge", path("judge"), { verdict: given.verdict, note: given.note ?? "" }, { version: a.version })) toast(t("verdict.done"));
}

/** Hold back calls and sound for this rule on this facility; first says how many that would be now. */
export async function silence(a) {
  const estate = a.estate; const match = { rule: a.rule, asset: a.asset };
  let n = "?";
  if (me.role !== "display") {
    try { n = (await post("/api/v1/silences/preview", { estate, match })).count; } catch (e) { toast(e.message, true); return; }
  }
  const given = await ask({
    title: t("act.silence_title"), text: t("act.silence_text", { n }), ok: t("act.silence"),
    fields: [
      { name: "minutes", kind: "choice", label: t("act.for"), value: "60", options: [["15", t("act.m15")], ["60", t("act.m60")], ["480", t("act.m480")]] },
      { name: "reason", kind: "area", label: t("act.reason"), minlength: 2, maxlength: 500 },
    ],
  });
  if (given && await act("silence.create", "/api/v1/silences", { estate, match, minutes: Number(given.minutes), reason: given.reason })) toast(t("act.silenced"));
}

/** The samples that were frozen with an occurrence, as they were read. */
async function show(live, onset, box) {
  box.hidden = false;
  let found;
  try { found = await get(path(`occurrences/${onset}/evidence`)); } catch { fill(box, el("p", { class: "empty" }, t("occ.gone"))); return; }
  const [id, s] = Object.entries(found.points)[0] ?? [];
  if (!id) { fill(box, el("p", { class: "empty" }, t("occ.gone"))); return; }
  const point = live.points.get(id);
  const style = getComputedStyle(document.documentElement);
  const c = (name) => style.getPropertyValue(`--${name}`).trim();
  const head = el("p", { class: "muted pad" }, t("occ.frozen", { point: point ? pointName(point) : id }));
  const canvas = el("div", {});
  fill(box, head, canvas);
  const axis = { stroke: c("muted"), grid: { stroke: c("grid"), width: 1 } };
  const plot = new uPlot({
    width: Math.max(200, box.clientWidth), height: Math.max(120, box.clientHeight - head.offsetHeight), legend: { show: false },
    scales: { x: { time: true, range: () => [found.from / 1000, found.to / 1000] } },
    axes: [{ ...axis, values: (u, splits) => splits.map((x) => minute(x * 1000)) }, axis],
    series: [{}, { stroke: c("trace"), width: 1.8, paths: uPlot.paths.stepped({ align: 1 }), points: { show: false } }],
  }, [s.t.map((x) => x / 1000), s.v.map((v, n) => (v === null || levelOf(s.q[n]) >= 3 ? null : v))], canvas);
  new ResizeObserver(() => plot.setSize({ width: Math.max(200, box.clientWidth), height: plot.height })).observe(box);
}

/** The buttons of the table; it is made anew by the server, so the page listens for all of them. */
export function evidenceButtons(live, box) {
  document.addEventListener("click", (e) => {
    const onset = e.target.closest?.("[data-evidence]")?.dataset.evidence;
    if (onset) show(live, onset, box);
  });
}
