// Pictures from a text: the grid, the one that is picked, and its strip.

import { ask, busy } from "./request.js";
import { $, command, png, put, row } from "./dom.js";
import { bytes, code, picture, save } from "./files.js";
import { changed, near, setNear } from "./form.js";

/** A grid: seeds in digits, pictures and codes in base64, what was asked for, and the command line. */
const NONE = { seeds: [], pictures: [], codes: null, asked: null, command: null };

let model = null;
let shown = NONE; // what was finished last
let frame = null; // what is on its way instead; it has no codes yet, and cannot be saved
let picked = -1;
let strip = null; // { of, index, answer, command } of a picture of `of`

const place = { status: $("status"), progress: $("progress"), button: $("go"), undo: () => look(null) };
const stripPlace = { ...place, undo() {} };

export function open(about) {
  model = about;
  paint();
}

/** Whether there is anything that a slider could change. */
export function begun() {
  return shown.asked !== null || busy(place.button);
}

/** What the form asks for. */
function asked() {
  const of = near();
  return {
    text: $("text").value,
    seeds: $("seeds").value,
    vary: of === null ? null : { of, by: Number($("vary-by").value) },
    strength: Number($("strength").value),
    truncation: Number($("truncation").value),
    steps: model.steps,
  };
}

/** "0-3,7" → how many; for places alone, the server reads it properly. */
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
  const wanted = asked();
  let accepted = null;
  ask("/api/generate", JSON.stringify(wanted), place, (answer) => {
    if (answer.event === "accepted") accepted = answer;
    // Only now: what is refused, or stopped in the line, leaves everything where it is.
    if (answer.event !== "frame" && answer.event !== "done") return;
    const { seeds, command: line } = accepted;
    const now = { seeds, pictures: answer.pictures, codes: answer.codes ?? null, asked: wanted, command: line };
    if (answer.event === "done") shown = now;
    look(answer.event === "done" ? null : now);
  });
}

/** Neighbours of the picked seed; of null, any seeds again. */
export function vary(of) {
  setNear(of);
  draw();
}

export function varyPicked() {
  vary(shown.seeds[picked]);
}

export function dice() {
  const n = count($("seeds").value);
  const first = Math.floor(Math.random() * 1000000);
  $("seeds").value = n === 1 ? String(first) : `${first}-${first + n - 1}`;
  changed();
  draw();
}

/** The picked seed at several strengths. */
export function drawStrip() {
  if ($("do-strip").disabled || model.direct) return;
  const [of, index] = [shown, picked];
  let line = null;
  const wanted = { ...of.asked, seeds: of.seeds[index], strip: true };
  ask("/api/generate", JSON.stringify(wanted), stripPlace, (answer) => {
    if (answer.event === "accepted") line = answer.command;
    if (answer.event !== "done") return;
    strip = { of, index, answer, command: line };
    paint();
  });
}

// ---- what is seen ------------------------------------------------------------------------------

function look(at) {
  frame = at;
  const n = (frame ?? shown).seeds.length;
  if (picked >= n) picked = n - 1;
  paint();
}

function paint() {
  const view = frame ?? shown;
  places(view.seeds.length || count($("seeds").value));
  Array.from($("grid").children).forEach((cell, i) => {
    const seed = view.seeds[i];
    cell.title = seed === undefined ? "" : `seed ${seed}`;
    cell.setAttribute("aria-label", seed === undefined ? "no picture yet" : `seed ${seed}`);
    cell.setAttribute("aria-selected", i === picked);
    cell.tabIndex = i === Math.max(picked, 0) ? 0 : -1;
    put(cell.firstChild, view.pictures[i] && png(view.pictures[i]));
  });
  command($("command"), view.command);

  const one = picked >= 0 && view.pictures[picked];
  put($("large"), one ? png(one) : null);
  const around = view.asked?.vary;
  $("about-picked").textContent = !one ? "Pick a picture to keep its seed." :
    `seed ${view.seeds[picked]}` + (around ? `, near ${around.of} by ${around.by}` : "") + `: ${view.asked.text}`;
  const striped = strip !== null && strip.of === view && strip.index === picked;
  row($("strip"), striped ? strip.answer : null);
  command($("strip-command"), striped ? strip.command : null);

  // What is on its way can be looked at, and nothing else.
  const ready = one && !frame;
  // A neighbour has no seed of its own to vary.
  $("do-vary").disabled = !ready || Boolean(around);
  $("do-strip").disabled = $("save").disabled = !ready;
  $("do-edit").disabled = !ready || Boolean(model.no_edits);
  $("save-grid").disabled = frame !== null || !view.pictures.length;
  $("save-codes").disabled = !view.codes;
}

function places(n) {
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
    for (const event of ["click", "focus"]) cell.addEventListener(event, () => pick(index));
    grid.append(cell);
  }
}

function pick(index) {
  if (picked === index) return;
  picked = index;
  paint();
}

/** Moves through the grid with the arrow keys, or into it. */
export function step(key) {
  const cells = $("grid").children;
  const columns = getComputedStyle($("grid")).gridTemplateColumns.split(" ").length;
  const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[key] ?? 0;
  const next = picked < 0 ? 0 : Math.min(Math.max(picked + by, 0), cells.length - 1);
  cells[next].focus();
}

// ---- what can be had of it ---------------------------------------------------------------------

/** What the picked picture is called. */
function name() {
  const four = (seed) => seed.padStart(4, "0");
  const of = shown.asked.vary ? `-near${four(shown.asked.vary.of)}` : "";
  return `seed${four(shown.seeds[picked])}${of}.png`;
}

/** The picked picture for the editor, with its code; null where none is. */
export function pickedPicture() {
  if ($("do-edit").disabled) return null;
  const its = shown.codes && { row: picked, values: code(shown.codes, picked) };
  return { name: name(), blob: picture(shown.pictures[picked]), code: its };
}

export function savePicked() {
  if (!$("save").disabled) save(name(), picture(shown.pictures[picked]));
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
