// On every page: the menu of small screens, signing out, times in the reader's own zone.

import { $, localise } from "./dom.js";
import { call } from "./api.js";

document.documentElement.classList.add("js");
localise(document);

const menu = $("#menu");
menu?.addEventListener("click", () => {
  const open = $("#side").classList.toggle("open");
  menu.setAttribute("aria-expanded", String(open));
});

$('form[action="/sign-out"]')?.addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    await call("POST", "/api/sign-out", {});
  } finally {
    location.assign("/sign-in");
  }
});
