// The models that the server offers: the open one, and choosing another.
//
// The server has one open model for all pages. With several models, the address names the one that it
// belongs to, by its file or folder: reloading the page or going back to the address opens it again.

import { ask, busy, setModel, stop } from "./request.js";
import { $, showError, showStatus } from "./dom.js";
import { nameModel } from "./form.js";

const fileName = (path) => path.split(/[/\\]/).filter(Boolean).pop() ?? path;

/** The name of the model at `path` for people. */
export const baseName = (path) => fileName(path).replace(/\.safetensors$/, "");

async function fetchAll() {
  const [model, models] = await Promise.all(["/api/model", "/api/models"].map(async (path) => (await fetch(path)).json()));
  setModel(model.hash);
  return { model, models };
}

async function openAt(index) {
  if (busy()) stop();
  showStatus($("status"), "opening the model …");
  await ask("/api/model", JSON.stringify({ open: index }));
}

/**
 * Opens the model that the address names. Returns the descriptions of the open model and of all, and
 * `problem`, an error if the open model is another one, or null. Throws if the server does not answer.
 */
export async function open() {
  let found = await fetchAll(), problem = null;
  const wanted = new URLSearchParams(location.search).get("model");
  const index = found.models.models.findIndex((path) => fileName(path) === wanted);
  if (index >= 0 && index !== found.models.open) {
    try {
      await openAt(index);
      showStatus($("status"), "");
    } catch (error) {
      problem = error;
    }
    found = await fetchAll();
  } else if (wanted !== null && index < 0) {
    problem = { message: `the address is of the model ${wanted}, which is not served`, hint: "this page shows another model" };
  }
  offer(found.models);
  window.addEventListener("pageshow", (event) => {
    // A page that the browser kept may be of another model.
    if (event.persisted) location.reload();
  });
  return { ...found, problem };
}

/** Lets the user choose between the models, if there are several. */
function offer({ models, open }) {
  if (models.length < 2) return;
  nameModel(fileName(models[open]));
  $("models").append(...models.map((path, i) => new Option(baseName(path), i, false, i === open)));
  $("models").hidden = false;
  $("models").addEventListener("change", async () => {
    try {
      await openAt(Number($("models").value));
      location.assign("/?" + new URLSearchParams({ model: fileName(models[$("models").value]) }));
    } catch (error) {
      showError($("status"), error);
      $("models").value = open;
    }
  });
}
