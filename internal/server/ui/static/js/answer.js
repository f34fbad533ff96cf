// Has the server write an answer into a node of a conversation.

import * as api from "./api.js";
import * as conversation from "./conversation.js";
import { parameters } from "./options.js";
import { changed, described, kept, state } from "./state.js";

const saveEvery = 1000; // ms

// request is what the server is asked for. A node that has content already is
// continued.
export function request(c, node, model = state.model) {
  const body = { model, messages: conversation.messages(c, node.parent), ...parameters(c.settings) };
  if (node.content && node.state !== "done") {
    // White space at its end is made anew, as models go on better after a word.
    body.messages.push({ role: "assistant", content: node.content.replace(/[ \t\r\n]+$/, "") });
    body.continue_final_message = true;
  }
  return body;
}

// answered is the request that a finished answer is an answer to.
export const answered = (c, node) => ({ ...request(c, { ...node, content: "" }, node.model), stream: true });

// write runs until the answer is whole, stopped or broken. It throws only if nothing
// was written at all: then the node is as it was before.
export async function write(c, node) {
  const controller = new AbortController();
  const before = { state: node.state, finish: node.finish, error: node.error };
  const body = { ...request(c, { ...node, state: "writing" }), stream: true, stream_options: { include_usage: true }, return_progress: true };
  Object.assign(node, { state: "writing", finish: undefined, error: undefined, model: state.model, progress: null });
  state.runs.set(c.id, { controller, conversation: c, node });
  changed("running");
  changed("node", node);
  const watch = { start: performance.now(), first: 0, last: 0, usage: null, saved: performance.now(), any: false, continued: body.continue_final_message };
  try {
    const response = await api.ask("/v1/chat/completions", body, controller.signal);
    for await (const data of api.events(response)) {
      if (data === "[DONE]") break;
      take(node, JSON.parse(data), watch);
      changed("node", node);
      if (performance.now() - watch.saved > saveEvery) {
        watch.saved = performance.now();
        kept(c);
      }
    }
    if (!node.finish) throw new Error("The connection ended before the answer did.");
    node.state = "done";
  } catch (e) {
    const stopped = e.name === "AbortError";
    if (!watch.any && !stopped) {
      Object.assign(node, before);
      throw e;
    }
    node.state = stopped ? "stopped" : "broken";
    if (!stopped) node.error = e instanceof TypeError ? "The connection to the server was lost." : e.message;
  } finally {
    node.progress = null;
    state.runs.delete(c.id);
    measure(node, watch);
    changed("running");
    changed("node", node);
    await kept(c);
  }
}

// take adds one event of the stream.
function take(node, event, watch) {
  if (event.error) throw new api.ServerError(0, event.error);
  if (event.prompt_progress) node.progress = event.prompt_progress;
  if (event.usage) watch.usage = event.usage;
  const choice = event.choices?.[0];
  if (!choice) return;
  const { content, reasoning_content: thought, tool_calls: calls } = choice.delta || {};
  if (content || thought || calls) {
    watch.any = true;
    watch.last = performance.now();
    watch.first ||= watch.last;
    node.progress = null;
  }
  if (thought) node.reasoning = (node.reasoning || "") + thought;
  if (content) {
    // The server goes on from the last word, and says the space behind it again.
    if (watch.continued) node.content = node.content.replace(/[ \t\r\n]+$/, "");
    watch.continued = false;
    node.content += content;
  }
  for (const c of calls || []) call(node, c);
  if (choice.logprobs?.content?.length && !thought) (node.tokens ||= []).push(...choice.logprobs.content.map(token));
  if (choice.finish_reason) node.finish = choice.finish_reason;
}

function call(node, piece) {
  node.calls ||= [];
  const c = (node.calls[piece.index] ||= { id: "", name: "", arguments: "" });
  c.id = piece.id || c.id;
  c.name = piece.function?.name || c.name;
  c.arguments += piece.function?.arguments || "";
}

const token = (t) => ({ ...alternative(t), top: t.top_logprobs.map(alternative) });
// The bytes are kept where the text does not say them: a token may be a part of a
// character.
const alternative = (t) => ({ s: t.token, l: t.logprob, ...(t.bytes && t.token.includes("\uFFFD") ? { b: t.bytes } : {}) });

function measure(node, { start, first, last, usage }) {
  if (!first) return;
  const s = (node.stats = { ttft: first - start });
  if (!usage) return;
  Object.assign(s, { prompt: usage.prompt_tokens, cached: usage.prompt_tokens_details?.cached_tokens || 0, completion: usage.completion_tokens });
  // Answers that came in one piece have no speed that could be seen from here.
  if (usage.completion_tokens > 1 && last - first > 20) s.rate = (usage.completion_tokens - 1) / ((last - first) / 1000);
  const context = described()?.max_model_len;
  if (node.finish === "length" && context && usage.total_tokens >= context) node.finish = "context";
}

// prefix is the text of the first n tokens of an answer with another one after them,
// or null if the tokens are not the text.
export function prefix(node, n, other) {
  const bytes = [];
  const encoder = new TextEncoder();
  const put = (t) => bytes.push(...(t.b || encoder.encode(t.s)));
  for (const t of node.tokens.slice(0, n)) put(t);
  if (!node.content.startsWith(new TextDecoder().decode(new Uint8Array(bytes)).replace(/\uFFFD+$/, ""))) return null;
  put(other);
  return new TextDecoder().decode(new Uint8Array(bytes));
}
