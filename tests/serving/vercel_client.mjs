// The Vercel AI SDK against a server: `node vercel_client.mjs URL`, beside a node_modules with `ai`,
// `@ai-sdk/openai`, `@ai-sdk/openai-compatible` and `zod`.
import assert from "node:assert/strict";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, Output, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const url = process.argv[2];
const compatible = createOpenAICompatible({
  name: "weaver", baseURL: url, apiKey: "none", includeUsage: true, supportsStructuredOutputs: true,
});
const openai = createOpenAI({ baseURL: url, apiKey: "none" });
const weather = tool({
  description: "The weather of a city.",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `sun in ${city}`,
});

async function check(name, make) {
  const model = make("weaver/adaptive");
  const answer = await generateText({ model, prompt: "hello" });
  assert.equal(answer.text, "plain answer");
  assert.equal(answer.finishReason, "stop");
  assert.ok(answer.usage.totalTokens > 0);

  const stream = streamText({ model, prompt: "hello" });
  let text = "";
  for await (const piece of stream.textStream) text += piece;
  assert.equal(text, "plain answer");
  assert.ok((await stream.usage).totalTokens > 0);

  const prompt = "What is the weather in Oslo?";
  const options = { model, prompt, tools: { get_weather: weather }, stopWhen: stepCountIs(3) };
  const told = await generateText(options);
  assert.equal(told.text, "It is sunny.");
  assert.deepEqual(told.steps[0].toolCalls[0].input, { city: "Oslo" });
  const streamed = streamText(options);
  const kinds = new Set();
  for await (const part of streamed.fullStream) kinds.add(part.type);
  assert.ok(kinds.has("tool-call") && kinds.has("tool-result") && kinds.has("text-delta"), [...kinds].join());
  assert.equal(await streamed.text, "It is sunny.");

  const typed = await generateText({
    model, prompt: "Give the code as JSON.", output: Output.object({ schema: z.object({ alpha: z.number() }) }),
  });
  assert.deepEqual(typed.output, { alpha: 17 });

  await assert.rejects(generateText({ model: make("no/such"), prompt: "hello", maxRetries: 0 }), (error) => {
    assert.equal(error.statusCode, 404);
    assert.match(error.message, /no\/such/);
    return true;
  });

  const leaving = new AbortController();
  const endless = streamText({ model, prompt: "Count slowly.", abortSignal: leaving.signal });
  for await (const part of endless.fullStream) if (part.type === "text-delta") leaving.abort();
  console.log(`${name}: ok`);
}

await check("@ai-sdk/openai-compatible", (id) => compatible(id));
await check("@ai-sdk/openai, chat", (id) => openai.chat(id));
await check("@ai-sdk/openai, responses", (id) => openai.responses(id));
