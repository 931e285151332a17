// The page of `cigan serve`: connects its modules to buttons and keys. The page stores only the
// form, in this tab, so that it survives a reload.

import { busy, stop } from "./request.js";
import { $, copy, showError } from "./dom.js";
import * as editor from "./editor.js";
import { formChanged, restoreForm, store } from "./form.js";
import * as grid from "./grid.js";

function toggleTheme() {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const current = document.documentElement.dataset.theme ?? (dark ? "dark" : "light");
  document.documentElement.dataset.theme = current === "dark" ? "light" : "dark";
  store.set("localStorage", "theme", document.documentElement.dataset.theme);
}

function editSelected() {
  const image = grid.selectedImage();
  if (!image) return;
  editor.setInput(image);
  $("editing").scrollIntoView({ behavior: "smooth", block: "nearest" });
  const field = $("edit-text").hidden ? $("edit-from") : $("edit-text");
  field.focus({ preventScroll: true });
}

// ---- known words ----------------------------------------------------------------

/** Adds buttons that append a word to the prompt. */
function addWords(words, separator) {
  $("words").append(...words.map((word, i) => {
    const button = document.createElement("button");
    button.type = "button";
    // The Tab key stops once; the arrow keys move between the words.
    button.tabIndex = i === 0 ? 0 : -1;
    button.textContent = word;
    button.addEventListener("click", () => {
      const prompt = $("text").value.trim();
      $("text").value = prompt ? prompt + separator + word : word;
      formChanged();
      $("text").focus();
    });
    return button;
  }));
}

/** Moves the focus between the words. */
function moveThroughWords(button, key) {
  const next = key === "ArrowRight" ? button.nextElementSibling : button.previousElementSibling;
  if (!next) return;
  button.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}

// ---- keys --------------------------------------------------------------------------------------

const ACTIONS = {
  "/": () => { $("text").focus(); $("text").select(); },
  "?": () => $("help").showModal(),
  v: () => $("do-vary").click(),
  t: grid.drawStrip,
  e: editSelected,
  s: grid.saveSelected,
  r: grid.randomSeeds,
  c: () => copy(),
};

function onKey(event) {
  // The dialog handles its keys itself.
  if ($("help").open || event.ctrlKey || event.metaKey || event.altKey) return;
  const { key, target } = event;
  if (key === "Escape") {
    if (busy()) stop();
    else target.blur();
    return;
  }
  const handled = () => event.preventDefault();
  if (target === $("text") && key === "ArrowDown") {
    handled();
    return grid.step("");
  }
  if (key.startsWith("Arrow")) {
    if (target.parentElement === $("words") && (key === "ArrowLeft" || key === "ArrowRight")) {
      handled();
      moveThroughWords(target, key);
    } else if (!target.matches("input, select")) {
      // Sliders and menus use the arrow keys themselves.
      handled();
      grid.step(key);
    }
    return;
  }
  if (target.matches("input[type=text], select") || !ACTIONS[key]) return;
  handled();
  ACTIONS[key]();
}

// ---- event listeners ----------------------------------------------------------------------

function listen() {
  const click = (id, action) => $(id).addEventListener("click", () => action());
  for (const [form, button, submit] of [["draw", "go", grid.draw], ["edit", "edit-go", () => editor.edit()]]) {
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
  for (const id of ["strength", "truncation", "vary-by"]) {
    $(id).addEventListener("change", () => { if (grid.started()) grid.draw(); });
  }
  for (const id of ["edit-strength", "preserve", "project"]) {
    $(id).addEventListener("change", () => { if (editor.started()) editor.edit(); });
  }
  click("dice", grid.randomSeeds);
  click("do-vary", grid.varySelected);
  click("vary-off", () => grid.vary(null));
  click("do-strip", grid.drawStrip);
  click("do-edit", editSelected);
  click("save", grid.saveSelected);
  click("save-grid", grid.saveGrid);
  click("save-codes", grid.saveCodes);
  click("do-edit-strip", () => editor.edit(true));
  click("edit-save", editor.saveEdit);
  click("edit-codes", editor.saveCodes);
  for (const button of document.querySelectorAll(".command button")) {
    button.addEventListener("click", () => copy(button.parentElement.querySelector("code")));
  }
  click("theme", toggleTheme);
  click("keys", () => $("help").showModal());
  for (const id of ["left", "right", "wiper"]) $(id).addEventListener("input", editor.compare);
}

/** Listens for files that are chosen, dropped or pasted. */
function acceptFiles() {
  const take = (file) => editor.setInput({ name: file.name || "pasted.png", blob: file });
  $("file").addEventListener("change", () => {
    const file = $("file").files[0];
    if (file) take(file);
    $("file").value = "";
  });
  $("drop").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    $("file").click();
  });
  for (const name of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(name, (event) => {
      // Leave text that is dragged into the fields to the browser.
      if (!event.dataTransfer.types.includes("Files")) return;
      event.preventDefault();
      $("drop").classList.toggle("over", name === "dragover");
      if (name === "drop" && event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
    });
  }
  document.addEventListener("paste", (event) => {
    const file = Array.from(event.clipboardData.files).find((f) => f.type.startsWith("image/"));
    if (file) take(file);
  });
}

async function start() {
  const stored = store.get("localStorage", "theme");
  if (stored) document.documentElement.dataset.theme = stored;
  listen();
  acceptFiles();
  let model;
  try {
    model = await (await fetch("/api/model")).json();
  } catch {
    document.body.dataset.ready = "no";
    return showError($("status"), { message: "the server does not answer", hint: "check that `cigan serve` is still running" });
  }
  $("model").textContent = `${model.name} · ${model.resolution}×${model.resolution}`;
  document.title = `cigan – ${model.name}`;
  document.body.classList.toggle("pixels", model.resolution <= 64);
  document.body.classList.toggle("direct", model.direct);
  if (model.no_edits) {
    $("edit").hidden = true;
    $("no-edits").hidden = false;
    $("no-edits").textContent = model.no_edits;
  }
  $("strength").value = model.strength;
  $("edit-strength").value = model.edit_strength;
  $("truncation").value = model.truncation;
  $("preserve").value = model.preserve;
  $("seeds").value = model.seeds;
  $("vary-by").value = model.vary_by;
  addWords(model.words, model.phrases ? ", " : " ");
  restoreForm();
  document.addEventListener("input", formChanged);
  grid.open(model);
  editor.open(model);
  document.body.dataset.ready = "yes";
  $("text").focus();
}

start();
