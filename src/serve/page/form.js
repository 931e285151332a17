// The form fields: stored in this tab, in the address of the page, and in the pictures.

import { $ } from "./dom.js";

const FIELDS = ["text", "strength", "truncation", "seeds", "candidates", "vary-by", "steps", "edit-text", "edit-from", "edit-to", "edit-strength", "preserve", "project", "edit-steps"];
/** Settings that the address contains, and their fields. */
const SETTINGS = { text: "text", seeds: "seeds", strength: "strength", truncation: "truncation", candidates: "candidates", by: "vary-by", steps: "steps" };

/** The values of the fields that the model determines, by field. */
let defaults = {};

/** The browser's storage, which throws in browsers that disable it. */
export const store = {
  get(area, key) { try { return window[area].getItem(key); } catch { return null; } },
  set(area, key, value) { try { window[area].setItem(key, value); } catch { /* not stored */ } },
};

/** What was changed of sliders that show a value between their steps or beyond their ends. */
const widened = new Map();

/** Sets a field. A slider would round the value, which may be that of a picture: until somebody moves it, it does not. */
function setField(id, value) {
  const field = $(id), wanted = Number(value);
  field.value = value;
  if (field.type !== "range" || !Number.isFinite(wanted) || Number(field.value) === wanted) return;
  if (!widened.has(id)) {
    const { min, max, step } = field;
    widened.set(id, { min, max, step });
    field.addEventListener("input", () => {
      Object.assign(field, widened.get(id));
      widened.delete(id);
    }, { once: true });
  }
  Object.assign(field, { min: Math.min(field.min, wanted), max: Math.max(field.max, wanted), step: "any" });
  field.value = value;
}

/** Sets the fields that the model determines. */
export function setDefaults({ strength, edit_strength, truncation, preserve, project, seeds, vary_by, steps }) {
  const values = { strength, truncation, seeds, preserve, project, steps, "edit-strength": edit_strength, "vary-by": vary_by, "edit-steps": steps };
  defaults = Object.fromEntries(Object.entries(values).map(([id, value]) => {
    setField(id, String(value));
    return [id, $(id).value];
  }));
}

/** Whether the edit is given by `from` and `to`. */
export function between() {
  return document.querySelector("input[name=mode]:checked").value === "between";
}

/** The first and last layer that an edit may change, or null for all. */
export function editedLayers() {
  const chosen = document.querySelector("input[name=band]:checked")?.value;
  return chosen ? chosen.split("-").map(Number) : null;
}

function setVariedSeed(seed) {
  $("vary").hidden = seed === null;
  $("vary-of").textContent = seed ?? "";
}

/** The settings of the pictures, as strings; `vary` is the seed whose neighbours to draw, or null. */
export function settings() {
  const found = Object.fromEntries(Object.entries(SETTINGS).map(([name, id]) => [name, $(id).value]));
  return { ...found, vary: $("vary").hidden ? null : $("vary-of").textContent };
}

/** Sets the fields. Those that `found` lacks stay as they are, except for the varied seed and the steps. */
export function setSettings(found) {
  setField("steps", defaults.steps);
  $("steps-part").hidden = true;
  for (const [name, id] of Object.entries(SETTINGS)) if (typeof found[name] === "string") setField(id, found[name]);
  setVariedSeed(typeof found.vary === "string" ? found.vary : null);
  formChanged();
}

/** Sets the fields of an edit from the text of a PNG file. */
export function setEditSettings(text) {
  const mode = "from" in text ? "between" : "text";
  document.querySelector(`input[name=mode][value=${mode}]`).checked = true;
  const fields = { prompt: "edit-text", from: "edit-from", to: "edit-to", strength: "edit-strength", preserve: "preserve", project: "project", steps: "edit-steps" };
  setField("edit-steps", defaults["edit-steps"]);
  $("edit-steps-part").hidden = true;
  for (const [keyword, id] of Object.entries(fields)) if (keyword in text) setField(id, text[keyword]);
  const band = bandOf(text.layers ?? "") ?? bandOf("");
  if (band) band.checked = true;
  formChanged();
}

/** The choice of these layers, such as "2-5", or of all for ""; undefined if the page does not offer it. */
function bandOf(layers) {
  return Array.from(document.querySelectorAll("input[name=band]")).find((input) => input.value === layers);
}

/** Whether the page offers to edit these layers only. */
export function offersLayers(layers) {
  return bandOf(layers) !== undefined;
}

/** The name of the open model in addresses, or null if only one model is served. */
let modelName = null;

/** Names the open model in addresses from now on. */
export function nameModel(name) {
  modelName = name;
}

/** The name of the model in the address of the page, or null if it has none. */
export function modelInAddress() {
  return new URLSearchParams(location.search).get("model");
}

/** Whether the address of the page names a model other than the open one. */
export function namesAnotherModel() {
  return modelName !== null && ![null, modelName].includes(modelInAddress());
}

/** The address of the page with these settings. */
export function addressOf(settings) {
  return "/?" + queryOf(settings, modelName === null ? {} : { model: modelName });
}

/** Identifies the result of these settings among those of a model. */
export function keyOf(settings) {
  return "/?" + queryOf(settings, {});
}

function queryOf(settings, others) {
  const query = new URLSearchParams(others);
  for (const [name, value] of Object.entries(settings)) {
    if (value !== null && value !== "" && (name !== "by" || settings.vary !== null) && (name !== "steps" || value !== defaults.steps)) query.set(name, value);
  }
  return query;
}

/** The settings in the address of the page, or null if there are none. */
export function settingsInAddress() {
  const query = new URLSearchParams(location.search);
  return query.has("text") ? Object.fromEntries(query) : null;
}

/** The address of the page without the settings that the open model determined, for another model. */
export function addressForAnother() {
  const query = new URLSearchParams(location.search);
  for (const [name, id] of Object.entries(SETTINGS)) if (query.get(name) === defaults[id]) query.delete(name);
  return query.size ? "/?" + query : "/";
}

/** Largest number of lines of the prompt that are visible at once. */
const MOST_LINES = 6;

/** Shows all lines of the prompt, also those that the width of the page breaks. */
export function growPrompt() {
  const prompt = $("text");
  prompt.rows = Math.min(prompt.value.split("\n").length, MOST_LINES);
  while (prompt.rows < MOST_LINES && prompt.scrollHeight > prompt.clientHeight) prompt.rows++;
}

/** Updates and stores the form; call it after any change to a field. */
export function formChanged() {
  for (const output of document.querySelectorAll("output")) {
    output.textContent = $(output.htmlFor.value).value;
  }
  // Few people change the steps: they are shown once they differ.
  for (const id of ["steps", "edit-steps"]) if ($(id).value !== defaults[id]) $(`${id}-part`).hidden = false;
  $("edit-text").hidden = between();
  $("edit-from").hidden = $("edit-to").hidden = !between();
  growPrompt();
  const form = Object.fromEntries(FIELDS.map((id) => [id, $(id).value]));
  form.mode = between() ? "between" : "text";
  form.band = document.querySelector("input[name=band]:checked")?.value ?? "";
  form.vary = $("vary").hidden ? null : $("vary-of").textContent;
  form.defaults = defaults;
  store.set("sessionStorage", "form", JSON.stringify(form));
}

/** Restores the form of this tab. What nobody changed follows the model, which may be another one now. */
export function restoreForm() {
  let form = {};
  try { form = JSON.parse(store.get("sessionStorage", "form")) ?? {}; } catch { /* ignore a form that cannot be read */ }
  const changed = (id) => typeof form[id] === "string" && form[id] !== form.defaults?.[id];
  for (const id of FIELDS) if (changed(id)) setField(id, form[id]);
  for (const [name, value] of [["mode", form.mode], ["band", form.band]]) {
    const inputs = Array.from(document.querySelectorAll(`input[name=${name}]`));
    const found = inputs.find((input) => input.value === value);
    if (found) found.checked = true;
  }
  setVariedSeed(typeof form.vary === "string" ? form.vary : null);
  formChanged();
}
