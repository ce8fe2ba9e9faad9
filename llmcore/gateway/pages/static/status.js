// Status: told by server-sent events that something changed, else by asking every few seconds; tests on demand.

import { $, fmt, localise, refresh } from "./dom.js";
import { ApiError, call } from "./api.js";

const POLL_MS = 5000;
const LEAST_MS = 1000;
const live = $("#live");
let polling = null;
let running = false;
let again = false;
let last = 0;

/** The picture as the server has it now; where the reader is stays so. */
async function redraw() {
  const at = document.activeElement?.dataset?.test;
  if (!(await refresh("#picture", "#live-at"))) throw new ApiError("The status could not be read.");
  if (at) $(`[data-test="${CSS.escape(at)}"]`)?.focus();
}

/** Not more often than once a second, never two at a time. */
async function renew() {
  if (running) {
    again = true;
    return;
  }
  running = true;
  try {
    do {
      again = false;
      await new Promise((done) => setTimeout(done, Math.max(0, last + LEAST_MS - Date.now())));
      last = Date.now();
      await redraw();
    } while (again);
    if (lost()) told();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    say("the gateway cannot be reached; trying again", "lost");
    setTimeout(renew, POLL_MS);
  } finally {
    running = false;
  }
}

/** mood: "on", "lost" or "". */
function say(text, mood) {
  if (live.textContent !== text) live.textContent = text;
  live.className = `pulse ${mood}`;
}

const lost = () => live.classList.contains("lost");

/** How news come now. */
function told() {
  if (polling === null) say("live: this page keeps itself up to date", "on");
  else say("no live news; asking every 5 seconds", "");
}

function poll(on) {
  if (on && polling === null) polling = setInterval(renew, POLL_MS);
  else if (!on && polling !== null) {
    clearInterval(polling);
    polling = null;
  }
}

function listen() {
  const events = new EventSource("/api/v1/llm/status/events");
  let first = true;
  events.addEventListener("open", () => {
    poll(false);
    told();
  });
  events.addEventListener("status", () => {
    if (first) first = false;
    else renew();
  });
  events.addEventListener("error", () => {
    poll(true);
    if (!lost()) told();
    if (events.readyState === EventSource.CLOSED) setTimeout(listen, 15000);
  });
  addEventListener("pagehide", () => events.close(), { once: true });
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-test]");
  if (!button || button.disabled) return;
  const name = button.dataset.test;
  button.disabled = true;
  button.setAttribute("aria-busy", "true");
  $("#told").textContent = `Testing ${name} …`;
  try {
    const result = await call("POST", "/api/settings/llm/test", { provider: name, model: null, base_url: null, api_key: null });
    $("#told").textContent = result.ok ? `${name}: connected in ${fmt.milliseconds(result.latency_ms)}.` : `${name}: the test failed. ${result.error}`;
    button.disabled = false;
    await renew();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    button.disabled = false;
    button.removeAttribute("aria-busy");
    $("#told").textContent = error.message;
    button.nextSibling?.remove(); // what the test before it said
    button.after(document.createTextNode(` ${error.message}`));
  }
});

listen();
setInterval(() => localise(document), 1000);
