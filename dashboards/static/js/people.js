// Administration: the matrix as a spreadsheet, and decisions on leave.
import { post } from "./core/api.js";
import { t } from "./core/boot.js";
import { el, fill, toast } from "./core/dom.js";

const form = document.getElementById("matrix-import");
const result = document.getElementById("matrix-result");

function lines({ added, removed, changed }) {
  const said = [...added.map((id) => `+ ${id}`), ...removed.map((id) => `− ${id}`)];
  for (const c of changed) said.push(`~ ${c.id}.${c.field}: ${JSON.stringify(c.before ?? "")} → ${JSON.stringify(c.after ?? "")}`);
  return said.length ? said : [t("people.no_difference")];
}

function show(rows) {
  fill(result, el("ul", {}, ...rows.map((row) => el("li", {}, row))));
}

async function send(dry) {
  const file = form.elements.file.files[0];
  if (!file) return;
  const body = { text: await file.text(), file: file.name, reason: form.elements.reason.value, dry_run: dry };
  try {
    const done = await post("/api/v1/matrix/import", body);
    show(lines(done.difference));
    form.elements.apply.disabled = !dry;
    if (!dry) toast(t("people.applied", { edition: done.edition }));
  } catch (e) {
    form.elements.apply.disabled = true;
    show((e.body?.errors ?? [{ message: e.message }]).map((x) => [x.row && `${x.file}:${x.row}`, x.field, x.message, x.hint].filter(Boolean).join(" · ")));
  }
}

form?.addEventListener("submit", (event) => { event.preventDefault(); send(true); });
form?.elements.apply.addEventListener("click", () => send(false));
form?.elements.file.addEventListener("change", () => { form.elements.apply.disabled = true; });

for (const button of document.querySelectorAll("button[data-leave]")) {
  button.addEventListener("click", async () => {
    const reason = button.closest("tr").querySelector("input").value;
    try {
      await post(`/api/v1/leave/${button.dataset.leave}/${button.dataset.do}`, { reason });
      location.reload();
    } catch (e) {
      toast(e.message, true);
    }
  });
}
