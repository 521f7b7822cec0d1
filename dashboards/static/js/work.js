// Pages of forms: complete from the server, their acts go over the interface.
import "./core/forms.js";

for (const button of document.querySelectorAll("button[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => print());
}
// A choice in the page's head needs no further touch.
for (const form of document.querySelectorAll("form[data-at-once]")) form.addEventListener("change", () => form.submit());
// On a phone the sheets stand in one line: the open one is in sight.
for (const here of document.querySelectorAll(".tabs [aria-current]")) here.parentElement.scrollLeft = here.offsetLeft - 60;
