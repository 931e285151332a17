// Helpers of all modules: elements, images, messages, command lines.

export const $ = (id) => document.getElementById(id);

export const png = (base64) => "data:image/png;base64," + base64;

/** One transparent pixel: without a source, browsers show a broken image. */
const TRANSPARENT = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7";

/** Shows an image, or nothing if `source` is null. */
export function setImage(image, source) {
  const wanted = source ?? TRANSPARENT;
  if (image.src !== wanted) image.src = wanted;
}

export function showStatus(status, text) {
  status.classList.remove("bad");
  status.textContent = text;
}

export function showError(status, { message, hint }) {
  status.classList.add("bad");
  status.textContent = hint ? `${message} – ${hint}` : message;
}

/** Shows the strip of a result; null clears it. */
export function showStrip(element, result) {
  element.replaceChildren(...(result?.strip ?? []).map((pictures, i) => {
    const figure = document.createElement("figure");
    const image = document.createElement("img");
    image.src = png(pictures[0]);
    image.alt = `strength ${result.strengths[i]}`;
    const caption = document.createElement("figcaption");
    caption.textContent = result.strengths[i];
    figure.append(image, caption);
    return figure;
  }));
}

// ---- command lines -----------------------------------------------------------------------------

let latest = $("command");

/** Shows the command line of a result in the element `code`; null clears it. */
export function showCommand(code, text) {
  const line = code.parentElement;
  if (text === (line.dataset.command ?? null)) return;
  if (text === null) delete line.dataset.command;
  else {
    line.dataset.command = text;
    latest = code;
  }
  code.textContent = text ?? code.dataset.placeholder;
  line.querySelector("button").disabled = text === null;
}

/** Copies the command line of the element `code`, or the latest one. */
export async function copy(code) {
  const line = code ?? (latest.parentElement.dataset.command ? latest : $("command"));
  const text = line.parentElement.dataset.command;
  if (!text) return;
  const button = line.parentElement.querySelector("button");
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(line);
    button.textContent = "Ctrl-C";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
}
