// Drawing: the grid of pictures, with one row per prompt, and the selected picture.

import { busy, send } from "./request.js";
import { $, make, narrow, png, setImage, showCommand, showError } from "./dom.js";
import { bytes, codeRow, save } from "./files.js";
import { setSettings, settings as formSettings } from "./form.js";
import { decoded, encoded, withTextOf } from "./png.js";
import * as picked from "./picked.js";
import { zip } from "./zip.js";

/** Largest number of columns on a narrow screen. */
const PHONE_COLUMNS = 4;
/** Smallest and largest side of a picture in the grid, and the space between two, in CSS pixels. */
const SMALLEST = 92, LARGEST = 260, GAP = 6;

/**
 * A result: the settings, the number of prompts, and rows { text, seeds, pictures, codes, request, command }. Seeds are strings;
 * PNG files and codes are in Base64. `examples` marks the pictures that the page begins with.
 */
const EMPTY = { settings: null, prompts: 0, rows: [], examples: false };

let model = null;
let finished = () => {};
let shown = EMPTY; // the last finished result
let frame = null; // preview of the running request; it has no codes and cannot be saved
let stale = false; // whether a newer request failed or was stopped
let selected = -1; // index over all rows

let undone = false; // whether a request failed or was stopped

const panel = { status: $("status"), progress: $("progress"), button: $("go"), undo: () => { stale = shown.rows.length > 0; undone = true; setPreview(null); } };

/** `onFinished` is called with every finished result. */
export function open(about, onFinished) {
  model = about;
  finished = onFinished;
  new ResizeObserver(layOut).observe($("results"));
  narrow.addEventListener("change", render);
  render();
}

/** Whether there is a result or a running request that a slider changes. */
export function started() {
  return (shown.rows.length > 0 && !shown.examples) || busy(panel.button);
}

/** Number of seeds in a list such as "0-3,7", for the layout only; the server validates the list. */
function count(seeds) {
  let n = 0;
  for (const part of seeds.split(",")) {
    const [first, last = first] = part.split("-").map((s) => parseInt(s, 10));
    n += Math.max(0, last - first + 1) || 0;
  }
  return Math.max(n, 1);
}

/** Draws the settings. */
export function draw(settings = formSettings(), examples = false) {
  if (!model) return;
  const prompts = settings.text.split("\n").map((line) => line.trim()).filter(Boolean);
  const texts = prompts.length ? prompts : [""];
  if (texts.length > 1 && texts.length * count(settings.seeds) > model.most) {
    return showError(panel.status, {
      message: `${texts.length} prompts with ${count(settings.seeds)} seeds give more than ${model.most} pictures`,
      hint: "use fewer seeds or prompts",
    });
  }
  const requests = texts.map((text) => ({
    text,
    seeds: settings.seeds,
    vary: settings.vary === null ? null : { of: settings.vary, by: Number(settings.by) },
    ...(settings.candidates ? { candidates: Number(settings.candidates) } : {}),
    strength: Number(settings.strength),
    truncation: Number(settings.truncation),
    steps: Number(settings.steps || model.steps),
  }));
  const rows = [];
  let accepted = null;
  undone = false;
  send("/api/generate", requests.map((request) => JSON.stringify(request)), panel, (answer, part) => {
    if (answer.event === "accepted") accepted = answer;
    // Before the first picture, a rejected or cancelled request changes nothing on the page.
    if (!answer.pictures?.length) return;
    const seeds = answer.seeds ?? accepted.seeds;
    rows[part] = { text: texts[part], seeds, pictures: answer.pictures, codes: answer.codes ?? null, request: requests[part], command: accepted.command };
    const now = { settings, prompts: texts.length, rows: rows.slice(), examples };
    if (answer.event === "done" && part === texts.length - 1) {
      show(now);
      finished(now);
    } else setPreview(now);
  });
}

/** Shows a finished result. */
export function show(result) {
  shown = result;
  stale = false;
  setPreview(null);
}

/** Draws neighbours of a seed; null returns to independent seeds. */
export function vary(of) {
  setSettings({ ...formSettings(), vary: of });
  draw();
}

/** Draws neighbours of the selected picture, with its own settings if it is not from the grid. */
export function varySelected() {
  if ($("do-vary").disabled) return;
  const { text, seed, request: { strength, truncation, steps } } = picked.current();
  const its = { strength: String(strength), truncation: String(truncation), steps: String(steps ?? model.steps), candidates: "" };
  setSettings({ ...formSettings(), ...(selected < 0 ? its : {}), text, vary: seed });
  draw();
}

/** Draws with random seeds. */
export function randomSeeds() {
  const n = count($("seeds").value);
  const first = Math.floor(Math.random() * 1000000);
  setSettings({ ...formSettings(), seeds: n === 1 ? String(first) : `${first}-${first + n - 1}` });
  draw();
}

// ---- display ------------------------------------------------------------------------------

/** The row and the index in it of a picture, or null. */
function at(view, picture) {
  for (const row of view.rows) {
    if (picture < 0) return null;
    if (picture < row.pictures.length) return { row, index: picture };
    picture -= row.pictures.length;
  }
  return null;
}

const size = (view) => view.rows.reduce((n, row) => n + row.pictures.length, 0);

function setPreview(result) {
  frame = result;
  const n = size(frame ?? shown);
  if (selected >= n) selected = n - 1;
  // There is room for the selected picture beside the grid.
  if (selected < 0 && n && !frame && !narrow.matches && !picked.current()) selected = 0;
  render();
  if (selected >= 0) pick();
}

function title(view) {
  if (!view.rows.length) return undone ? "Write a prompt and press Generate" : "";
  const now = view.examples ? "Examples – select one to begin" : view.prompts > 1 ? `${view.prompts} prompts` : view.rows[0].text;
  return stale && !frame ? `${now} (previous result)` : now;
}

function render() {
  const view = frame ?? shown;
  build(view);
  $("title").textContent = title(view);
  $("results").classList.toggle("stale", stale && !frame);
  for (const [i, cell] of cells().entries()) {
    const { row, index } = at(view, i);
    cell.title = `seed ${row.seeds[index]}`;
    cell.setAttribute("aria-label", `${row.text}, seed ${row.seeds[index]}`);
    cell.setAttribute("aria-pressed", i === selected);
    cell.tabIndex = i === Math.max(selected, 0) ? 0 : -1;
    setImage(cell.firstChild, png(row.pictures[index]));
  }
  showCommand($("command"), at(view, Math.max(selected, 0))?.row.command ?? null);
  $("save-grid").disabled = $("save-zip").disabled = frame !== null || !view.rows.length;
  $("save-codes").disabled = view.rows.length !== 1 || !view.rows[0].codes;
  place();
}

const cells = () => Array.from(document.querySelectorAll("#grid > .cell"));

/** Creates the elements of the grid, unless it already has this shape. */
function build(view) {
  const titled = view.prompts > 1;
  const shape = JSON.stringify(view.rows.map((row) => [titled && row.text, row.pictures.length]));
  if ($("grid").dataset.shape === shape) return;
  $("grid").dataset.shape = shape;
  // The selected picture may be inside the grid.
  document.querySelector("main").append($("picked"));
  const elements = [];
  let next = 0;
  for (const row of view.rows) {
    if (titled) {
      const button = make("button", { type: "button", className: "row-title", textContent: row.text, title: "Generate more pictures for this prompt" });
      button.addEventListener("click", () => {
        // While the first pictures are drawn, nothing is shown yet.
        const seeds = shown.examples ? model.seeds : shown.settings?.seeds ?? model.seeds;
        setSettings({ ...(shown.settings ?? {}), text: row.text, seeds });
        draw();
      });
      elements.push(button);
    }
    for (const _ of row.pictures) {
      const cell = make("button", { type: "button", className: "cell" }, make("img", { alt: "" }));
      const index = next++;
      cell.addEventListener("focus", () => { if (!narrow.matches) select(index); });
      cell.addEventListener("click", () => select(index));
      elements.push(cell);
    }
  }
  $("grid").replaceChildren(...elements);
  layOut();
}

/** Chooses the number of columns so that the pictures fill the space without scrolling. */
function layOut() {
  const view = frame ?? shown;
  const longest = Math.max(1, ...view.rows.map((row) => row.pictures.length));
  const width = $("results").clientWidth;
  const height = Math.max(300, innerHeight - 480);
  const rowsAt = (columns) => view.rows.reduce((n, row) => n + Math.ceil(row.pictures.length / columns), 0);
  const side = (columns) => (width - GAP * (columns - 1)) / columns;
  const most = Math.max(1, Math.floor((width + GAP) / (SMALLEST + GAP)));
  let columns = Math.min(most, narrow.matches ? PHONE_COLUMNS : Math.max(1, Math.ceil(width / LARGEST)));
  // Full rows look better than slightly larger pictures.
  if (narrow.matches && longest % PHONE_COLUMNS === 0) columns = PHONE_COLUMNS;
  const titles = view.prompts > 1 ? 34 * view.rows.length : 0;
  if (!narrow.matches) {
    while (columns < most && columns < longest && rowsAt(columns) * (side(columns) + GAP) + titles > height) columns++;
    // Rows of the same length look better.
    for (let more = columns; more <= Math.min(most, columns + 2); more++) {
      if (longest % more === 0) { columns = more; break; }
    }
  }
  $("grid").style.setProperty("--columns", columns);
  place();
}

/** On a narrow screen, the selected picture opens below its row; otherwise it has its own column. */
function place() {
  const all = cells();
  const aside = $("picked");
  if (!narrow.matches || selected < 0 || !all.length) {
    if (aside.parentElement !== document.querySelector("main")) document.querySelector("main").append(aside);
    aside.classList.toggle("unpicked", narrow.matches && !picked.current());
    return;
  }
  aside.classList.remove("unpicked");
  // The last picture in the same line, whose offset from the top is the same.
  let last = selected;
  while (all[last + 1] && all[last + 1].offsetTop === all[selected].offsetTop) last++;
  if (all[last].nextElementSibling !== aside) all[last].after(aside);
}

function select(index) {
  if (selected === index && picked.current()?.kind === "drawn") return;
  selected = index;
  render();
  pick();
}

/** Nothing in the grid is selected, because another picture is shown beside it. */
export function deselect() {
  selected = -1;
  render();
}

/** Selects the first picture of the next result. */
export function selectFirst() {
  selected = 0;
}

/** Shows the selected picture beside the grid. */
function pick() {
  const view = frame ?? shown;
  const { row, index } = at(view, selected);
  const { vary: around } = row.request;
  const four = (seed) => seed.padStart(4, "0");
  picked.pick({
    kind: "drawn",
    key: `${row.command} ${row.seeds[index]}`,
    name: `seed${four(row.seeds[index])}${around ? `-near${four(around.of)}` : ""}.png`,
    picture: row.pictures[index],
    text: row.text,
    seed: row.seeds[index],
    row: index,
    code: row.codes === null ? null : codeRow(row.codes, index),
    request: row.request,
    preview: frame !== null,
  });
}

/** Moves through the grid with the arrow keys, or into it. */
export function step(key) {
  const all = cells();
  if (!all.length) return;
  const columns = getComputedStyle($("grid")).gridTemplateColumns.split(" ").length;
  const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[key] ?? 0;
  const next = selected < 0 ? 0 : Math.min(Math.max(selected + by, 0), all.length - 1);
  select(next);
  all[next].focus();
}

// ---- saving ---------------------------------------------------------------------------------

/** Saves all pictures in one image, with one line of pictures per prompt if there are several. */
export async function saveGrid() {
  const { rows } = shown;
  const columns = rows.length > 1 ? Math.max(...rows.map((row) => row.pictures.length)) : Math.ceil(Math.sqrt(rows[0].pictures.length));
  const lines = rows.flatMap((row) => Array.from({ length: Math.ceil(row.pictures.length / columns) }, (_, i) => row.pictures.slice(i * columns, (i + 1) * columns)));
  const side = model.resolution;
  const canvas = make("canvas", { width: columns * side, height: lines.length * side });
  const context = canvas.getContext("2d");
  await Promise.all(lines.flatMap((line, y) => line.map(async (base64, x) => context.drawImage(await decoded(base64), x * side, y * side))));
  const sheet = await encoded(canvas);
  const pictures = rows.flatMap((row) => row.pictures.map(bytes));
  // Its text is what all pictures share; the seed of a single one would not give the sheet.
  save("sheet.png", pictures.length > 1 ? withTextOf(new Uint8Array(await sheet.arrayBuffer()), ...pictures) : sheet);
}

export function saveCodes() {
  save("codes.safetensors", new Blob([bytes(shown.rows[0].codes)]));
}

/** Saves the pictures, codes and commands of all rows. */
export function saveZip() {
  const { rows } = shown;
  const files = rows.flatMap((row, i) => {
    const folder = rows.length > 1 ? `${String(i).padStart(2, "0")}/` : "";
    return [
      ...row.pictures.map((picture, j) => ({ name: `${folder}seed${row.seeds[j].padStart(4, "0")}.png`, bytes: bytes(picture) })),
      ...(row.codes ? [{ name: `${folder}codes.safetensors`, bytes: bytes(row.codes) }] : []),
      { name: `${folder}command.txt`, bytes: new TextEncoder().encode(row.command + "\n") },
    ];
  });
  save("pictures.zip", zip(files));
}
