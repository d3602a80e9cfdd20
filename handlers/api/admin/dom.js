// Elements and words. Whatever comes from outside goes in as text: there is no way here from a string to markup.

/** Make an element: `properties` are `class`, `text`, `on` (event to listener) and attributes; children follow. */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") element.textContent = visible(value);
    else if (name === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** Tell screen readers what changed on its own. */
export function announce(words) {
  byId("announcement").textContent = visible(words);
}

const TONES = {
  healthy: "good", completed: "good", redriven: "good", would_redrive: "good", ok: "good",
  degraded: "warn", pending: "calm", processing: "calm", uploading: "calm", would_discard: "warn", refused: "warn",
  unhealthy: "bad", failed: "bad", queue_failed: "bad", permanently_failed: "bad", not_found: "bad",
};
const NAMES = {
  pending: "queued", processing: "at work", queue_failed: "not sent", permanently_failed: "given up",
  would_redrive: "would redrive", would_discard: "would discard", not_found: "not found",
};

/** A state in one word; its colour only repeats what the word says. */
export function chip(status, words) {
  return el("span", { class: `chip ${TONES[status] ?? "none"}`, text: words ?? NAMES[status] ?? status ?? "unknown" });
}

/** Control characters as their pictures, and those that turn the direction of text as their numbers. */
export function visible(text) {
  return String(text)
    // eslint-disable-next-line no-control-regex
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/g, (one) => String.fromCharCode(0x2400 + one.charCodeAt(0)))
    .replace(/[\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g,
      (one) => `⟨U+${one.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`);
}

/** `image_processing` as people write it. */
export function humanise(key) {
  const words = String(key).replaceAll("_", " ").trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

const UNITS = [["d", 86_400], ["h", 3_600], ["min", 60], ["s", 1]];

/** Seconds in at most two units: `3 h 10 min`. */
export function duration(seconds) {
  let rest = Math.max(0, Math.round(seconds));
  const parts = [];
  for (const [unit, size] of UNITS) {
    if (parts.length === 2 || (parts.length === 1 && rest < size)) break;
    if (rest >= size) {
      parts.push(`${Math.floor(rest / size)} ${unit}`);
      rest %= size;
    }
  }
  return parts.join(" ") || "0 s";
}

/** How long ago an ISO time was. */
export function ago(iso) {
  const seconds = (Date.now() - Date.parse(iso)) / 1000;
  if (Number.isNaN(seconds)) return String(iso);
  return seconds < 5 ? "just now" : `${duration(seconds)} ago`;
}

export const number = (value) => Number(value).toLocaleString("en-GB");

export const clockTime = () => new Date().toLocaleTimeString("en-GB");

/** `1 message`, `2 messages`. */
export const counted = (count, noun) => `${number(count)} ${noun}${count === 1 ? "" : "s"}`;

/** Call `work` now and then every `seconds()`, one at a time, not while the page is hidden or `active()` is false. */
export function repeat(work, seconds, active) {
  let timer = null;
  let running = false;
  const run = async () => {
    clearTimeout(timer);
    if (running) return;
    running = true;
    try {
      if (!document.hidden && active()) await work();
    } finally {
      running = false;
      timer = setTimeout(run, seconds() * 1000);
    }
  };
  document.addEventListener("visibilitychange", () => { if (!document.hidden) run(); });
  run();
  return run;
}
