// Status: told by server-sent events that something changed, else by asking every few seconds; lines of what was seen.

import { $, $$, refresh } from "./dom.js";
import { spark } from "./chart.js";

const KEPT = 60;
const POLL_MS = 5000;
const LEAST_MS = 1000;
const history = new Map();
const live = $("#live");
let polling = null;
let running = false;
let again = false;
let last = 0;

/** Put the figures on the page into the lines. */
function draw() {
  for (const node of $$("[data-spark]")) {
    const values = history.get(node.dataset.spark) ?? [];
    values.push(node.dataset.value === "" ? null : Number(node.dataset.value));
    history.set(node.dataset.spark, values.slice(-KEPT));
    spark(node, history.get(node.dataset.spark));
  }
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
      if (await refresh("#picture", "#live-at")) draw();
    } while (again);
  } catch {
    say("the gateway cannot be reached", false);
  } finally {
    running = false;
  }
}

function say(text, on) {
  if (live.textContent !== text) live.textContent = text;
  live.classList.toggle("on", on);
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
    say("live", true);
  });
  events.addEventListener("status", () => {
    if (first) first = false;
    else renew();
  });
  events.addEventListener("error", () => {
    say("asking every 5 seconds", false);
    poll(true);
    if (events.readyState === EventSource.CLOSED) setTimeout(listen, 15000);
  });
  addEventListener("pagehide", () => events.close(), { once: true });
}

draw();
listen();
setInterval(draw, 10000);
