// A request as a command or a program.

export const languages = { curl: "curl", python: "Python", javascript: "JavaScript" };

export function snippet(language, body) {
  const url = location.origin + "/v1/chat/completions";
  return { curl, python, javascript }[language](url, body);
}

function curl(url, body) {
  const json = JSON.stringify(body, null, 2).replaceAll("'", "'\\''");
  return `curl ${url} \\\n  -H 'Content-Type: application/json' \\\n  -H "Authorization: Bearer $PENSTOCK_API_KEY" \\\n  -d '${json}'`;
}

// What OpenAI's client has no parameter for goes into extra_body.
const native = new Set(["model", "messages", "stream", "stream_options", "temperature", "top_p", "presence_penalty", "frequency_penalty", "max_tokens",
  "seed", "stop", "response_format", "tools", "tool_choice", "logprobs", "top_logprobs"]);

function python(url, body) {
  const lines = [], extra = {};
  for (const [name, value] of Object.entries(body)) {
    if (native.has(name)) lines.push(`    ${name}=${literal(value, 1)},`);
    else extra[name] = value;
  }
  if (Object.keys(extra).length) lines.push(`    extra_body=${literal(extra, 1)},`);
  return `import os
from openai import OpenAI

client = OpenAI(base_url=${JSON.stringify(url.replace("/chat/completions", ""))}, api_key=os.environ.get("PENSTOCK_API_KEY", "none"))
answer = client.chat.completions.create(
${lines.join("\n")}
)
${body.stream ? 'for chunk in answer:\n    if chunk.choices:\n        print(chunk.choices[0].delta.content or "", end="", flush=True)' : "print(answer.choices[0].message.content)"}`;
}

// literal is a value in Python. A JSON string is one, too.
function literal(v, depth) {
  const pad = "    ".repeat(depth + 1), end = "    ".repeat(depth);
  if (v === null) return "None";
  if (typeof v === "boolean") return v ? "True" : "False";
  if (typeof v === "string") return JSON.stringify(v).replaceAll("\u2028", "\\u2028").replaceAll("\u2029", "\\u2029");
  if (typeof v !== "object") return String(v);
  const parts = Array.isArray(v) ? v.map((x) => literal(x, depth + 1)) : Object.entries(v).map(([k, x]) => `${JSON.stringify(k)}: ${literal(x, depth + 1)}`);
  const [open, close] = Array.isArray(v) ? "[]" : "{}";
  return parts.length ? `${open}\n${parts.map((p) => pad + p).join(",\n")},\n${end}${close}` : open + close;
}

function javascript(url, body) {
  return `const response = await fetch(${JSON.stringify(url)}, {
  method: "POST",
  headers: {
    "Content-Type": "application/json",
    Authorization: \`Bearer \${process.env.PENSTOCK_API_KEY ?? "none"}\`,
  },
  body: JSON.stringify(${JSON.stringify(body, null, 2).replaceAll("\n", "\n  ")}),
});
${body.stream ? 'for await (const bytes of response.body) process.stdout.write(bytes);' : "console.log((await response.json()).choices[0].message.content);"}`;
}
