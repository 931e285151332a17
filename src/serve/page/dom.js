// Helpers of all modules: elements, images, messages, commands.

export const $ = (id) => document.getElementById(id);

export const png = (base64) => "data:image/png;base64," + base64;

/** An element with properties and children. */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** Shows an image, or nothing if `source` is null. */
export function setImage(image, source) {
  image.hidden = source === null;
  if (source !== null && image.src !== source) image.src = source;
}

/** Whether the page has one column. */
export const narrow = matchMedia("(max-width: 899px)");

export function showStatus(status, text) {
  status.classList.remove("bad");
  status.textContent = text;
}

export function showError(status, { message, hint }) {
  status.classList.add("bad");
  // A message may begin with a file name.
  const sentence = /^[a-z]+[ :]/.test(message) ? message.charAt(0).toUpperCase() + message.slice(1) : message;
  status.textContent = hint ? `${sentence} – ${hint}` : sentence;
}

/** Shows the strip of a result; null clears it. */
export function showStrip(element, result) {
  element.replaceChildren(...(result?.strip ?? []).map((pictures, i) => make("figure", {},
    make("img", { src: png(pictures[0]), alt: `strength ${result.strengths[i]}` }),
    make("figcaption", { textContent: result.strengths[i] }))));
}

/** Marks one of a group of buttons as pressed. */
export function press(button, on) {
  button.setAttribute("aria-pressed", on);
}

// ---- commands ----------------------------------------------------------------------------------

let latest = $("command");

/** Shows the command of a result in the element `code`; null clears it. */
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

/** Copies the command of the element `code`, or the latest one. */
export async function copy(code) {
  const line = code ?? (latest.parentElement.dataset.command ? latest : $("command"));
  const text = line.parentElement.dataset.command;
  if (!text) return;
  const button = line.parentElement.querySelector("button");
  try {
    await navigator.clipboard.writeText(text);
    answer(button, "Copied");
  } catch {
    getSelection().selectAllChildren(line);
    answer(button, "Ctrl-C");
  }
}

/** Shows a text on a button for a moment. */
export function answer(button, text) {
  button.dataset.label ??= button.textContent;
  button.textContent = text;
  setTimeout(() => { button.textContent = button.dataset.label; }, 1500);
}
