// Images: photographs in by drag and drop, their jobs as they go, photograph and result under one slider.

import { Trouble, upload } from "./api.js";
import { ago, announce, byId, chip, clockTime, el, repeat } from "./dom.js";

const ENDED = ["completed", "failed", "queue_failed", "permanently_failed"];
const LATEST = 12;
const TYPES = { jpg: "image/jpeg", jpeg: "image/jpeg", png: "image/png", webp: "image/webp" };
const AT_ONCE = 2; // uploads; the others wait their turn

export function showImages(api, notice, isOpen) {
  const rows = new Map(); // job's id -> its row
  const own = new Map(); // job's id -> the upload that it came from
  let atWork = false;

  const refresh = async () => {
    try {
      const { jobs } = await api.get(`image-jobs?limit=${LATEST}`);
      atWork = jobs.some((job) => !ENDED.includes(job.status));
      list(jobs);
      for (const job of jobs) own.get(job.id)?.changed(job);
      byId("jobs-time").textContent = `Looked at ${clockTime()}`;
      notice("images", null);
    } catch (error) {
      notice("images", error);
    }
  };
  // An upload of one's own is followed from whichever tab.
  const waiting = () => [...own.values()].some((item) => !item.ended);
  const run = repeat(refresh, () => (atWork || waiting() ? 1 : 6), () => isOpen() || waiting());

  // Rows are changed in place, so that whoever stands on one with the keyboard stays there.
  function list(jobs) {
    for (const [id, entry] of rows) {
      if (jobs.some((job) => job.id === id)) continue;
      entry.element.remove();
      rows.delete(id);
    }
    jobs.forEach((job, place) => {
      const entry = rows.get(job.id) ?? jobRow(job, (latest) => view(latest));
      rows.set(job.id, entry);
      entry.update(job);
      const there = byId("jobs").children[place];
      if (there !== entry.element) byId("jobs").insertBefore(entry.element, there ?? null);
    });
    byId("jobs").classList.toggle("none", jobs.length === 0);
  }

  async function view(job) {
    try {
      const book = await api.get(`books/${job.book_id}`);
      const photograph = book.images.find((image) => image.id === job.source_image_id);
      const result = book.images.find((image) => image.id === job.processed_image_id);
      byId("viewer").replaceChildren(comparison(photograph, result));
      byId("viewer-title").textContent = book.title;
      notice("viewer", null);
    } catch (error) {
      notice("viewer", error);
    }
  }

  const queue = turns(AT_ONCE);
  function take(files) {
    for (const file of files) {
      const item = uploadItem(file);
      byId("uploads").prepend(item.element);
      queue(() => send(api, file, byId("book-title").value.trim(), item)
        .then((job) => follow(job, item), (error) => item.failed(error)));
    }
  }

  function follow(job, item) {
    if (job === null) return item.changed({ status: "completed", failure_reason: null });
    own.set(job.id, item);
    item.completed = view;
    item.changed(job);
    run();
  }

  receive(take);
  return { opened: run };
}

/** A photograph's way in: a book, a reservation, the bytes to the storage, completion. Answers its job, if any. */
async function send(api, file, title, item) {
  const type = file.type || TYPES[file.name.split(".").pop().toLowerCase()];
  if (!Object.values(TYPES).includes(type)) throw new Trouble("This is no JPEG, PNG or WebP file.");
  if (file.size === 0) throw new Trouble("The file is empty.");
  item.stage("Reserving a place");
  const book = await api.post("books", { title: title || file.name });
  const place = await api.post(`books/${book.id}/images`, { filename: file.name, content_type: type, size: file.size });
  item.progress(0);
  await upload(place.upload, file, (share) => item.progress(share));
  item.stage("Checking the file");
  const { job } = await api.post(`books/${book.id}/images/${place.image_id}/complete`, {});
  return job && { ...job, book_id: book.id };
}

function uploadItem(file) {
  const words = el("span", { class: "muted", text: "Waiting its turn" });
  const state = el("span", {}, chip("uploading", "waiting"));
  const bar = el("progress", { max: 1, value: 0, "aria-label": `Upload of ${file.name}` });
  const item = {
    element: el("li", {}, el("div", { class: "line" }, el("span", { class: "name", text: file.name }), state), bar, words),
    ended: false,
    completed: null,
    stage(text) {
      words.textContent = text;
    },
    progress(share) {
      bar.value = share;
      state.replaceChildren(chip("uploading"));
      words.textContent = `${Math.round(share * 100)} % uploaded`;
    },
    changed(job) {
      bar.value = 1;
      if (item.status === job.status && item.reason === job.failure_reason) return;
      [item.status, item.reason] = [job.status, job.failure_reason];
      bar.hidden = true;
      state.replaceChildren(chip(job.status));
      words.textContent = explained(job);
      item.ended = ENDED.includes(job.status);
      if (!item.ended) return;
      announce(`${file.name}: ${words.textContent}`);
      if (job.status === "completed") item.completed?.(job);
    },
    failed(error) {
      if (!(error instanceof Trouble)) throw error;
      item.ended = true;
      bar.hidden = true;
      state.replaceChildren(chip("failed", "not taken"));
      words.textContent = error.message;
      words.className = "wrong";
      announce(`${file.name}: ${error.message}`);
    },
  };
  return item;
}

const EXPLAINED = {
  pending: "In the queue",
  processing: "The worker is cutting the book out",
  completed: "The cut-out is done",
  queue_failed: "Its message could not be sent; the sweeper sends it again",
  failed: "Failed",
  permanently_failed: "Given up; its message lies under Failed",
};

function explained(job) {
  return job.failure_reason ? `${EXPLAINED[job.status] ?? job.status}: ${job.failure_reason}` : EXPLAINED[job.status] ?? job.status;
}

function jobRow(first, onView) {
  let job = first;
  const state = el("span", { class: "state" });
  const title = el("span", { class: "name", text: `Book ${first.book_id}` });
  const words = el("span", { class: "words" });
  const times = el("span", { class: "muted times" });
  const look = el("button", { type: "button", class: "quiet", text: "Compare", "aria-label": `Compare photograph and result of book ${first.book_id}`, on: { click: () => onView(job) } });
  return {
    element: el("li", { "data-job": first.id }, state, title, words, times, look),
    update(latest) {
      job = latest;
      if (state.dataset.status !== job.status) state.replaceChildren(chip(job.status));
      state.dataset.status = job.status;
      const text = explained(job);
      if (words.textContent !== text) words.textContent = text;
      times.textContent = [job.created_at && ago(job.created_at), job.attempt_count > 1 && `attempt ${job.attempt_count}`].filter(Boolean).join(" · ");
      look.disabled = job.status !== "completed";
    },
  };
}

function comparison(photograph, result) {
  if (!result?.url) return el("p", { class: "empty", text: "The result is no longer in the book." });
  const after = el("img", { src: result.url, alt: "The cut-out on its new ground", class: "after", draggable: "false" });
  if (!photograph?.url) return el("figure", { class: "compare" }, el("div", { class: "stage" }, after));
  const before = el("img", { src: photograph.url, alt: "The photograph as it was uploaded", class: "before", draggable: "false" });
  const slider = el("input", { type: "range", min: 0, max: 100, step: 1, value: 50, "aria-label": "Share of the photograph that is shown" });
  const stage = el("div", { class: "stage" }, after, before, el("span", { class: "edge", "aria-hidden": "true" }), slider);
  const move = () => {
    stage.style.setProperty("--at", `${slider.value}%`);
    slider.setAttribute("aria-valuetext", `${slider.value} % photograph`);
  };
  // The result's sides are the frame for both; until they are known nothing jumps.
  after.addEventListener("load", () => stage.style.setProperty("aspect-ratio", `${after.naturalWidth} / ${after.naturalHeight}`));
  slider.addEventListener("input", move);
  move();
  const size = el("span", { class: "muted" });
  after.addEventListener("load", () => { size.textContent = `${after.naturalWidth} × ${after.naturalHeight} px`; });
  return el("figure", { class: "compare" }, stage,
    el("figcaption", {}, el("span", { text: "Photograph" }), size, el("span", { text: "Result" })));
}

/** Files by the button, or dropped anywhere on the field. */
function receive(take) {
  const field = byId("drop");
  byId("files").addEventListener("change", (event) => {
    take([...event.target.files]);
    event.target.value = ""; // the same file may be chosen again
  });
  // A file dropped beside the field would otherwise replace the page.
  for (const name of ["dragover", "drop"]) window.addEventListener(name, (event) => event.preventDefault());
  field.addEventListener("dragover", () => field.classList.add("over"));
  field.addEventListener("dragleave", () => field.classList.remove("over"));
  field.addEventListener("drop", (event) => {
    field.classList.remove("over");
    take([...event.dataTransfer.files]);
  });
}

/** Run work, at most `most` at a time. */
function turns(most) {
  const waiting = [];
  let running = 0;
  const next = () => {
    if (running >= most || waiting.length === 0) return;
    running += 1;
    waiting.shift()().finally(() => {
      running -= 1;
      next();
    });
  };
  return (work) => {
    waiting.push(work);
    next();
  };
}
