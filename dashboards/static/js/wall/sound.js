// Alarm tones by priority, made here (no files), repeated until acknowledged or silenced for two minutes.
import { t } from "../core/boot.js";
import { el, fill, say, svg } from "../core/dom.js";
import { unacked } from "../core/model.js";

const SILENCE_MS = 120000;
/** Hz and count of beeps, and ms until the pattern comes again (null: once). */
const PATTERNS = { 1: [[988, 784, 988], 5000], 2: [[784, 784], 10000], 3: [[587], null] };

export class Sound {
  constructor(live, button) {
    Object.assign(this, { live, button, known: new Set(), silentUntil: 0, nextAt: 0 });
    const Context = window.AudioContext;
    this.audio = Context ? new Context() : null;
    this.audio?.addEventListener("statechange", () => this.show());
    button.addEventListener("click", () => (this.on ? this.silence() : this.enable()));
    for (const gesture of ["pointerdown", "keydown"]) addEventListener(gesture, () => this.enable(), { once: true });
    live.on("ready", () => this.look()).on("alarm", () => this.look()).on("tick", () => this.look());
    this.show();
  }

  get on() { return this.audio?.state === "running"; }

  async enable() {
    await this.audio?.resume().catch(() => undefined);
    this.show();
    this.look();
  }

  /** Mutes what is known; a new alarm of priority 1 or 2 sounds all the same. */
  silence() {
    this.silentUntil = performance.now() + SILENCE_MS;
    this.heard = new Set(this.sounding().map((a) => a.occurrence));
    this.show();
  }

  sounding() {
    return [...this.live.alarms.values()].filter((a) => unacked(a) && a.active && a.priority <= 3 && !a.silenced);
  }

  /** The most urgent alarm that has to be heard now. */
  due() {
    const muted = performance.now() < this.silentUntil;
    const all = this.sounding().filter((a) => !muted || (!this.heard.has(a.occurrence) && a.priority <= 2));
    return all.sort((a, b) => a.priority - b.priority)[0] ?? null;
  }

  look() {
    this.show();
    const alarm = this.due();
    if (!alarm || !this.on) return;
    const now = performance.now();
    const [tones, again] = PATTERNS[alarm.priority];
    const fresh = !this.known.has(alarm.occurrence);
    this.known.add(alarm.occurrence);
    if (this.known.size > 5000) this.known.clear();
    if (!fresh && (again === null || now < this.nextAt)) return;
    this.nextAt = now + (again ?? 0);
    this.play(tones);
  }

  /** A falling tone, once: this screen has lost the server. */
  cut() { if (this.on) this.play([392, 311, 262], 0.3); }

  play(tones, length = 0.16) {
    this.played = (this.played ?? 0) + 1;
    this.button.dataset.played = this.played;
    tones.forEach((hz, n) => {
      const start = this.audio.currentTime + n * (length + 0.08);
      const tone = this.audio.createOscillator(); const gain = this.audio.createGain();
      tone.type = "square"; tone.frequency.value = hz;
      gain.gain.setValueAtTime(0, start);
      gain.gain.linearRampToValueAtTime(0.22, start + 0.01);
      gain.gain.setValueAtTime(0.22, start + length - 0.02);
      gain.gain.linearRampToValueAtTime(0, start + length);
      tone.connect(gain).connect(this.audio.destination);
      tone.start(start); tone.stop(start + length);
    });
  }

  show() {
    const muted = performance.now() < this.silentUntil;
    const state = !this.on ? "off" : muted ? "muted" : "on";
    if (state !== this.shown) {
      this.shown = state;
      this.button.classList.toggle("off", state === "off");
      const waves = state === "on" ? [svg("path", { d: "M13 7.5a3.5 3.5 0 0 1 0 5M15 5a7 7 0 0 1 0 10" })] : [svg("path", { d: "M13 8l5 5M18 8l-5 5" })];
      this.word = el("span");
      fill(this.button, svg("svg", { viewBox: "0 0 20 20", width: 20, height: 20, "aria-hidden": "true" }, svg("path", { d: "M2 7.5h3.500L10 4v12l-4.500-3.500H2z" }), ...waves), this.word);
    }
    const left = Math.max(0, Math.ceil((this.silentUntil - performance.now()) / 1000));
    say(this.word, state === "off" ? t("sound.off") : state === "muted" ? t("sound.muted", { s: left }) : t("sound.on"));
    this.button.title = t(state === "off" ? "sound.enable" : "sound.silence");
  }
}
