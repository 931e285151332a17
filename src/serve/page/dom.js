// What every part of the page needs: elements, pictures, messages, command lines.

export const $ = (id) => document.getElementById(id);

export const png = (base64) => "data:image/png;base64," + base64;

/** One transparent pixel: an image that lost its source would be painted as a broken one. */
const NOTHING = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7";

export function put(image, source) {
  const wanted = source ?? NOTHING;
  if (image.src !== wanted) image.src = wanted;
}

export function say(status, text) {
  status.classList.remove("bad");
  status.textContent = text;
}

export function complain(status, { message, hint }) {
  status.classList.add("bad");
  status.textContent = hint ? `${message} – ${hint}` : message;
}

/** A row of pictures at several strengths, or none. */
export function row(element, answer) {
  element.replaceChildren(...(answer?.strip ?? []).map((pictures, i) => {
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

// ---- command lines -----------------------------------------------------------------------------

let latest = $("command");

/** Shows the command line that makes what `code`'s part of the page shows; null is none. */
export function command(code, text) {
  const line = code.parentElement;
  if (text === (line.dataset.command ?? null)) return;
  if (text === null) delete line.dataset.command;
  else {
    line.dataset.command = text;
    latest = code;
  }
  code.textContent = text ?? code.dataset.none;
  line.querySelector("button").disabled = text === null;
}

/** Copies a command line; of none, the one that changed last. */
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
