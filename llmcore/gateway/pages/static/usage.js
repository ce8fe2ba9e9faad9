// Usage: the plot by day, stacked by provider.

import { $, fmt, given } from "./dom.js";
import { bars } from "./chart.js";

const place = $("#chart");
const COLORS = 6;

/** Every day from `since` to `until`, both included, as "2026-11-21". */
function daysOf(since, until) {
  const found = [];
  for (let at = Date.parse(`${since}T00:00:00Z`); at <= Date.parse(`${until}T00:00:00Z`); at += 86400000) found.push(new Date(at).toISOString().slice(0, 10));
  return found;
}

function seriesOf(groups, days, measure) {
  const index = new Map(days.map((day, at) => [day, at]));
  const found = new Map();
  for (const group of groups) {
    if (!index.has(group.day)) continue;
    const values = found.get(group.provider) ?? days.map(() => 0);
    values[index.get(group.day)] += group[measure];
    found.set(group.provider, values);
  }
  const sum = (values) => values.reduce((all, value) => all + value, 0);
  const series = [...found].map(([name, values]) => ({ name: name || "(none)", values })).sort((a, b) => sum(b.values) - sum(a.values));
  if (series.length <= COLORS) return series;
  const rest = series.splice(COLORS - 1);
  return [...series, { name: "others", values: days.map((_, at) => rest.reduce((all, one) => all + one.values[at], 0)) }];
}

function draw() {
  const { since, until, groups } = given(place, "chart");
  const measure = $("#measure").value;
  const days = daysOf(since, until);
  const words = $("#measure").selectedOptions[0].textContent;
  bars(place, { days, series: seriesOf(groups, days, measure), write: measure === "cost_usd" ? money : small, label: `${words} by day and provider`, whole: measure !== "cost_usd" });
}

/** Dollars with two digits that count, so that half of $0.0005 is not $0.0003. */
function money(value) {
  return value === 0 || value >= 1 ? fmt.dollars(value) : `$${value.toFixed(Math.min(12, 1 - Math.floor(Math.log10(value)))).replace(/0+$/, "")}`;
}

/** A count short enough for an axis. */
function small(value) {
  return value >= 1e6 ? `${+(value / 1e6).toFixed(1)}M` : value >= 1e4 ? `${+(value / 1e3).toFixed(1)}k` : String(+value.toFixed(1));
}

for (const select of document.querySelectorAll("#span select")) select.addEventListener("change", () => $("#span").requestSubmit());
if (place) {
  $("#measure").addEventListener("change", draw);
  draw();
  let waiting;
  addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(draw, 150);
  });
}
