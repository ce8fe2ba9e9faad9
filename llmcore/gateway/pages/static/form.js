// Forms: errors in words beside their field, one request at a time.

import { $, $$, note } from "./dom.js";
import { ApiError } from "./api.js";

/** Run `work` while `button` shows that it is busy; errors go to their fields, the rest to `place`. True if all went well. */
export async function during(button, form, place, work) {
  clear(form, place);
  button.disabled = true;
  button.setAttribute("aria-busy", "true");
  try {
    await work();
    return true;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    show(form, place, error);
    return false;
  } finally {
    button.disabled = false;
    button.removeAttribute("aria-busy");
  }
}

/** What is being mended is not called wrong any more. */
document.addEventListener("input", ({ target }) => {
  if (!target.hasAttribute?.("aria-invalid")) return;
  target.removeAttribute("aria-invalid");
  const error = $(`[id="${target.id || target.name}-error"], [id="${target.name}-error"]`, target.form ?? document);
  if (error) error.textContent = "";
});

/** A message without the name of the field that it stands beside. */
export const words = (message) => message.replace(/^[a-z_0-9]+: /, "").replace(/^./, (first) => first.toUpperCase());

export function clear(form, place) {
  for (const field of $$("[aria-invalid]", form)) field.removeAttribute("aria-invalid");
  for (const error of $$(".error", form)) error.textContent = "";
  if (place) note(place, "");
}

/** Beside the field that the API names, where the form has it. */
export function show(form, place, error) {
  const name = (error.param ?? /^([a-z_0-9]+):/.exec(error.message)?.[1] ?? "").split(/[.[]/)[0];
  const field = name ? form.elements[name] : null;
  const input = field instanceof RadioNodeList ? field[0] : field;
  const place_ = input && $(`[id="${input.id || name}-error"], [id="${name}-error"]`, form);
  if (!place_ || input.closest("[hidden]")) {
    note(place, error.message, "bad");
    return;
  }
  input.setAttribute("aria-invalid", "true");
  place_.textContent = words(error.message);
  input.focus();
}

/** The number in a field, null where it is empty. Throws ApiError for what is none. */
export function number(form, name) {
  const input = form.elements[name];
  if (input.value.trim() === "" && !input.validity.badInput) return null;
  const value = Number(input.value);
  if (input.validity.badInput || !Number.isFinite(value)) throw new ApiError("Enter a number, or leave it empty.", { param: name });
  return value;
}

/** The text in a field, null where it is empty. */
export function text(form, name) {
  return form.elements[name].value.trim() || null;
}

export function dialogs() {
  for (const dialog of $$("dialog")) {
    for (const button of $$("[data-close]", dialog)) button.addEventListener("click", () => dialog.close());
  }
}

/** A text into the clipboard; where that is not allowed (no TLS), it is selected for the reader to copy. */
export function copier(button, source, told) {
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(source.textContent);
      told.textContent = "Copied.";
    } catch {
      getSelection().selectAllChildren(source);
      told.textContent = "Selected; press Ctrl+C.";
    }
  });
}
