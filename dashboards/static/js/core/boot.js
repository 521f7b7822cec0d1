// What the server gave the page to begin with, and the texts of its language.
import "./menus.js";

export const boot = JSON.parse(document.getElementById("boot").textContent);
export const { me, lang, zone } = boot;
export const can = (action) => me.actions.includes(action);

const texts = await (await fetch(`/i18n/${lang}.json`)).json();

/** The text of a key with {names} filled in. */
export function t(key, args = {}) {
  const text = texts[key];
  if (text === undefined) { console.error(`text ${key} is missing`); return key; }
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in args ? args[name] : whole));
}

/** The text of a key, or `other` when there is none. */
export const maybe = (key, other) => texts[key] ?? other;

/** A {zh, en} text in the page's language. */
export function pick(text) {
  if (text === null || text === undefined) return "";
  if (typeof text === "string") return text;
  return text[lang] || Object.values(text).find(Boolean) || "";
}
