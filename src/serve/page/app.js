// The page of `cigan serve`. It asks, shows what comes back line by line, and keeps nothing but the
// form (in this tab, so that a reload finds it again).

import { busy, stop } from "./request.js";
import { $, complain, copy } from "./dom.js";
import * as editor from "./editor.js";
import { changed, recall, store } from "./form.js";
import * as grid from "./grid.js";

function theme() {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = document.documentElement.dataset.theme ?? (dark ? "dark" : "light");
  document.documentElement.dataset.theme = now === "dark" ? "light" : "dark";
  store.set("localStorage", "theme", document.documentElement.dataset.theme);
}

function editPicked() {
  const picture = grid.pickedPicture();
  if (!picture) return;
  editor.take(picture);
  $("editing").scrollIntoView({ behavior: "smooth", block: "nearest" });
  const field = $("edit-text").hidden ? $("edit-from") : $("edit-text");
  field.focus({ preventScroll: true });
}

// ---- words that the model knows ----------------------------------------------------------------

function offer(words, joint) {
  $("words").append(...words.map((word, i) => {
    const button = document.createElement("button");
    button.type = "button";
    // One stop for the Tab key; the arrows go on from there.
    button.tabIndex = i === 0 ? 0 : -1;
    button.textContent = word;
    button.addEventListener("click", () => {
      const said = $("text").value.trim();
      $("text").value = said ? said + joint + word : word;
      changed();
      $("text").focus();
    });
    return button;
  }));
}

/** Moves through the words. */
function nextWord(button, key) {
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
  e: editPicked,
  s: grid.savePicked,
  r: grid.dice,
  c: () => copy(),
};

function keys(event) {
  // The help closes itself.
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
      nextWord(target, key);
    } else if (!target.matches("input, select")) {
      // Sliders and choices have their own use for the arrows.
      handled();
      grid.step(key);
    }
    return;
  }
  if (target.matches("input[type=text], select") || !ACTIONS[key]) return;
  handled();
  ACTIONS[key]();
}

// ---- what listens to what ----------------------------------------------------------------------

function listen() {
  const click = (id, action) => $(id).addEventListener("click", () => action());
  for (const [form, button, start] of [["draw", "go", grid.draw], ["edit", "edit-go", () => editor.change()]]) {
    $(form).addEventListener("submit", (event) => {
      event.preventDefault();
      start();
    });
    // By the pointer, or by a key on the button itself; Enter in a field asks anew.
    $(button).addEventListener("click", (event) => {
      if (!busy($(button))) return;
      if (event.detail > 0 || document.activeElement === $(button)) {
        event.preventDefault();
        stop();
      }
    });
  }
  document.addEventListener("keydown", keys);
  // A slider that was let go draws at once.
  for (const id of ["strength", "truncation", "vary-by"]) {
    $(id).addEventListener("change", () => { if (grid.begun()) grid.draw(); });
  }
  for (const id of ["edit-strength", "preserve", "project"]) {
    $(id).addEventListener("change", () => { if (editor.begun()) editor.change(); });
  }
  click("dice", grid.dice);
  click("do-vary", grid.varyPicked);
  click("vary-off", () => grid.vary(null));
  click("do-strip", grid.drawStrip);
  click("do-edit", editPicked);
  click("save", grid.savePicked);
  click("save-grid", grid.saveGrid);
  click("save-codes", grid.saveCodes);
  click("do-edit-strip", () => editor.change(true));
  click("edit-save", editor.saveEdit);
  click("edit-codes", editor.saveCodes);
  for (const button of document.querySelectorAll(".command button")) {
    button.addEventListener("click", () => copy(button.parentElement.querySelector("code")));
  }
  click("theme", theme);
  click("keys", () => $("help").showModal());
  for (const id of ["left", "right", "wiper"]) $(id).addEventListener("input", editor.compare);
}

/** A file is chosen, dropped or pasted. */
function receive() {
  const take = (file) => editor.take({ name: file.name || "pasted.png", blob: file });
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
      // Text may be dragged into the fields.
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

async function begin() {
  const kept = store.get("localStorage", "theme");
  if (kept) document.documentElement.dataset.theme = kept;
  listen();
  receive();
  let model;
  try {
    model = await (await fetch("/api/model")).json();
  } catch {
    document.body.dataset.ready = "no";
    return complain($("status"), { message: "no answer", hint: "is `cigan serve` still there?" });
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
  offer(model.words, model.phrases ? ", " : " ");
  recall();
  document.addEventListener("input", changed);
  grid.open(model);
  editor.open(model);
  document.body.dataset.ready = "yes";
  $("text").focus();
}

begin();
