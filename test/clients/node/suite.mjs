// The Vercel AI SDK over its three providers that speak a protocol of this server.
import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { APICallError, embedMany, generateText, jsonSchema, Output, stepCountIs, streamText, tool } from 'ai';
import assert from 'node:assert/strict';

const url = process.env.PENSTOCK_URL;
const name = process.env.PENSTOCK_MODEL;
const v1 = { baseURL: url + '/v1', apiKey: 'none' };
const openai = createOpenAI(v1);
const compatible = createOpenAICompatible({ name: 'penstock', includeUsage: true, supportsStructuredOutputs: true, ...v1 });
const anthropic = createAnthropic(v1);

const counting = 'Count from 1 to 20, separated by commas.';
const question = 'What is the weather in Paris?';
const padding = 'Wood is brown. '.repeat(12);
const weather = tool({
  description: 'Get the weather of a city',
  inputSchema: jsonSchema({ type: 'object', properties: { city: { type: 'string' } }, required: ['city'] }),
  execute: async () => 'Sunny, 23 degrees',
});
const ask = (model, more) => ({ model, prompt: counting, maxOutputTokens: 8, temperature: 0, maxRetries: 0, ...more });

async function running() {
  const text = await (await fetch(url + '/metrics')).text();
  return Number(text.match(/^penstock_requests_running (\S+)/m)[1]);
}

async function freed() {
  for (let i = 0; i < 6000; i++) { // only a failure takes so long
    if ((await running()) === 0) return;
    await new Promise((r) => setTimeout(r, 20));
  }
  assert.fail('a sequence still runs after the client left');
}

// features of a model; those that a protocol lacks are left out below.
const features = (model) => ({
  async chat() {
    const a = await generateText(ask(model));
    assert.match(a.text, /^1, 2, 3/);
    assert.equal(a.finishReason, 'length');
  },
  async 'no reasoning'() {
    const a = await generateText(ask(model));
    assert.equal(a.reasoningText, undefined);
  },
  async stream() {
    const s = streamText(ask(model));
    let text = '';
    let parts = 0;
    for await (const part of s.textStream) {
      text += part;
      parts++;
    }
    assert.match(text, /^1, 2, 3/);
    assert.ok(parts > 3);
    assert.equal((await s.usage).outputTokens, 8);
    assert.equal(await s.finishReason, 'length');
  },
  async tools() { // the client runs the tool, and sends its result back
    const a = await generateText(ask(model, { prompt: question, maxOutputTokens: 60, tools: { get_weather: weather }, stopWhen: stepCountIs(2) }));
    assert.equal(a.steps[0].toolCalls[0].toolName, 'get_weather');
    assert.ok(a.steps[0].toolCalls[0].input.city);
    assert.equal(a.steps[0].finishReason, 'tool-calls');
    assert.equal(a.steps.length, 2);
  },
  async 'forced tool'() {
    const s = streamText(ask(model, { prompt: question, maxOutputTokens: 40, tools: { get_weather: weather }, toolChoice: { type: 'tool', toolName: 'get_weather' } }));
    const calls = await s.toolCalls;
    assert.equal(calls.length, 1);
    assert.ok(calls[0].input.city);
  },
  async stop() {
    const a = await generateText(ask(model, { maxOutputTokens: 20, stopSequences: ['4'] }));
    assert.equal(a.text, '1, 2, 3, ');
    assert.equal(a.finishReason, 'stop');
  },
  async usage() {
    let usage;
    for (let i = 0; i < 2; i++) ({ usage } = await generateText(ask(model, { prompt: padding + counting, maxOutputTokens: 1 })));
    assert.ok(usage.inputTokenDetails.cacheReadTokens >= 48, JSON.stringify(usage));
  },
  async forms() {
    const schema = jsonSchema({ type: 'object', properties: { city: { type: 'string' } }, required: ['city'], additionalProperties: false });
    const { output } = await generateText(ask(model, { prompt: question, maxOutputTokens: 60, output: Output.object({ schema }) }));
    assert.ok(output.city);
  },
  async errors() {
    await assert.rejects(generateText(ask(model, { prompt: 'word '.repeat(40000) })), (e) => APICallError.isInstance(e) && e.statusCode === 400 && /tokens/.test(e.message));
  },
  async cancel() {
    const control = new AbortController();
    const s = streamText(ask(model, { prompt: 'Write a long story about a river.', maxOutputTokens: 4000, abortSignal: control.signal }));
    let parts = 0;
    for await (const _ of s.textStream) if (++parts === 3) control.abort();
    await freed();
  },
});

const texts = ['a pipe for water', 'a tube for water', 'Dear Sir or Madam, I regret that'];
const embedding = (model) => ({
  async embeddings() {
    const { embeddings, usage } = await embedMany({ model, values: texts, maxRetries: 0 });
    assert.equal(embeddings.length, texts.length);
    for (const e of embeddings) assert.ok(Math.abs(e.reduce((sum, x) => sum + x * x, 0) - 1) < 1e-3);
    assert.ok(usage.tokens > 0);
  },
});

async function run(client, all) {
  let failed = false;
  for (const [feature, check] of Object.entries(all)) {
    try {
      await check();
      console.log(`ok\t${client}\t${feature}`);
    } catch (e) {
      failed = true;
      console.error(e);
      console.log(`FAIL\t${client}\t${feature}`);
    }
  }
  return failed;
}

const { stop, ...ofResponses } = features(openai.responses(name)); // responses have no stop strings
const clients = {
  '@ai-sdk/openai': {
    ...features(openai.chat(name)),
    ...Object.fromEntries(Object.entries(ofResponses).map(([feature, check]) => ['responses ' + feature, check])),
    ...embedding(openai.embeddingModel(name)),
  },
  '@ai-sdk/openai-compatible': { ...features(compatible.chatModel(name)), ...embedding(compatible.embeddingModel(name)) },
  '@ai-sdk/anthropic': features(anthropic(name)),
};
const client = process.argv[2]; // one of them at a time: the server counts what it uses
process.exitCode = (await run(client, clients[client])) ? 1 : 0;
