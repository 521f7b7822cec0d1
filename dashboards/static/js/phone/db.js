// What the phone keeps of a person: the jobs, the acts that wait and the acts that were sent. IndexedDB needs no
// secure context, so it also works where the page comes by plain http.
const VERSION = 1;
export const KEPT_SENT = 60;

const asked = (request) => new Promise((done, fail) => {
  request.onsuccess = () => done(request.result);
  request.onerror = () => fail(request.error);
});

const finished = (tx) => new Promise((done, fail) => {
  tx.oncomplete = () => done();
  tx.onabort = tx.onerror = () => fail(tx.error ?? new Error("not kept"));
});

export class Store {
  /** `name`: one database for each person who uses the phone. */
  constructor(name) { this.name = name; }

  open() {
    this.db ??= new Promise((done, fail) => {
      const request = indexedDB.open(this.name, VERSION);
      request.onupgradeneeded = () => {
        const db = request.result;
        db.createObjectStore("jobs");
        db.createObjectStore("outbox", { keyPath: "n", autoIncrement: true });
        db.createObjectStore("sent", { keyPath: "n", autoIncrement: true });
      };
      request.onsuccess = () => done(request.result);
      request.onerror = () => fail(request.error);
    });
    return this.db;
  }

  /** Runs `f(store…)` in one transaction; what it gives, once everything is on the disk. */
  async run(names, mode, f) {
    const tx = (await this.open()).transaction(names, mode, { durability: "strict" });
    const end = finished(tx);
    const result = await f(...[names].flat().map((n) => tx.objectStore(n)));
    await end;
    return result;
  }

  picture() { return this.run("jobs", "readonly", (jobs) => asked(jobs.get("picture"))); }
  keepPicture(value) { return this.run("jobs", "readwrite", (jobs) => asked(jobs.put(value, "picture"))); }
  waiting() { return this.run("outbox", "readonly", (outbox) => asked(outbox.getAll())); }
  add(entry) { return this.run("outbox", "readwrite", (outbox) => asked(outbox.add(entry))); }
  sent() { return this.run("sent", "readonly", (sent) => asked(sent.getAll())); }

  /** An act leaves the queue and is noted as sent, both or neither; only the newest notes stay. */
  settle(entry, note) {
    return this.run(["outbox", "sent"], "readwrite", async (outbox, sent) => {
      outbox.delete(entry.n);
      const n = await asked(sent.add(note));
      sent.delete(IDBKeyRange.upperBound(n - KEPT_SENT));
    });
  }

  /** Forget everything of this person. */
  async wipe() {
    (await this.open()).close();
    this.db = undefined;
    return asked(indexedDB.deleteDatabase(this.name));
  }
}
