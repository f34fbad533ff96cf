// The settings of a conversation: what they are, and what they become in a request.

// fields are in the order of the panel. A field that is left empty is left to the
// model; name is its parameter's, and default the one in /props where that differs.
export const fields = [
  { name: "system", label: "System prompt", kind: "text", rows: 3, placeholder: "none", whole: true, title: "Instructions" },
  { name: "temperature", label: "Temperature", kind: "number", min: 0, max: 5, step: 0.05, title: "Sampling" },
  { name: "top_p", label: "Top p", kind: "number", min: 0, max: 1, step: 0.01 },
  { name: "top_k", label: "Top k", kind: "number", min: 0, step: 1 },
  { name: "min_p", label: "Min p", kind: "number", min: 0, max: 1, step: 0.01 },
  { name: "repeat_penalty", label: "Repeat penalty", kind: "number", min: 0, step: 0.05 },
  { name: "presence_penalty", label: "Presence penalty", kind: "number", min: -2, max: 2, step: 0.1 },
  { name: "frequency_penalty", label: "Frequency penalty", kind: "number", min: -2, max: 2, step: 0.1 },
  { name: "seed", label: "Seed", kind: "number", min: 0, step: 1, placeholder: "random" },
  { name: "max_tokens", label: "Most tokens", kind: "number", min: 1, step: 1, placeholder: "no limit" },
  { name: "stop", label: "Stop at (one a line)", kind: "text", rows: 1, placeholder: "nothing", whole: true },
  { name: "probabilities", label: "Show token probabilities", kind: "check", whole: true },
  { name: "schema", label: "JSON Schema of the answer", kind: "json", rows: 3, placeholder: '{"type": "object", …}', whole: true, title: "Structured output and tools" },
  { name: "tools", label: "Tools (a JSON array)", kind: "json", rows: 4, placeholder: '[{"type": "function", "function": {"name": …}}]', whole: true },
  { name: "tool_choice", label: "Call of a tool", kind: "select", values: [["", "the model decides"], ["required", "required"], ["none", "none"]], whole: true },
];

// known are those settings of an object that this page has, each of its kind.
export function known(settings) {
  const out = {};
  for (const f of fields) {
    const v = settings[f.name];
    if (f.kind === "number" ? Number.isFinite(v) : f.kind === "check" ? v === true : typeof v === "string" && v !== "") out[f.name] = v;
  }
  return out;
}

// problem says what is wrong with a setting, or "".
export function problem(field, value) {
  if (field.kind !== "json" || !value?.trim()) return "";
  let parsed;
  try { parsed = JSON.parse(value); } catch (e) { return "Not JSON: " + e.message; }
  if (field.name === "tools") {
    if (!Array.isArray(parsed)) return "Tools are an array: [ … ]";
    if (parsed.some((t) => typeof (t?.function?.name ?? t?.name) !== "string")) return "Each tool needs a name";
  } else if (!parsed || typeof parsed !== "object" || Array.isArray(parsed)) return "A schema is an object: { … }";
  return "";
}

// parameters are the settings as the API takes them.
export function parameters(s) {
  const p = {};
  for (const f of fields) if (f.kind === "number" && Number.isFinite(s[f.name])) p[f.name] = s[f.name];
  const stop = (s.stop || "").split("\n").filter(Boolean);
  if (stop.length) p.stop = stop;
  if (s.schema?.trim() && !problem(field("schema"), s.schema)) p.response_format = { type: "json_schema", json_schema: { name: "answer", schema: JSON.parse(s.schema), strict: true } };
  if (s.tools?.trim() && !problem(field("tools"), s.tools)) {
    p.tools = JSON.parse(s.tools).map((t) => (t.function ? t : { type: "function", function: t }));
    if (s.tool_choice) p.tool_choice = s.tool_choice;
  }
  if (s.probabilities) Object.assign(p, { logprobs: true, top_logprobs: 5 });
  return p;
}

export const field = (name) => fields.find((f) => f.name === name);
