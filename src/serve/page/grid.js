// Drawing: the grid of images, the selected one, and its strip.

import { busy, send } from "./request.js";
import { $, png, setImage, showCommand, showStrip } from "./dom.js";
import { bytes, codeRow, imageBlob, save } from "./files.js";
import { formChanged, setVariedSeed, variedSeed } from "./form.js";

/** A result: seeds as strings, PNG files and codes in Base64, the request, and the command line. */
const EMPTY = { seeds: [], pictures: [], codes: null, request: null, command: null };

let model = null;
let shown = EMPTY; // the last finished result
let frame = null; // preview of the running request; it has no codes and cannot be saved
let selected = -1;
let strip = null; // { of, index, answer, command }: strip of image `index` of the result `of`

const panel = { status: $("status"), progress: $("progress"), button: $("go"), undo: () => setPreview(null) };
const stripPanel = { ...panel, undo() {} };

export function open(about) {
  model = about;
  render();
}

/** Whether there is a result or a running request that a slider changes. */
export function started() {
  return shown.request !== null || busy(panel.button);
}

/** The request that the form describes. */
function formRequest() {
  const of = variedSeed();
  return {
    text: $("text").value,
    seeds: $("seeds").value,
    vary: of === null ? null : { of, by: Number($("vary-by").value) },
    strength: Number($("strength").value),
    truncation: Number($("truncation").value),
    steps: model.steps,
  };
}

/** Number of seeds in a list such as "0-3,7", for the layout only; the server validates the list. */
function count(seeds) {
  let n = 0;
  for (const part of seeds.split(",")) {
    const [first, last = first] = part.split("-").map((s) => parseInt(s, 10));
    n += Math.max(0, last - first + 1) || 0;
  }
  return Math.min(Math.max(n, 1), model.most);
}

export function draw() {
  if (!model) return;
  const request = formRequest();
  let accepted = null;
  send("/api/generate", JSON.stringify(request), panel, (answer) => {
    if (answer.event === "accepted") accepted = answer;
    // Before the first image, a rejected or cancelled request changes nothing on the page.
    if (answer.event !== "frame" && answer.event !== "done") return;
    const { seeds, command: line } = accepted;
    const now = { seeds, pictures: answer.pictures, codes: answer.codes ?? null, request, command: line };
    if (answer.event === "done") shown = now;
    setPreview(answer.event === "done" ? null : now);
  });
}

/** Draws neighbours of a seed; null returns to independent seeds. */
export function vary(of) {
  setVariedSeed(of);
  draw();
}

export function varySelected() {
  vary(shown.seeds[selected]);
}

/** Draws with random seeds. */
export function randomSeeds() {
  const n = count($("seeds").value);
  const first = Math.floor(Math.random() * 1000000);
  $("seeds").value = n === 1 ? String(first) : `${first}-${first + n - 1}`;
  formChanged();
  draw();
}

/** Draws the selected seed at several strengths. */
export function drawStrip() {
  if ($("do-strip").disabled || model.direct) return;
  const [of, index] = [shown, selected];
  let line = null;
  const request = { ...of.request, seeds: of.seeds[index], strip: true };
  send("/api/generate", JSON.stringify(request), stripPanel, (answer) => {
    if (answer.event === "accepted") line = answer.command;
    if (answer.event !== "done") return;
    strip = { of, index, answer, command: line };
    render();
  });
}

// ---- display ------------------------------------------------------------------------------

function setPreview(result) {
  frame = result;
  const n = (frame ?? shown).seeds.length;
  if (selected >= n) selected = n - 1;
  render();
}

function render() {
  const view = frame ?? shown;
  layOut(view.seeds.length || count($("seeds").value));
  Array.from($("grid").children).forEach((cell, i) => {
    const seed = view.seeds[i];
    cell.title = seed === undefined ? "" : `seed ${seed}`;
    cell.setAttribute("aria-label", seed === undefined ? "no image yet" : `seed ${seed}`);
    cell.setAttribute("aria-selected", i === selected);
    cell.tabIndex = i === Math.max(selected, 0) ? 0 : -1;
    setImage(cell.firstChild, view.pictures[i] && png(view.pictures[i]));
  });
  showCommand($("command"), view.command);

  const one = selected >= 0 && view.pictures[selected];
  setImage($("large"), one ? png(one) : null);
  const around = view.request?.vary;
  $("about-selected").textContent = !one ? "Select an image to see its seed." :
    `seed ${view.seeds[selected]}` + (around ? `, near ${around.of}, distance ${around.by}` : "") + `: ${view.request.text}`;
  const striped = strip !== null && strip.of === view && strip.index === selected;
  showStrip($("strip"), striped ? strip.answer : null);
  showCommand($("strip-command"), striped ? strip.command : null);

  // A preview can only be looked at.
  const ready = one && !frame;
  // The code of a neighbour does not come from its seed alone, so it cannot be varied.
  $("do-vary").disabled = !ready || Boolean(around);
  $("do-strip").disabled = $("save").disabled = !ready;
  $("do-edit").disabled = !ready || Boolean(model.no_edits);
  $("save-grid").disabled = frame !== null || !view.pictures.length;
  $("save-codes").disabled = !view.codes;
}

function layOut(n) {
  const grid = $("grid");
  while (grid.children.length > n) grid.lastChild.remove();
  while (grid.children.length < n) {
    const cell = document.createElement("button");
    const index = grid.children.length;
    cell.type = "button";
    cell.setAttribute("role", "option");
    const image = document.createElement("img");
    image.alt = "";
    cell.append(image);
    for (const event of ["click", "focus"]) cell.addEventListener(event, () => select(index));
    grid.append(cell);
  }
}

function select(index) {
  if (selected === index) return;
  selected = index;
  render();
}

/** Moves through the grid with the arrow keys, or into it. */
export function step(key) {
  const cells = $("grid").children;
  const columns = getComputedStyle($("grid")).gridTemplateColumns.split(" ").length;
  const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[key] ?? 0;
  const next = selected < 0 ? 0 : Math.min(Math.max(selected + by, 0), cells.length - 1);
  cells[next].focus();
}

// ---- saving and editing ---------------------------------------------------------------------

/** File name of the selected image. */
function name() {
  const four = (seed) => seed.padStart(4, "0");
  const of = shown.request.vary ? `-near${four(shown.request.vary.of)}` : "";
  return `seed${four(shown.seeds[selected])}${of}.png`;
}

/** The selected image with its code, for the editor; null if there is none. */
export function selectedImage() {
  if ($("do-edit").disabled) return null;
  const input = shown.codes && { row: selected, values: codeRow(shown.codes, selected) };
  return { name: name(), blob: imageBlob(shown.pictures[selected]), code: input };
}

export function saveSelected() {
  if (!$("save").disabled) save(name(), imageBlob(shown.pictures[selected]));
}

export async function saveGrid() {
  const { pictures } = shown;
  const columns = Math.ceil(Math.sqrt(pictures.length)), side = model.resolution;
  const canvas = document.createElement("canvas");
  canvas.width = columns * side;
  canvas.height = Math.ceil(pictures.length / columns) * side;
  const context = canvas.getContext("2d");
  await Promise.all(pictures.map(async (base64, i) => {
    const image = new Image();
    image.src = png(base64);
    await image.decode();
    context.drawImage(image, (i % columns) * side, Math.floor(i / columns) * side);
  }));
  canvas.toBlob((blob) => save("grid.png", blob));
}

export function saveCodes() {
  save("codes.safetensors", new Blob([bytes(shown.codes)]));
}
