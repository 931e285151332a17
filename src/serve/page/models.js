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
  // An earlier choice may already have opened another model; the server would refuse a request for the one
  // that the page shows.
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
  const { hash } = found.model;
  if (models.length > 1) offer(found.models, hash, problem === null);
  window.addEventListener("pageshow", async (event) => {
    // The browser may have kept a page whose model is no longer open.
    if (event.persisted && (await fetchModel()).hash !== hash) location.reload();
  });
  return { ...found, problem };
}

/**
 * Lets the user choose between the models. `hash` is that of the open one, and `named` is whether to name it
 * in the address.
 */
function offer({ models, open }, hash, named) {
  const name = fileName(models[open]);
  nameModel(name);
  if (named) {
    const query = new URLSearchParams(location.search);
    query.set("model", name);
    window.history.replaceState(window.history.state, "", "/?" + query);
  }
  $("models").append(...models.map((path, i) => new Option(baseName(path), i, false, i === open)));
  $("models").hidden = false;
  let choices = 0; // a choice cancels those before
  $("models").addEventListener("change", async () => {
    const choice = ++choices, chosen = Number($("models").value);
    try {
      await openAt(chosen);
      if (choice === choices) location.assign("/?" + new URLSearchParams({ model: fileName(models[chosen]) }));
    } catch (error) {
      if (choice !== choices) return;
      $("models").value = open;
      await reopen(open, hash);
      if (choice === choices) showError($("status"), error);
    }
  });
}

/** Opens the model that the page shows if an earlier choice has opened another one. */
async function reopen(index, hash) {
  try {
    if ((await fetchModel()).hash !== hash) await openAt(index);
  } catch {
    // The page reports the error of the choice.
  }
}
