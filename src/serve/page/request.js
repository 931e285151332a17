// Communication with the server: one job at a time, answered by streams of events.

import { showError, showStatus } from "./dom.js";

const page = Array.from(crypto.getRandomValues(new Uint8Array(12)), (b) => b.toString(16).padStart(2, "0")).join("");
const GONE = { message: "the server does not answer", hint: "check that `cigan serve` is still running" };

let shownHash = null; // hash of the model that the page shows

/** Sets the model for which requests are meant; the server refuses them once it has opened another. */
export function setModel(hash) {
  shownHash = hash;
}

let running = null; // { abort, panel, label, part, parts, warnings, seconds }

/**
 * Sends the requests of a job one after the other, and passes every event of the answers to
 * `on(answer, part)`. A new job cancels the old one.
 *
 * `panel` is { status, progress, button, undo }: the elements that show the progress, and a function
 * that shows the last finished result again. `undo` is called if the job ends without a result, except
 * when a new job for the same panel replaces it.
 */
export async function send(path, bodies, panel, on) {
  end(panel);
  const job = { abort: new AbortController(), panel, label: panel.button.textContent, part: 0, parts: bodies.length, warnings: new Set(), seconds: 0 };
  running = job;
  panel.button.textContent = "Stop";
  panel.progress.removeAttribute("value");
  showStatus(panel.status, "…");
  let last = null; // the last event of the answer
  try {
    for (const [part, body] of bodies.entries()) {
      job.part = part;
      last = null;
      const response = await post(path, body, page, shownHash, job.abort.signal);
      if (!response.ok || !response.headers.get("content-type").startsWith("application/x-ndjson")) {
        const text = await response.text();
        if (running === job) showError(panel.status, ofPart(job, refusal(text, response)));
        return;
      }
      for await (const answer of lines(response.body)) {
        if (running !== job) return;
        last = answer.event;
        showProgress(job, answer);
        on(answer, part);
      }
      if (running !== job) return;
      if (last === "error") return;
      if (last !== "done") {
        showError(panel.status, { ...GONE, message: "the connection was lost" });
        return;
      }
    }
  } catch (error) {
    // `end` has already reported a cancelled job.
    if (running === job) showError(panel.status, GONE);
    if (!(error instanceof TypeError || error.name === "AbortError")) throw error;
  } finally {
    if (running === job) {
      running = null;
      reset(job);
      if (last !== "done") panel.undo();
    }
  }
}

/**
 * Sends a request beside the running job. It replaces an older one to the same path that has not ended.
 * The request is meant for `model`, or, if `model` is null, for whichever model is open. Returns the last
 * event with the command. Throws { message, hint }.
 */
export async function ask(path, body, model = shownHash) {
  let response;
  try {
    response = await post(path, body, page + path.slice("/api/".length), model);
  } catch {
    throw GONE;
  }
  if (!response.ok) throw refusal(await response.text(), response);
  if (!response.headers.get("content-type").startsWith("application/x-ndjson")) return response.json();
  let last = GONE, command = null;
  for await (const answer of lines(response.body)) {
    if (answer.event === "accepted") command = answer.command;
    last = answer;
  }
  // An answer that ends before its last event was cut off.
  if (last.event !== "done") throw last.event === "error" ? last : GONE;
  return { ...last, command };
}

function post(path, body, from, model, signal) {
  const headers = { "x-cigan-page": from };
  if (model !== null) headers["x-cigan-model"] = model;
  if (typeof body === "string") headers["content-type"] = "application/json";
  return fetch(path, { method: "POST", headers, body, signal });
}

/** Cancels the running job. */
export function stop() {
  end(null);
}

/** Whether a job is running, or one that `button` started. */
export function busy(button = null) {
  return running !== null && (button === null || running.panel.button === button);
}

function end(next) {
  if (!running) return;
  const job = running;
  running = null;
  job.abort.abort();
  reset(job);
  showStatus(job.panel.status, "stopped");
  if (job.panel !== next) job.panel.undo();
}

function reset({ panel, label }) {
  panel.button.textContent = label;
  panel.progress.value = 0;
}

function refusal(text, response) {
  try {
    return JSON.parse(text);
  } catch {
    return { message: text || response.statusText };
  }
}

/** An error that says which of several prompts it is about. */
function ofPart({ part, parts }, error) {
  if (parts < 2) return error;
  return { ...error, message: `prompt ${part + 1} of ${parts}: ${error.message.replace(/^prompt: /, "")}` };
}

/** The JSON lines of a body. A line may be megabytes in many chunks, so they are joined only once. */
async function* lines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let parts = [];
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    let from = 0;
    for (let to; (to = value.indexOf("\n", from)) >= 0; from = to + 1) {
      parts.push(value.slice(from, to));
      const line = parts.join("");
      parts = [];
      if (line) yield JSON.parse(line);
    }
    parts.push(value.slice(from));
  }
}

function showProgress(job, answer) {
  const { status, progress } = job.panel;
  // Screen readers announce the beginning and the end, but not every step.
  status.setAttribute("aria-live", ["frame", "refining"].includes(answer.event) ? "off" : "polite");
  const prompt = job.parts > 1 ? `prompt ${job.part + 1} of ${job.parts}: ` : "";
  const showShare = () => { progress.value = (job.part + answer.step / Math.max(1, answer.steps)) / job.parts; };
  switch (answer.event) {
    case "accepted":
      if (answer.warning) job.warnings.add(answer.warning);
      showStatus(status, prompt + (answer.ahead ? `waiting, ${answer.ahead} ahead` : "starting"));
      break;
    case "refining":
      showShare();
      showStatus(status, `matching the photo: step ${answer.step} of ${answer.steps}`);
      break;
    case "frame":
      showShare();
      showStatus(status, `${prompt}step ${answer.step} of at most ${answer.steps}`);
      break;
    case "done": {
      job.seconds += answer.seconds;
      if (answer.note) job.warnings.add(answer.note);
      if (job.part + 1 < job.parts) break;
      const steps = answer.steps && job.parts === 1 ? `${answer.steps} steps, ` : "";
      showStatus(status, [`${steps}${job.seconds.toFixed(1)} s`, ...job.warnings].join(" – "));
      break;
    }
    case "error":
      showError(status, ofPart(job, answer));
      break;
  }
}
