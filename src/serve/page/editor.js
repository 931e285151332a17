// Editing a picture: original, inversion and edit, the slider between them, the strip.

import { ask, busy, stop } from "./request.js";
import { $, command, complain, png, put, row, say } from "./dom.js";
import { bytes, picture, save } from "./files.js";
import { between } from "./form.js";

/** Addresses of pictures; codes in base64; the strip's answer; the command line. */
const NONE = { original: null, inversion: null, edit: null, codes: null, strip: null, command: null };

let model = null;
let upload = null; // { name, blob, code } with the code of a picture of the grid
let shown = NONE; // what was finished last of this picture
let frame = null; // what is on its way instead

const place = { status: $("edit-status"), progress: $("edit-progress"), button: $("edit-go"), undo: () => look(null) };

export function open(about) {
  model = about;
  paint();
}

/** Whether there is an edit that a slider could change. */
export function begun() {
  return shown.edit !== null || busy(place.button);
}

/** Takes a picture to edit. */
export function take({ name, blob, code = null }) {
  if (!blob.type.startsWith("image/")) {
    return complain(place.status, { message: `${name} is no picture`, hint: "give a PNG, JPEG, WebP, GIF, BMP or TIFF file" });
  }
  // What is under way belongs to another picture.
  if (busy(place.button)) stop();
  upload = { name, blob, code };
  $("drop-text").textContent = name;
  keep({ ...NONE, original: URL.createObjectURL(blob) });
  look(null);
  say(place.status, "");
}

/** Edits the picture; with a `strip`, at several strengths as well. */
export function change(strip = false) {
  if (!model) return;
  if (!upload) {
    return complain(place.status, { message: "no picture to edit yet", hint: "drop one above, or pick one of the grid and press Edit" });
  }
  const said = between() ? { from: $("edit-from").value, to: $("edit-to").value } : { text: $("edit-text").value };
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
  let line = null, found = null;
  ask("/api/edit", form, place, (answer) => {
    if (answer.event === "accepted") line = answer.command;
    if (answer.event === "inverted") {
      // Until here all is as it was: what is refused, or stopped in the line, changes nothing.
      found = { ...NONE, original: png(answer.original), inversion: png(answer.inversion), command: line };
      look(found);
    }
    if (answer.event === "frame") look({ ...found, edit: png(answer.pictures[0]) });
    if (answer.event === "done") {
      keep({ ...found, edit: png(answer.pictures[0]), codes: answer.codes, strip: answer });
      look(null);
    }
  });
}

/** Makes `view` what was finished last. */
function keep(view) {
  if (shown.original?.startsWith("blob:")) URL.revokeObjectURL(shown.original);
  shown = view;
}

function look(at) {
  frame = at;
  paint();
}

function paint() {
  const view = frame ?? shown;
  for (const which of ["original", "inversion", "edit"]) put($("t-" + which), view[which]);
  for (const [image, which] of [["under", $("left").value], ["over", $("right").value]]) {
    put($(image), view[which] ?? view.inversion ?? view.original);
  }
  row($("edit-strip"), view.strip);
  command($("edit-command"), view.command);
  $("edit-go").disabled = $("do-edit-strip").disabled = Boolean(model.no_edits);
  $("edit-save").disabled = $("edit-codes").disabled = !view.codes;
  // A picture of the grid has its code already.
  $("project").disabled = Boolean(upload?.code);
}

/** Shows other pictures on either side of the slider. */
export function compare() {
  $("wipe").style.setProperty("--at", $("wiper").value + "%");
  if (model) paint();
}

export function saveEdit() {
  save("edited.png", picture(shown.edit.split(",")[1]));
}

export function saveCodes() {
  save("codes.safetensors", new Blob([bytes(shown.codes)]));
}
