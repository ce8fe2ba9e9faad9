// On every page: the menu of small screens, signing out, times in the reader's own zone, and what to do when something breaks.

import { $, el, localise } from "./dom.js";
import { call } from "./api.js";

document.documentElement.classList.add("js");
localise(document);

const menu = $("#menu");
menu?.addEventListener("click", () => {
  const open = $("#side").classList.toggle("open");
  menu.setAttribute("aria-expanded", String(open));
});
$("#side")?.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || menu.getAttribute("aria-expanded") !== "true") return;
  menu.click();
  menu.focus();
});

$('form[action="/sign-out"]')?.addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    await call("POST", "/api/sign-out", {});
  } catch {
    // signed out already, or nobody is there: the next page tells
  }
  location.assign("/sign-in");
});

/** One line on top of the page, with a way out. */
function trouble(words, way) {
  const place = $("#trouble");
  if (!place) return;
  place.replaceChildren(el("span", {}, words), way);
  place.hidden = false;
  place.scrollIntoView({ block: "nearest" });
}

const again = () => el("button", { type: "button", class: "small", onclick: () => location.reload() }, "Load the page again");

document.addEventListener("signed-out", () => {
  const way = el("a", { class: "button small", href: `/sign-in?next=${encodeURIComponent(location.pathname)}` }, "Sign in again");
  trouble("You are signed out, perhaps because you were away for long. Signing in brings you back to this page.", way);
});
document.addEventListener("page-too-old", () => trouble("You have signed in anew since this page was opened.", again()));

const broken = () => trouble("Something on this page does not work. Load it again; if that does not help, tell whoever runs this gateway.", again());
addEventListener("error", (event) => {
  if (event.error) broken();
});
addEventListener("unhandledrejection", broken);
