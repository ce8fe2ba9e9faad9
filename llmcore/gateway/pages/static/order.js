// A list that people put in order, by drag or by the arrow keys on a handle.

import { $$ } from "./dom.js";

const DIRECTIONS = { ArrowUp: -1, ArrowDown: 1 };

/** moved: called with the names in their new order after each move. Names are in data-name. */
export function ordered(list, moved) {
  const rows = () => $$(":scope > li", list);
  const tell = () => moved(rows().map((row) => row.dataset.name));
  let dragged = null;

  list.addEventListener("keydown", (event) => {
    const step = DIRECTIONS[event.key];
    const row = event.target.closest?.(".grip")?.closest("li");
    if (!step || !row) return;
    event.preventDefault();
    const other = step < 0 ? row.previousElementSibling : row.nextElementSibling;
    if (!other) return;
    if (step < 0) other.before(row);
    else other.after(row);
    event.target.closest(".grip").focus();
    tell();
  });

  // pointer events, so that fingers can do it too
  list.addEventListener("pointerdown", (event) => {
    const grip = event.target.closest(".grip");
    if (!grip || event.button !== 0) return;
    dragged = { row: grip.closest("li"), before: rows().map((row) => row.dataset.name).join("\n") };
    dragged.row.classList.add("dragged");
    grip.setPointerCapture(event.pointerId);
  });
  list.addEventListener("pointermove", (event) => {
    if (!dragged) return;
    const over = rows().find((row) => {
      const box = row.getBoundingClientRect();
      return event.clientY >= box.top && event.clientY <= box.bottom;
    });
    if (!over || over === dragged.row) return;
    const box = over.getBoundingClientRect();
    if (event.clientY < box.top + box.height / 2) over.before(dragged.row);
    else over.after(dragged.row);
  });
  const drop = () => {
    if (!dragged) return;
    dragged.row.classList.remove("dragged");
    const changed = dragged.before !== rows().map((row) => row.dataset.name).join("\n");
    dragged = null;
    if (changed) tell();
  };
  list.addEventListener("pointerup", drop);
  list.addEventListener("pointercancel", drop);
}
