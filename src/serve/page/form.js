// The fields: what they say, and how a reload of this tab finds them again.

import { $ } from "./dom.js";

const FIELDS = ["text", "strength", "truncation", "seeds", "vary-by", "edit-text", "edit-from", "edit-to", "edit-strength", "preserve", "project"];

/** What the browser keeps for this page; some keep nothing, and say so by throwing. */
export const store = {
  get(area, key) { try { return window[area].getItem(key); } catch { return null; } },
  set(area, key, value) { try { window[area].setItem(key, value); } catch { /* then it is not kept */ } },
};

/** Whether an edit goes from one text to another. */
export function between() {
  return document.querySelector("input[name=mode]:checked").value === "between";
}

/** The seed whose neighbours are asked for, in digits, or null. */
export function near() {
  return $("vary").hidden ? null : $("vary-of").textContent;
}

export function setNear(seed) {
  $("vary").hidden = seed === null;
  $("vary-of").textContent = seed ?? "";
  changed();
}

/** To be called when a field was changed, by its user or by the page. */
export function changed() {
  for (const output of document.querySelectorAll("output")) {
    output.textContent = $(output.htmlFor.value).value;
  }
  $("edit-text").hidden = $("edit-hint").hidden = between();
  $("edit-from").hidden = $("edit-to").hidden = !between();
  const form = Object.fromEntries(FIELDS.map((id) => [id, $(id).value]));
  form.mode = between() ? "between" : "text";
  form.vary = near();
  store.set("sessionStorage", "form", JSON.stringify(form));
}

export function recall() {
  let form = {};
  try { form = JSON.parse(store.get("sessionStorage", "form")) ?? {}; } catch { /* an old form: as if there were none */ }
  for (const id of FIELDS) if (typeof form[id] === "string") $(id).value = form[id];
  if (form.mode === "between") document.querySelector("input[value=between]").checked = true;
  setNear(typeof form.vary === "string" ? form.vary : null);
}
