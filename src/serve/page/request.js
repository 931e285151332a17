// Talking to the server: one request of the page at a time, its answer line by line.

import { complain, say } from "./dom.js";

const page = Array.from(crypto.getRandomValues(new Uint8Array(12)), (b) => b.toString(16).padStart(2, "0")).join("");

let running = null; // { abort, place, label, warning }

/**
 * Sends a request and hands every line of its answer to `on`. A new request ends the old one.
 *
 * `place` is where it is said how far it is: { status, progress, button, undo }. `undo` shows what
 * was finished last; it is called when the answer ends without a result, unless the next request is
 * for the same place, which then has the say.
 */
export async function ask(path, body, place, on) {
  end(place);
  const job = { abort: new AbortController(), place, label: place.button.textContent };
  running = job;
  place.button.textContent = "Stop";
  place.progress.removeAttribute("value");
  say(place.status, "…");
  const headers = { "x-cigan-page": page };
  if (typeof body === "string") headers["content-type"] = "application/json";
  let last = null; // the event that the answer ended with
  try {
    const response = await fetch(path, { method: "POST", headers, body, signal: job.abort.signal });
    if (!response.ok || !response.headers.get("content-type").startsWith("application/x-ndjson")) {
      const text = await response.text();
      if (running === job) complain(place.status, refusal(text, response));
      return;
    }
    for await (const answer of lines(response.body)) {
      if (running !== job) return;
      last = answer.event;
      hear(job, answer);
      on(answer);
    }
    if (running === job && last !== "done" && last !== "error") {
      complain(place.status, { message: "the answer broke off", hint: "is `cigan serve` still there?" });
    }
  } catch {
    // Who ends a request has said so.
    if (running === job) complain(place.status, { message: "no answer", hint: "is `cigan serve` still there?" });
  } finally {
    if (running === job) {
      running = null;
      rest(job);
      if (last !== "done") place.undo();
    }
  }
}

/** Ends what is under way. */
export function stop() {
  end(null);
}

/** Whether something is under way, begun by `button` or by any. */
export function busy(button = null) {
  return running !== null && (button === null || running.place.button === button);
}

function end(next) {
  if (!running) return;
  const job = running;
  running = null;
  job.abort.abort();
  rest(job);
  say(job.place.status, "stopped");
  if (job.place !== next) job.place.undo();
}

function rest({ place, label }) {
  place.button.textContent = label;
  place.progress.value = 0;
}

function refusal(text, response) {
  try {
    return JSON.parse(text);
  } catch {
    return { message: text || response.statusText };
  }
}

/** The lines of JSON of an answer. A line may be megabytes in many chunks: they are put together once. */
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

function hear(job, answer) {
  const { status, progress } = job.place;
  // Who listens to the page is told how it begins and ends, not every step.
  status.setAttribute("aria-live", ["frame", "refining"].includes(answer.event) ? "off" : "polite");
  const share = () => answer.step / Math.max(1, answer.steps);
  switch (answer.event) {
    case "accepted":
      job.warning = answer.warning;
      say(status, answer.ahead ? `${answer.ahead} in line before this` : "begins");
      break;
    case "refining":
      progress.value = share();
      say(status, `refining the inversion: step ${answer.step} of ${answer.steps}`);
      break;
    case "frame":
      progress.value = share();
      say(status, `step ${answer.step} of at most ${answer.steps}`);
      break;
    case "done": {
      const steps = answer.steps ? `${answer.steps} steps, ` : "";
      say(status, [`${steps}${answer.seconds.toFixed(1)} s`, job.warning, answer.note].filter(Boolean).join(" – "));
      break;
    }
    case "error":
      complain(status, answer);
      break;
  }
}
