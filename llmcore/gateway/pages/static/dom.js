// Elements out of plain data, and figures as people read them. All text goes in as text, never as markup.

import { ApiError } from "./api.js";

const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g;
const SVG = "http://www.w3.org/2000/svg";

export const UNKNOWN = "–";

/** A text without characters that steer terminals or turn the direction of writing. */
export function plain(text) {
  return String(text ?? "").replace(HIDDEN, "\ufffd");
}

/** el("p", { class: "note" }, "text", child, …): attributes as given, on… as listeners; null children are left out. */
export function el(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : plain(value));
  }
  for (const child of children.flat()) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : plain(child));
  }
  return node;
}

export const $ = (selector, within = document) => within.querySelector(selector);
export const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];

/** JSON out of a data attribute. */
export const given = (node, name) => JSON.parse(node.dataset[name]);

/** Show `message` in a note, or hide the note where there is none. mood: "good", "warn", "bad" or "". */
export function note(node, message, mood = "") {
  node.hidden = !message;
  node.className = `note ${mood}`;
  node.replaceChildren(plain(message ?? ""));
}

/** The same parts of this page as the server shows them now. Throws ApiError where it cannot be reached. */
export async function refresh(...selectors) {
  let answer;
  try {
    answer = await fetch(location.pathname + location.search, { headers: { accept: "text/html" } });
  } catch {
    throw new ApiError("The gateway cannot be reached. Is it still running?");
  }
  if (answer.redirected && new URL(answer.url).pathname === "/sign-in") location.assign(answer.url);
  if (!answer.ok) return false;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const selector of selectors) {
    const [old, fresh] = [$(selector), $(selector, page)];
    if (old && fresh) old.replaceWith(document.adoptNode(fresh));
  }
  localise(document);
  return true;
}

/** Times of the server, in the reader's own zone. */
export function localise(within) {
  for (const node of $$("time[datetime]", within)) {
    const at = new Date(node.dateTime);
    const said = moment(at);
    if (node.textContent !== said) node.textContent = said;
    node.title = at.toLocaleString();
  }
  for (const node of $$("[data-origin]", within)) node.textContent = location.origin + node.dataset.origin;
}

function moment(at) {
  const ago = (Date.now() - at) / 1000;
  if (ago < 0 && ago > -2) return "now";
  if (ago < 0 && ago > -90) return `in ${Math.round(-ago)} seconds`;
  if (ago < 0 && ago > -3600) return `in ${Math.round(-ago / 60)} min`;
  if (ago >= 0 && ago < 60) return "just now";
  if (ago >= 0 && ago < 3600) return `${Math.floor(ago / 60)} min ago`;
  const today = new Date().toDateString() === at.toDateString();
  const time = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  if (today) return time;
  const year = at.getFullYear() === new Date().getFullYear() ? undefined : "numeric";
  return `${at.toLocaleDateString([], { day: "numeric", month: "short", year })}, ${time}`;
}

const known = (value, write) => (value === null || value === undefined ? UNKNOWN : write(value));

export const fmt = {
  seconds: (value) => known(value, (s) => fmt.milliseconds(s * 1000)),
  milliseconds: (value) =>
    known(value, (ms) => (ms < 10 ? `${ms.toFixed(1)} ms` : ms < 999.5 ? `${ms.toFixed(0)} ms` : ms < 60000 ? `${(ms / 1000).toFixed(2)} s` : `${(ms / 60000).toFixed(1)} min`)),
  dollars: (value) =>
    known(value, (d) => `$${d.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: d === 0 || d >= 1 ? 2 : d >= 0.0001 ? 4 : 6 })}`),
  count: (value) => known(value, (n) => Math.round(n).toLocaleString("en")),
};
