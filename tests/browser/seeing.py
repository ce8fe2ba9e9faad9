"""Can people see it: nothing off the screen, every text at the contrast of WCAG 2 AA, controls large enough for a finger."""

from __future__ import annotations

from typing import Any

WIDER = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"

CUT_OFF = """() => [...document.querySelectorAll("button, a, input, select, textarea, summary")]
    .filter(one => one.checkVisibility() && !one.classList.contains("skip"))
    .filter(one => { const box = one.getBoundingClientRect(); return box.left < 0 || box.right > innerWidth + 1 })
    .filter(one => !one.closest(".scroll"))
    .map(one => one.outerHTML.slice(0, 80))"""

FAINT = """() => {
  const rgba = text => { const found = text.match(/[\\d.]+/g)?.map(Number) ?? [0, 0, 0, 0]; return [found[0], found[1], found[2], found[3] ?? 1] };
  const over = (top, under) => [0, 1, 2].map(i => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
  const ground = node => {
    const layers = [];
    for (let one = node; one; one = one.parentElement) layers.push(rgba(getComputedStyle(one).backgroundColor));
    return layers.reverse().reduce((under, top) => over(top, under), matchMedia("(prefers-color-scheme: dark)").matches ? [18, 18, 18, 1] : [255, 255, 255, 1]);
  };
  const light = color => color.slice(0, 3).map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05) };
  const faint = [];
  const look = (node, style, what) => {
    const under = ground(node);
    const color = rgba(node instanceof SVGElement ? style.fill : style.color);
    color[3] *= Number(style.opacity);
    const size = parseFloat(style.fontSize);
    const needed = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
    const found = ratio(over(color, under), under);
    if (found < needed) faint.push(`${found.toFixed(2)} of ${needed}: ${what}`);
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    const text = walker.currentNode.textContent.trim();
    if (!text || !node.checkVisibility() || node.closest("option, optgroup, title, .visually-hidden, .skip, :disabled")) continue;
    look(node, getComputedStyle(node), text.slice(0, 60));
  }
  for (const field of document.querySelectorAll("input, textarea, select")) {
    if (!field.checkVisibility() || field.disabled || field.type === "hidden") continue;
    look(field, getComputedStyle(field), `value of ${field.id}`);
    if (field.placeholder) look(field, getComputedStyle(field, "::placeholder"), `placeholder of ${field.id}`);
    const style = getComputedStyle(field);
    if (field.type === "checkbox" || field.type === "radio") continue;
    const around = ground(field.parentElement);
    const edge = ratio(over(rgba(style.borderTopColor), around), around);
    if (edge < 3) faint.push(`${edge.toFixed(2)} of 3: border of ${field.id}`);
  }
  return faint;
}"""

SMALL = """() => [...document.querySelectorAll("button, select, input, textarea, nav a")]
    .filter(one => one.checkVisibility() && one.type !== "hidden")
    .map(one => [one, (one.closest("label.choice") ?? one).getBoundingClientRect()])
    .filter(([, box]) => box.height < 24 || box.width < 24)
    .map(([one, box]) => `${Math.round(box.width)}x${Math.round(box.height)} ${one.outerHTML.slice(0, 80)}`)"""
"""WCAG 2.2, 2.5.8: 24 by 24 CSS pixels at least."""


def sound(page: Any) -> None:
    """Fails where something of what is shown now cannot be seen or hit."""
    assert page.evaluate(WIDER) <= 0, page.url
    for law in (CUT_OFF, FAINT, SMALL):
        broken: list[str] = page.evaluate(law)
        assert not broken, "\n".join([page.url.partition("#")[0], *broken])
