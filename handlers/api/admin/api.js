// The API as the page sees it: one key for the tab, problems as sentences, one question when the key is refused.

const STORED = "bluemoxon-admin-key";
const ROOT = new URL("../api/v1/", import.meta.url);
const PATIENCE = 35_000; // API Gateway gives up after 30 s
const AGAIN = 2;
const PAUSE = 1_000;
const IN_USE = "urn:bluemoxon:problem:idempotency-key-in-use";

/** Something that the operator can be told; `message` is a sentence. `offline` where nothing answered, `again` where it may work in a moment. */
export class Trouble extends Error {
  constructor(message, { status = 0, offline = false, again = false } = {}) {
    super(message);
    this.status = status;
    this.offline = offline;
    this.again = again;
  }
}

export class Api {
  /** `ask(words)` asks the operator for a key and answers it. */
  constructor(ask) {
    this.ask = ask;
    this.asking = null;
  }

  get key() {
    return sessionStorage.getItem(STORED);
  }

  forget() {
    sessionStorage.removeItem(STORED);
  }

  get(path) {
    return this.call("GET", path);
  }

  /** Post; what got no answer is sent again under the same key, so that it is done once. */
  async post(path, body) {
    const once = path.startsWith("admin/") ? undefined : `"${crypto.randomUUID()}"`;
    for (let left = once ? AGAIN : 0; ; left -= 1) {
      try {
        return await this.call("POST", path, body, once);
      } catch (error) {
        if (left === 0 || !(error.offline || error.again)) throw error;
        await new Promise((resolve) => setTimeout(resolve, PAUSE));
      }
    }
  }

  /** Call the API; a refused key is asked for anew and the call goes on with it. */
  async call(method, path, body, once) {
    for (;;) {
      const key = this.key ?? (await this.askOnce("Enter the key that you were given for this API."));
      const answer = await send(method, path, key, body, once);
      if (answer.status !== 401) return read(answer);
      if (this.key === key) this.forget();
      // Another call may have brought a new key meanwhile.
      if (this.key === null) await this.askOnce("Your key is no longer valid: it was revoked or replaced. Enter another; nothing on the page is lost.");
    }
  }

  /** Whether the API takes this key; throws `Trouble` where it cannot be asked. */
  async accepts(key) {
    return (await send("GET", "admin/system-info", key)).status !== 401;
  }

  // However many calls were refused, the operator is asked once.
  askOnce(words) {
    this.asking ??= this.ask(words).then((key) => {
      sessionStorage.setItem(STORED, key);
      return key;
    }).finally(() => { this.asking = null; });
    return this.asking;
  }
}

async function send(method, path, key, body, once) {
  const headers = { "X-API-Key": key };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (once !== undefined) headers["Idempotency-Key"] = once;
  try {
    return await fetch(new URL(path, ROOT), {
      method, headers, body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store", credentials: "omit", redirect: "error", signal: AbortSignal.timeout(PATIENCE),
    });
  } catch (error) {
    const words = error.name === "TimeoutError"
      ? "The API did not answer within 35 seconds."
      : "The API cannot be reached: there is no network, or it is down.";
    throw new Trouble(words, { offline: true });
  }
}

async function read(answer) {
  let document;
  try {
    document = await answer.json();
  } catch {
    throw new Trouble(`The API answered HTTP ${answer.status} without a readable document.`, { status: answer.status });
  }
  if (answer.ok) return document;
  const words = document.detail ?? document.title ?? document.message ?? "The API refused without a reason.";
  const again = [502, 503, 504].includes(answer.status) || document.type === IN_USE;
  throw new Trouble(`${words} (HTTP ${answer.status})`, { status: answer.status, again });
}

/** Post a file to the storage's presigned form; `progress` hears of shares from 0 to 1. The key stays here. */
export function upload({ url, fields }, file, progress) {
  return new Promise((resolve, reject) => {
    const form = new FormData();
    for (const [name, value] of Object.entries(fields)) form.append(name, value);
    form.append("file", file); // S3 ignores what follows the file
    const request = new XMLHttpRequest();
    request.open("POST", url);
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) progress(event.loaded / event.total);
    });
    request.addEventListener("load", () => {
      if (request.status < 300) resolve();
      else reject(new Trouble(`The storage refused the file: ${reason(request)} (HTTP ${request.status})`));
    });
    const unreachable = "The storage cannot be reached, or does not take files from this page’s address.";
    request.addEventListener("error", () => reject(new Trouble(unreachable, { offline: true })));
    request.addEventListener("abort", () => reject(new Trouble("The upload was broken off.")));
    request.send(form);
  });
}

function reason(request) {
  return /<Message>([^<]*)<\/Message>/.exec(request.responseText)?.[1] ?? request.statusText;
}
