// The door of a one-time link. What stands behind `#` never leaves the phone but in the body of this one call.
import { boot, t } from "../core/boot.js";
import { el, fill } from "../core/dom.js";

const root = document.getElementById("door");
const token = location.hash.slice(1);

async function enter(button) {
  button.disabled = true;
  try {
    const answer = await fetch(`/api/v1/guest/${boot.door}/open`, { method: "POST", headers: { "Content-Type": "application/json", Accept: "application/json" }, body: JSON.stringify({ token }) });
    const said = await answer.json();
    if (!answer.ok) { fill(root, el("p", { class: "problem", role: "alert" }, said.detail ?? said.title)); return; }
    location.replace(`/g/${boot.door}`);
  } catch {
    button.disabled = false;
    fill(root.querySelector(".say"), t("ui.no_connection"));
  }
}

if (token) {
  const button = el("button", { type: "button", class: "button primary large", onclick: () => enter(button) }, t("guest.enter"));
  fill(root, el("p", {}, t("guest.text")), button, el("p", { class: "muted say", role: "status" }));
} else fill(root, el("p", { class: "problem", role: "alert" }, t("problem.link")));
