// The selected picture: beside the grid, with its edit, its strengths, and what can be done with it.

import { send } from "./request.js";
import { $, answer, make, png, press, setImage, showCommand, showStrip } from "./dom.js";
import { bytes, imageBlob, save } from "./files.js";
import { enlarged } from "./png.js";

/** Number of pictures whose edits and strips are kept. */
const KEPT = 40;

let model = null;
/**
 * { kind: "drawn" or "upload", key, name, picture, preview, … }. A drawn picture has its text, seed, code
 * and request; an upload has its file.
 */
let now = null;
let frame = null; // preview of an edit
let stale = null; // key of the picture for which a newer edit failed or was stopped
let sliding = false; // whether original and edit are compared with a slider
const kept = new Map(); // by key: { edit, strip }
let isFavourite = () => false;
let changed = () => {}; // called when another picture is selected

export function open(about, favourite, onChange) {
  model = about;
  isFavourite = favourite;
  changed = onChange;
  const sides = [[1, false, `${model.resolution} px`]];
  for (const factor of [4, 8, 16].filter((factor) => factor * model.resolution <= 4096)) {
    sides.push([factor, false, `${factor * model.resolution} px, pixels`], [factor, true, `${factor * model.resolution} px, smooth`]);
  }
  $("save-size").append(...sides.map(([factor, smooth, label]) => new Option(label, `${factor} ${smooth}`)));
  render();
}

/** The selected picture, or null. */
export function current() {
  return now;
}

/** Selects a picture. */
export function pick(picture) {
  if (now?.key !== picture.key) frame = null;
  now = picture;
  render();
  changed();
}

function entry(key = now?.key) {
  return kept.get(key) ?? { edit: null, strip: null };
}

function keep(key, part) {
  const found = { ...entry(key), ...part };
  // The last one set is the last one dropped.
  kept.delete(key);
  kept.set(key, found);
  if (kept.size > KEPT) kept.delete(kept.keys().next().value);
}

/** The finished edit of the selected picture, or null. */
export function edit() {
  return entry().edit;
}

/** Sets the finished edit of a picture: { original, inversion, picture, codes, strip, command }. */
export function setEdit(key, edit) {
  keep(key, { edit });
  frame = null;
  if (stale === key) stale = null;
  render();
}

/** Shows a preview of an edit. */
export function showEdit(preview) {
  frame = preview;
  render();
}

/** Shows the finished edit of a picture again, as the previous one. */
export function revertEdit(key) {
  stale = key;
  showEdit(null);
}

/** Scrolls to the selected picture and its edit, if they are out of view, as on a phone. */
export function reveal() {
  $("view").scrollIntoView({ behavior: "smooth", block: "nearest" });
}

/** Draws the selected picture at several strengths. */
export function drawStrip() {
  if ($("do-strip").disabled || model.direct) return;
  const { key, seed } = now;
  const { candidates, ...request } = now.request;
  const panel = { status: $("status"), progress: $("progress"), button: $("go"), undo() {} };
  let command = null;
  const body = JSON.stringify({ ...request, seeds: seed, strip: true });
  send("/api/generate", [body], panel, (answer) => {
    if (answer.event === "accepted") command = answer.command;
    if (answer.event !== "done") return;
    keep(key, { strip: { strip: answer.strip, strengths: answer.strengths, command } });
    render();
  });
}

// ---- display ------------------------------------------------------------------------------

function about() {
  if (now === null) return [];
  if (now.kind === "upload") return [make("b", { textContent: now.name }), make("p", { textContent: "The picture as the model will see it. Describe a change below." })];
  const { strength, truncation, vary } = now.request;
  const lines = [`Seed ${now.seed}`, model.direct ? null : `Strength ${strength}`, `Variety ${truncation}`, vary && `Near seed ${vary.of}, distance ${vary.by}`];
  return [make("b", { textContent: now.text }), ...lines.filter(Boolean).map((line) => make("p", { textContent: line }))];
}

export function render() {
  if (!model) return;
  const view = frame ?? entry().edit;
  const original = view?.original ?? now?.picture ?? null;
  setImage($("left"), original && png(original));
  $("left").alt = now ? `${now.text ?? now.name}${now.seed ? `, seed ${now.seed}` : ""}` : "";
  $("left-name").textContent = now ? (view ? "original" : "selected") : "";
  // An inversion is what the model made of a photo; a drawn picture is its own.
  const both = view?.picture != null;
  $("left-figure").hidden = now === null;
  const inverted = now?.kind === "upload" && view?.inversion;
  $("middle-figure").hidden = !inverted;
  setImage($("middle"), inverted ? png(view.inversion) : null);
  $("right-figure").hidden = !both;
  setImage($("right"), both ? png(view.picture) : null);
  $("about-selected").hidden = both;
  $("about-selected").replaceChildren(...(now ? about() : [make("p", { textContent: "Select a picture, or drop one of your own here." })]));
  const slide = sliding && both;
  $("wipe").hidden = !slide;
  $("pair").hidden = slide;
  if (slide) {
    setImage($("under"), png(original));
    setImage($("over"), png(view.picture));
  }
  const { strip } = entry();
  showStrip($("strip"), strip);
  showCommand($("strip-command"), strip?.command ?? null);
  $("strip-line").hidden = strip === null;
  showStrip($("edit-strip"), view?.strip ?? null);
  showCommand($("edit-command"), view?.command ?? null);

  // A preview can only be looked at.
  const ready = now !== null && !now.preview && frame === null;
  const drawn = ready && now.kind === "drawn";
  // The code of a neighbour does not come from its seed alone, so it has no neighbours itself.
  $("do-vary").disabled = !drawn || Boolean(now.request.vary);
  $("do-strip").disabled = !drawn;
  $("favourite").disabled = $("copy-picture").disabled = $("save").disabled = !ready;
  $("compare").disabled = !both;
  press($("compare"), sliding);
  const favourite = now !== null && isFavourite(now.key);
  press($("favourite"), favourite);
  $("favourite").textContent = favourite ? "♥ Kept" : "♡ Keep";
  const old = both && now.key === stale && frame === null;
  $("view").classList.toggle("stale", old);
  $("right-name").textContent = `${old ? "previous " : ""}${view?.explored ? "explored" : "edit"}`;
  $("edit-save").disabled = $("edit-codes").disabled = frame !== null || !entry().edit;
  $("refine").hidden = now?.kind !== "upload";
}

/** Switches between original and edit side by side, and one above the other with a slider. */
export function toggleSlider() {
  sliding = !sliding;
  render();
}

export function moveSlider() {
  $("wipe").style.setProperty("--at", $("wiper").value + "%");
}

// ---- zoom ---------------------------------------------------------------------------------

/** Shows the selected picture, or its edit, as large as the window. */
export function zoom(which) {
  const image = which === "right" && !$("right").hidden ? $("right") : which === "middle" ? $("middle") : $("left");
  if (image.hidden || !image.src) return;
  $("zoomed").src = image.src;
  $("zoomed").alt = image.alt;
  $("zoom-name").textContent = which === "right" ? "edit" : now.text ?? now.name;
  $("zoom").showModal();
}

export function toggleSmooth() {
  press($("smooth"), $("zoom").classList.toggle("smooth"));
}

// ---- saving -------------------------------------------------------------------------------

async function saveScaled(name, picture) {
  const [factor, smooth] = $("save-size").value.split(" ");
  const scaled = await enlarged(bytes(picture), picture, Number(factor), smooth === "true");
  save(factor === "1" ? name : name.replace(/\.[^.]*$/, "") + `-x${factor}.png`, scaled);
}

export function savePicture() {
  if (!$("save").disabled) return saveScaled(now.name.replace(/\.[^.]*$/, "") + ".png", now.picture);
}

export function saveEdit() {
  return saveScaled("edited.png", edit().picture);
}

export function saveCode() {
  save("codes.safetensors", new Blob([bytes(edit().codes)]));
}

/** Copies the picture that is shown last, the edit if there is one. */
export async function copyPicture() {
  const picture = edit()?.picture ?? now.picture;
  try {
    await navigator.clipboard.write([new ClipboardItem({ "image/png": imageBlob(picture) })]);
    answer($("copy-picture"), "Copied");
  } catch {
    answer($("copy-picture"), "Not allowed");
  }
}

