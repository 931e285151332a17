// Communication with the server: one request at a time, answered by a stream of events.

import { showError, showStatus } from "./dom.js";

const page = Array.from(crypto.getRandomValues(new Uint8Array(12)), (b) => b.toString(16).padStart(2, "0")).join("");

let running = null; // { abort, panel, label, warning }

/**
 * Sends a request and passes every event of the answer to `on`. A new request cancels the old one.
 *
 * `panel` is { status, progress, button, undo }: the elements that show the progress, and a function
 * that shows the last finished result again. `undo` is called if the request ends without a result,
 * except when a new request for the same panel replaces it.
 */
export async function send(path, body, panel, on) {
  end(panel);
  const job = { abort: new AbortController(), panel, label: panel.button.textContent };
  running = job;
  panel.button.textContent = "Stop";
  panel.progress.removeAttribute("value");
  showStatus(panel.status, "…");
  const headers = { "x-cigan-page": page };
  if (typeof body === "string") headers["content-type"] = "application/json";
  let last = null; // the last event of the answer
  try {
    const response = await fetch(path, { method: "POST", headers, body, signal: job.abort.signal });
    if (!response.ok || !response.headers.get("content-type").startsWith("application/x-ndjson")) {
      const text = await response.text();
      if (running === job) showError(panel.status, refusal(text, response));
      return;
    }
    for await (const answer of lines(response.body)) {
      if (running !== job) return;
      last = answer.event;
      showProgress(job, answer);
      on(answer);
    }
    if (running === job && last !== "done" && last !== "error") {
      showError(panel.status, { message: "the connection was lost", hint: "check that `cigan serve` is still running" });
    }
  } catch {
    // `end` has already reported a cancelled request.
    if (running === job) showError(panel.status, { message: "the server does not answer", hint: "check that `cigan serve` is still running" });
  } finally {
    if (running === job) {
      running = null;
      reset(job);
      if (last !== "done") panel.undo();
    }
  }
}

/** Cancels the running request. */
export function stop() {
  end(null);
}

/** Whether a request is running, or one that `button` started. */
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
  const share = () => answer.step / Math.max(1, answer.steps);
  switch (answer.event) {
    case "accepted":
      job.warning = answer.warning;
      showStatus(status, answer.ahead ? `waiting, ${answer.ahead} ahead` : "starting");
      break;
    case "refining":
      progress.value = share();
      showStatus(status, `refining the inversion: step ${answer.step} of ${answer.steps}`);
      break;
    case "frame":
      progress.value = share();
      showStatus(status, `step ${answer.step} of at most ${answer.steps}`);
      break;
    case "done": {
      const steps = answer.steps ? `${answer.steps} steps, ` : "";
      showStatus(status, [`${steps}${answer.seconds.toFixed(1)} s`, job.warning, answer.note].filter(Boolean).join(" – "));
      break;
    }
    case "error":
      showError(status, answer);
      break;
  }
}
