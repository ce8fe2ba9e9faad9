// Signing in by password or one-time token. A token in the fragment of the address never reaches a log of ours.

import { $, note } from "./dom.js";
import { call } from "./api.js";
import { during } from "./form.js";

const problem = $("#problem");

/** Where the reader wanted to go: a path of ours, or the start. */
function onward() {
  const next = new URLSearchParams(location.search).get("next") ?? "";
  return /^\/[a-z-]*$/.test(next) ? next : $("#main").dataset.home;
}

async function enter(form, body) {
  const well = await during($("button", form), form, problem, () => call("POST", "/api/sign-in", body));
  if (well) location.replace(onward());
  else if (!problem.textContent) note(problem, "That is not right, or not valid any more.", "bad");
}

$("#by-password").addEventListener("submit", (event) => {
  event.preventDefault();
  const { name, password } = event.target.elements;
  enter(event.target, { name: name.value, password: password.value });
});

$("#by-token").addEventListener("submit", (event) => {
  event.preventDefault();
  enter(event.target, { token: event.target.elements.token.value.trim() });
});

/** The token of the link, taken out of the address bar. */
function byLink() {
  const said = location.hash.slice(1);
  const token = new URLSearchParams(said).get("token") ?? (said.startsWith("llmc") ? said : null);
  if (!token) return;
  history.replaceState(null, "", location.pathname + location.search);
  $("#token").value = token;
  enter($("#by-token"), { token });
}

addEventListener("hashchange", byLink); // the link was opened in the tab that shows this page
byLink();
