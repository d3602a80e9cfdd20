// Failed: what lies in the dead-letter queues, and its way back or out.

import { announce, byId, chip, clockTime, counted, duration, el, humanise, number } from "./dom.js";

const SHORT = 600; // characters of a body that are shown without asking
const MOST = 100; // ids that one call takes
const GONE = ["redriven", "discarded", "not_found"];
const FORCED = 3; // redrives after which the API wants to be told twice

export function showFailed(api, notice, isOpen) {
  const letters = new Map(); // id -> {letter, element, box, outcome}
  let busy = false;

  async function refresh() {
    if (busy || !isOpen()) return;
    const flow = byId("failed-flow").value;
    setBusy(true);
    try {
      show(await api.get(`admin/dead-letters${flow ? `?flow=${encodeURIComponent(flow)}` : ""}`));
      notice("failed", null);
    } catch (error) {
      notice("failed", error);
    } finally {
      setBusy(false);
    }
  }

  function show({ dead_letters: found, problems, complete }) {
    const chosen = new Set(selected().map(({ letter }) => letter.id));
    letters.clear();
    for (const letter of found) letters.set(letter.id, item(letter, chosen.has(letter.id), update));
    const empty = el("li", { class: "empty", text: problems.length ? "Nothing else was found." : "No dead letters. Whatever fails for good comes here." });
    byId("letters").replaceChildren(
      ...problems.map((problem) => el("li", { class: "notice" }, el("strong", { text: `${humanise(problem.flow)}: ` }), el("span", { text: problem.error }))),
      ...(letters.size ? [...letters.values()].map(({ element }) => element) : [empty]));
    byId("failed-summary").textContent = letters.size ? counted(letters.size, "dead letter") : "Dead letters";
    byId("failed-time").textContent = `Looked at ${clockTime()}${complete ? "" : "; there are more than are shown"}`;
    for (const flow of new Set(found.map((letter) => letter.flow))) addFlow(flow);
    update();
  }

  const selected = () => [...letters.values()].filter(({ box }) => box.checked && !box.disabled);

  function update() {
    const chosen = selected();
    const open = [...letters.values()].filter(({ box }) => !box.disabled);
    byId("selected").textContent = chosen.length ? `${number(chosen.length)} selected` : "None selected";
    for (const id of ["dry-run", "redrive", "discard"]) byId(id).disabled = busy || chosen.length === 0;
    byId("failed-refresh").disabled = busy;
    byId("select-all").disabled = open.length === 0;
    byId("select-all").checked = open.length > 0 && chosen.length === open.length;
    byId("select-all").indeterminate = chosen.length > 0 && chosen.length < open.length;
    const often = chosen.some(({ letter }) => letter.redrives >= FORCED);
    byId("force-label").hidden = !often;
    if (!often) byId("force").checked = false;
  }

  function setBusy(value) {
    busy = value;
    byId("failed").setAttribute("aria-busy", String(value));
    update();
  }

  /** Do one thing to what is selected, flow by flow; every message gets its own outcome. */
  async function act(action, bodyOf) {
    const chosen = selected();
    const focused = document.activeElement;
    const counts = {};
    setBusy(true);
    try {
      for (const [flow, ids] of batches(chosen)) {
        const { results } = await api.post(`admin/dead-letters/${action}`, { flow, ids, ...bodyOf(ids) });
        for (const result of results) {
          letters.get(result.id)?.settle(result);
          counts[result.outcome] = (counts[result.outcome] ?? 0) + 1;
        }
      }
      notice("failed", null);
    } catch (error) {
      notice("failed", error);
    } finally {
      setBusy(false);
      if (!focused.disabled) focused.focus();
    }
    const words = Object.entries(counts).map(([outcome, count]) => `${number(count)} ${outcome.replaceAll("_", " ")}`).join(", ");
    byId("failed-result").textContent = words && `${words[0].toUpperCase()}${words.slice(1)}.`;
    byId("failed-result").hidden = !words;
    announce(words);
  }

  byId("failed-refresh").addEventListener("click", refresh);
  byId("failed-flow").addEventListener("change", refresh);
  byId("select-all").addEventListener("change", (event) => {
    for (const { box } of letters.values()) if (!box.disabled) box.checked = event.target.checked;
    update();
  });
  const force = () => ({ force: byId("force").checked });
  byId("dry-run").addEventListener("click", () => act("redrive", () => ({ dry_run: true, ...force() })));
  byId("redrive").addEventListener("click", () => act("redrive", () => ({ dry_run: false, ...force() })));
  byId("discard").addEventListener("click", () => confirmDiscard(selected().length,
    () => act("discard", (ids) => ({ dry_run: false, confirm: `discard ${ids.length}` }))));
  refresh();
  // Looking hides the messages from other readers for seconds, so it is done on opening and on request, never by itself.
  return { opened: refresh };
}

function batches(chosen) {
  const flows = new Map();
  for (const { letter } of chosen) flows.set(letter.flow, [...(flows.get(letter.flow) ?? []), letter.id]);
  return [...flows].flatMap(([flow, ids]) =>
    Array.from({ length: Math.ceil(ids.length / MOST) }, (_, at) => [flow, ids.slice(at * MOST, (at + 1) * MOST)]));
}

/** Let the operator choose a flow. */
export function addFlow(flow) {
  const options = byId("failed-flow").options;
  if (![...options].some((option) => option.value === flow)) byId("failed-flow").append(el("option", { value: flow, text: humanise(flow) }));
}

function item(letter, checked, onChange) {
  const box = el("input", { type: "checkbox", "aria-label": `Select message ${letter.id} of ${humanise(letter.flow)}`, on: { change: onChange } });
  box.checked = checked;
  const outcome = el("p", { class: "outcome", hidden: true });
  const element = el("li", { class: "letter", "data-id": letter.id },
    box,
    el("div", { class: "content" },
      el("div", { class: "line" },
        el("span", { class: "name", text: humanise(letter.flow) }),
        el("span", { class: "muted", text: `${duration(letter.age_seconds)} old` }),
        letter.job_status ? chip(letter.job_status) : null),
      el("p", { class: letter.reason ? "reason" : "reason muted", text: letter.reason ?? letter.reason_unknown ?? "No reason is known." }),
      body(letter),
      el("p", { class: "small muted" }, ...particulars(letter)),
      outcome));
  return {
    letter, element, box,
    settle(result) {
      outcome.replaceChildren(chip(result.outcome), ` ${result.detail ?? ""}`);
      outcome.hidden = false;
      if (!GONE.includes(result.outcome)) return;
      box.checked = false;
      box.disabled = true;
      element.classList.add("gone");
    },
  };
}

function particulars(letter) {
  const parts = [letter.job_id && `job ${letter.job_id}`, `received ${counted(letter.receives, "time")}`,
    letter.redrives ? `redriven ${counted(letter.redrives, "time")}` : null, `message ${letter.id}`];
  return parts.filter(Boolean).map((text) => el("span", { class: "mono", text }));
}

function body(letter) {
  const text = el("pre", { text: letter.body === "" ? "(empty)" : letter.body });
  const cut = letter.body_bytes && letter.body_bytes > new Blob([letter.body]).size;
  if (letter.body.length <= SHORT && !cut) return text;
  const size = cut ? `${number(letter.body_bytes)} bytes, the first ${number(letter.body.length)} characters` : counted(letter.body.length, "character");
  return el("details", {}, el("summary", { text: `Body, ${size}` }), text);
}

function confirmDiscard(count, discard) {
  const dialog = byId("discard-dialog");
  const phrase = `discard ${count}`;
  byId("discard-title").textContent = `Discard ${counted(count, "message")}?`;
  byId("discard-words").textContent = "They are deleted from their dead-letter queues for good. Their jobs stay as they are, and nothing will try them again.";
  byId("discard-prompt").textContent = `Type “${phrase}” to confirm`;
  const input = byId("discard-phrase");
  input.value = "";
  byId("discard-confirm").disabled = true;
  input.oninput = () => { byId("discard-confirm").disabled = input.value.trim() !== phrase; };
  byId("discard-cancel").onclick = () => dialog.close();
  byId("discard-form").onsubmit = (event) => {
    event.preventDefault();
    if (input.value.trim() !== phrase) return;
    dialog.close();
    discard();
  };
  dialog.showModal();
  input.focus();
}
