// Proof of arrival: the QR code on the asset, by the camera, by a photo of it, or typed. The browser's own reader
// where it has one, else the vendored one, which is fetched when it is needed.
import { t } from "../core/boot.js";
import { el } from "../core/dom.js";

const LOOK_MS = 180;
const SIDES = [1200, 700, 2000];
const PLACE_MS = 6000;

let reader = null;
async function detector() {
  if (reader) return reader;
  const native = globalThis.BarcodeDetector && (await BarcodeDetector.getSupportedFormats()).includes("qr_code");
  const Detector = native ? BarcodeDetector : (await import("/static/vendor/qr/decode.js")).BarcodeDetector;
  reader = new Detector({ formats: ["qr_code"] });
  return reader;
}

/** The text of a QR code in a picture or a video frame; "" when there is none. */
export async function codeIn(picture) {
  const width = picture.videoWidth ?? picture.width; const height = picture.videoHeight ?? picture.height;
  const sides = picture.videoWidth ? [SIDES[0]] : SIDES;
  for (const side of sides.filter((s, n) => n === 0 || s <= Math.max(width, height))) {
    const scale = Math.min(1, side / Math.max(width, height));
    const canvas = el("canvas", { width: Math.round(width * scale), height: Math.round(height * scale) });
    canvas.getContext("2d", { willReadFrequently: true }).drawImage(picture, 0, 0, canvas.width, canvas.height);
    const found = await (await detector()).detect(canvas).catch(() => []);
    if (found.length) return found[0].rawValue;
  }
  return "";
}

/** Where the phone is, if its owner lets it say so and it knows soon; {} otherwise. */
function place() {
  if (!isSecureContext || !navigator.geolocation) return Promise.resolve({});
  return new Promise((done) => navigator.geolocation.getCurrentPosition(
    (p) => done({ lat: Number(p.coords.latitude.toFixed(5)), lon: Number(p.coords.longitude.toFixed(5)) }),
    () => done({}), { timeout: PLACE_MS, maximumAge: 60e3 }));
}

/**
 * Asks how the arrival is proven. Gives {code, scanned} or {lat, lon} or {}, null when it was cancelled; `asked` is
 * the promise of the place, begun when the dialog opens, so that nobody waits for it.
 */
export function prove() {
  const asked = Promise.race([place(), new Promise((done) => setTimeout(done, PLACE_MS, {}))]);
  let known = {};
  asked.then((found) => { known = found; });
  return new Promise((done) => {
    const video = el("video", { playsinline: true, muted: true, hidden: true, "aria-label": t("scan.camera") });
    const note = el("p", { class: "muted", role: "status" }, t("scan.text"));
    const typed = el("input", { name: "code", autocomplete: "off", autocapitalize: "none", spellcheck: "false", maxlength: 60, required: true });
    const photo = el("input", { type: "file", accept: "image/*", capture: "environment", class: "file", name: "photo" });
    const form = el("form", { method: "dialog" }, el("h2", { id: "scan-title" }, t("scan.title")), note, video,
      navigator.mediaDevices?.getUserMedia ? el("button", { type: "button", class: "button primary step", onclick: live }, t("scan.live")) : null,
      el("label", { class: "button photo-button" }, el("span", {}, t("scan.photo")), photo),
      el("label", {}, el("span", {}, t("scan.typed")), typed),
      el("div", { class: "foot" },
        el("button", { type: "button", class: "button", onclick: () => box.close("no") }, t("ui.cancel")),
        el("button", { class: "button", value: "code" }, t("scan.take"))),
      el("button", { type: "button", class: "linkish without", onclick: () => end(known) }, t("scan.without")));
    const box = el("dialog", { "aria-labelledby": "scan-title", class: "scan" }, form);
    const end = (result) => { box.result = result; box.close("end"); };
    box.addEventListener("close", () => {
      for (const track of video.srcObject?.getTracks() ?? []) track.stop();
      box.remove();
      if (box.returnValue === "end") done(box.result);
      else done(box.returnValue === "code" ? { code: typed.value.trim(), scanned: false } : null);
    });
    photo.addEventListener("change", async () => {
      if (!photo.files[0]) return;
      note.textContent = t("scan.looking");
      const picture = await createImageBitmap(photo.files[0]).catch(() => null);
      const code = picture && await codeIn(picture);
      photo.value = "";
      if (code) end({ code, scanned: true }); else note.textContent = t("scan.not_found");
    });
    async function live() {
      try {
        video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" }, audio: false });
      } catch { note.textContent = t("scan.no_camera"); return; }
      video.hidden = false;
      await video.play();
      note.textContent = t("scan.looking");
      while (box.open) {
        const code = video.videoWidth ? await codeIn(video) : "";
        if (code) { end({ code, scanned: true }); return; }
        await new Promise((next) => setTimeout(next, LOOK_MS));
      }
    }
    document.body.append(box);
    box.showModal();
    form.querySelector(".primary, .without").focus();
  });
}
