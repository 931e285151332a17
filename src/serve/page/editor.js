// Editing: original, inversion and edit, the slider that compares them, and the strip.

import { busy, send, stop } from "./request.js";
import { $, png, setImage, showCommand, showError, showStatus, showStrip } from "./dom.js";
import { bytes, imageBlob, save } from "./files.js";
import { between } from "./form.js";

/** A result: image URLs, codes in Base64, the event with the strip, and the command line. */
const EMPTY = { original: null, inversion: null, edit: null, codes: null, strip: null, command: null };

let model = null;
let upload = null; // { name, blob, code }; the code is null unless the image comes from the grid
let shown = EMPTY; // the last finished result for this image
let frame = null; // preview of the running request

const panel = { status: $("edit-status"), progress: $("edit-progress"), button: $("edit-go"), undo: () => setPreview(null) };

export function open(about) {
  model = about;
  render();
}

/** Whether there is an edit or a running request that a slider changes. */
export function started() {
  return shown.edit !== null || busy(panel.button);
}

/** Sets the image to edit. */
export function setInput({ name, blob, code = null }) {
  if (!blob.type.startsWith("image/")) {
    return showError(panel.status, { message: `${name} is not an image`, hint: "use a PNG, JPEG, WebP, GIF, BMP or TIFF file" });
  }
  // A running request belongs to another image.
  if (busy(panel.button)) stop();
  upload = { name, blob, code };
  $("drop-text").textContent = name;
  setResult({ ...EMPTY, original: URL.createObjectURL(blob) });
  setPreview(null);
  showStatus(panel.status, "");
}

/** Edits the image; with `strip`, at several strengths as well. */
export function edit(strip = false) {
  if (!model) return;
  if (!upload) {
    return showError(panel.status, { message: "no image to edit yet", hint: "drop one above, or select one in the grid and press Edit" });
  }
  const prompts = between() ? { from: $("edit-from").value, to: $("edit-to").value } : { text: $("edit-text").value };
  const request = {
    name: upload.name,
    code: upload.code,
    ...prompts,
    strength: Number($("edit-strength").value),
    preserve: Number($("preserve").value),
    steps: model.steps,
    // The code of an image in the grid is exact.
    project: upload.code ? 0 : Number($("project").value),
    strip,
  };
  const form = new FormData();
  form.append("ask", JSON.stringify(request));
  if (!upload.code) form.append("image", upload.blob, "image");
  let line = null, inverted = null;
  send("/api/edit", form, panel, (answer) => {
    if (answer.event === "accepted") line = answer.command;
    if (answer.event === "inverted") {
      // Before this event, a rejected or cancelled request changes nothing on the page.
      inverted = { ...EMPTY, original: png(answer.original), inversion: png(answer.inversion), command: line };
      setPreview(inverted);
    }
    if (answer.event === "frame") setPreview({ ...inverted, edit: png(answer.pictures[0]) });
    if (answer.event === "done") {
      setResult({ ...inverted, edit: png(answer.pictures[0]), codes: answer.codes, strip: answer });
      setPreview(null);
    }
  });
}

/** Sets the last finished result. */
function setResult(result) {
  if (shown.original?.startsWith("blob:")) URL.revokeObjectURL(shown.original);
  shown = result;
}

function setPreview(result) {
  frame = result;
  render();
}

function render() {
  const view = frame ?? shown;
  for (const which of ["original", "inversion", "edit"]) setImage($("t-" + which), view[which]);
  for (const [image, which] of [["under", $("left").value], ["over", $("right").value]]) {
    setImage($(image), view[which] ?? view.inversion ?? view.original);
  }
  showStrip($("edit-strip"), view.strip);
  showCommand($("edit-command"), view.command);
  $("edit-go").disabled = $("do-edit-strip").disabled = Boolean(model.no_edits);
  $("edit-save").disabled = $("edit-codes").disabled = !view.codes;
  // An image of the grid already has its code.
  $("project").disabled = Boolean(upload?.code);
}

/** Updates the comparison after a change of its images or its divider. */
export function compare() {
  $("wipe").style.setProperty("--at", $("wiper").value + "%");
  if (model) render();
}

export function saveEdit() {
  save("edited.png", imageBlob(shown.edit.split(",")[1]));
}

export function saveCodes() {
  save("codes.safetensors", new Blob([bytes(shown.codes)]));
}
