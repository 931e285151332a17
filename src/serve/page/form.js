// The form fields: stored in this tab, in the address of the page, and in the pictures.

import { $ } from "./dom.js";

const FIELDS = ["text", "strength", "truncation", "seeds", "candidates", "vary-by", "edit-text", "edit-from", "edit-to", "edit-strength", "preserve", "project"];
/** Settings that the address contains, and their fields. */
const SETTINGS = { text: "text", seeds: "seeds", strength: "strength", truncation: "truncation", candidates: "candidates", by: "vary-by" };

/** The browser's storage, which throws in browsers that disable it. */
export const store = {
  get(area, key) { try { return window[area].getItem(key); } catch { return null; } },
  set(area, key, value) { try { window[area].setItem(key, value); } catch { /* not stored */ } },
};

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

/** Sets the fields. Those that `found` lacks stay as they are, except for the varied seed. */
export function setSettings(found) {
  for (const [name, id] of Object.entries(SETTINGS)) if (typeof found[name] === "string") $(id).value = found[name];
  setVariedSeed(typeof found.vary === "string" ? found.vary : null);
  formChanged();
}

/** Sets the fields of an edit from the text of a PNG file. */
export function setEditSettings(text) {
  const mode = "from" in text ? "between" : "text";
  document.querySelector(`input[name=mode][value=${mode}]`).checked = true;
  const fields = { prompt: "edit-text", from: "edit-from", to: "edit-to", strength: "edit-strength", preserve: "preserve", project: "project" };
  for (const [keyword, id] of Object.entries(fields)) if (keyword in text) $(id).value = text[keyword];
  const bands = Array.from(document.querySelectorAll("input[name=band]"));
  const band = bands.find((input) => input.value === (text.layers ?? ""));
  if (band) band.checked = true;
  formChanged();
}

/** The address of the page with these settings. */
export function addressOf(settings) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(settings)) {
    if (value !== null && value !== "" && (name !== "by" || settings.vary !== null)) query.set(name, value);
  }
  return "/?" + query;
}

/** The settings in the address of the page, or null if there are none. */
export function settingsInAddress() {
  const query = new URLSearchParams(location.search);
  return query.has("text") ? Object.fromEntries(query) : null;
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
  $("edit-text").hidden = between();
  $("edit-from").hidden = $("edit-to").hidden = !between();
  growPrompt();
  const form = Object.fromEntries(FIELDS.map((id) => [id, $(id).value]));
  form.mode = between() ? "between" : "text";
  form.band = document.querySelector("input[name=band]:checked")?.value ?? "";
  form.vary = $("vary").hidden ? null : $("vary-of").textContent;
  store.set("sessionStorage", "form", JSON.stringify(form));
}

/** Restores the form of this tab. */
export function restoreForm() {
  let form = {};
  try { form = JSON.parse(store.get("sessionStorage", "form")) ?? {}; } catch { /* ignore a form that cannot be read */ }
  for (const id of FIELDS) if (typeof form[id] === "string") $(id).value = form[id];
  for (const [name, value] of [["mode", form.mode], ["band", form.band]]) {
    const inputs = Array.from(document.querySelectorAll(`input[name=${name}]`));
    const found = inputs.find((input) => input.value === value);
    if (found) found.checked = true;
  }
  setVariedSeed(typeof form.vary === "string" ? form.vary : null);
  formChanged();
}
