// Checks of OpenAI's Node.js SDK, both major versions.
import assert from "node:assert/strict";
import { createReadStream, writeFileSync } from "node:fs";

import OpenAI, { toFile } from "openai";
import { zodFunction, zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

import { check, main, rejected, took } from "./harness.mjs";
import "./openai_node_data.mjs";

const USER = [{ role: "user", content: "Hello" }];
const SAID = "The quick brown fox.";
const City = z.object({ name: z.string(), people: z.number().int() });
const Weather = z.object({ city: z.string() });

const client = (facts, options = {}) =>
  new OpenAI({ baseURL: facts.base_url, apiKey: facts.api_key, maxRetries: 0, timeout: 30000, ...options });
const wav = () => toFile(Buffer.concat([Buffer.from("RIFF"), Buffer.alloc(20000)]), "hello.wav", { type: "audio/wav" });
const png = () => toFile(Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), Buffer.alloc(100)]), "cat.png", { type: "image/png" });
const collect = async (stream) => {
  const found = [];
  for await (const one of stream) found.push(one);
  return found;
};

check("models", "list, and one with a slash in its id", async (facts) => {
  const names = (await collect(await client(facts).models.list())).map((model) => model.id);
  assert(names.includes("chat") && names.includes("org/name:tag"), names.join());
  assert.equal((await client(facts).models.retrieve("org/name:tag")).id, "org/name:tag");
});

check("chat", "whole answer, with its request id", async (facts) => {
  const answer = await client(facts).chat.completions.create({ model: "chat", messages: USER });
  assert.equal(answer.choices[0].message.content, "You said: Hello");
  assert.equal(answer.model, "chat");
  assert.equal(answer.usage.total_tokens, 18);
  assert.match(answer._request_id, /^req_/);
});

check("chat", "raw response", async (facts) => {
  const call = client(facts).chat.completions.create({ model: "chat", messages: USER });
  const { data, response, request_id } = await call.withResponse();
  assert.match(request_id, /^req_/);
  assert.match(response.headers.get("content-type"), /^application\/json/);
  assert.equal(data.choices.length, 1);
});

check("chat", "fifty at once", async (facts) => {
  const sdk = client(facts);
  const asked = Array.from({ length: 50 }, (_, n) => ({ model: "chat", messages: [{ role: "user", content: `${n}` }] }));
  const answers = await Promise.all(asked.map((one) => sdk.chat.completions.create(one)));
  answers.forEach((answer, n) => assert.equal(answer.choices[0].message.content, `You said: ${n}`));
});

check("chat stream", "chunks, with usage at the end", async (facts) => {
  const chunks = await collect(
    await client(facts).chat.completions.create({
      model: "chat", messages: USER, stream: true, stream_options: { include_usage: true },
    }),
  );
  assert.equal(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join(""), "You said: Hello");
  assert.equal(chunks.at(-1).usage.total_tokens, 18);
  assert.equal(chunks.at(-2).choices[0].finish_reason, "stop");
});

check("chat stream", "stream helper", async (facts) => {
  const stream = client(facts).chat.completions.stream({ model: "chat", messages: USER });
  let said = "";
  stream.on("content", (delta) => (said += delta));
  assert.equal(await stream.finalContent(), "You said: Hello");
  assert.equal(said, "You said: Hello");
});

check("chat stream", "left early", async (facts) => {
  const sdk = client(facts);
  for (let n = 0; n < 3; n++) {
    const stream = await sdk.chat.completions.create({ model: "slow-stream", messages: USER, stream: true });
    for await (const chunk of stream) {
      assert.equal(chunk.model, "slow-stream");
      break;
    }
  }
  assert.equal((await sdk.chat.completions.create({ model: "chat", messages: USER })).choices.length, 1);
});

for (const streamed of [false, true]) {
  check("tools", `runTools, two calls in parallel, ${streamed ? "streamed" : "whole"}`, async (facts) => {
    const cities = [];
    const weather = zodFunction({
      name: "weather", parameters: Weather,
      function: ({ city }) => { cities.push(city); return "sunny"; },
    });
    const messages = [{ role: "user", content: "The weather in both cities?" }];
    const runner = client(facts).chat.completions.runTools({ model: "chat", messages, tools: [weather], stream: streamed });
    assert.equal(await runner.finalContent(), "It is sunny in Bonn.");
    assert.deepEqual(cities, ["Bonn", "Köln"]);
  });
}

check("structured", "parse, whole and streamed", async (facts) => {
  const asked = { model: "chat", messages: USER, response_format: zodResponseFormat(City, "city") };
  const wanted = { name: "Bonn", people: 335000 };
  const answer = await client(facts).chat.completions.parse(asked);
  assert.deepEqual(answer.choices[0].message.parsed, wanted);
  const final = await client(facts).chat.completions.stream(asked).finalChatCompletion();
  assert.deepEqual(final.choices[0].message.parsed, wanted);
});

check("embeddings", "every kind of input, dimensions, formats", async (facts) => {
  const sdk = client(facts);
  for (const [input, count] of [["Hello", 1], [["a", "b"], 2], [[1, 2, 3], 1], [[[1, 2], [3]], 2]]) {
    const answer = await sdk.embeddings.create({ model: "embedder", input });
    assert.deepEqual(answer.data.map((item) => item.index), [...Array(count).keys()]);
    assert.equal(answer.data[0].embedding.length, 8);
  }
  const floats = await sdk.embeddings.create({ model: "embedder", input: "Hello", dimensions: 4, encoding_format: "float" });
  assert.equal(floats.data[0].embedding.length, 4);
  const packed = await sdk.embeddings.create({ model: "embedder", input: "Hello", dimensions: 4, encoding_format: "base64" });
  assert.equal(Buffer.from(packed.data[0].embedding, "base64").length, 16);
});

check("completions", "whole and streamed", async (facts) => {
  const whole = await client(facts).completions.create({ model: "chat", prompt: "Once" });
  assert.equal(whole.choices[0].text, "Once upon a time.");
  const chunks = await collect(await client(facts).completions.create({ model: "chat", prompt: "Once", stream: true }));
  assert.equal(chunks.map((chunk) => chunk.choices[0].text).join(""), "Once upon a time.");
});

check("transcriptions", "every format", async (facts) => {
  const transcribe = async (more) =>
    client(facts).audio.transcriptions.create({ model: "transcriber", file: await wav(), ...more });
  assert.equal((await transcribe({})).text, SAID);
  assert.equal((await transcribe({ response_format: "text" })).trim(), SAID);
  assert.match(await transcribe({ response_format: "srt" }), /^1\n00:00/);
  assert.match(await transcribe({ response_format: "vtt" }), /^WEBVTT/);
  const verbose = await transcribe({ response_format: "verbose_json", timestamp_granularities: ["word", "segment"] });
  assert.equal(verbose.segments[0].end, 1.5);
  assert.equal(verbose.words[0].word, "The");
});

check("transcriptions", "events", async (facts) => {
  const stream = await client(facts).audio.transcriptions.create({ model: "transcriber", file: await wav(), stream: true });
  const events = await collect(stream);
  assert.equal(events.slice(0, -1).map((event) => event.delta).join(""), SAID);
  assert.equal(events.at(-1).type, "transcript.text.done");
});

check("transcriptions", "upload streamed from disk", async (facts) => {
  const path = `${facts.folder}/hello.wav`;
  writeFileSync(path, Buffer.concat([Buffer.from("RIFF"), Buffer.alloc(500000)]));
  const answer = await client(facts).audio.transcriptions.create({ model: "transcriber", file: createReadStream(path) });
  assert.equal(answer.text, SAID);
});

check("translations", "a translation", async (facts) => {
  assert.equal((await client(facts).audio.translations.create({ model: "transcriber", file: await wav() })).text, SAID);
});

check("speech", "bytes", async (facts) => {
  const answer = await client(facts).audio.speech.create({ model: "speaker", input: "Hello", voice: "alloy" });
  assert.equal(answer.headers.get("content-type"), "audio/mpeg");
  assert.equal((await answer.arrayBuffer()).byteLength, 8000);
});

check("images", "generation as base64 and as an address", async (facts) => {
  const sdk = client(facts);
  const made = await sdk.images.generate({ model: "painter", prompt: "A cat", n: 2, response_format: "b64_json" });
  assert.equal(made.data.length, 2);
  assert.equal(Buffer.from(made.data[0].b64_json, "base64").subarray(1, 4).toString(), "PNG");
  const linked = await sdk.images.generate({ model: "painter", prompt: "A cat", response_format: "url" });
  assert.equal((await fetch(linked.data[0].url)).headers.get("content-type"), "image/png");
});

check("images", "streamed generation", async (facts) => {
  const events = await collect(
    await client(facts).images.generate({ model: "painter", prompt: "A cat", stream: true, partial_images: 1 }),
  );
  assert.deepEqual(events.map((event) => event.type), ["image_generation.partial_image", "image_generation.completed"]);
});

check("images", "edit of one and of several, variation", async (facts) => {
  const sdk = client(facts);
  const one = await sdk.images.edit({ model: "painter", prompt: "A hat", image: await png(), mask: await png() });
  assert(one.data[0].b64_json);
  const several = await sdk.images.edit({ model: "painter", prompt: "A hat", image: [await png(), await png()] });
  assert(several.data[0].b64_json);
  assert((await sdk.images.createVariation({ model: "painter", image: await png() })).data[0].b64_json);
});

check("moderations", "one text and several", async (facts) => {
  const answer = await client(facts).moderations.create({ model: "moderator", input: ["Hello", "I will kill you"] });
  assert.deepEqual(answer.results.map((result) => result.flagged), [false, true]);
  assert.equal(answer.results[1].categories.violence, true);
});

check("errors", "classes, codes, request ids", async (facts) => {
  const sdk = client(facts);
  const ask = (more, own = sdk) => own.chat.completions.create({ model: "chat", messages: USER, ...more });
  const cases = [
    [ask({}, client(facts, { apiKey: "gtak_wrong" })), OpenAI.AuthenticationError, "invalid_api_key"],
    [ask({}, client(facts, { apiKey: facts.limited_key })), OpenAI.PermissionDeniedError, "insufficient_scope"],
    [ask({ model: "unknown-model" }), OpenAI.NotFoundError, "model_not_found"],
    [sdk.get("/no/such/route"), OpenAI.NotFoundError, "unknown_url"],
    [ask({ messages: "Hello" }), OpenAI.BadRequestError, "invalid_type"],
    [ask({ model: "too-long" }), OpenAI.BadRequestError, "context_length_exceeded"],
    [ask({ model: "limited" }), OpenAI.RateLimitError, "rate_limit_exceeded"],
    [ask({ model: "failing" }), OpenAI.InternalServerError, "upstream_error"],
    [ask({ model: "failing", stream: true }), OpenAI.InternalServerError, "upstream_error"],
    [sdk.embeddings.create({ model: "chat", input: "Hello" }), OpenAI.BadRequestError, "unsupported_model"],
  ];
  // Await all at once, so that no rejection is unhandled.
  const errors = await Promise.all(cases.map(([call, kind]) => rejected(call, kind)));
  errors.forEach((error, n) => {
    assert.equal(error.code, cases[n][2]);
    assert.match(error.requestID, /^req_/);
  });
});

check("errors", "a stream that breaks", async (facts) => {
  for (const model of ["breaking-stream", "cut-stream"]) {
    const stream = await client(facts).chat.completions.create({ model, messages: USER, stream: true });
    const error = await rejected(collect(stream), OpenAI.APIError);
    assert.equal(error.code, "upstream_error");
  }
});

check("retries", "waits for retry-after", async (facts) => {
  const messages = [{ role: "user", content: `node ${Date.now()}` }];
  const [answer, seconds] = await took(() =>
    client(facts, { maxRetries: 2 }).chat.completions.create({ model: "flaky", messages }),
  );
  assert.match(answer.choices[0].message.content, /^You said: node/);
  assert(seconds > 1.9 && seconds < 10, `${seconds}`);
});

check("timeouts", "its own", async (facts) => {
  const call = client(facts, { timeout: 500 }).chat.completions.create({ model: "slow", messages: USER });
  const [, seconds] = await took(() => rejected(call, OpenAI.APIConnectionTimeoutError));
  assert(seconds < 3, `${seconds}`);
});

check("timeouts", "its own abort signal", async (facts) => {
  const call = client(facts).chat.completions.create(
    { model: "slow", messages: USER }, { signal: AbortSignal.timeout(500) },
  );
  await rejected(call, OpenAI.APIUserAbortError);
});

check("timeouts", "ours is a 504", async (facts) => {
  const call = client(facts).chat.completions.create({ model: "stuck", messages: USER });
  const error = await rejected(call, OpenAI.InternalServerError);
  assert.equal(error.status, 504);
  assert.equal(error.code, "upstream_timeout");
});

await main();
