"use strict";

// The page of `cigan serve`. It asks, shows what comes back line by line, and keeps nothing but the
// form (in this tab, so that a reload finds it again).

const $ = (id) => document.getElementById(id);
const page = Array.from(crypto.getRandomValues(new Uint8Array(12)), (b) => b.toString(16).padStart(2, "0")).join("");
const png = (blob) => "data:image/png;base64," + blob;

let model = null;
let running = null; // { abort, status, progress, button, command, label }
let latest = $("command"); // the command line that was shown last
let shown = { seeds: [], pictures: [], codes: null, asked: null }; // seeds as digits
let picked = -1;
let upload = null; // { name, blob, code } with the code of a picture of the grid
const edit = { original: null, inversion: null, edit: null, codes: null };

// ---- talking to the server ---------------------------------------------------------------------

/** Sends a request and hands every line of the answer to `on`. One at a time: a new one ends the old. */
async function ask(path, body, place, on) {
  stop();
  const job = { abort: new AbortController(), ...place, label: place.button.textContent };
  running = job;
  job.button.textContent = "Stop";
  job.progress.removeAttribute("value");
  say(job.status, "…");
  const headers = { "x-cigan-page": page };
  if (typeof body === "string") headers["content-type"] = "application/json";
  try {
    const response = await fetch(path, { method: "POST", headers, body, signal: job.abort.signal });
    if (!response.ok || !response.headers.get("content-type").startsWith("application/x-ndjson")) {
      const text = await response.text();
      let answer;
      try { answer = JSON.parse(text); } catch { answer = { message: text || response.statusText }; }
      return complain(job.status, answer);
    }
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    // A line may be megabytes in many chunks: they are put together once, at its end.
    let parts = [], ended = false;
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      let from = 0;
      for (let end; (end = value.indexOf("\n", from)) >= 0; from = end + 1) {
        parts.push(value.slice(from, end));
        const line = parts.join("");
        parts = [];
        if (running !== job) return;
        if (!line) continue;
        const answer = JSON.parse(line);
        ended = answer.event === "done" || answer.event === "error";
        hear(job, answer, on);
      }
      parts.push(value.slice(from));
    }
    if (!ended && running === job) complain(job.status, { message: "the answer broke off", hint: "is `cigan serve` still there?" });
  } catch (error) {
    if (running !== job) return;
    if (error.name === "AbortError") say(job.status, "stopped");
    else complain(job.status, { message: "no answer", hint: "is `cigan serve` still there?" });
  } finally {
    if (running?.button !== job.button) job.button.textContent = job.label;
    if (running === job) {
      job.button.textContent = job.label;
      running = null;
      job.progress.value = 0;
    }
  }
}

function hear(job, answer, on) {
  // Who listens to the page is told how it begins and ends, not every step.
  job.status.setAttribute("aria-live", ["frame", "refining"].includes(answer.event) ? "off" : "polite");
  switch (answer.event) {
    case "accepted":
      job.command.textContent = answer.command;
      latest = job.command;
      job.warning = answer.warning;
      say(job.status, answer.ahead ? `${answer.ahead} in line before this` : "begins");
      break;
    case "refining":
      job.progress.value = answer.step / Math.max(1, answer.steps);
      say(job.status, `refining the inversion: step ${answer.step} of ${answer.steps}`);
      break;
    case "frame":
      job.progress.value = answer.step / Math.max(1, answer.steps);
      say(job.status, `step ${answer.step} of at most ${answer.steps}`);
      break;
    case "done": {
      job.progress.value = 1;
      const steps = answer.steps ? `${answer.steps} steps, ` : "";
      say(job.status, [`${steps}${answer.seconds.toFixed(1)} s`, job.warning, answer.note].filter(Boolean).join(" – "));
      break;
    }
    case "error":
      complain(job.status, answer);
      break;
  }
  on(answer);
}

function stop() {
  if (!running) return;
  const job = running;
  running = null;
  job.abort.abort();
  job.button.textContent = job.label;
  job.progress.value = 0;
  say(job.status, "stopped");
}

function say(status, text) {
  status.classList.remove("bad");
  status.textContent = text;
}

function complain(status, { message, hint }) {
  status.classList.add("bad");
  status.textContent = hint ? `${message} – ${hint}` : message;
}

// ---- drawing -----------------------------------------------------------------------------------

/** What the form asks for. */
function asked() {
  const vary = $("vary").hidden ? null : { of: $("vary-of").textContent, by: Number($("vary-by").value) };
  return {
    text: $("text").value,
    seeds: $("seeds").value,
    vary,
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

function places(n) {
  const grid = $("grid");
  while (grid.children.length > n) grid.lastChild.remove();
  while (grid.children.length < n) {
    const cell = document.createElement("button");
    const index = grid.children.length;
    cell.type = "button";
    cell.setAttribute("role", "option");
    cell.setAttribute("aria-label", "no picture yet");
    cell.tabIndex = index === 0 ? 0 : -1;
    const image = document.createElement("img");
    image.alt = "";
    cell.append(image);
    cell.addEventListener("click", () => pick(index));
    cell.addEventListener("focus", () => pick(index));
    grid.append(cell);
  }
}

function show(pictures) {
  pictures.forEach((picture, i) => {
    const image = $("grid").children[i]?.firstChild;
    if (image) image.src = png(picture);
  });
}

function draw() {
  if (!model) return;
  const wanted = asked();
  remember();
  let seeds = [], begun = false;
  ask("/api/generate", JSON.stringify(wanted), atGrid(), (answer) => {
    if (answer.event === "accepted") seeds = answer.seeds;
    if (answer.event === "frame" || answer.event === "done") {
      // Only now: what is refused, or stopped in the line, leaves the pictures where they are.
      if (!begun) name(seeds);
      begun = true;
      show(answer.pictures);
      // A frame has no codes: it can be saved, and edited like any picture.
      shown = { seeds, pictures: answer.pictures, codes: answer.codes ?? null, asked: wanted };
      if (picked >= 0) pick(Math.min(picked, seeds.length - 1));
      buttons();
    }
  });
}

/** Where the grid says how far it is. */
function atGrid() {
  return { status: $("status"), progress: $("progress"), button: $("go"), command: $("command") };
}

/** Makes a place for every seed. */
function name(seeds) {
  places(seeds.length);
  seeds.forEach((seed, i) => {
    $("grid").children[i].title = `seed ${seed}`;
    $("grid").children[i].setAttribute("aria-label", `seed ${seed}`);
  });
  $("strip").replaceChildren();
}

/** Picks a picture: keeps its seed in view and offers what can be done with it. */
function pick(index) {
  if (picked !== index) $("strip").replaceChildren();
  picked = index;
  Array.from($("grid").children).forEach((cell, i) => {
    cell.setAttribute("aria-selected", i === index);
    cell.tabIndex = i === index ? 0 : -1;
  });
  const picture = shown.pictures[index];
  if (picture) $("large").src = png(picture);
  else $("large").removeAttribute("src");
  const seed = shown.seeds[index];
  const vary = shown.asked?.vary;
  $("about-picked").textContent = seed === undefined ? "" :
    (vary ? `seed ${seed}, near ${vary.of} by ${vary.by}` : `seed ${seed}`) + `: ${shown.asked.text}`;
  buttons();
}

function buttons() {
  const done = shown.pictures.length > 0;
  const one = picked >= 0 && picked < shown.pictures.length;
  // A neighbour has no seed of its own to vary.
  $("do-vary").disabled = !one || Boolean(shown.asked.vary);
  $("do-strip").disabled = !one;
  $("do-edit").disabled = !one || Boolean(model.no_edits);
  $("save").disabled = !one;
  $("save-grid").disabled = !done;
  $("save-codes").disabled = !shown.codes;
  $("edit-go").disabled = $("do-edit-strip").disabled = Boolean(model?.no_edits);
  $("edit-save").disabled = $("edit-codes").disabled = !edit.codes;
  // A picture of the grid has its code already.
  $("project").disabled = Boolean(upload?.code);
}

function vary(of) {
  $("vary").hidden = of === null;
  if (of !== null) $("vary-of").textContent = of;
  draw();
}

/** The picked seed at several strengths. */
function strip() {
  if ($("do-strip").disabled || model.direct) return;
  const [of, index] = [shown.asked, picked];
  const wanted = { ...of, seeds: shown.seeds[index], strip: true };
  ask("/api/generate", JSON.stringify(wanted), atGrid(), (answer) => {
    if (answer.event === "done" && of === shown.asked && index === picked) row($("strip"), answer);
  });
}

function row(element, answer) {
  element.replaceChildren(...answer.strip.map((pictures, i) => {
    const figure = document.createElement("figure");
    const image = document.createElement("img");
    image.src = png(pictures[0]);
    image.alt = `strength ${answer.strengths[i]}`;
    const caption = document.createElement("figcaption");
    caption.textContent = answer.strengths[i];
    figure.append(image, caption);
    return figure;
  }));
}

// ---- editing -----------------------------------------------------------------------------------

function take(name, blob, code = null) {
  if (!blob.type.startsWith("image/")) {
    return complain($("edit-status"), { message: `${name} is no picture`, hint: "give a PNG, JPEG, WebP, GIF, BMP or TIFF file" });
  }
  // What is under way belongs to another picture.
  if (running?.status === $("edit-status")) stop();
  upload = { name, blob, code };
  $("drop-text").textContent = name;
  const address = URL.createObjectURL(blob);
  const old = $("t-original").src;
  set("original", address);
  if (old.startsWith("blob:")) URL.revokeObjectURL(old);
  for (const other of ["inversion", "edit"]) set(other, null);
  edit.codes = null;
  $("edit-strip").replaceChildren();
  say($("edit-status"), "");
  buttons();
}

function set(which, source) {
  edit[which] = source;
  const image = $("t-" + which);
  if (source) image.src = source;
  else image.removeAttribute("src");
  compare();
}

function compare() {
  for (const [image, which] of [["under", $("left").value], ["over", $("right").value]]) {
    const source = edit[which] ?? edit.inversion ?? edit.original;
    if (source) $(image).src = source;
    else $(image).removeAttribute("src");
  }
  $("wipe").style.setProperty("--at", $("wiper").value + "%");
}

/** Edits the picture; with a `strip`, at several strengths as well. */
function change(strip = false) {
  if (!upload) {
    return complain($("edit-status"), { message: "no picture to edit yet", hint: "drop one above, or pick one of the grid and press Edit" });
  }
  const between = document.querySelector("input[name=mode]:checked").value === "between";
  const said = between ? { from: $("edit-from").value, to: $("edit-to").value } : { text: $("edit-text").value };
  const wanted = {
    name: upload.name,
    code: upload.code,
    ...said,
    strength: Number($("edit-strength").value),
    preserve: Number($("preserve").value),
    steps: model.steps,
    // The code of a picture of the grid needs no refining.
    project: upload.code ? 0 : Number($("project").value),
    strip,
  };
  const form = new FormData();
  form.append("ask", JSON.stringify(wanted));
  if (!upload.code) form.append("image", upload.blob, "image");
  remember();
  const place = { status: $("edit-status"), progress: $("edit-progress"), button: $("edit-go"), command: $("edit-command") };
  ask("/api/edit", form, place, (answer) => {
    if (answer.event === "accepted") {
      // Until it is done, nothing of the editor belongs together. What is refused changes nothing.
      edit.codes = null;
      $("edit-strip").replaceChildren();
      buttons();
    }
    if (answer.event === "inverted") {
      const old = $("t-original").src;
      if (old.startsWith("blob:")) URL.revokeObjectURL(old);
      set("original", png(answer.original));
      set("inversion", png(answer.inversion));
    }
    if (answer.event === "frame") set("edit", png(answer.pictures[0]));
    if (answer.event === "done") {
      set("edit", png(answer.pictures[0]));
      edit.codes = answer.codes;
      row($("edit-strip"), answer);
      buttons();
    }
  });
}

// ---- files -------------------------------------------------------------------------------------

function bytes(base64) {
  return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
}

/** The numbers of row `row` in a safetensors file of one tensor. */
function code(base64, row) {
  const file = bytes(base64);
  const start = 8 + Number(new DataView(file.buffer).getBigUint64(0, true));
  const { shape } = Object.values(JSON.parse(new TextDecoder().decode(file.subarray(8, start))))[0];
  const size = shape.slice(1).reduce((a, b) => a * b, 1);
  return Array.from(new Float32Array(file.slice(start).buffer, 4 * size * row, size));
}

function save(name, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** What the picked picture is called. */
function pickedName() {
  const four = (seed) => seed.padStart(4, "0");
  const near = shown.asked.vary ? `-near${four(shown.asked.vary.of)}` : "";
  return `seed${four(shown.seeds[picked])}${near}.png`;
}

function savePicked() {
  if ($("save").disabled) return;
  save(pickedName(), new Blob([bytes(shown.pictures[picked])], { type: "image/png" }));
}

async function saveGrid() {
  const n = shown.pictures.length, columns = Math.ceil(Math.sqrt(n)), side = model.resolution;
  const canvas = document.createElement("canvas");
  canvas.width = columns * side;
  canvas.height = Math.ceil(n / columns) * side;
  const context = canvas.getContext("2d");
  await Promise.all(shown.pictures.map(async (picture, i) => {
    const image = new Image();
    image.src = png(picture);
    await image.decode();
    context.drawImage(image, (i % columns) * side, Math.floor(i / columns) * side);
  }));
  canvas.toBlob((blob) => save("grid.png", blob));
}

function editPicked() {
  if ($("do-edit").disabled) return;
  const picture = new Blob([bytes(shown.pictures[picked])], { type: "image/png" });
  take(pickedName(), picture, shown.codes && { row: picked, values: code(shown.codes, picked) });
  $("editing").scrollIntoView({ behavior: "smooth", block: "nearest" });
  $("edit-text").focus({ preventScroll: true });
}

async function copy(command) {
  const button = command.nextElementSibling;
  try {
    await navigator.clipboard.writeText(command.textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(command);
    button.textContent = "Ctrl-C";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
}

// ---- the form ----------------------------------------------------------------------------------

const fields = ["text", "strength", "truncation", "seeds", "vary-by", "edit-text", "edit-from", "edit-to", "edit-strength", "preserve", "project"];

/** What the browser keeps for this page; some keep nothing, and say so by throwing. */
const store = {
  get(area, key) { try { return window[area].getItem(key); } catch { return null; } },
  set(area, key, value) { try { window[area].setItem(key, value); } catch { /* then it is not kept */ } },
};

function remember() {
  const form = Object.fromEntries(fields.map((id) => [id, $(id).value]));
  form.mode = document.querySelector("input[name=mode]:checked").value;
  form.vary = $("vary").hidden ? null : $("vary-of").textContent;
  store.set("sessionStorage", "form", JSON.stringify(form));
}

function recall() {
  let form = {};
  try { form = JSON.parse(store.get("sessionStorage", "form")) ?? {}; } catch { /* an old form: as if there were none */ }
  for (const id of fields) if (typeof form[id] === "string") $(id).value = form[id];
  if (form.mode === "between") document.querySelector("input[value=between]").checked = true;
  if (typeof form.vary === "string") {
    $("vary").hidden = false;
    $("vary-of").textContent = form.vary;
  }
}

function outputs() {
  for (const output of document.querySelectorAll("output")) {
    output.textContent = $(output.htmlFor.value).value;
  }
}

function dice() {
  const n = count($("seeds").value);
  const first = Math.floor(Math.random() * 1000000);
  $("seeds").value = n === 1 ? String(first) : `${first}-${first + n - 1}`;
  draw();
}

function mode() {
  const between = document.querySelector("input[name=mode]:checked").value === "between";
  $("edit-text").hidden = between;
  $("edit-from").hidden = $("edit-to").hidden = !between;
}

function theme() {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = document.documentElement.dataset.theme ?? (dark ? "dark" : "light");
  document.documentElement.dataset.theme = now === "dark" ? "light" : "dark";
  store.set("localStorage", "theme", document.documentElement.dataset.theme);
}

/** Moves through the grid with the arrow keys. */
function step(key) {
  const cells = $("grid").children;
  const columns = getComputedStyle($("grid")).gridTemplateColumns.split(" ").length;
  const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[key];
  const next = picked < 0 ? 0 : Math.min(Math.max(picked + by, 0), cells.length - 1);
  cells[next].focus();
}

function keys(event) {
  if (event.key === "Escape") {
    // The help closes itself.
    if (!$("help").open) stop();
    return;
  }
  const typing = event.target.matches("input[type=text], select, textarea");
  if (typing || event.ctrlKey || event.metaKey || event.altKey || $("help").open) return;
  const inGrid = event.target.parentElement === $("grid") || event.target === document.body;
  if (event.key.startsWith("Arrow") && inGrid) {
    event.preventDefault();
    return step(event.key);
  }
  const action = {
    "/": () => { $("text").focus(); $("text").select(); },
    "?": () => $("help").showModal(),
    v: () => $("do-vary").click(),
    t: strip,
    e: editPicked,
    s: savePicked,
    r: dice,
    c: () => copy(latest),
  }[event.key];
  if (action) {
    event.preventDefault();
    action();
  }
}

async function begin() {
  const kept = store.get("localStorage", "theme");
  if (kept) document.documentElement.dataset.theme = kept;
  for (const [form, button, start] of [["draw", "go", draw], ["edit", "edit-go", () => change()]]) {
    $(form).addEventListener("submit", (event) => {
      event.preventDefault();
      start();
    });
    // By the pointer, or by a key on the button itself; Enter in a field asks anew.
    $(button).addEventListener("click", (event) => {
      if (running?.button !== $(button)) return;
      if (event.detail > 0 || document.activeElement === $(button)) {
        event.preventDefault();
        stop();
      }
    });
  }
  document.addEventListener("input", outputs);
  document.addEventListener("keydown", keys);
  // A slider that was let go draws at once.
  for (const id of ["strength", "truncation", "vary-by"]) {
    $(id).addEventListener("change", () => { if (shown.asked) draw(); });
  }
  for (const id of ["edit-strength", "preserve", "project"]) {
    $(id).addEventListener("change", () => { if (edit.codes || running?.button === $("edit-go")) change(); });
  }
  $("dice").addEventListener("click", dice);
  $("do-vary").addEventListener("click", () => vary(shown.seeds[picked]));
  $("vary-off").addEventListener("click", () => vary(null));
  $("do-strip").addEventListener("click", strip);
  $("do-edit").addEventListener("click", editPicked);
  $("do-edit-strip").addEventListener("click", () => change(true));
  $("save").addEventListener("click", savePicked);
  $("save-grid").addEventListener("click", saveGrid);
  $("save-codes").addEventListener("click", () => save("codes.safetensors", new Blob([bytes(shown.codes)])));
  $("edit-save").addEventListener("click", () => save("edited.png", new Blob([bytes(edit.edit.split(",")[1])], { type: "image/png" })));
  $("edit-codes").addEventListener("click", () => save("codes.safetensors", new Blob([bytes(edit.codes)])));
  for (const button of document.querySelectorAll(".command button")) {
    button.addEventListener("click", () => copy(button.previousElementSibling));
  }
  $("theme").addEventListener("click", theme);
  $("keys").addEventListener("click", () => $("help").showModal());
  for (const id of ["left", "right", "wiper"]) $(id).addEventListener("input", compare);
  for (const radio of document.querySelectorAll("input[name=mode]")) radio.addEventListener("change", mode);
  $("file").addEventListener("change", () => {
    const file = $("file").files[0];
    if (file) take(file.name, file);
    $("file").value = "";
  });
  $("drop").addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); $("file").click(); } });
  for (const name of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(name, (event) => {
      // Text may be dragged into the fields.
      if (!event.dataTransfer.types.includes("Files")) return;
      event.preventDefault();
      $("drop").classList.toggle("over", name === "dragover");
      if (name === "drop" && event.dataTransfer.files[0]) take(event.dataTransfer.files[0].name, event.dataTransfer.files[0]);
    });
  }
  document.addEventListener("paste", (event) => {
    const file = Array.from(event.clipboardData.files).find((f) => f.type.startsWith("image/"));
    if (file) take(file.name || "pasted.png", file);
  });

  try {
    model = await (await fetch("/api/model")).json();
  } catch {
    return complain($("status"), { message: "no answer", hint: "is `cigan serve` still there?" });
  }
  $("model").textContent = `${model.name} · ${model.resolution}×${model.resolution}`;
  document.title = `cigan – ${model.name}`;
  document.body.classList.toggle("pixels", model.resolution <= 64);
  document.body.classList.toggle("direct", model.direct);
  $("strength").value = model.strength;
  $("edit-strength").value = model.edit_strength;
  $("truncation").value = model.truncation;
  $("preserve").value = model.preserve;
  $("seeds").value = model.seeds;
  $("vary-by").value = model.vary_by;
  if (model.no_edits) {
    $("edit").hidden = true;
    $("no-edits").hidden = false;
    $("no-edits").textContent = model.no_edits;
  }
  $("words").append(...model.words.map((word) => {
    const button = document.createElement("button");
    button.type = "button";
    button.tabIndex = -1;
    button.textContent = word;
    button.addEventListener("click", () => {
      const said = $("text").value.trim();
      $("text").value = said ? said + (model.phrases ? ", " : " ") + word : word;
      $("text").focus();
    });
    return button;
  }));
  recall();
  mode();
  outputs();
  places(count($("seeds").value));
  compare();
  document.body.dataset.ready = "yes";
}

begin();
