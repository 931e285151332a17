// Editing the selected picture: by a description of the result, or from one description to another.

import { ask, busy, send, stop } from "./request.js";
import { $, make, showError, showStatus } from "./dom.js";
import { between, editedLayers, formChanged } from "./form.js";
import * as picked from "./picked.js";

let model = null;
let finished = () => {};
let edited = null; // key of the picture that the last request edits

const panel = { status: $("edit-status"), progress: $("edit-progress"), button: $("edit-go"), undo: () => picked.revertEdit(edited) };

/** `onFinished` is called with every picture that has a new edit, and the edit. */
export function open(about, onFinished) {
  model = about;
  finished = onFinished;
  $("edit-fields").hidden = $("drop").hidden = Boolean(model.no_edits);
  document.body.classList.toggle("no-edits", Boolean(model.no_edits));
  if (model.no_edits) {
    $("no-edits").hidden = false;
    $("no-edits").textContent = model.no_edits;
  }
  const [one, other] = model.examples;
  $("edit-text").placeholder = other ?? "Describe the edited picture";
  $("edit-from").placeholder = `from: ${one ?? "the picture as it is"}`;
  $("edit-to").placeholder = `to: ${other ?? "the picture after the change"}`;
  const bands = model.bands.map(({ name, layers }) => [name, layers.join("-")]);
  if (bands.length) {
    $("bands").append(...[["all", ""], ...bands].map(([name, value]) => make("label", {},
      make("input", { type: "radio", name: "band", value, checked: value === "" }), ` ${name}`)));
    $("explored-bands").append(...[["all", ""], ...bands].map(([name, value]) => make("label", {},
      make("input", { type: "radio", name: "explored", value, checked: value === "" }), ` ${name}`)));
  }
  $("bands").hidden = $("explored-bands").hidden = $("mix-bands").hidden = !bands.length;
  // Only codes that mean the same for every prompt can be explored.
  const explores = model.no_directions === null || model.text_codes;
  $("tools").hidden = !explores;
  $("edit-result").hidden = Boolean(model.no_edits) && !explores;
}

/** Whether there is an edit or a running request that a slider changes. */
export function started() {
  return picked.edit() !== null || busy(panel.button);
}

/** Checks a file and selects it. Returns whether the server could read it. */
export async function take(file) {
  const name = file.name || "pasted.png";
  if (model.no_edits) return showError(panel.status, { message: model.no_edits });
  // A running request belongs to another picture.
  if (busy(panel.button)) stop();
  showStatus(panel.status, `reading ${name} …`);
  const form = new FormData();
  form.append("image", file, "image");
  try {
    const { picture, warning } = await ask("/api/look", form);
    showStatus(panel.status, warning?.replace("the file:", `${name}:`) ?? "");
    // Unlike a number, the time is not used again after a reload, when favourites have the older keys.
    picked.pick({ kind: "upload", key: `upload ${Date.now()}`, name, picture, file, preview: false });
    return true;
  } catch (error) {
    showError(panel.status, { ...error, message: error.message.replace("the file:", `${name}:`) });
    return false;
  }
}

/** Edits the selected picture; with `strip`, at several strengths as well. */
export function edit(strip = false) {
  if (!model) return;
  const picture = picked.current();
  if (!picture || picture.preview) {
    return showError(panel.status, { message: "there is no picture to edit yet", hint: "select one, or drop one of your own here" });
  }
  const upload = picture.kind === "upload";
  const prompts = between() ? { from: $("edit-from").value, to: $("edit-to").value } : { text: $("edit-text").value };
  const request = {
    name: picture.name,
    code: upload ? null : { row: picture.row, values: picture.code },
    ...prompts,
    strength: Number($("edit-strength").value),
    preserve: Number($("preserve").value),
    steps: Number($("edit-steps").value || model.steps),
    // The code of a drawn picture is exact.
    project: upload && !model.direct_edits ? Number($("project").value) : 0,
    layers: editedLayers(),
    strip,
  };
  edited = picture.key;
  const form = new FormData();
  form.append("ask", JSON.stringify(request));
  if (upload) form.append("image", picture.file, "image");
  let command = null, inverted = null;
  send("/api/edit", [form], panel, (answer) => {
    if (answer.event === "accepted") command = answer.command;
    // Before this event, a rejected or cancelled request changes nothing on the page.
    if (answer.event === "inverted") {
      inverted = { original: upload ? answer.original : picture.picture, inversion: answer.inversion, command, prompts };
      picked.reveal();
    }
    // Another picture may have been selected meanwhile.
    if (answer.event === "frame" && picked.current()?.key === picture.key) picked.showEdit({ ...inverted, picture: answer.pictures[0] });
    if (answer.event === "done") {
      const { strengths } = answer;
      const result = { ...inverted, picture: answer.pictures[0], codes: answer.codes, strip: strip ? { strip: answer.strip, strengths } : null };
      picked.setEdit(picture.key, result);
      finished(picture, result);
    }
  });
}

/** Goes to the text of the edit. */
export function focus() {
  if (model.no_edits) return;
  $("edit").scrollIntoView({ behavior: "smooth", block: "nearest" });
  (between() ? $("edit-from") : $("edit-text")).focus({ preventScroll: true });
  formChanged();
}
