// Flows: a row each, then what they all rest on.

import { addFlow } from "./failed.js";
import { ago, byId, chip, clockTime, counted, duration, el, humanise, number, repeat } from "./dom.js";

const EVERY = 10; // seconds

export function showFlows(api, notice, isOpen) {
  let known = false;
  const refresh = async () => {
    try {
      const system = await api.get("admin/system-info");
      show(system.health, system);
      known = true;
      notice("flows", null);
    } catch (error) {
      notice("flows", error);
    }
  };
  // Once in any case: the other tabs name the deployment and its flows too.
  const run = repeat(refresh, () => EVERY, () => isOpen() || !known);
  byId("flows-refresh").addEventListener("click", run);
  return { opened: run };
}

function show(health, system) {
  const checks = health.checks ?? {};
  const queues = checks.sqs?.queues ?? {};
  const functions = checks.lambdas?.lambdas ?? {};
  const keys = Object.keys(queues);
  byId("deployment").textContent = [health.environment, health.version && `version ${health.version}`].filter(Boolean).join(" · ");
  byId("flows-summary").replaceChildren(chip(health.status), ` ${sentence(keys.map((key) => queues[key]))}`);
  byId("flows-time").textContent = `Looked at ${clockTime()}, in ${number(Math.round(health.total_latency_ms ?? 0))} ms`;
  byId("flows-rows").replaceChildren(...keys.map((key) => row(key, queues[key], functions[key])));
  keys.forEach(addFlow);
  const letters = keys.reduce((sum, key) => sum + (queues[key].dead_letters ?? 0), 0);
  byId("failed-count").textContent = number(letters);
  byId("failed-count").hidden = letters === 0;
  byId("facts").replaceChildren(...facts(checks, health, system));
}

function sentence(queues) {
  const troubled = queues.filter((queue) => queue.status !== "healthy").length;
  if (queues.length === 0) return "No flows were found.";
  if (troubled === 0) return `All ${counted(queues.length, "flow")} do their work.`;
  return `${number(troubled)} of ${counted(queues.length, "flow")} ${troubled === 1 ? "needs" : "need"} attention.`;
}

function cell(label, properties, ...children) {
  const { class: name = "", ...rest } = properties;
  return el("td", { role: "cell", "data-label": label, class: name, ...rest }, ...children);
}

function row(key, queue, fn) {
  return el("tr", { role: "row", "data-flow": key },
    el("th", { scope: "row", role: "rowheader" },
      el("span", { class: "name", text: humanise(key) }),
      el("span", { class: "mono muted", text: queue.queue_name ?? "" })),
    cell("Status", {}, chip(queue.status)),
    cell("Queued", { class: "number" }, ...count(queue.messages, queue.delayed)),
    cell("In flight", { class: "number" }, ...count(queue.in_flight)),
    cell("Oldest", { class: "number" }, ...oldest(queue)),
    cell("Dead letters", { class: queue.dead_letters ? "number alarming" : "number" }, ...count(queue.dead_letters)),
    cell("Function", {}, ...functionState(fn, queue.diagnosis)),
    cell("Mapping", {}, el("span", { text: queue.mapping?.state ?? "none" })),
    cell("Diagnosis", { class: "wide" }, ...diagnosis(queue)));
}

const unknown = (reason) => [el("span", { class: "muted", "aria-hidden": "true", text: "–" }),
  el("span", { class: "unseen", text: reason || "not known" })];

function count(value, delayed = 0) {
  if (value === null || value === undefined) return unknown("");
  return [el("span", { text: number(value) }), delayed ? el("span", { class: "muted", text: ` + ${number(delayed)} delayed` }) : null];
}

function oldest(queue) {
  const age = queue.oldest_message_age;
  if (age !== null && age !== undefined) return [el("span", { text: duration(age) })];
  return unknown(queue.oldest_message_age_reason);
}

function functionState(fn, diagnosis) {
  if (!fn) return unknown("no function is known");
  // What the diagnosis says already is not said twice.
  const own = fn.error && !diagnosis?.includes(fn.error.replace(/\.$/, "")) ? fn.error : null;
  return [el("span", { text: fn.state ?? "none" }), own ? el("span", { class: "small", text: own }) : null];
}

function diagnosis(queue) {
  const success = queue.last_success ? `Last success ${ago(queue.last_success)}` : queue.last_success_reason;
  return [el("span", { text: queue.diagnosis ?? queue.error ?? "" }), success ? el("span", { class: "small muted", text: humanise(success) }) : null];
}

function facts(checks, health, system) {
  return [
    panel("Database", checks.database, {}),
    panel("Storage", checks.s3, pick(system?.infrastructure, ["images_bucket", "images_cdn_url"])),
    panel("Configuration", checks.config, {}),
    panel("Constants of the image worker", null, system?.image_processing),
    panel("Limits", null, system?.limits),
    panel("Deployment", null, {
      version: health.version, environment: health.environment, region: system?.infrastructure?.aws_region,
      cold_start: system?.is_cold_start, ...plain(system?.system),
    }),
  ].filter(Boolean);
}

const pick = (from, names) => Object.fromEntries(names.filter((name) => from?.[name]).map((name) => [name, from[name]]));

const plain = (values) => Object.fromEntries(Object.entries(values ?? {}).filter(([, value]) => typeof value !== "object"));

/** A check, the values that belong to it, or both. */
function panel(title, check, values) {
  const shown = { ...plain({ ...check, status: undefined, error: undefined }), ...values };
  const entries = Object.entries(shown).filter(([, value]) => value !== null && value !== undefined && value !== "");
  if (!check && entries.length === 0) return null;
  return el("section", { class: "panel" },
    el("h3", {}, el("span", { text: title }), check ? chip(check.status) : null),
    check?.error ? el("p", { class: "wrong", text: check.error }) : null,
    entries.length ? el("dl", {}, ...entries.flatMap(([name, value]) => [
      el("dt", { text: label(name) }), el("dd", { text: word(name, value) })])) : null);
}

const label = (name) => humanise(name.replace(/_(bytes|ms|mb)$/, "").replace(/_seconds$/, "_valid_for"));

function word(name, value) {
  if (Array.isArray(value)) return value.map((one) => (typeof one === "object" ? JSON.stringify(one) : humanise(one).toLowerCase())).join(", ");
  if (typeof value === "object") return Object.entries(value).map(([key, one]) => `${key} ${one}`).join(", ");
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value !== "number") return value;
  if (name.endsWith("_bytes")) return value >= 1_048_576 ? `${number(value / 1_048_576)} MiB` : `${number(value / 1024)} KiB`;
  if (name.endsWith("_ms")) return `${number(Math.round(value))} ms`;
  if (name.endsWith("_mb")) return `${number(value)} MB`;
  if (name.endsWith("_seconds")) return duration(value);
  return number(value);
}
