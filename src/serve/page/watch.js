// Watching the training run of the open model: its metrics, and whether it has a newer model.

import { ask } from "./request.js";
import { $, showError } from "./dom.js";
import { addressForAnother } from "./form.js";

/** Time between two looks at a run that trains, in milliseconds. */
const INTERVAL = 5000;
const WIDTH = 600, HEIGHT = 120, MARGIN = 6;

let run = null;
let index = null; // of the open model, if there is one

/** Begins to watch, if the model `open` is from a run; it is null while the run has no model. */
export async function open({ open }) {
  index = open;
  $("run-metric").addEventListener("change", render);
  $("run-newest").addEventListener("click", openNewest);
  await look();
}

/** Looks at the run, again and again while it trains. */
async function look() {
  if (!document.hidden) {
    try {
      const response = await fetch("/api/run");
      if (response.ok) run = await response.json();
    } catch { /* the next request that the user sends reports it */ }
    render();
  }
  if (run?.training) setTimeout(look, INTERVAL);
}

const short = (value) => Number(value.toPrecision(4)).toString();

function render() {
  $("run").hidden = run === null;
  if (run === null) return;
  $("run-title").textContent = `${run.name}: ${Math.round(1000 * run.kimg)} images seen${run.training ? ", training" : ""}`;
  $("run-newest").hidden = !run.newer || index === null;
  const names = run.curves.map(({ name }) => name);
  if (names.join() !== Array.from($("run-metric").options, (option) => option.value).join()) {
    const chosen = $("run-metric").value;
    $("run-metric").replaceChildren(...names.map((name) => new Option(name, name, false, name === chosen)));
  }
  const points = run.curves.find(({ name }) => name === $("run-metric").value)?.points ?? [];
  const [xs, ys] = [0, 1].map((axis) => points.map((point) => point[axis]));
  const scale = (values, value, size) => {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    return high > low ? ((value - low) / (high - low)) * size : size / 2;
  };
  const line = points.map(([x, y]) => [scale(xs, x, WIDTH), HEIGHT - MARGIN - scale(ys, y, HEIGHT - 2 * MARGIN)]);
  // A single value is a line across the chart.
  const drawn = line.length === 1 ? [0, WIDTH].map((x) => [x, line[0][1]]) : line;
  $("run-chart").firstElementChild.setAttribute("points", drawn.map((point) => point.map((at) => at.toFixed(1)).join()).join(" "));
  $("run-metric").hidden = !names.length;
  $("run-chart").toggleAttribute("hidden", !points.length);
  $("run-from").textContent = points.length ? `${short(1000 * xs[0])} images` : "";
  $("run-to").textContent = points.length ? `${short(1000 * xs.at(-1))} images` : "";
  $("run-value").textContent = points.length ? `now ${short(ys.at(-1))}` : "no metrics yet";
}

async function openNewest() {
  try {
    await ask("/api/model", JSON.stringify({ open: index }));
    window.history.replaceState(null, "", addressForAnother());
    location.reload();
  } catch (error) {
    showError($("status"), error);
  }
}
