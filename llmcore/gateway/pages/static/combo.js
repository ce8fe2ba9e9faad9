// A text field that offers models: name, context, price, speed. Arrows, Enter and Escape work as everywhere.

import { $, el, fmt } from "./dom.js";

const MOST = 200;

export class Combo {
  /** field: the input. onpick: called after a model was taken. */
  constructor(field, { onpick = () => {}, only = () => true } = {}) {
    this.field = field;
    this.list = $(`[id="${field.getAttribute("aria-controls")}"]`);
    this.models = [];
    this.shown = [];
    this.typed = "";
    this.active = -1;
    this.onpick = onpick;
    this.only = only;
    field.addEventListener("input", () => this.open(field.value));
    field.addEventListener("click", () => (this.list.hidden ? this.open("") : this.close()));
    field.addEventListener("blur", () => this.close());
    field.addEventListener("keydown", (event) => this.key(event));
    this.list.addEventListener("mousedown", (event) => this.press(event));
  }

  /** The list to choose from, as the API gives it; why: a sentence where there is none. */
  offer(models, why = "") {
    this.models = models.filter(this.only);
    this.why = why;
    this.several = new Set(this.models.map((model) => model.provider)).size > 1;
    if (this.list.hidden) return;
    const marked = this.shown[this.active]?.id;
    this.open(this.typed);
    if (marked) this.mark(this.shown.findIndex((model) => model.id === marked));
  }

  open(typed) {
    this.typed = typed;
    const wanted = typed.trim().toLowerCase();
    this.shown = this.models.filter((model) => `${model.id} ${model.display_name ?? ""}`.toLowerCase().includes(wanted)).slice(0, MOST);
    if (!this.models.length && !this.why) return this.close();
    const rows = this.shown.map((model, index) => this.row(model, index));
    this.list.replaceChildren(...(rows.length ? rows : [el("li", { class: "none" }, this.models.length ? "No model of the list fits; what you typed is taken as it is." : this.why)]));
    this.list.hidden = false;
    this.field.setAttribute("aria-expanded", "true");
    this.mark(-1);
  }

  row(model, index) {
    const tags = (model.tags ?? []).filter((tag) => tag !== "embedding").map((tag) => el("span", { class: `badge ${tag === "dear" ? "warn" : tag === "alias" ? "" : "good"}` }, tag));
    const options = { id: `${this.list.id}-${index}`, role: "option", "aria-selected": "false", "data-index": index };
    return el("li", options, el("span", {}, el("bdi", {}, model.id), " ", tags), el("span", { class: "facts" }, facts(model, this.several)));
  }

  close() {
    this.list.hidden = true;
    this.field.setAttribute("aria-expanded", "false");
    this.field.removeAttribute("aria-activedescendant");
    this.active = -1;
  }

  mark(index) {
    const rows = [...this.list.querySelectorAll('[role="option"]')];
    this.active = rows.length ? Math.max(-1, Math.min(index, rows.length - 1)) : -1;
    rows.forEach((row, at) => row.setAttribute("aria-selected", String(at === this.active)));
    const row = rows[this.active];
    if (row) {
      this.field.setAttribute("aria-activedescendant", row.id);
      row.scrollIntoView({ block: "nearest" });
    } else this.field.removeAttribute("aria-activedescendant");
  }

  key(event) {
    const open = !this.list.hidden;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!open) this.open("");
      this.mark(this.active + (event.key === "ArrowDown" ? 1 : -1));
    } else if (event.key === "Enter" && open && this.active >= 0) {
      event.preventDefault();
      this.take(this.shown[this.active]);
    } else if (event.key === "Escape" && open) {
      event.preventDefault();
      this.close();
    }
  }

  press(event) {
    event.preventDefault(); // the field keeps the focus
    const row = event.target.closest('[role="option"]');
    if (row) this.take(this.shown[Number(row.dataset.index)]);
  }

  take(model) {
    this.field.value = model.id;
    this.close();
    this.onpick(model);
  }
}

/** What is known of a model, in one line. named: with its provider. */
export function facts(model, named = false) {
  const found = named && model.provider ? [model.provider] : [];
  if (model.alias_of) found.push(`stands for ${model.alias_of}`);
  if (model.context_window) found.push(`${tokens(model.context_window)} context`);
  if (model.input_usd_per_million !== null && model.input_usd_per_million !== undefined) {
    const out = model.output_usd_per_million;
    found.push(`${fmt.dollars(model.input_usd_per_million)} in${out === null ? "" : ` / ${fmt.dollars(out)} out`} per million tokens`);
  }
  if (model.capabilities?.length) found.push(model.capabilities.join(", "));
  return found.join(" · ") || "price and context unknown";
}

function tokens(count) {
  return count >= 1000000 ? `${+(count / 1000000).toFixed(1)}M` : count >= 1000 ? `${Math.round(count / 1000)}k` : String(count);
}
