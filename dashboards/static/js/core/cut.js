// The band that says that this page no longer hears the server, and the hatching of everything live.
import { t } from "./boot.js";
import { time, span } from "./format.js";
import { say } from "./dom.js";

export function watchCut(live, onCut = () => {}) {
  const band = document.getElementById("cut");
  let was = false;
  live.on("cut", (ms) => {
    const cut = ms > 0;
    band.hidden = !cut;
    document.body.classList.toggle("is-cut", cut);
    if (cut) say(band, t("ui.cut", { ago: span(ms), at: time(live.lastT) }));
    if (cut !== was) { was = cut; onCut(cut); }
  });
}
