// Exploring around the selected picture: directions in which pictures vary, differences of texts, and a
// second picture to mix with or to animate towards.

import { ask, send } from "./request.js";
import { $, make, png, setImage, showError, showStatus } from "./dom.js";
import { bytes, codeRow, save } from "./files.js";
import { formChanged } from "./form.js";
import * as picked from "./picked.js";

/** Number of sliders for directions, and how far they reach in standard deviations. */
const DIRECTIONS = 6, REACH = 3;
/** Number of frames of an animation from one picture to the other, and the smallest side of its pictures. */
const FRAMES = 24, SIDE = 256;

let model = null;
let layers = 1, width = 0; // of a code with one vector per layer: vectors, and numbers per vector
let directions = null; // vectors and shares, once they are known
let texts = null; // { from, to, vector }: the difference of two texts
let second = null; // the second picture: { key, picture, code, title }
let base = null; // key of the picture to which the sliders belong
let waiting = false, again = false; // whether a picture is being rendered, and whether another is due
let filmed = null; // what the animation that is shown was made of

const status = $("explore-status");
const panel = { status: $("film-status"), progress: $("explore-progress"), button: $("film-go"), undo() {} };

export function open(about) {
  model = about;
  [layers, width] = model.codes.at(-1);
  $("text-part").hidden = !model.text_codes;
  $("direction-part").hidden = model.no_directions !== null;
  $("mix-bands").append(...(model.bands.length ? model.bands : []).map(({ name, layers }) => make("label", {},
    make("input", { type: "checkbox", name: "mix", value: layers.join("-"), checked: true }), ` ${name}`)));
  $("explore").addEventListener("input", (event) => { if (event.target.matches("[type=range], [type=checkbox], [type=radio]")) show(); });
  for (const id of ["text-from", "text-to"]) $(id).addEventListener("change", show);
  $("film-format").addEventListener("input", dropOldFilm);
  if (model.examples.length > 1) {
    $("text-from").placeholder = `from: ${model.examples[0]}`;
    $("text-to").placeholder = `to: ${model.examples[1]}`;
  }
}

/** Called when the explorer is opened or another picture is selected. */
export async function update() {
  const now = picked.current();
  if ($("explore").hidden) return;
  if (now?.key !== base) {
    base = now?.key ?? null;
    for (const input of document.querySelectorAll("#explore [type=range]")) input.value = 0;
    formChanged();
    showStatus(status, "");
  }
  dropOldFilm();
  $("use-second").disabled = code(now) === null;
  $("film-go").disabled = second === null || code(now) === null || second.key === base;
  $("mix").disabled = second === null;
  if (directions === null && model.no_directions === null) {
    directions = { vectors: [], shares: [] };
    try {
      directions = await ask("/api/directions", JSON.stringify({ count: DIRECTIONS }));
    } catch (error) {
      directions = null; // the next update asks again
      return showError(status, error);
    }
    $("directions").replaceChildren(...directions.shares.map((share, i) => make("label", { title: `${(100 * share).toPrecision(2)} % of the variety of all pictures` },
      `Direction ${i + 1} `,
      make("input", { type: "range", id: `direction-${i}`, min: -REACH, max: REACH, step: 0.1, value: 0 }))));
  }
}

/** The code of a picture, or of its edit if it is an upload; null if there is none yet. */
function code(picture) {
  if (!picture || picture.preview) return null;
  if (picture.code) return picture.code;
  const edit = picked.edit();
  // What was explored begins where the edit ended.
  return edit?.start ?? (edit?.codes ? codeRow(edit.codes, 0) : null);
}

/** The vectors of a code, one per layer. */
function perLayer(values) {
  return Array.from({ length: layers }, (_, i) => (values.length === width ? values : values.slice(i * width, (i + 1) * width)));
}

/** Sets the second picture. */
export function setSecond() {
  const now = picked.current();
  const values = code(now);
  if (!values) return;
  second = { key: now.key, picture: now.picture, code: values, title: now.text ?? now.name };
  setImage($("second"), png(second.picture));
  $("second").alt = second.title;
  $("second-hint").textContent = "Now select another picture.";
  update();
}

/** What an animation would be made of now, as a text to compare; null if it lacks a picture. */
function filmOf() {
  const start = code(picked.current());
  return start && second ? JSON.stringify([start, second.code, $("film-format").value]) : null;
}

/** An animation of other pictures or in another format is neither shown nor saved. */
function dropOldFilm() {
  if (filmed === filmOf()) return;
  filmed = null;
  $("film").hidden = true;
  $("film-save").disabled = true;
}

/** The vector from one text to the other, or null. Throws { message, hint }, which names the field. */
async function textVector() {
  const [from, to] = [$("text-from").value.trim(), $("text-to").value.trim()];
  if (!from || !to || Number($("text-amount").value) === 0) return null;
  if (texts?.from !== from || texts?.to !== to) {
    const { vectors: [a, b] } = await ask("/api/texts", JSON.stringify({ texts: [from, to] })).catch((error) => {
      // The server counts the texts.
      const message = error.message.replace(/^text 1\b/, "first description").replace(/^text 2\b/, "second description");
      throw { ...error, message };
    });
    texts = { from, to, vector: b.map((v, i) => v - a[i]) };
  }
  return texts.vector;
}

/** The code that the sliders describe, with `along` between the texts. */
function moved(start, along) {
  const result = perLayer(start);
  const [first, last] = (document.querySelector("input[name=explored]:checked")?.value || `0-${layers - 1}`).split("-").map(Number);
  for (let layer = first; layer <= last; layer++) {
    const vector = result[layer].slice();
    directions?.vectors.forEach((direction, i) => {
      const amount = Number($(`direction-${i}`)?.value ?? 0);
      if (amount) direction.forEach((v, j) => { vector[j] += amount * v; });
    });
    const amount = Number($("text-amount").value);
    if (along) perLayer(along)[layer].forEach((v, j) => { vector[j] += amount * v; });
    result[layer] = vector;
  }
  const share = Number($("mix").value);
  if (second && share) {
    const other = perLayer(second.code);
    const chosen = Array.from(document.querySelectorAll("input[name=mix]"));
    const ranges = chosen.length ? chosen.filter((input) => input.checked).map((input) => input.value.split("-").map(Number)) : [[0, layers - 1]];
    for (const [from, to] of ranges) {
      for (let layer = from; layer <= to; layer++) result[layer] = result[layer].map((v, j) => (1 - share) * v + share * other[layer][j]);
    }
  }
  return result.flat();
}

/** Shows the picture that the sliders describe. One is rendered at a time; the latest wins. */
export async function show() {
  const now = picked.current();
  const start = code(now);
  if (!start) return showError(status, { message: "there is no latent code yet", hint: "select a picture, or edit your own first" });
  if (waiting) {
    again = true;
    return;
  }
  waiting = true;
  try {
    let along = null, problem = null;
    // Without usable texts, the other sliders still work.
    try { along = await textVector(); } catch (error) { problem = error; }
    const answer = await ask("/api/render", JSON.stringify({ codes: [moved(start, along)] }));
    if (problem) showError(status, problem);
    else showStatus(status, "");
    // Another picture may have been selected in the meantime.
    if (picked.current()?.key === now.key) {
      picked.setEdit(now.key, { original: now.picture, inversion: null, picture: answer.pictures[0], codes: answer.codes, strip: null, command: answer.command, start, explored: true });
    }
  } catch (error) {
    showError(status, error.message ? error : { message: String(error) });
    picked.revertEdit(now.key);
  } finally {
    waiting = false;
    if (again) {
      again = false;
      show();
    }
  }
}

/** Makes an animation from the selected picture to the second one and back. */
export function film() {
  const now = picked.current();
  const start = code(now);
  if (!start || !second) return;
  const format = $("film-format").value;
  const codes = [start, second.code].map((values) => perLayer(values).flat());
  const made = filmOf();
  const request = { codes, film: { each: FRAMES, format, enlarge: Math.ceil(SIDE / model.resolution) } };
  send("/api/render", [JSON.stringify(request)], panel, (answer) => {
    // Another picture or format may have been chosen in the meantime.
    if (answer.event !== "done" || made !== filmOf()) return;
    filmed = made;
    $("film").src = `data:image/${format};base64,${answer.film}`;
    $("film").hidden = false;
    $("film").alt = "animation between the two pictures";
    $("film-save").disabled = false;
    $("film-save").onclick = () => save(`film.${format}`, new Blob([bytes(answer.film)], { type: `image/${format}` }));
  });
}
