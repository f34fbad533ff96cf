// What the page asks of the server.

let key = "";
try { key = localStorage.getItem("penstock.key") || ""; } catch { /* storage is off */ }

export const apiKey = () => key;
export function keyIsKept() {
  try { return localStorage.getItem("penstock.key") !== null; } catch { return false; }
}

// setKey uses an API key, and keeps it in this browser only if that is wanted.
export function setKey(value, keep) {
  key = value;
  try {
    if (keep && value) localStorage.setItem("penstock.key", value);
    else localStorage.removeItem("penstock.key");
  } catch { /* storage is off */ }
}

// ServerError is an answer that is an error.
export class ServerError extends Error {
  constructor(status, error) {
    super(error.message || `the server answered with status ${status}`);
    Object.assign(this, { status, code: error.code, type: error.type, context: error.n_ctx, prompt: error.n_prompt_tokens });
  }
  get tooLong() { return this.type === "exceed_context_size_error" || this.code === "context_length_exceeded"; }
}

export async function ask(path, body, signal) {
  const headers = {};
  if (key) headers.Authorization = "Bearer " + key;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const response = await fetch(path, { method: body === undefined ? "GET" : "POST", headers, body: body === undefined ? undefined : JSON.stringify(body), signal });
  if (!response.ok) {
    let error = {};
    try { error = (await response.json()).error || {}; } catch { /* not ours */ }
    throw new ServerError(response.status, error);
  }
  return response;
}

export const models = async () => (await (await ask("/v1/models")).json()).data || [];

// defaults are the model's own sampling settings.
export async function defaults(model) {
  const props = await (await ask("/props?model=" + encodeURIComponent(model))).json();
  return props.default_generation_settings?.params || {};
}

export const render = async (text, done) => (await ask("/ui/render", { text, done })).json();

// events yields the data of server-sent events.
export async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const parts = (rest + value).split("\n\n");
      rest = parts.pop();
      for (const part of parts) {
        if (part.startsWith("data: ")) yield part.slice(6);
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
