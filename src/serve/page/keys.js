// Keyboard shortcuts.

import { busy, stop } from "./request.js";
import { $, copy } from "./dom.js";
import * as editor from "./editor.js";
import * as grid from "./grid.js";
import * as history from "./history.js";
import * as picked from "./picked.js";

const ACTIONS = {
  "/": () => { $("text").focus(); $("text").select(); },
  "?": () => $("help").showModal(),
  v: grid.varySelected,
  t: picked.drawStrip,
  e: editor.focus,
  z: () => picked.zoom("left"),
  f: history.toggleFavourite,
  s: picked.savePicture,
  r: grid.randomSeeds,
  c: () => copy(),
};

/** Moves the focus between the buttons of a toolbar, which the Tab key enters once. */
function moveThrough(button, key) {
  const next = key === "ArrowRight" ? button.nextElementSibling : button.previousElementSibling;
  if (!next) return;
  button.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}

export function onKey(event) {
  // Dialogs handle their keys themselves.
  if (document.querySelector("dialog[open]") || event.ctrlKey || event.metaKey || event.altKey) return;
  const { key, target } = event;
  const handled = () => event.preventDefault();
  if (key === "Escape") {
    if (busy()) stop();
    else target.blur();
    return;
  }
  if (target === $("text")) {
    if (key === "Enter" && !event.shiftKey && !event.isComposing) {
      handled();
      $("draw").requestSubmit();
    }
    const last = !target.value.slice(target.selectionEnd).includes("\n");
    if (key === "ArrowDown" && last) {
      handled();
      grid.step("");
    }
    return;
  }
  if (key.startsWith("Arrow")) {
    if (target.parentElement === $("words") && (key === "ArrowLeft" || key === "ArrowRight")) {
      handled();
      moveThrough(target, key);
    } else if (!target.matches("input, select, code")) {
      // Fields use the arrow keys themselves.
      handled();
      grid.step(key);
    }
    return;
  }
  if (target.matches("input[type=text], select") || !ACTIONS[key]) return;
  handled();
  ACTIONS[key]();
}
