// Photos: taken or chosen, made small, shown with what waits. What is sent is what is hashed: the small picture.
import { t } from "../core/boot.js";
import { el, toast } from "../core/dom.js";
import { minute } from "../core/format.js";
import { sha256 } from "./sha256.js";
import { photoPath } from "./where.js";

const SIDE = 1600;
const ROOM = 400e3;
const QUALITIES = [0.82, 0.7, 0.6, 0.5, 0.4];
export const KINDS = ["before", "after", "other"];
const shown = new Map(); // hash → address of the picture that still waits

/** A picture of at most 1600 px and 400 kB as JPEG, without what the camera wrote into it: {data, media, sha}. */
export async function small(file) {
  const picture = await createImageBitmap(file);
  for (let side = SIDE; ; side = Math.round(side * 0.75)) {
    const scale = Math.min(1, side / Math.max(picture.width, picture.height));
    const canvas = el("canvas", { width: Math.max(1, Math.round(picture.width * scale)), height: Math.max(1, Math.round(picture.height * scale)) });
    canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
    for (const quality of QUALITIES) {
      const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", quality));
      if (blob.size > ROOM && side > 400) continue;
      picture.close();
      const data = await blob.arrayBuffer();
      return { data, media: "image/jpeg", sha: await sha256(data) };
    }
  }
}

/** A button that opens camera or album and puts the picture into the queue. */
export function camera(order, step, label, { kind, item = "", primary = false }) {
  const box = el("input", { type: "file", accept: "image/*", capture: "environment", class: "file" });
  box.addEventListener("change", async () => {
    const at = Date.now(); const [file] = box.files;
    box.blur();
    if (!file) return;
    try {
      const photo = await small(file);
      box.value = "";
      await step(order, "photos", item ? { kind, item } : { kind }, { at, photo });
    } catch (e) {
      console.warn("the picture cannot be read:", e.message);
      toast(t("photo.unreadable"), true);
    }
  });
  return el("label", { class: primary ? "button primary photo-button" : "button photo-button" }, el("span", {}, label), box);
}

const source = (order, p) => {
  if (!p.waiting) return photoPath(order.id, p.sha256);
  if (!shown.has(p.sha256)) shown.set(p.sha256, URL.createObjectURL(new Blob([p.waiting.photo.data], { type: p.waiting.photo.media })));
  return shown.get(p.sha256);
};

/** One picture with its kind, its time and the beginning of its hash. */
export function figure(order, p) {
  const name = t(`photo.${p.kind}`);
  return el("figure", { class: p.waiting ? "photo waiting" : "photo", "data-sha": p.sha256 },
    el("img", { src: source(order, p), alt: `${name} ${minute(p.at)}`, loading: "lazy" }),
    el("figcaption", {}, el("strong", {}, name), ` ${p.waiting ? t("job.unsent") : minute(p.at)}`, el("code", { title: p.sha256 }, p.sha256.slice(0, 8))));
}

/** All pictures of an order and the buttons for more. */
export function gallery(order, step, open) {
  const photos = (order.photos ?? []).toSorted?.((a, b) => KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind)) ?? order.photos ?? [];
  const buttons = open ? el("div", { class: "answers" }, ["before", "after"].map((kind) => camera(order, step, t(`photo.take_${kind}`), { kind }))) : null;
  return [photos.length ? el("div", { class: "photos" }, photos.map((p) => figure(order, p))) : el("p", { class: "muted hint" }, t(order.needs?.includes("pair") ? "photo.pair" : "photo.none")), buttons];
}
