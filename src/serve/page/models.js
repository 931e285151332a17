// The models that the server offers: the open one, and choosing another.
//
// The server has one open model for all pages. With several models, the address names the one that it
// belongs to, by its file or folder: reloading the page or going back to the address opens it again.

import { ask, busy, setModel, stop } from "./request.js";
import { $, showError, showStatus } from "./dom.js";
import { modelInAddress, nameModel } from "./form.js";

const fileName = (path) => path.split(/[/\\]/).filter(Boolean).pop() ?? path;

/** The name of the model at `path` for people. */
export const baseName = (path) => fileName(path).replace(/\.safetensors$/, "");

async function fetchModel() {
  return (await fetch("/api/model")).json();
}

async function fetchAll() {
  const [model, models] = await Promise.all([fetchModel(), fetch("/api/models").then((response) => response.json())]);
  setModel(model.hash);
  return { model, models };
}

async function openAt(index) {
  if (busy()) stop();
  showStatus($("status"), "opening the model …");
  // An earlier choice may have opened another model already.
  await ask("/api/model", JSON.stringify({ open: index }), null);
}

/**
 * Opens the model that the address names. Returns the descriptions of the open model and of all, and
 * `problem`, an error if the open model is another one, or null. Throws if the server does not answer.
 */
export async function open() {
  const wanted = modelInAddress();
  let found = await fetchAll(), problem = null;
  const isWanted = (path) => fileName(path) === wanted;
  // Another page may open its model at the same time.
  for (let attempt = 0; attempt < 2; attempt++) {
    const { models, open } = found.models, index = models.findIndex(isWanted);
    if (index < 0 || index === open) break;
    try {
      await openAt(index);
      problem = null;
    } catch (error) {
      problem = error;
    }
    found = await fetchAll();
  }
  const { models, open } = found.models;
  if (wanted === null || isWanted(models[open])) problem = null;
  else problem ??= { message: `the address names the model ${wanted}, which is not served`, hint: "generate with the model that is open, or choose another one" };
  showStatus($("status"), "");
  if (models.length > 1) offer(found.models, problem === null);
  const { hash } = found.model;
  window.addEventListener("pageshow", async (event) => {
    // The browser may have kept a page whose model is no longer open.
    if (event.persisted && (await fetchModel()).hash !== hash) location.reload();
  });
  return { ...found, problem };
}

/** Lets the user choose between the models. `named` is whether to name the open one in the address. */
function offer({ models, open }, named) {
  const shown = fileName(models[open]);
  nameModel(shown);
  if (named) {
    const query = new URLSearchParams(location.search);
    query.set("model", shown);
    window.history.replaceState(window.history.state, "", "/?" + query);
  }
  $("models").append(...models.map((path, i) => new Option(baseName(path), i, false, i === open)));
  $("models").hidden = false;
  let latest = null; // the last choice; it cancels those before
  $("models").addEventListener("change", async () => {
    const chosen = Number($("models").value);
    latest = chosen;
    try {
      await openAt(chosen);
      if (latest === chosen) location.assign("/?" + new URLSearchParams({ model: fileName(models[chosen]) }));
    } catch (error) {
      if (latest !== chosen) return;
      showError($("status"), error);
      $("models").value = open;
    }
  });
}
