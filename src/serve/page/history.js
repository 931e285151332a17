// The history and the favourites: a shelf of results that survive a reload.

import { $, make, png, press } from "./dom.js";
import { keyOf } from "./form.js";
import * as picked from "./picked.js";
import * as shelf from "./shelf.js";

let model = null;
let kind = "recent"; // what the shelf shows
let lasting = true; // whether results survive a reload
let restore = () => {};

/** `onRestore` is called with a stored result: { result } for pictures, { picture, edit } for one of them. */
export async function open(about, onRestore) {
  model = about;
  restore = onRestore;
  lasting = await shelf.open();
  $("show-recent").addEventListener("click", () => show("recent"));
  $("show-favourites").addEventListener("click", () => show("favourite"));
  $("clear").addEventListener("click", clear);
  render();
}

function show(which) {
  kind = which;
  armed(false);
  render();
}

/** Stores a result in place of an older one with the same key. Returns its id, or null. */
async function add(kind, key, title, thumb, value) {
  let id = null;
  try {
    const older = shelf.list(kind, model.hash).filter((item) => item.key === key);
    id = await shelf.add({ kind, model: model.hash, key, title, thumb }, value);
    if (id !== null) await shelf.remove(older.map((item) => item.id));
  } catch { /* the browser refuses to store more */ }
  render(id === null ? "no room for this result; clear the history or remove favourites" : null);
  return id;
}

/** Stores a result of the grid. Returns its id. */
export function addResult(result) {
  const title = result.rows.map((row) => row.text).join(" · ");
  return add("recent", keyOf(result.settings), title, result.rows[0].pictures[0], { result });
}

/** A picture without what cannot be stored. */
const stored = ({ file, ...picture }) => ({ ...picture, file: file ?? null });

export async function addEdit(picture, edit) {
  const { text, from, to } = edit.prompts;
  const id = await add("recent", `${picture.key} ${edit.command}`, text ?? `${from} → ${to}`, edit.picture, { picture: stored(picture), edit });
  // A favourite without an edit also stores the first one that is made of it; others are in the history.
  const found = favourite(picture.key);
  if (found && !(await shelf.get(found.id))?.edit) await addFavourite(picture, edit);
  return id;
}

function addFavourite(picture, edit) {
  return add("favourite", picture.key, picture.text ?? picture.name, edit?.picture ?? picture.picture, { picture: stored(picture), edit });
}

const favourite = (key) => shelf.list("favourite", model.hash).find((item) => item.key === key);

export function isFavourite(key) {
  return favourite(key) !== undefined;
}

/** Adds the selected picture to the favourites, or removes it. */
export async function toggleFavourite() {
  const picture = picked.current();
  if (!picture || $("favourite").disabled) return;
  const found = favourite(picture.key);
  if (found) {
    await shelf.remove([found.id]);
    render();
  } else {
    await addFavourite(picture, picked.edit());
  }
  picked.render();
}

/** Shows a stored result of the open model. Returns whether there is one: codes of another model mean other pictures. */
export async function restoreId(id) {
  const value = shelf.find(id)?.model === model.hash ? await shelf.get(id) : null;
  if (value) restore(value);
  return value !== null;
}

// ---- display ------------------------------------------------------------------------------

function megabytes(size) {
  return `${(size / 2 ** 20).toFixed(size < 10 * 2 ** 20 ? 1 : 0)} MB`;
}

function render(problem = null) {
  press($("show-recent"), kind === "recent");
  press($("show-favourites"), kind === "favourite");
  const items = shelf.list(kind, model.hash);
  const nothing = kind === "recent" ? "Your results appear here." : "Select a picture and press ♡ Keep to find it here again.";
  $("items").replaceChildren(...(items.length ? items.map(button) : [make("p", { className: "quiet", textContent: nothing })]));
  const used = `${megabytes(shelf.size())} of ${megabytes(shelf.LIMIT)}, in this browser only`;
  $("usage").textContent = problem ?? (lasting ? used : "this browser stores nothing; a reload empties this list");
  $("usage").classList.toggle("bad", problem !== null);
  $("clear").disabled = !items.length;
}

function button(item) {
  const image = make("img", { src: png(item.thumb), alt: "" });
  const found = make("button", { type: "button", className: "item", title: `${item.title}, ${new Date(item.time).toLocaleString()}` }, image, make("span", { textContent: item.title }));
  found.addEventListener("click", () => restoreId(item.id));
  return found;
}

// ---- clearing -----------------------------------------------------------------------------

function armed(on) {
  $("clear").classList.toggle("armed", on);
  $("clear").textContent = on ? (kind === "recent" ? "Delete history?" : "Delete favourites?") : "Clear";
}

/** Deletes what the shelf shows, at the second click. */
async function clear() {
  if (!$("clear").classList.contains("armed")) {
    armed(true);
    setTimeout(() => armed(false), 4000);
    return;
  }
  armed(false);
  await shelf.remove(shelf.list(kind, model.hash).map(({ id }) => id));
  render();
  picked.render();
}
