// Forms of the server's pages: what stands in the fields becomes one call of the interface; a refusal stands in the form.
import { t } from "./boot.js";
import { freshKey, Refused, send, upload } from "./api.js";
import { el, fill, toast } from "./dom.js";
import { date, time } from "./format.js";

const SAID = "form.said";

/** Something that was typed and cannot be sent. */
class Wrong extends Error {
  constructor(field, text) { super(text); this.field = field; }
}

/** CNY as people write it → whole fen. */
function fen(text, field) {
  const found = /^(\d{1,9})(?:[.,](\d{1,2}))?$/.exec(text.replaceAll(" ", ""));
  if (!found) throw new Wrong(field, t("form.money"));
  return Number(found[1]) * 100 + Number((found[2] ?? "0").padEnd(2, "0"));
}

/** A wall-clock moment of the site → ms UTC. */
function moment(text) {
  const wall = Date.parse(`${text.slice(0, 16)}:00Z`);
  const away = (ms) => Date.parse(`${date(ms)}T${time(ms)}Z`) - ms;
  return wall - away(wall - away(wall));
}

const READ = {
  fen, ms: moment,
  int: (text) => Number.parseInt(text, 10),
  bool: (text) => text === "on" || text.toLowerCase() === "true",
};

function put(body, name, value) {
  const way = name.split(".");
  const last = way.pop();
  way.reduce((inner, key) => (inner[key] ??= {}), body)[last] = value;
}

/** {path, body} of a form; what is left empty is left out. */
async function read(form) {
  const body = {};
  let path = form.dataset.path;
  const given = {};
  for (const field of form.elements) {
    if (!field.name || field.disabled) continue;
    const as = field.dataset.as ?? "";
    if (as === "papers") { body[field.name] = await Promise.all([...field.files].map(async (f) => ({ sha256: await upload(field.dataset.upload, f), name: f.name.slice(-120) }))); continue; }
    if (field.type === "file") { body[field.name] = await Promise.all([...field.files].map((f) => upload(field.dataset.upload, f))); continue; }
    if (as === "list") { put(body, field.name, [...field.selectedOptions].map((o) => o.value)); continue; }
    if (field.type === "checkbox" && !field.checked) { if (as === "bool") put(body, field.name, false); continue; }
    const text = field.value.trim();
    if (as === "second") { given[field.name] = field.value; continue; }
    if (as === "path" || as === "both") path = path.replaceAll(`{${field.name}}`, encodeURIComponent(text));
    if (as === "path") continue;
    if (text !== "") put(body, field.name, READ[as] ? READ[as](text, field) : text);
  }
  if (given["second.user"]) body.second = (await send("POST", "/api/v1/act-token", { user: given["second.user"], password: given["second.password"] })).token;
  return { path: path.replaceAll("{fresh}", () => freshKey().slice(0, 10)), body };
}

function refuse(form, error) {
  const box = form.querySelector(".problem");
  const known = error instanceof Refused || error instanceof Wrong;
  if (!known) console.error(error);
  const title = error instanceof Refused && error.body.title ? el("strong", {}, error.body.title) : null;
  const hints = (error.body?.errors ?? []).map((x) => x.hint).filter(Boolean);
  fill(box, title, ` ${known ? error.message : t("ui.no_connection")}`, hints.length ? ` (${hints.join("; ")})` : "");
  box.hidden = false;
  error.field?.focus();
}

const named = (result, way) => way.split(".").reduce((x, key) => x?.[key], result) ?? "";

async function submit(form) {
  const button = form.querySelector("button:not([type=button])");
  button.disabled = true;
  try {
    const { path, body } = await read(form);
    form.dataset.key ??= freshKey();
    const { version, method, go, key } = form.dataset;
    const result = await send(method, path, body, { version, key });
    sessionStorage.setItem(SAID, t("form.saved"));
    if (go) location.assign(go.replace(/\{([\w.]+)\}/g, (_, way) => named(result, way))); else location.reload();
  } catch (error) {
    button.disabled = false;
    refuse(form, error);
  }
}

for (const form of document.querySelectorAll(".act-form")) {
  form.addEventListener("submit", (e) => { e.preventDefault(); submit(form); });
  form.addEventListener("input", () => { delete form.dataset.key; });
  // Only now somebody listens: a click before this would be lost.
  for (const button of form.querySelectorAll("button")) button.disabled = false;
}
const said = sessionStorage.getItem(SAID);
if (said) { sessionStorage.removeItem(SAID); toast(said); }
