// Questions to a person: a dialog with fields, that gives their values or null.
import { t } from "./boot.js";
import { el } from "./dom.js";

function control(field) {
  const { name, kind = "text", label, value = "", required = true, options = [], ...more } = field;
  if (kind === "choice") {
    return el("fieldset", { class: "choices" }, el("legend", {}, label), options.map(([v, text], n) =>
      el("label", {}, el("input", { type: "radio", name, value: v, checked: v === value || (!value && n === 0) }), el("span", {}, text))));
  }
  if (kind === "select") {
    const box = el("select", { name, required }, options.map(([v, text]) => el("option", { value: v, selected: v === value }, text)));
    return el("label", {}, el("span", {}, label), box);
  }
  if (kind === "area") return el("label", {}, el("span", {}, label), el("textarea", { name, required, ...more }, value));
  if (kind === "text" || kind === "password") {
    return el("label", {}, el("span", {}, label), el("input", { name, type: kind, value, required, ...more }));
  }
  return kind(field);
}

/** Asks; `text` stands above the fields. Resolves to {name: value} or null when it was cancelled. */
export function ask({ title, text = "", fields = [], ok, problem = "" }) {
  return new Promise((done) => {
    const form = el("form", { method: "dialog" },
      el("h2", { id: "ask-title" }, title),
      text && el("p", { class: "muted" }, text),
      problem && el("p", { class: "problem", role: "alert" }, problem),
      fields.map(control),
      el("div", { class: "foot" },
        el("button", { class: "button", type: "button", onclick: () => box.close("no") }, t("ui.cancel")),
        ok && el("button", { class: "button primary", value: "yes" }, ok)));
    const box = el("dialog", { "aria-labelledby": "ask-title" }, form);
    box.addEventListener("close", () => {
      box.remove();
      done(box.returnValue === "yes" ? Object.fromEntries(new FormData(form)) : null);
    });
    box.addEventListener("keydown", (e) => e.stopPropagation());
    document.body.append(box);
    box.showModal();
    (form.querySelector("input:not([type=radio]), textarea, select") ?? form.querySelector("input, .primary"))?.focus();
  });
}

/** Shows something that needs no answer. */
export function tell(title, ...content) {
  const box = el("dialog", { "aria-labelledby": "tell-title" }, el("form", { method: "dialog" },
    el("h2", { id: "tell-title" }, title), ...content,
    el("div", { class: "foot" }, el("button", { class: "button primary", value: "yes" }, t("ui.close")))));
  box.addEventListener("close", () => box.remove());
  document.body.append(box);
  box.showModal();
}
