// The handover of a shift: open, note, sign; the sheet itself is from the server.
import "./core/menus.js";
import { post } from "./core/api.js";
import { toast } from "./core/dom.js";

const sheet = document.getElementById("handover");
const { estate, id } = sheet.dataset;

async function send(path, body) {
  try {
    await post(path, body);
    location.reload();
  } catch (e) {
    toast(e.message, true);
  }
}

sheet.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-do]");
  if (button?.dataset.do === "open") send(`/api/v1/handovers/${estate}/open`, {});
  if (button?.dataset.do === "sign") send(`/api/v1/handovers/${id}/sign`, { side: button.dataset.side });
});
sheet.addEventListener("submit", (event) => {
  event.preventDefault();
  send(`/api/v1/handovers/${id}/note`, { text: new FormData(event.target).get("text") });
});
// Only now somebody listens: a click before this would be lost.
for (const button of sheet.querySelectorAll("button")) button.disabled = false;
