// Where the acts of this page go: to the orders, or through the door of a one-time link.
import { boot } from "../core/boot.js";

/** {id, order} when the page belongs to a guest, else null. */
export const guest = boot.guest ?? null;
const door = guest && `/api/v1/guest/${guest.id}`;

export const actPath = (order, act) => (door ? `${door}/${act}` : `/api/v1/orders/${order}/${act}`);
export const photoPath = (order, sha = "") => `${door ?? `/api/v1/orders/${order}`}/photos${sha ? `/${sha}` : ""}`;
/** Whether this person's page may offer an act on an order. */
export const offers = (act, can) => (guest ? guest.acts.includes(act) : can(`order.${act}`));
