// Providers: their order, reload, explain; add and edit where the gateway offers it.

import { $, el, fmt, note, plain, refresh } from "./dom.js";
import { ApiError, call } from "./api.js";
import { clear, dialogs, during, number, text } from "./form.js";
import { ordered } from "./order.js";

const outcome = $("#outcome");
const form = $("#provider");
const IMAGE = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
let edited = null;
let sent = Promise.resolve();
let moves = 0;

dialogs();

/** current: whether what the server shows now is still what the reader wants to see. */
async function attempt(work, done, current = () => true) {
  note(outcome, "");
  try {
    await work();
    if (!current()) return;
    await renew();
    note(outcome, done, "good");
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    note(outcome, error.message, "bad");
  }
}

async function renew() {
  const focused = document.activeElement?.closest?.(".order > li")?.dataset.name;
  await refresh("#providers");
  arrange();
  if (focused) document.querySelector(`.order > li[data-name="${CSS.escape(focused)}"] .grip`)?.focus();
}

function arrange() {
  const list = $(".order");
  if (list?.dataset.mayOrder !== "true") return;
  ordered(list, (names) => {
    const mine = ++moves;
    const current = () => mine === moves;
    const work = () => call("PUT", "/api/providers/order", { names });
    sent = sent.then(() => current() && attempt(work, "The new order counts from the next request on.", current));
  });
}

$("#reload")?.addEventListener("click", (event) => {
  const button = event.currentTarget;
  during(button, $("#tools"), outcome, async () => {
    const { providers } = await call("POST", "/api/providers/reload", {});
    await renew();
    note(outcome, `Read again: ${providers.length === 1 ? "one provider" : `${providers.length} providers`}. What is running goes on as it began.`, "good");
  });
});

// ------------------------------------------------------------------------------------------------- explain

function question() {
  const fields = $("#explain").elements;
  const words = text($("#explain"), "prompt") ?? "Hello";
  const content = fields.image.checked ? [{ type: "text", text: words }, { type: "image_url", image_url: { url: IMAGE } }] : words;
  const body = { messages: [{ role: "user", content }] };
  const name = text($("#explain"), "model");
  if (name) body.model = name;
  if (fields.tools.checked) body.tools = [{ type: "function", function: { name: "example", parameters: { type: "object", properties: {} } } }];
  if (fields.schema.checked) body.response_format = { type: "json_schema", json_schema: { name: "example", schema: { type: "object", properties: {} } } };
  return body;
}

$("#explain").addEventListener("submit", (event) => {
  event.preventDefault();
  during(event.submitter ?? $("button", event.target), event.target, $("#explain-problem"), async () => {
    $("#explained").replaceChildren(explained(await call("POST", "/api/providers/explain", question())));
  });
});

const ORDERS = {
  priority: "in the order of the list",
  round_robin: "in turn",
  weighted: "by their weights",
  least_busy: "the least busy first",
  latency: "the fastest first",
  cost: "the cheapest first",
  retry: "the first one again and again",
};
const BROKEN_OFF = {
  fail: "If an answer breaks off in the middle, the reader gets an error.",
  restart: "If an answer breaks off in the middle, another provider begins it anew.",
  continue: "If an answer breaks off in the middle, another provider goes on from there, where it can.",
  splice: "If an answer breaks off in the middle, another provider goes on where its own text is the same so far.",
};

/** Who would be asked, who not and why, in words; all that the manager says below. */
function explained(found) {
  const asked = found.candidates.filter((one) => one.rank !== null).sort((a, b) => a.rank - b.rank);
  const others = found.candidates.filter((one) => one.rank === null);
  const name = (one) => [el("strong", {}, el("bdi", {}, one.provider)), " ", el("bdi", { class: "mono" }, one.model ?? "")];
  const wait = (one) => (one.ready_in_s ? `, but only in ${fmt.seconds(one.ready_in_s)}` : "");
  const why = (one) => (one.detail ? `: ${one.detail}` : one.reason ? `: ${one.reason.replaceAll("_", " ")}` : "");
  const seconds = found.deadline_s >= 120 ? `${+(found.deadline_s / 60).toFixed(1)} minutes` : fmt.seconds(found.deadline_s);
  const told_ = [
    asked.length ? el("ol", { class: "asked" }, asked.map((one, at) => el("li", {}, name(one), at ? " if those before it fail" : " is asked first", one.reason ? why(one) : "", wait(one)))) : el("p", { class: "note warn" }, "Nobody would be asked: the request would be refused."),
    others.length ? el("ul", { class: "asked" }, others.map((one) => el("li", {}, name(one), " is not asked", why(one)))) : null,
    el("p", { class: "small soft" }, `Providers are chosen ${ORDERS[found.strategy] ?? found.strategy}. At most ${found.max_attempts} tries in all, each provider ${found.retries ? `up to ${found.retries + 1} times` : "once"}, within ${seconds}. ${BROKEN_OFF[found.mid_stream] ?? ""}`),
    el("details", { class: "small" }, el("summary", {}, "Every figure behind it"), told(found)),
  ];
  return el("div", { class: "stack" }, told_);
}

/** The answer of the manager, whatever it holds: lists in order, the rest by name. */
function told(value) {
  if (value === null || value === undefined || value === "") return el("span", { class: "soft" }, "–");
  if (Array.isArray(value) && value.length && value.every((one) => one && typeof one === "object" && !Array.isArray(one))) return table(value);
  if (Array.isArray(value)) return value.length ? el("ol", {}, value.map((one) => el("li", {}, told(one)))) : el("span", { class: "soft" }, "none");
  if (typeof value !== "object") return el("bdi", {}, typeof value === "number" ? String(+value.toFixed(4)) : value === true ? "yes" : value === false ? "no" : value);
  const entries = Object.entries(value).filter(([, one]) => one !== null && one !== "");
  return el("dl", { class: "told-list" }, entries.flatMap(([key, one]) => [el("dt", {}, key.replaceAll("_", " ")), el("dd", {}, told(one))]));
}

/** Things that are alike as rows; a column that holds nothing is left out. */
function table(rows) {
  const keys = [...new Set(rows.flatMap(Object.keys))].filter((key) => rows.some((row) => row[key] !== null && row[key] !== undefined && row[key] !== ""));
  const head = el("thead", {}, el("tr", {}, keys.map((key) => el("th", { scope: "col" }, key.replaceAll("_", " ")))));
  const body = rows.map((row) => el("tr", {}, keys.map((key) => el("td", { "data-label": key.replaceAll("_", " ") }, told(row[key])))));
  return el("div", { class: "scroll" }, el("table", { class: "fold" }, head, el("tbody", {}, body)));
}

// ------------------------------------------------------------------------------------------- add and edit

function open(provider) {
  edited = provider;
  form.reset();
  clear(form, $("#provider-problem"));
  $("#editor-title").textContent = provider ? `Edit ${plain(provider.name)}` : "Add a provider";
  $("#delete").hidden = !provider;
  form.elements.name.disabled = Boolean(provider);
  if (provider) {
    form.elements.provider.value = provider.kind;
    for (const name of ["name", "base_url", "text_model", "embedding_model", "priority", "max_in_flight"]) form.elements[name].value = provider[name] ?? "";
  }
  fit();
  $("#editor").showModal();
}

function fit() {
  const kind = JSON.parse(form.dataset.kinds)[form.elements.provider.value];
  form.elements.base_url.placeholder = kind?.base_url ?? "https://…";
  form.elements.text_model.placeholder = kind?.default_model ?? "";
  const moved = edited && (edited.kind !== form.elements.provider.value || (edited.base_url ?? null) !== text(form, "base_url"));
  const hint = $("#api_key-hint");
  hint.className = moved ? "error" : "hint";
  if (moved) hint.textContent = `The key of ${plain(edited.name)} is never sent anywhere else: enter the key for this ${edited.kind === form.elements.provider.value ? "address" : "kind"}.`;
  else hint.textContent = edited ? "Empty leaves it as it is. Kept sealed; never shown again." : kind?.key_required === false ? "Most of this kind need none." : "Kept sealed; never shown again.";
}

function body() {
  const said = { provider: form.elements.provider.value };
  for (const name of ["base_url", "text_model", "embedding_model"]) said[name] = text(form, name);
  for (const name of ["priority", "max_in_flight"]) said[name] = number(form, name);
  const key = text(form, "api_key");
  if (key) said.api_key = key;
  return said;
}

if (form) {
  $("#add").addEventListener("click", () => open(null));
  form.elements.provider.addEventListener("change", fit);
  form.elements.base_url.addEventListener("input", fit);
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-edit]");
    if (button) open(JSON.parse(button.dataset.edit));
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    during(event.submitter, form, $("#provider-problem"), async () => {
      if (edited) await call("PATCH", `/api/providers/${encodeURIComponent(edited.name)}`, body());
      else await call("POST", "/api/providers", { name: text(form, "name"), ...body() });
      $("#editor").close();
      await renew();
      note(outcome, "Saved. It counts from the next request on.", "good");
    });
  });
  $("#delete").addEventListener("click", () => {
    if (!confirm(`Remove ${plain(edited.name)} for everybody?`)) return;
    $("#editor").close();
    attempt(() => call("DELETE", `/api/providers/${encodeURIComponent(edited.name)}`), "Removed.");
  });
}

arrange();
