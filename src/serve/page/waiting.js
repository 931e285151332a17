// The page of a run without a model that generates images from prompts: its progress, until there is one.

import { $ } from "./dom.js";
import { store } from "./form.js";
import * as watch from "./watch.js";

/** Time between two questions whether there is a model, in milliseconds. */
const INTERVAL = 2000;

const TEXTS = {
  training: [
    "This run is still training",
    "It has no model yet that generates pictures from descriptions. Such models come from the last stage of the training. This page opens the first one by itself.",
  ],
  stopped: [
    "This run has stopped",
    "It has no model that generates pictures from descriptions. Resume the training, or serve a run with such a model. If the training is resumed, this page opens the model by itself.",
  ],
};

async function look() {
  try {
    const [model, run] = await Promise.all(["/api/model", "/api/run"].map(async (path) => (await fetch(path)).json()));
    if (model !== null) return location.replace("/");
    const [heading, explanation] = run?.training ? TEXTS.training : TEXTS.stopped;
    $("heading").textContent = heading;
    if ($("explanation").textContent !== explanation) $("explanation").textContent = explanation;
  } catch {
    // The server changes to the other page, or has ended.
  }
  setTimeout(look, INTERVAL);
}

const theme = store.get("localStorage", "theme");
if (theme) document.documentElement.dataset.theme = theme;
await look();
await watch.open({ open: null });
document.body.dataset.ready = "yes";
