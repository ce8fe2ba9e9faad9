// Users: add, link, role, disable.

import { $, note, plain, refresh } from "./dom.js";
import { ApiError, call } from "./api.js";
import { copier, dialogs, during, text } from "./form.js";

const form = $("#user");
dialogs();
copier($("#copy"), $("#secret"), $("#copied"));
$("#shown").addEventListener("close", () => $("#secret").replaceChildren());

async function link(id, name) {
  const { token } = await call("POST", `/api/users/${encodeURIComponent(id)}/link`);
  $("#secret").textContent = `${location.origin}/sign-in#token=${token}`;
  $("#copied").textContent = "";
  $("#link-name").textContent = plain(name);
  $("#shown").showModal();
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  during(event.submitter, form, $("#user-problem"), async () => {
    const made = await call("POST", "/api/users", { name: text(form, "name"), role: form.elements.role.value });
    form.reset();
    await refresh("#users");
    await link(made.id, made.name);
  });
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-link], [data-change]");
  if (!button) return;
  note($("#outcome"), "");
  try {
    if (button.dataset.link) await link(button.dataset.link, button.dataset.name);
    else {
      await call("PATCH", `/api/users/${encodeURIComponent(button.dataset.change)}`, JSON.parse(button.dataset.body));
      await refresh("#users");
      note($("#outcome"), "Changed. It counts at once.", "good");
    }
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    note($("#outcome"), error.message, "bad");
  }
});
