// The API of this gateway, as a signed-in browser asks it: JSON, same origin, with the CSRF token.

export class ApiError extends Error {
  /** status: HTTP status, 0 where the gateway could not be reached. param: the field at fault, or null. */
  constructor(message, { status = 0, code = null, param = null, body = {} } = {}) {
    super(message);
    Object.assign(this, { status, code, param, body });
  }
}

const token = () => document.body.dataset.csrf;

/** The JSON of one answer. Throws ApiError. */
export async function call(method, path, body, { signal } = {}) {
  const answer = await send(method, path, body, { signal });
  return answer.status === 204 ? null : answer.json();
}

/** The answer itself, once it is a good one. Throws ApiError; an AbortError stays what it is. */
export async function send(method, path, body, { signal, headers: more } = {}) {
  const headers = { accept: "application/json", ...more };
  if (method !== "GET") headers["x-csrf-token"] = token() ?? "";
  if (body !== undefined) headers["content-type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), signal, redirect: "error" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The gateway cannot be reached. Is it still running?");
  }
  if (answer.ok) return answer;
  throw await refusal(answer);
}

async function refusal(answer) {
  let body = {};
  try {
    body = await answer.json();
  } catch {
    // no JSON: the status says enough
  }
  const error = body.error ?? {};
  const out = answer.status === 401 && Boolean(token());
  if (out) document.dispatchEvent(new CustomEvent("signed-out"));
  if (error.code === "csrf") document.dispatchEvent(new CustomEvent("page-too-old"));
  const words = out ? "You are signed out." : error.message;
  return new ApiError(words ?? `The gateway answered with status ${answer.status}.`, {
    status: answer.status,
    code: error.code ?? null,
    param: error.param ?? null,
    body,
  });
}
