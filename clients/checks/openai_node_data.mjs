// Checks of OpenAI's Node.js SDK: conversations, files and vector stores.
import assert from "node:assert/strict";
import { createReadStream, writeFileSync } from "node:fs";

import OpenAI, { toFile } from "openai";

import { check, rejected } from "./harness.mjs";

const NOTES = "The office opens at nine.\n\nLunch is at noon.\n";
const QUESTION = "When does the office open?";
// Milliseconds between two polls of a file.
const OFTEN = { pollIntervalMs: 200 };

const client = (facts) =>
  new OpenAI({ baseURL: facts.base_url, apiKey: facts.api_key, maxRetries: 0, timeout: 30000 });
const notes = () => toFile(Buffer.from(NOTES), "notes.txt", { type: "text/plain" });
const collect = async (pages) => {
  const found = [];
  for await (const one of pages) found.push(one);
  return found;
};

check("conversations", "made, changed, with items, deleted", async (facts) => {
  const { conversations } = client(facts);
  const message = (text) => ({ type: "message", role: "user", content: text });
  const made = await conversations.create({ metadata: { topic: "bikes" }, items: [message("one")] });
  assert.deepEqual((await conversations.retrieve(made.id)).metadata, { topic: "bikes" });
  assert.deepEqual((await conversations.update(made.id, { metadata: { topic: "cars" } })).metadata, { topic: "cars" });
  await conversations.items.create(made.id, { items: [message("two"), message("three")] });
  const items = await collect(await conversations.items.list(made.id, { order: "asc", limit: 1 }));
  assert.deepEqual(items.map((item) => item.content[0].text), ["one", "two", "three"]);
  const again = await conversations.items.retrieve(items[1].id, { conversation_id: made.id });
  assert.equal(again.content[0].text, "two");
  await conversations.items.delete(items[1].id, { conversation_id: made.id });
  assert.equal((await collect(await conversations.items.list(made.id))).length, 2);
  assert.equal((await conversations.delete(made.id)).deleted, true);
  await rejected(conversations.retrieve(made.id), OpenAI.NotFoundError);
});

check("conversations", "a thread remembers, whole and streamed", async (facts) => {
  const sdk = client(facts);
  const { id } = await sdk.conversations.create();
  const ask = (content, more = {}) =>
    sdk.chat.completions.create(
      { model: "chat", messages: [{ role: "user", content }], ...more },
      { headers: { "X-GT-Conversation-Id": id } },
    );
  await ask("My name is Ada.");
  assert.equal((await ask("What did I say?")).choices[0].message.content, "My name is Ada.");
  const chunks = await collect(await ask("What did I say?", { stream: true }));
  const said = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");
  assert.equal(said, "My name is Ada. What did I say?");
});

check("files", "made, listed, read, deleted", async (facts) => {
  const { files } = client(facts);
  const made = await files.create({ file: await notes(), purpose: "assistants" });
  assert.equal((await files.waitForProcessing(made.id, { pollInterval: 200 })).status, "processed");
  assert.equal((await files.retrieve(made.id)).filename, "notes.txt");
  assert((await collect(await files.list({ limit: 2 }))).some((file) => file.id === made.id));
  assert.equal(await (await files.content(made.id)).text(), NOTES);
  assert.equal((await files.delete(made.id)).deleted, true);
  await rejected(files.retrieve(made.id), OpenAI.NotFoundError);
});

check("files", "streamed from disk", async (facts) => {
  const path = `${facts.folder}/Übersicht.txt`;
  writeFileSync(path, NOTES);
  const { files } = client(facts);
  const made = await files.create({ file: createReadStream(path), purpose: "user_data" });
  assert.equal(made.filename, "Übersicht.txt");
  assert.equal(made.bytes, NOTES.length);
  await files.delete(made.id);
});

check("vector stores", "upload, poll and search", async (facts) => {
  const { vectorStores } = client(facts);
  const store = await vectorStores.create({ name: "office", metadata: { topic: "office" } });
  const file = await vectorStores.files.uploadAndPoll(store.id, await notes(), OFTEN);
  assert.equal(file.status, "completed");
  assert.equal((await vectorStores.retrieve(store.id)).file_counts.completed, 1);
  const found = (await vectorStores.search(store.id, { query: QUESTION })).data;
  assert.equal(found[0].file_id, file.id);
  assert.match(found[0].content[0].text, /opens at nine/);
  await vectorStores.files.update(file.id, { vector_store_id: store.id, attributes: { year: 2026 } });
  const filters = { type: "eq", key: "year", value: 2026 };
  assert.equal((await vectorStores.search(store.id, { query: QUESTION, filters })).data.length, 1);
  await vectorStores.files.delete(file.id, { vector_store_id: store.id });
  assert.deepEqual(await collect(await vectorStores.files.list(store.id)), []);
  assert.equal((await vectorStores.update(store.id, { name: "other" })).name, "other");
  assert((await collect(await vectorStores.list())).some((one) => one.id === store.id));
  assert.equal((await vectorStores.delete(store.id)).deleted, true);
});

check("vector stores", "a batch of files", async (facts) => {
  const { vectorStores } = client(facts);
  const store = await vectorStores.create({ name: "batch" });
  const files = [await notes(), await toFile(Buffer.from("# Museum\n\nIt opens at ten."), "two.md")];
  const batch = await vectorStores.fileBatches.uploadAndPoll(store.id, { files }, OFTEN);
  assert.equal(batch.status, "completed");
  assert.equal(batch.file_counts.completed, 2);
  const listed = await collect(await vectorStores.fileBatches.listFiles(batch.id, { vector_store_id: store.id }));
  assert.equal(listed.length, 2);
  await vectorStores.delete(store.id);
});

check("vector stores", "a broken file is failed, with a reason", async (facts) => {
  const { vectorStores } = client(facts);
  const store = await vectorStores.create({ name: "broken" });
  const broken = await toFile(Buffer.from("%PDF-1.7\nno more"), "broken.pdf");
  const file = await vectorStores.files.uploadAndPoll(store.id, broken, OFTEN);
  assert.equal(file.status, "failed");
  assert(file.last_error.message);
  await vectorStores.delete(store.id);
});
