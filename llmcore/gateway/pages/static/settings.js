// Settings: fields that fit the provider, its models, the connection test, saving.

import { $, el, fmt, given, note, refresh } from "./dom.js";
import { ApiError, call } from "./api.js";
import { clear, during, number, text, words } from "./form.js";
import { Combo } from "./combo.js";

const form = $("#settings");
const kinds = given(form, "kinds");
const system = given(form, "system");
const mayMove = given(form, "maySetBaseUrl");
const everybody = form.dataset.scope === "system";
const scope = everybody ? "?scope=system" : "";
let stored = given(form, "stored");

const chat = new Combo(form.elements.model, { only: (model) => !model.tags.includes("embedding"), onpick: told });
const embedding = new Combo(form.elements.embedding_model, { only: (model) => model.tags.includes("embedding") });
const untested = $("#untested");
let offered = [];
let moving = false;
let asking = null;

const chosen = () => form.elements.provider.value;
const isSystem = () => system.some((one) => one.name === chosen());
const address = () => text(form, "base_url");

/** Show the fields that this provider has. */
function fit() {
  const kind = kinds[chosen()];
  const own = !isSystem() && kind;
  const needed = own && (kind.local || kind.needs_base_url || address() || moving);
  $("#address-field").hidden = !needed;
  $("#move-field").hidden = !own || needed || !mayMove;
  $("#key-field").hidden = !own || (!kind.key_required && !kind.key_variable && kind.local);
  if (own) {
    form.elements.base_url.placeholder = kind.base_url ?? "https://…";
    form.elements.base_url.disabled = !mayMove;
    const usual = kind.base_url ? `Empty: ${kind.base_url}` : "This kind of provider has no usual address: enter yours.";
    $("#base_url-hint").textContent = mayMove ? usual : `${usual} Only administrators may enter another one.`;
  }
  form.elements.model.placeholder = isSystem() ? "the configured one" : "choose one, or type its name";
  $("#provider-hint").textContent = isSystem()
    ? "Answers with the key of this gateway."
    : kind?.local
      ? "Runs on your own machine or network; usually without a key."
      : kind?.configured
        ? "Without a key of your own, the one of this gateway is used."
        : `Asks with your own key${kind?.key_variable ? `, the one that its documents call ${kind.key_variable}` : ""}.`;
  tell();
}

/** What is known of the key: stored, to be dropped, or missing. */
function tell() {
  const field = form.elements.api_key;
  const moved = stored.provider !== chosen() || (stored.base_url ?? null) !== address();
  const last = stored.api_key_last4;
  field.placeholder = stored.api_key_set && !moved ? `…${last} is stored; empty keeps it` : "";
  const hint = $("#api_key-hint");
  hint.className = "hint";
  if (stored.api_key_set && moved) {
    hint.textContent = `The stored key …${last} was entered for ${stored.provider}${stored.base_url ? ` at ${stored.base_url}` : ""}. It is never sent anywhere else: enter the key for this ${stored.provider === chosen() ? "address" : "provider"} again.`;
    hint.className = "error";
  } else hint.textContent = "Kept sealed; after saving, nobody can read it here again.";
}

function body() {
  const own = !isSystem();
  const said = {
    provider: chosen(),
    model: text(form, "model"),
    embedding_model: text(form, "embedding_model"),
    base_url: own && !$("#address-field").hidden ? address() : null,
    temperature: number(form, "temperature"),
    max_tokens: number(form, "max_tokens"),
    version: stored.version,
  };
  const key = form.elements.api_key.value.trim();
  if (key && own) said.api_key = key;
  return said;
}

async function models(again = false) {
  asking?.abort();
  const mine = (asking = new AbortController());
  const hint = $("#model-hint");
  hint.textContent = "Asking for the models …";
  try {
    const path = `/api/settings/llm/models?provider=${encodeURIComponent(chosen())}${again ? "&refresh=1" : ""}`;
    const answer = await call("GET", path, undefined, { signal: mine.signal });
    offered = answer.models;
    offer(answer.error ?? "");
    told();
    if (answer.error && !offered.length) hint.textContent = `${answer.error}. Type a name, or test the connection first.`;
  } catch (error) {
    if (error instanceof ApiError) hint.textContent = error.message;
    else if (error.name !== "AbortError") throw error;
  }
}

function offer(why) {
  const none = why || "No list yet: test the connection, or type the name.";
  chat.offer(offered, none);
  embedding.offer(offered, "No embedding models are known; type the name.");
}

/** Under the field: what is known of the model in it, else how many there are. */
function told() {
  const found = offered.find((model) => model.id === text(form, "model"));
  const line = $("#model-hint");
  if (!found) line.textContent = offered.length ? `${offered.length === 1 ? "One model is" : `${fmt.count(offered.length)} models are`} known: open the list, or type a name.` : "None known yet: test the connection, or type the name.";
  else {
    const price = found.input_usd_per_million === null ? "price unknown" : `${fmt.dollars(found.input_usd_per_million)} in, ${fmt.dollars(found.output_usd_per_million)} out per million tokens`;
    const context = found.context_window ? `${fmt.count(found.context_window)} tokens of context` : "context unknown";
    line.textContent = [price, context, ...found.tags].join(" · ");
  }
}

function tested(result) {
  const place = $("#tested");
  requestAnimationFrame(() => place.scrollIntoView({ block: "nearest" })); // on a phone it is far below the button
  if (result.ok) {
    const count = result.models.length;
    place.replaceChildren(el("p", { class: "note good" }, el("strong", {}, "Connected"), ` in ${fmt.milliseconds(result.latency_ms)}. ${count === 1 ? "One model" : `${fmt.count(count)} models`} offered.`));
    if (count) {
      const known = new Map(offered.map((model) => [model.id, model]));
      offered = result.models.map((id) => known.get(id) ?? { id, tags: /embed/i.test(id) ? ["embedding"] : [], input_usd_per_million: null });
      offer("");
      told();
    }
  } else {
    place.replaceChildren(el("div", { class: "note bad" }, el("p", {}, el("strong", {}, "Failed"), ` after ${fmt.milliseconds(result.latency_ms)}: `, el("bdi", {}, result.error)), result.hint ? el("p", {}, result.hint) : null));
  }
}

form.elements.provider.addEventListener("change", () => {
  clear(form, $("#outcome"));
  moving = false;
  untested.hidden = false;
  $("#tested").replaceChildren(untested);
  const back = chosen() === stored.provider;
  for (const name of ["model", "embedding_model", "base_url"]) form.elements[name].value = back ? (stored[name] ?? "") : "";
  if (!back && !isSystem()) form.elements.model.value = kinds[chosen()]?.default_model ?? "";
  form.elements.api_key.value = "";
  fit();
  models();
});
form.elements.base_url.addEventListener("input", tell);
$("#move").addEventListener("click", () => {
  moving = true;
  fit();
  form.elements.base_url.focus();
});
form.elements.model.addEventListener("input", told);
$("#refresh-models").addEventListener("click", () => models(true));

$("#test").addEventListener("click", (event) =>
  during(event.currentTarget, form, $("#outcome"), async () => {
    const { version, ...said } = body();
    $("#tested").replaceChildren(el("p", { class: "note" }, "Asking …"));
    try {
      tested(await call("POST", `/api/settings/llm/test${scope}`, said));
    } catch (error) {
      $("#tested").replaceChildren(el("p", { class: "note bad" }, el("strong", {}, "Not tested"), `: ${words(error.message)}`));
      throw error;
    }
  }),
);

form.addEventListener("submit", (event) => {
  event.preventDefault();
  during(event.submitter ?? $("button[type=submit]", form), form, $("#outcome"), async () => {
    const said = body();
    if (!isSystem() && !said.model && !said.embedding_model) throw new ApiError("Choose a model: requests that name none are sent to it.", { param: "model" });
    stored = await call("PUT", `/api/settings/llm${scope}`, said);
    form.elements.api_key.value = "";
    $("#remove").hidden = false;
    await refresh('section[aria-labelledby="now"]', 'section[aria-labelledby="choice"] > header');
    fit();
    note($("#outcome"), "Saved. It counts from the next request on.", "good");
    models();
  });
});

$("#remove").addEventListener("click", (event) => {
  if (!confirm(everybody ? "Remove the settings for everybody, and their stored key?" : "Remove your settings and the stored key?")) return;
  during(event.currentTarget, form, $("#outcome"), async () => {
    await call("DELETE", `/api/settings/llm${scope}`);
    location.reload();
  });
});

$("#password")?.addEventListener("submit", (event) => {
  event.preventDefault();
  const mine = event.target;
  during(event.submitter, mine, $("#password-outcome"), async () => {
    const old = mine.elements.old_password.value;
    const me = await call("PUT", "/api/me/password", { password: mine.elements.password.value, old_password: old || null });
    document.body.dataset.csrf = me.csrf;
    mine.reset();
    note($("#password-outcome"), "Your password is set.", "good");
  });
});

fit();
models();
