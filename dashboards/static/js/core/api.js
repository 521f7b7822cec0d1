// Calls to the interface. An act that the screen's own log-in may not do asks for a person first.
import { can, me, t } from "./boot.js";
import { ask } from "./ask.js";
import { toast } from "./dom.js";

export class Refused extends Error {
  constructor(status, body) {
    super(body.errors?.map((e) => e.message).join("; ") || body.detail || body.title || String(status));
    Object.assign(this, { status, body });
  }
}

/** A fresh key; works without a secure context, which phones in a local network do not have. */
export function freshKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, "0")).join("");
}

export async function get(path) {
  const answer = await fetch(path, { headers: { Accept: "application/json" } });
  if (answer.status === 401) location.assign(`/login?next=${encodeURIComponent(location.pathname)}`);
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, body);
  return body;
}

/** An act. Raises Refused with the server's reason; a TypeError when there is no connection. */
export async function send(method, path, body = {}, { version, key, token } = {}) {
  const headers = { "Content-Type": "application/json", Accept: "application/json", "X-CSRF-Token": me.csrf };
  headers["Idempotency-Key"] = key ?? freshKey();
  if (version !== undefined && version !== null) headers["If-Match"] = `"${version}"`;
  if (token) headers["X-Act-As"] = token;
  const answer = await fetch(path, { method, headers, body: JSON.stringify(body) });
  const result = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, result);
  return result;
}

export const post = (path, body = {}, options = {}) => send("POST", path, body, options);

/** Keeps a file's bytes as they are; its SHA-256. */
export async function upload(path, file) {
  const headers = { "Content-Type": file.type || "application/octet-stream", Accept: "application/json", "X-CSRF-Token": me.csrf };
  const answer = await fetch(path, { method: "POST", headers, body: file });
  const result = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, result);
  return result.sha256;
}

/** A token by which a person does one act at this screen; null when they think better of it. */
async function person(problem = "") {
  const given = await ask({
    title: t("act.title"), text: t("act.text"), ok: t("act.ok"), problem,
    fields: [
      { name: "user", label: t("login.user"), autocomplete: "off", autocapitalize: "none" },
      { name: "password", kind: "password", label: t("login.password"), autocomplete: "off" },
    ],
  });
  if (!given) return null;
  try {
    return (await post("/api/v1/act-token", given)).token;
  } catch (e) {
    if (e instanceof Refused && e.status !== 403) return person(e.message);
    throw e;
  }
}

/** Does an act, as this log-in or as the person who gives name and password; false when it did not happen. */
export async function act(action, path, body, options = {}) {
  try {
    const token = can(action) ? null : await person();
    if (!can(action) && !token) return false;
    const result = await post(path, body, { ...options, token });
    return result ?? true;
  } catch (e) {
    toast(e instanceof Refused ? e.message : t("ui.no_connection"), true);
    return false;
  }
}
