// The live picture of a guest: one order, asked for again and again; a link opens no stream.
import { Live } from "../core/live.js";
import { guest } from "./where.js";

const EVERY_MS = 5000;

export class GuestLive extends Live {
  async start() {
    setInterval(() => this.watch(), 1000);
    await this.begin();
  }

  async begin() {
    try {
      const answer = await fetch(`/api/v1/guest/${guest.id}/job`, { headers: { Accept: "application/json" }, cache: "no-store" });
      if (answer.status === 401) { this.tell("over"); return; }
      if (!answer.ok) throw new Error(String(answer.status));
      this.take(await answer.json());
    } catch { this.lost(); }
    clearTimeout(this.later);
    this.later = setTimeout(() => this.begin(), EVERY_MS);
  }

  /** Ask now: something was sent. */
  again() { clearTimeout(this.later); this.begin(); }

  watch() {
    const cut = this.cutFor();
    if (cut) this.tell("cut", cut);
    if (this.ready) this.tell("tick");
  }
}
