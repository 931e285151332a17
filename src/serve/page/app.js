// The page of `cigan serve`: connects its modules to buttons, files and the address.

import { busy, stop } from "./request.js";
import { $, copy, make, narrow, press, showError, showStatus } from "./dom.js";
import * as editor from "./editor.js";
import { addressOf, formChanged, growPrompt, namesAnotherModel, offersLayers, restoreForm, setDefaults, setEditSettings, setSettings, settings, settingsInAddress, store } from "./form.js";
import * as explore from "./explore.js";
import * as grid from "./grid.js";
import * as history from "./history.js";
import { onKey } from "./keys.js";
import * as models from "./models.js";
import * as picked from "./picked.js";
import { textOf } from "./png.js";
import * as watch from "./watch.js";

/** Seeds of the examples. */
const EXAMPLE_SEEDS = "0-7";

let model = null;

function toggleTheme() {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const current = document.documentElement.dataset.theme ?? (dark ? "dark" : "light");
  document.documentElement.dataset.theme = current === "dark" ? "light" : "dark";
  store.set("localStorage", "theme", document.documentElement.dataset.theme);
}

/** Adds buttons that append a word to the prompt. */
function addWords(words, separator) {
  $("words").append(...words.map((word, i) => {
    // The Tab key stops once; the arrow keys move between the words.
    const button = make("button", { type: "button", tabIndex: i === 0 ? 0 : -1, textContent: word });
    button.addEventListener("click", () => {
      const prompt = $("text").value.trimEnd();
      $("text").value = prompt ? prompt + separator + word : word;
      formChanged();
      $("text").focus();
    });
    return button;
  }));
}

// ---- history and address ------------------------------------------------------------------

/** Number of results that the back button finds without the history. */
const REMEMBERED = 20;
/** The result that the address belongs to, to find it again with the back button. A reload keeps the entries of the browser's history, so numbers are not used again. */
let entry = Date.now();
const results = new Map();
/** The address that a result belongs to which is drawn for the address that is shown already. */
let returning = null;

function remember(result) {
  entry++;
  results.set(entry, result);
  // Older results are in the history, or drawn again.
  results.delete(entry - REMEMBERED);
  return entry;
}

/** A new result of the grid. */
async function onResult(result) {
  if (result.examples) return;
  const state = { entry: remember(result), id: null };
  const address = addressOf(result.settings);
  if (address === returning || address === location.pathname + location.search) window.history.replaceState(state, "", address);
  else window.history.pushState(state, "", address);
  returning = null;
  state.id = await history.addResult(result);
  if (window.history.state?.entry === state.entry) window.history.replaceState(state, "");
}

/** Shows the result of the address again, or draws it. */
async function onAddress() {
  const found = settingsInAddress();
  if (!found) return showExamples();
  if (busy()) stop();
  setSettings({ candidates: "", ...found });
  const state = window.history.state;
  const result = results.get(state?.entry);
  if (result) {
    // The message belongs to another result.
    showStatus($("status"), "");
    return grid.show(result);
  }
  if (state?.id && await history.restoreId(state.id)) return;
  returning = addressOf(settings());
  grid.draw();
}

/** A stored result was chosen. */
function onRestore({ result, picture, edit }) {
  for (const id of ["status", "edit-status"]) showStatus($(id), "");
  if (result) {
    setSettings({ candidates: "", ...result.settings });
    grid.show(result);
    const address = addressOf(result.settings);
    if (address !== location.pathname + location.search) window.history.pushState({ entry: remember(result), id: null }, "", address);
    return;
  }
  // On a narrow screen, the new picture must be selected before the grid drops its selection.
  picked.pick(picture);
  grid.deselect();
  if (edit) picked.setEdit(picture.key, edit);
  picked.reveal();
}

/** The first look: pictures for prompts that the model knows. */
function showExamples() {
  if (!model.examples.length) return;
  const { strength, truncation } = model;
  const defaults = { strength: String(strength), truncation: String(truncation), candidates: "", vary: null, by: String(model.vary_by), steps: String(model.steps) };
  grid.draw({ ...defaults, text: model.examples.join("\n"), seeds: EXAMPLE_SEEDS }, true);
}

// ---- files --------------------------------------------------------------------------------

/** Selects an uploaded picture. Returns whether it could be read. */
async function own(file) {
  if (!await editor.take(file)) return false;
  grid.deselect();
  picked.reveal();
  return true;
}

/** What the text of a picture says that this page cannot restore, as words for a sentence; empty if nothing. */
function notRestored(text) {
  const missing = [
    "set" in text && text.set,
    "similarity" in text && "the encoders that guided it",
    "scale" in text && "its size",
    Number(text.project) > 0 && text["project-space"] !== "w+" && "the latent space of its projection",
    Number(text.tune) > 0 && "the tuning of its generator",
    "layers" in text && !offersLayers(text.layers) && `the layers ${text.layers}`,
  ].filter(Boolean);
  return missing.length ? `, but not ${missing.join(", ")}: the page has no such setting, so the picture differs` : "";
}

/** What a picture of cigan is that has no settings to restore here, or null for other pictures. */
function kindOf(text) {
  if (!text.model) return null;
  if ("seed" in text && "noise" in text) return `is seed ${text.seed} of \`cigan sample\`, without a prompt`;
  if ("latent" in text) return "shows a stored code, which the file does not contain";
  if ("attributes" in text) return `is an edit with the attributes ${text.attributes}`;
  if ("start" in text && "steps" in text) return "is a projection of `cigan project`";
  return "is a picture of cigan without a seed, such as a sheet";
}

/** Takes a file that was chosen, dropped or pasted; pictures made here restore their settings. */
async function take(file) {
  // The messages about the file stand there.
  if ($("edit").hidden) showTool("edit");
  const text = file.type === "image/png" ? textOf(new Uint8Array(await file.arrayBuffer())) : {};
  const ours = text.model === model.hash;
  const other = ours ? "" : "; another model made it";
  if (text.model && "preserve" in text) {
    if (!await own(file)) return;
    setEditSettings(text);
    return showStatus($("edit-status"), `settings of this edit restored${notRestored(text)}${other}`);
  }
  if (!(text.model && "prompt" in text && "seed" in text)) {
    const kind = kindOf(text);
    if (await own(file) && kind) {
      const warning = $("edit-status").textContent;
      showStatus($("edit-status"), `${file.name} ${kind}, so it is taken like a photo${warning && `; ${warning}`}`);
    }
    return;
  }
  setSettings({
    text: text.prompt, seeds: text.seed, strength: text.strength, truncation: text.truncation, candidates: "",
    vary: text.vary, by: text["vary-by"], steps: text.steps,
  });
  // The same model draws the same picture again, with its exact code.
  if (ours) grid.selectFirst();
  else if (!await own(file)) return;
  grid.draw();
  showStatus($("edit-status"), `settings of ${file.name} restored${notRestored(text)}${other}`);
}

function acceptFiles() {
  $("file").addEventListener("change", () => {
    const file = $("file").files[0];
    if (file) take(file);
    $("file").value = "";
  });
  for (const name of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(name, (event) => {
      // Leave text that is dragged into the fields to the browser.
      if (!event.dataTransfer.types.includes("Files")) return;
      event.preventDefault();
      document.body.classList.toggle("over", name === "dragover");
      if (name === "drop" && event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
    });
  }
  document.addEventListener("paste", (event) => {
    const file = Array.from(event.clipboardData.files).find((f) => f.type.startsWith("image/"));
    if (file) take(file);
  });
}

/** Shows the tools to edit the selected picture or to explore around it. */
function showTool(tool) {
  for (const id of ["edit", "explore"]) {
    $(id).hidden = id !== tool;
    press($(`show-${id}`), id === tool);
  }
  explore.update();
}

// ---- event listeners ----------------------------------------------------------------------

function listen() {
  const click = (id, action) => $(id).addEventListener("click", () => action());
  for (const [form, button, submit] of [["draw", "go", () => grid.draw()], ["edit", "edit-go", () => editor.edit()], ["explore", "film-go", explore.film]]) {
    $(form).addEventListener("submit", (event) => {
      event.preventDefault();
      submit();
    });
    // A click or a key on the button itself stops the request; Enter in a field sends a new one.
    $(button).addEventListener("click", (event) => {
      if (!busy($(button))) return;
      if (event.detail > 0 || document.activeElement === $(button)) {
        event.preventDefault();
        stop();
      }
    });
  }
  document.addEventListener("keydown", onKey);
  // Releasing a slider draws at once.
  for (const id of ["strength", "truncation", "vary-by", "candidates"]) {
    $(id).addEventListener("change", () => { if (grid.started()) grid.draw(); });
  }
  for (const id of ["edit-strength", "preserve", "project", "bands"]) {
    $(id).addEventListener("change", () => { if (editor.started()) editor.edit(); });
  }
  click("dice", grid.randomSeeds);
  click("do-vary", grid.varySelected);
  click("vary-off", () => grid.vary(null));
  click("do-strip", picked.drawStrip);
  click("favourite", history.toggleFavourite);
  click("save", picked.savePicture);
  click("copy-picture", picked.copyPicture);
  click("compare", picked.toggleSlider);
  for (const which of ["left", "middle", "right"]) click(`zoom-${which}`, () => picked.zoom(which));
  click("smooth", picked.toggleSmooth);
  click("zoom-close", () => $("zoom").close());
  click("show-edit", () => showTool("edit"));
  click("show-explore", () => showTool("explore"));
  click("use-second", explore.setSecond);
  click("save-grid", grid.saveGrid);
  click("save-zip", grid.saveZip);
  click("save-codes", grid.saveCodes);
  click("do-edit-strip", () => editor.edit(true));
  click("edit-save", picked.saveEdit);
  click("edit-codes", picked.saveCode);
  $("wiper").addEventListener("input", picked.moveSlider);
  for (const button of document.querySelectorAll(".command button")) {
    button.addEventListener("click", () => copy(button.parentElement.querySelector("code")));
  }
  click("theme", toggleTheme);
  click("keys", () => $("help").showModal());
  window.addEventListener("popstate", () => {
    if (namesAnotherModel()) location.reload();
    else onAddress();
  });
  // The settings need a click on narrow screens only.
  const fold = () => { $("settings").open = !narrow.matches; };
  narrow.addEventListener("change", fold);
  fold();
  window.addEventListener("resize", growPrompt);
}

async function start() {
  const stored = store.get("localStorage", "theme");
  if (stored) document.documentElement.dataset.theme = stored;
  listen();
  let offered, problem;
  try {
    ({ model, models: offered, problem } = await models.open());
  } catch {
    document.body.dataset.ready = "no";
    return showError($("status"), { message: "the server does not answer", hint: "check that `cigan serve` is still running" });
  }
  const name = models.baseName(model.name);
  $("model").textContent = `${offered.models.length > 1 ? "" : `${name} · `}${model.resolution}×${model.resolution}`;
  $("model").title = model.name;
  document.title = `cigan – ${name}`;
  document.body.classList.toggle("pixels", model.resolution <= 64);
  $("zoom").classList.toggle("smooth", model.resolution > 64);
  document.body.classList.toggle("direct", model.direct);
  document.body.classList.toggle("direct-edits", model.direct_edits);
  $("best-of").hidden = !model.candidates;
  setDefaults(model);
  if (model.examples.length) $("text").placeholder = model.examples[0];
  addWords(model.words, model.phrases ? ", " : " ");
  editor.open(model, history.addEdit);
  restoreForm();
  document.addEventListener("input", formChanged);
  explore.open(model);
  picked.open(model, history.isFavourite, explore.update);
  await history.open(model, onRestore);
  grid.open(model, onResult);
  acceptFiles();
  watch.open(offered);
  document.body.dataset.ready = "yes";
  if (!narrow.matches) $("text").focus();
  if (!problem) return onAddress();
  // The settings in the address are for another model, so the page generates nothing with the open one until
  // the user asks for it.
  setSettings({ candidates: "", ...settingsInAddress() });
  showError($("status"), problem);
}

start();
