// Checks of Vercel's AI SDK with its provider for OpenAI-compatible servers.
import assert from "node:assert/strict";

import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import {
  APICallError, RetryError, embed, embedMany, generateImage, generateObject, generateText, isStepCount, Output,
  streamObject, streamText, tool,
} from "ai";
import { z } from "zod";

import { check, main, rejected, took } from "./harness.mjs";

const City = z.object({ name: z.string(), people: z.number().int() });
const BONN = { name: "Bonn", people: 335000 };
const PIXELS = Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), Buffer.alloc(100)]);

const gateway = (facts, more = {}) =>
  createOpenAICompatible({
    name: "gateway", baseURL: facts.base_url, apiKey: facts.api_key, includeUsage: true,
    supportsStructuredOutputs: true, ...more,
  });
const options = { maxRetries: 0 };
const silent = { ...options, onError: () => {} };
const collect = async (stream) => {
  const found = [];
  for await (const one of stream) found.push(one);
  return found;
};

check("chat", "generateText", async (facts) => {
  const { text, usage, finishReason, response } = await generateText({ ...options, model: gateway(facts)("chat"), prompt: "Hello" });
  assert.equal(text, "You said: Hello");
  assert.equal(usage.totalTokens, 18);
  assert.equal(finishReason, "stop");
  assert.equal(response.modelId, "chat");
  assert.match(response.headers["x-request-id"], /^req_/);
});

check("chat", "with a picture and reasoning", async (facts) => {
  const content = [{ type: "text", text: "What is this?" }, { type: "file", mediaType: "image/png", data: PIXELS }];
  const answer = await generateText({ ...options, model: gateway(facts)("chat"), messages: [{ role: "user", content }] });
  assert.match(answer.text, /^You said: What is this\?/);
  const rich = await generateText({ ...options, model: gateway(facts)("rich"), prompt: "Hello" });
  assert.equal(rich.reasoningText, "Let me think.");
});

check("chat stream", "streamText, with usage at the end", async (facts) => {
  const result = streamText({ ...silent, model: gateway(facts)("chat"), prompt: "Hello" });
  assert.equal((await collect(result.textStream)).join(""), "You said: Hello");
  assert.equal(await result.finishReason, "stop");
  assert.equal((await result.usage).totalTokens, 18);
});

check("chat stream", "left early", async (facts) => {
  const left = new AbortController();
  const result = streamText({ ...silent, model: gateway(facts)("slow-stream"), prompt: "Hello", abortSignal: left.signal });
  for await (const part of result.textStream) {
    assert.match(part, /word/);
    left.abort();
    break;
  }
  assert.equal((await generateText({ ...options, model: gateway(facts)("chat"), prompt: "a" })).text, "You said: a");
});

const loop = (facts, cities) => ({
  ...silent,
  model: gateway(facts)("chat"),
  prompt: "The weather in both cities?",
  stopWhen: isStepCount(3),
  tools: {
    weather: tool({
      description: "The weather",
      inputSchema: z.object({ city: z.string() }),
      execute: async ({ city }) => { cities.push(city); return "sunny"; },
    }),
  },
});

check("tools", "a loop with two calls in parallel, whole", async (facts) => {
  const cities = [];
  const { onError, ...asked } = loop(facts, cities);
  const { text, steps } = await generateText(asked);
  assert.equal(text, "It is sunny in Bonn.");
  assert.equal(steps.length, 2);
  assert.deepEqual(cities, ["Bonn", "Köln"]);
});

check("tools", "a loop with two calls in parallel, streamed", async (facts) => {
  const cities = [];
  const result = streamText(loop(facts, cities));
  assert.equal((await collect(result.textStream)).join(""), "It is sunny in Bonn.");
  assert.deepEqual(cities, ["Bonn", "Köln"]);
});

check("structured", "Output.object, whole and streamed", async (facts) => {
  const asked = { model: gateway(facts)("chat"), prompt: "A city", output: Output.object({ schema: City }) };
  assert.deepEqual((await generateText({ ...options, ...asked })).output, BONN);
  const result = streamText({ ...silent, ...asked });
  await collect(result.textStream);
  assert.deepEqual(await result.output, BONN);
});

check("structured", "generateObject and streamObject", async (facts) => {
  const asked = { model: gateway(facts)("chat"), prompt: "A city", schema: City };
  assert.deepEqual((await generateObject({ ...options, ...asked })).object, BONN);
  const result = streamObject({ ...silent, ...asked });
  await collect(result.partialObjectStream);
  assert.deepEqual(await result.object, BONN);
});

check("structured", "without schemas on the server: a JSON object", async (facts) => {
  const model = gateway(facts, { supportsStructuredOutputs: false })("chat");
  assert.deepEqual((await generateObject({ ...options, model, prompt: "A city", schema: City })).object, BONN);
});

check("embeddings", "embed and embedMany", async (facts) => {
  const model = gateway(facts).embeddingModel("embedder");
  assert.equal((await embed({ ...options, model, value: "Hello" })).embedding.length, 8);
  const many = await embedMany({ ...options, model, values: ["a", "bb"] });
  assert.deepEqual(many.embeddings.map((vector) => vector[0]), [1, 2]);
  assert.equal(many.usage.tokens, 6);
});

check("completions", "completionModel, whole and streamed", async (facts) => {
  const model = gateway(facts).completionModel("chat");
  assert.equal((await generateText({ ...options, model, prompt: "Once" })).text, "Once upon a time.");
  const result = streamText({ ...silent, model, prompt: "Once" });
  assert.equal((await collect(result.textStream)).join(""), "Once upon a time.");
});

check("images", "generateImage", async (facts) => {
  const model = gateway(facts).imageModel("painter");
  const { images } = await generateImage({ ...options, model, prompt: "A cat", n: 2, size: "256x256" });
  assert.equal(images.length, 2);
  assert.equal(Buffer.from(images[0].uint8Array).subarray(1, 4).toString(), "PNG");
});

check("images", "generateImage with a picture to edit", async (facts) => {
  const model = gateway(facts).imageModel("painter");
  const { image } = await generateImage({ ...options, model, prompt: { text: "A hat", images: [PIXELS] } });
  assert.equal(Buffer.from(image.uint8Array).subarray(1, 4).toString(), "PNG");
});

check("errors", "statuses and bodies", async (facts) => {
  const cases = [
    [gateway(facts, { apiKey: "gtak_wrong" })("chat"), 401, "invalid_api_key"],
    [gateway(facts, { apiKey: facts.limited_key })("chat"), 403, "insufficient_scope"],
    [gateway(facts)("unknown-model"), 404, "model_not_found"],
    [gateway(facts)("too-long"), 400, "context_length_exceeded"],
    [gateway(facts)("limited"), 429, "rate_limit_exceeded"],
    [gateway(facts)("failing"), 502, "upstream_error"],
  ];
  for (const [model, status, code] of cases) {
    const error = await rejected(generateText({ ...options, model, prompt: "Hello" }), APICallError);
    assert.equal(error.statusCode, status);
    assert.equal(error.data.error.code, code);
    assert.equal(error.isRetryable, status === 429 || status >= 500);
  }
});

check("errors", "a stream that breaks", async (facts) => {
  for (const name of ["breaking-stream", "cut-stream"]) {
    const errors = [];
    const result = streamText({ ...options, model: gateway(facts)(name), prompt: "Hello", onError: ({ error }) => errors.push(error) });
    await collect(result.textStream).catch((error) => errors.push(error));
    assert.equal(errors.length > 0, true, "nothing was raised");
    assert.match(JSON.stringify(errors[0]?.message ?? errors[0]), /could not answer/);
  }
});

check("retries", "waits for retry-after", async (facts) => {
  const [{ text }, seconds] = await took(() =>
    generateText({ model: gateway(facts)("flaky"), prompt: `vercel ${Date.now()}`, maxRetries: 2 }),
  );
  assert.match(text, /^You said: vercel/);
  assert(seconds > 1.9 && seconds < 10, `${seconds}`);
});

check("retries", "gives up after as many as it was told", async (facts) => {
  const error = await rejected(generateText({ model: gateway(facts)("failing"), prompt: "Hello", maxRetries: 1 }));
  assert(RetryError.isInstance(error), error.name);
  assert.equal(error.lastError.statusCode, 502);
});

check("timeouts", "its own", async (facts) => {
  const [, seconds] = await took(() =>
    rejected(generateText({ ...options, model: gateway(facts)("slow"), prompt: "Hello", abortSignal: AbortSignal.timeout(500) })),
  );
  assert(seconds < 3, `${seconds}`);
});

check("timeouts", "ours is a 504", async (facts) => {
  const error = await rejected(generateText({ ...options, model: gateway(facts)("stuck"), prompt: "Hello" }), APICallError);
  assert.equal(error.statusCode, 504);
});

await main();
