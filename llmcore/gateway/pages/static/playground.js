// Playground: one conversation, kept in this page alone; any provider may answer the next question.

import { $, el, fmt, note, plain } from "./dom.js";
import { ApiError, call, send } from "./api.js";
import { Combo } from "./combo.js";
import { events } from "./sse.js";

const turns = $("#turns");
const prompt = $("#prompt");
const provider = $("#provider");
const model = $("#model");
const problem = $("#ask-problem");
let messages = [];
let conversation = null;
let running = null;

const combo = new Combo(model, { only: (one) => !one.tags.includes("embedding"), onpick: settle });

async function offer() {
  combo.offer([], "Asking for the models …");
  try {
    const which = provider.value ? `?provider=${encodeURIComponent(provider.value)}` : "";
    const answer = await call("GET", `/api/settings/llm/models${which}`);
    combo.offer(answer.models, answer.error ?? "No models are known; type a name.");
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    combo.offer([], error.message);
  }
}

/** A model of a list of several providers goes to the one that offers it. */
function settle(one) {
  if (!provider.value && [...provider.options].some((option) => option.value === one.provider)) {
    provider.value = one.provider;
    offer();
  }
}

/** The session that holds the chosen provider: made for the first question, switched when the choice was changed; null for none. */
async function session() {
  const choice = { provider: provider.value, model: model.value.trim() || null };
  if (!choice.provider) return null;
  if (conversation === null) {
    const made = await call("POST", "/api/sessions", { title: "Playground", ...choice });
    conversation = { id: made.id, ...choice };
  } else if (conversation.provider !== choice.provider || conversation.model !== choice.model) {
    await call("PATCH", `/api/sessions/${conversation.id}`, choice);
    Object.assign(conversation, choice);
  }
  return conversation.id;
}

/** End the session, also while the page goes away. */
function forget() {
  if (conversation === null) return;
  const headers = { "x-csrf-token": document.body.dataset.csrf };
  fetch(`/api/sessions/${conversation.id}`, { method: "DELETE", headers, keepalive: true }).catch(() => {});
  conversation = null;
}

/** For those who listen: an answer is read out once it is whole, not piece by piece. */
function hear(text) {
  $("#heard").textContent = text;
}

function turn(role, text, title) {
  $("#nothing")?.remove();
  const said = el("div", { class: "said" }, text);
  const node = el("article", { class: `turn ${role}` }, el("div", { class: "role" }, title), said);
  turns.append(node);
  turns.scrollTop = turns.scrollHeight;
  return { node, said };
}

/** One answer as it comes in. */
class Answer {
  constructor() {
    const { node, said } = turn("assistant", "", "Answer");
    this.node = node;
    this.said = said;
    this.text = "";
    this.began = performance.now();
    this.first = null;
    node.classList.add("waiting");
  }

  add(text) {
    this.first ??= performance.now() - this.began;
    this.text += text;
    const near = turns.scrollHeight - turns.scrollTop - turns.clientHeight < 60;
    this.said.append(plain(text));
    if (near) turns.scrollTop = turns.scrollHeight;
  }

  think(text) {
    this.first ??= performance.now() - this.began;
    if (!this.thought) {
      this.thought = el("div");
      this.said.before(el("details", { class: "thought" }, el("summary", {}, "Reasoning"), this.thought));
    }
    this.thought.append(plain(text));
  }

  restart({ by }) {
    this.text = "";
    this.said.replaceChildren();
    this.tell(el("span", {}, `Broke off; ${plain(by)} begins anew.`));
  }

  tell(...parts) {
    this.told ??= this.node.appendChild(el("div", { class: "told" }));
    this.told.append(...parts);
    turns.scrollTop = turns.scrollHeight;
  }

  done(end) {
    const { usage, attempts } = end;
    this.tell(
      el("span", {}, el("strong", {}, el("bdi", {}, end.by)), " ", el("bdi", { class: "mono" }, end.model ?? "")),
      el("span", { title: "Tokens, the pieces of words that models count: what was sent with the conversation so far, and what came back" }, `${fmt.count(usage.input_tokens)} tokens in, ${fmt.count(usage.output_tokens)} out`),
      el("span", {}, usage.cost_usd === null ? "cost unknown" : fmt.dollars(usage.cost_usd)),
      el("span", {}, `first word after ${fmt.milliseconds(this.first)}, done after ${fmt.milliseconds(performance.now() - this.began)}`),
      el("span", { title: "How often providers were asked for this answer" }, attempts.length === 1 ? "1 try" : `${attempts.length} tries`),
      end.finish_reason === "length" ? el("span", { class: "badge warn" }, "cut off: the longest answer was reached") : "",
    );
    this.tries(attempts, [...end.skipped, ...end.warnings]);
    hear(`Answer by ${plain(end.by)}: ${plain(this.text)}`);
  }

  tries(attempts, more = []) {
    if (attempts.length < 2 && !more.length && attempts[0]?.outcome === "success") return;
    if (!attempts.length && !more.length) return;
    const lines = attempts.map((one) => el("li", {}, el("bdi", {}, el("strong", {}, one.by), " ", el("span", { class: "mono" }, one.model ?? "")), ` (${one.reason}): `, el("span", { class: one.outcome === "success" ? "" : "failed" }, one.said), `${one.outcome !== "success" && one.status ? `, status ${one.status}` : ""}, ${fmt.seconds(one.duration_s)}`));
    const notes = more.map((one) => el("li", {}, one));
    const shown = ({ target }) => target.open && target.scrollIntoView({ block: "nearest" });
    this.node.append(el("details", { class: "tries", ontoggle: shown }, el("summary", {}, "What was tried"), el("ol", {}, lines), notes.length ? el("ul", {}, notes) : null));
  }

  fail(message, attempts = []) {
    hear("");
    this.node.append(el("p", { class: "note bad", role: "alert" }, message));
    this.tries(attempts);
    turns.scrollTop = turns.scrollHeight;
  }

  end() {
    this.node.classList.remove("waiting");
    if (!this.text) this.said.remove();
  }
}

async function ask(text) {
  turn("user", text, "You");
  messages.push({ role: "user", content: text });
  const answer = new Answer();
  running = new AbortController();
  busy(true);
  hear("Waiting for the answer");
  let complete = false;
  try {
    const body = { messages, stream: true };
    const held = await session();
    if (!held && model.value.trim()) body.model = model.value.trim();
    const headers = held ? { "x-llmcore-session": held } : {};
    const stream = await send("POST", "/api/playground", body, { signal: running.signal, headers });
    for await (const { name: kind, data } of events(stream)) {
      if (kind === "text") answer.add(data.text);
      else if (kind === "thought") answer.think(data.text);
      else if (kind === "part") answer.add(data.text || `[${data.kind}]`);
      else if (kind === "restarted") answer.restart(data);
      else if (kind === "continued") answer.tell(el("span", {}, `Broke off; ${plain(data.by)} went on.`));
      else if (kind === "error") answer.fail(data.message, data.attempts);
      else if (kind === "done") {
        answer.done(data);
        complete = true;
      }
      if (kind === "error") break;
    }
  } catch (error) {
    hear("");
    if (error.name === "AbortError") answer.tell(el("span", { class: "badge warn" }, "stopped by you"));
    else if (error instanceof ApiError) answer.fail(error.message, error.body.attempts);
    else answer.fail("The connection to the gateway broke off. Send the question again.");
  } finally {
    answer.end();
    if (answer.text) messages.push({ role: "assistant", content: answer.text });
    else if (!complete) {
      messages.pop(); // a question without an answer is not sent again
      if (!prompt.value) prompt.value = text;
    }
    busy(false);
  }
}

function busy(on) {
  $("#send").hidden = on;
  $("#stop").hidden = !on;
  if (!on) running = null;
  prompt.focus();
}

$("#ask").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = prompt.value.trim();
  if (running) return;
  if (!text) {
    note(problem, "Write a message first.", "bad");
    return;
  }
  note(problem, "");
  prompt.value = "";
  ask(text);
});

prompt.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    $("#ask").requestSubmit();
  }
});

turns.addEventListener("click", (event) => {
  const idea = event.target.closest("[data-idea]");
  if (!idea) return;
  prompt.value = idea.dataset.idea;
  prompt.focus();
});

$("#stop").addEventListener("click", () => running?.abort());
$("#anew").addEventListener("click", () => {
  running?.abort();
  messages = [];
  forget();
  turns.replaceChildren(el("div", { class: "empty", id: "nothing" }, el("strong", {}, "A new conversation"), el("span", {}, "Nothing of the one before is sent any more.")));
  prompt.focus();
});
const mine = model.placeholder;
provider.addEventListener("change", () => {
  model.value = "";
  model.placeholder = provider.value ? "its default" : mine;
  offer();
});
addEventListener("pagehide", forget);

offer();
