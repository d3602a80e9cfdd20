// The page: its key, its tabs, what it has to say; each tab is a module of its own.

import { Api, Trouble } from "./api.js";
import { byId, el } from "./dom.js";
import { showFailed } from "./failed.js";
import { showFlows } from "./flows.js";
import { showImages } from "./images.js";

const TABS = ["flows", "images", "failed"];
const PRINTABLE = /^[\u0021-\u007e]+$/; // what a header can carry

const api = new Api(askForKey);
const told = new Map();

/** Say that something failed, once per source; `null` takes it back. */
function notice(source, error) {
  if (error && !(error instanceof Trouble)) throw error;
  const words = error?.message;
  if (told.get(source) === words) return;
  if (words) told.set(source, words);
  else told.delete(source);
  byId("notices").replaceChildren(...[...new Set(told.values())].map((text) => el("p", { class: "notice", text })));
}

function askForKey(words) {
  const dialog = byId("key-dialog");
  const input = byId("key");
  const said = byId("key-words");
  said.textContent = words;
  said.classList.remove("wrong");
  input.value = "";
  dialog.showModal();
  input.focus();
  return new Promise((resolve) => {
    byId("key-form").onsubmit = async (event) => {
      event.preventDefault();
      const key = input.value.trim();
      const refusal = await refusalOf(key);
      if (refusal === null) {
        input.value = "";
        dialog.close();
        resolve(key);
        return;
      }
      said.textContent = refusal;
      said.classList.add("wrong");
      input.select();
    };
  });
}

async function refusalOf(key) {
  if (!PRINTABLE.test(key)) return "That cannot be a key: keys hold no spaces and only plain characters.";
  byId("key-submit").disabled = true;
  try {
    return (await api.accepts(key)) ? null : "The API does not know this key. Check that it is whole, and for this environment.";
  } catch (error) {
    return error.message;
  } finally {
    byId("key-submit").disabled = false;
  }
}

function select(name, { focus = false } = {}) {
  for (const tab of TABS) {
    const chosen = tab === name;
    byId(tab).hidden = !chosen;
    byId(`tab-${tab}`).setAttribute("aria-selected", String(chosen));
    byId(`tab-${tab}`).tabIndex = chosen ? 0 : -1;
  }
  history.replaceState(null, "", `#${name}`);
  if (focus) byId(`tab-${name}`).focus();
  views[name]?.opened();
}

const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

function moveBetweenTabs(event) {
  const at = TABS.findIndex((tab) => byId(`tab-${tab}`) === document.activeElement);
  if (at < 0) return;
  const next = event.key === "Home" ? 0 : event.key === "End" ? TABS.length - 1
    : event.key in STEPS ? (at + STEPS[event.key] + TABS.length) % TABS.length : null;
  if (next === null) return;
  event.preventDefault();
  select(TABS[next], { focus: true });
}

// The key may not be dismissed: there is nothing to see without one.
byId("key-dialog").addEventListener("cancel", (event) => event.preventDefault());
byId("key-dialog").addEventListener("keydown", (event) => { if (event.key === "Escape") event.preventDefault(); });
byId("forget").addEventListener("click", () => {
  api.forget();
  location.reload(); // with everything that the key had shown
});
for (const tab of TABS) byId(`tab-${tab}`).addEventListener("click", () => select(tab));
document.querySelector(".tabs").addEventListener("keydown", moveBetweenTabs);

const isOpen = (name) => () => !byId(name).hidden;
const views = {};
const asked = location.hash.slice(1);
select(TABS.includes(asked) ? asked : TABS[0]);
views.flows = showFlows(api, notice, isOpen("flows"));
views.images = showImages(api, notice, isOpen("images"));
views.failed = showFailed(api, notice, isOpen("failed"));
