// Keys: make one (shown once), change its limits, revoke it.

import { $, $$, note, plain, refresh } from "./dom.js";
import { call } from "./api.js";
import { clear, copier, dialogs, during, number, text } from "./form.js";

const form = $("#key");
const editor = $("#editor");
const revoke = $("#revoke");
const NUMBERS = ["rpm", "tpm", "concurrent", "max_tokens", "budget_usd"];
let edited = null;

dialogs();
copier($("#copy"), $("#secret"), $("#copied"));
$("#shown").addEventListener("close", () => $("#secret").replaceChildren());

/** The end of a day in the reader's zone as epoch seconds; null where there is none. */
function expiry() {
  const day = form.elements.expires_at.value;
  return day ? Math.floor(new Date(`${day}T23:59:59`).getTime() / 1000) : null;
}

function body() {
  const models = (text(form, "models") ?? "").split(",").map((name) => name.trim()).filter(Boolean);
  const said = { name: text(form, "name"), models: models.length ? models : null, budget_period: form.elements.budget_period.value, expires_at: expiry() };
  for (const name of NUMBERS) said[name] = number(form, name);
  if (edited) {
    if (edited.expires_at !== null && said.expires_at === day(edited.expires_at)[1]) delete said.expires_at;
    return said;
  }
  said.scopes = $$('[name="scopes"]:checked', form).map((box) => box.value);
  if (form.elements.user_id) said.user_id = form.elements.user_id.value;
  return said;
}

/** Epoch seconds as the day of a date field, and the end of that day. */
function day(at) {
  const local = new Date(at * 1000);
  const name = `${local.getFullYear()}-${String(local.getMonth() + 1).padStart(2, "0")}-${String(local.getDate()).padStart(2, "0")}`;
  return [name, Math.floor(new Date(`${name}T23:59:59`).getTime() / 1000)];
}

function open(key) {
  edited = key;
  form.reset();
  clear(form, $("#key-problem"));
  for (const part of $$("[data-new]", form)) part.hidden = key !== null;
  $("#editor-title").textContent = key ? `Limits of ${plain(key.name)}` : "Create a key";
  $("#key-save").textContent = key ? "Save" : "Create";
  if (key) {
    form.elements.name.value = key.name;
    form.elements.models.value = (key.models ?? []).join(", ");
    for (const name of NUMBERS) form.elements[name].value = key[name] ?? "";
    form.elements.budget_period.value = key.budget_period;
    form.elements.expires_at.value = key.expires_at === null ? "" : day(key.expires_at)[0];
  }
  editor.showModal();
  form.elements.name.focus();
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  during($("#key-save"), form, $("#key-problem"), async () => {
    const said = body();
    if (edited) {
      await call("PATCH", `/api/keys/${encodeURIComponent(edited.id)}?user_id=${encodeURIComponent(edited.user_id)}`, said);
    } else {
      const made = await call("POST", "/api/keys", said);
      $("#secret").textContent = made.token;
      $("#copied").textContent = "";
    }
    editor.close();
    if (!edited) $("#shown").showModal();
    await refresh("#keys");
    if (edited) note($("#outcome"), "Saved. The new limits count from now on.", "good");
  });
});

revoke.addEventListener("submit", (event) => {
  event.preventDefault();
  during(event.submitter, revoke, $("#revoke-problem"), async () => {
    const { id, owner } = revoke.dataset;
    await call("DELETE", `/api/keys/${encodeURIComponent(id)}?user_id=${encodeURIComponent(owner)}`);
    $("#sure").close();
    await refresh("#keys");
    note($("#outcome"), "Revoked. Programs that use it are refused from now on.", "good");
  });
});

$("#create").addEventListener("click", () => open(null));
document.addEventListener("click", (event) => {
  const change = event.target.closest("[data-edit]");
  const end = event.target.closest("[data-revoke]");
  if (change) open(JSON.parse(change.dataset.edit));
  if (end) {
    revoke.dataset.id = end.dataset.revoke;
    revoke.dataset.owner = end.dataset.owner;
    $("#sure-name").textContent = plain(end.dataset.name);
    note($("#revoke-problem"), "");
    $("#sure").showModal();
  }
});
