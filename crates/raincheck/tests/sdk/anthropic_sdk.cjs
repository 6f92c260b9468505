// The documented calls of Anthropic's SDK for Node, with only ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY changed.

const assert = require("node:assert/strict");
const sdk = require("@anthropic-ai/sdk");

const Anthropic = sdk.Anthropic ?? sdk.default ?? sdk;
const client = new Anthropic({ maxRetries: 0 });
// Tries again by itself, as SDKs do unless they are told otherwise.
const patient = new Anthropic();
const ask = { model: "claude-sim", max_tokens: 64, messages: [{ role: "user", content: "Hello" }] };

async function main() {
  const message = await client.messages.create(ask);
  assert.equal(message.type, "message");
  assert.ok(message.content[0].text);

  let text = "";
  const stream = client.messages.stream(ask).on("text", (piece) => (text += piece));
  const final = await stream.finalMessage();
  assert.ok(text.length > 0);
  assert.equal(final.content[0].text, text);

  const requests = [1, 2, 3].map((number) => ({ custom_id: `r${number}`, params: ask }));
  let batch = await client.messages.batches.create({ requests });
  assert.equal(batch.request_counts.processing, 3);
  while (batch.processing_status !== "ended") {
    await new Promise((resolve) => setTimeout(resolve, 200));
    batch = await client.messages.batches.retrieve(batch.id);
  }
  assert.equal(batch.request_counts.succeeded, 3);
  const results = [];
  for await (const line of await client.messages.batches.results(batch.id)) results.push(line.result.type);
  assert.deepEqual(results, ["succeeded", "succeeded", "succeeded"]);
  const listed = [];
  for await (const one of client.messages.batches.list({ limit: 1 })) listed.push(one.id);
  assert.equal(listed[0], batch.id);
  const before = [];
  const second = await client.messages.batches.create({ requests: requests.slice(1) });
  for await (const one of client.messages.batches.list({ limit: 1, before_id: batch.id })) before.push(one.id);
  assert.deepEqual(before, [second.id]);

  const models = [];
  for await (const model of client.models.list({ limit: 1 })) models.push(model.id);
  assert.deepEqual(models, ["claude-listed", "claude-sim"]);
  assert.equal((await client.models.retrieve("claude-sim")).type, "model");

  await assert.rejects(patient.messages.create({ ...ask, model: "overloaded" }), (error) => {
    assert.deepEqual([error.status, error.error.error.type], [529, "overloaded_error"]);
    assert.equal(error.headers.get("retry-after"), "1");
    assert.equal(error.requestID, error.error.request_id);
    return true;
  });
  for (const model of ["error-mid", "reset-mid"]) {
    await assert.rejects(client.messages.stream({ ...ask, model }).finalMessage(), undefined, model);
  }
  assert.equal((await client.messages.batches.delete(batch.id)).type, "message_batch_deleted");
  await assert.rejects(client.messages.batches.retrieve(batch.id), (error) => error.status === 404);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
