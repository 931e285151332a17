// The form fields, which survive a reload of the tab.

import { $ } from "./dom.js";

const FIELDS = ["text", "strength", "truncation", "seeds", "vary-by", "edit-text", "edit-from", "edit-to", "edit-strength", "preserve", "project"];

/** The browser's storage, which throws in browsers that disable it. */
export const store = {
  get(area, key) { try { return window[area].getItem(key); } catch { return null; } },
  set(area, key, value) { try { window[area].setItem(key, value); } catch { /* not stored */ } },
};

/** Whether the edit is given by `from` and `to`. */
export function between() {
  return document.querySelector("input[name=mode]:checked").value === "between";
}

/** The seed whose neighbours to draw, as a string, or null. */
export function variedSeed() {
  return $("vary").hidden ? null : $("vary-of").textContent;
}

export function setVariedSeed(seed) {
  $("vary").hidden = seed === null;
  $("vary-of").textContent = seed ?? "";
  formChanged();
}

/** Updates and stores the form; call it after any change to a field. */
export function formChanged() {
  for (const output of document.querySelectorAll("output")) {
    output.textContent = $(output.htmlFor.value).value;
  }
  $("edit-text").hidden = $("edit-hint").hidden = between();
  $("edit-from").hidden = $("edit-to").hidden = !between();
  const form = Object.fromEntries(FIELDS.map((id) => [id, $(id).value]));
  form.mode = between() ? "between" : "text";
  form.vary = variedSeed();
  store.set("sessionStorage", "form", JSON.stringify(form));
}

/** Restores the form of this tab. */
export function restoreForm() {
  let form = {};
  try { form = JSON.parse(store.get("sessionStorage", "form")) ?? {}; } catch { /* ignore a form that cannot be read */ }
  for (const id of FIELDS) if (typeof form[id] === "string") $(id).value = form[id];
  if (form.mode === "between") document.querySelector("input[value=between]").checked = true;
  setVariedSeed(typeof form.vary === "string" ? form.vary : null);
}
