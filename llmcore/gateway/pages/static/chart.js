// A plot as SVG: stacked bars for days. No style attributes: the page's policy has none.

import { el, svg } from "./dom.js";

/** A round number at or above `value`, for the top of an axis; whole: half of it is a whole number too. */
function ceiling(value, whole) {
  if (value <= 0) return whole ? 2 : 1;
  const power = 10 ** Math.floor(Math.log10(value));
  const factors = whole && power < 10 ? [2, 4, 6, 8, 10] : [1, 2, 2.5, 5, 10];
  return factors.map((factor) => factor * power).find((top) => top >= value * 0.999);
}

/** "2026-11-21" as "21 Nov", in the reader's language; the days are UTC. */
const short = (day) => new Date(`${day}T00:00:00Z`).toLocaleDateString([], { day: "numeric", month: "short", timeZone: "UTC" });

/** Stacked bars. days: labels in order. series: [{name, values}], at most six. write: a value as text; whole: they are counts. */
export function bars(place, { days, series, write, label, whole }) {
  const width = Math.max(320, Math.min(1080, place.clientWidth || 800));
  const height = width < 500 ? 200 : 240;
  const sums = days.map((_, index) => series.reduce((sum, one) => sum + one.values[index], 0));
  const top = ceiling(Math.max(...sums), whole);
  const longest = Math.max(...[0, 0.5, 1].map((part) => write(top * part).length));
  const [left, right, under, above] = [16 + 7 * longest, 18, 22, 8];
  const [inner, tall] = [width - left - right, height - under - above];
  const slot = inner / days.length;
  const chart = svg("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  for (const part of [0, 0.5, 1]) {
    const y = above + tall * (1 - part);
    chart.append(svg("line", { class: "grid", x1: left, x2: width - right, y1: y, y2: y }), svg("text", { x: left - 8, y: y + 4, "text-anchor": "end" }, write(top * part)));
  }
  days.forEach((day, index) => {
    let base = above + tall;
    const x = left + index * slot + slot * 0.12;
    const group = svg("g", {});
    series.forEach((one, color) => {
      const size = (one.values[index] / top) * tall;
      if (size <= 0) return;
      base -= size;
      group.append(svg("rect", { class: `s${color}`, x: x.toFixed(1), y: base.toFixed(1), width: (slot * 0.76).toFixed(1), height: Math.max(size, 0.8).toFixed(1) }));
    });
    const parts = series.filter((one) => one.values[index]).map((one) => `${one.name}: ${write(one.values[index])}`);
    group.append(svg("title", {}, `${short(day)}: ${write(sums[index])}${parts.length > 1 ? `\n${parts.join("\n")}` : ""}`));
    group.append(svg("rect", { x: (left + index * slot).toFixed(1), y: above, width: slot.toFixed(1), height: tall, fill: "transparent" }));
    chart.append(group);
  });
  const every = Math.max(1, Math.ceil(days.length / Math.floor(inner / 60)));
  days.forEach((day, index) => {
    if ((days.length - 1 - index) % every === 0) chart.append(svg("text", { x: left + (index + 0.5) * slot, y: height - 6, "text-anchor": "middle" }, short(day)));
  });
  const legend = el("ul", { class: "legend" }, series.map((one, color) => el("li", {}, svg("svg", { viewBox: "0 0 10 10", "aria-hidden": "true" }, svg("rect", { class: `s${color}`, width: 10, height: 10, rx: 2 })), el("bdi", {}, one.name))));
  place.replaceChildren(chart, legend);
}
