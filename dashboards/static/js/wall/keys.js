// Keys of the wall. Off in text fields and dialogs, and they can be switched off for good (help, ?).
const KEY = "keys.off";

export class Keys {
  constructor(list, acts, sound) {
    Object.assign(this, { list, acts, sound });
    this.enabled = localStorage.getItem(KEY) !== "1";
    addEventListener("keydown", (e) => this.pressed(e));
  }

  enable(on) {
    this.enabled = on;
    localStorage.setItem(KEY, on ? "0" : "1");
  }

  pressed(e) {
    if (e.ctrlKey || e.metaKey || e.altKey || document.querySelector("dialog[open]")) return;
    const field = e.target.closest("input, textarea, select");
    if (e.key === "Escape") { if (field) field.blur(); else this.list.select(null); return; }
    if (field) return;
    const control = e.target.closest("button, a, summary");
    if (control && ["Enter", " "].includes(e.key)) return;
    if (!this.enabled && !["ArrowDown", "ArrowUp", "Enter", "?"].includes(e.key)) return;
    const act = this.meaning(e.key);
    if (!act) return;
    e.preventDefault();
    act();
  }

  meaning(key) {
    const alarm = this.list.selected ? this.list.live.alarms.get(this.list.selected) : null;
    const on = (f) => (alarm ? () => f.call(this.acts, alarm) : undefined);
    const { acts } = this;
    const table = {
      ArrowDown: () => this.list.step(1), ArrowUp: () => this.list.step(-1),
      a: on(acts.acknowledge), s: on(acts.shelve), n: on(acts.note), d: on(acts.assign),
      Enter: alarm ? () => location.assign(`/alarm/${alarm.id}`) : undefined,
      m: () => this.sound.silence(), f: () => fullScreen(), "/": () => document.getElementById("search").focus(), "?": () => acts.help(this),
    };
    if ("1234".includes(key)) return () => this.list.filter(Number(key));
    return table[key] ?? table[key.toLowerCase()];
  }
}

export function fullScreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else document.documentElement.requestFullscreen().catch(() => undefined);
}
