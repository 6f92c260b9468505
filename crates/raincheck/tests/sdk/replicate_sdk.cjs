// The documented calls of Replicate's SDK for Node, with only baseUrl changed.

const assert = require("node:assert/strict");
const Replicate = require("replicate");

const replicate = new Replicate({ auth: process.env.REPLICATE_API_TOKEN, baseUrl: process.env.RAINCHECK, useFileOutput: false });
const MODEL = "owner/painter";
const URL = "https://cdn.example/1.png";

async function main() {
  // Done while the client waits; and not done in that time, which must not be taken for the end.
  for (const prompt of ["a fox", "a while"]) {
    assert.deepEqual(await replicate.run(MODEL, { input: { prompt } }), [URL]);
  }

  let prediction = await replicate.predictions.create({ version: "0123456789abcdef", input: { prompt: "a fox" } });
  assert.equal(prediction.status, "starting");
  prediction = await replicate.wait(prediction, { interval: 200 });
  assert.equal(prediction.status, "succeeded");
  assert.match(prediction.logs, /painting/);

  const events = [];
  for await (const event of replicate.stream(MODEL, { input: { prompt: "a fox" } })) events.push(event.event);
  assert.deepEqual(events, ["logs", "logs", "output", "done"]);

  const slow = await replicate.predictions.create({ model: MODEL, input: { prompt: "slow" } });
  await replicate.predictions.cancel(slow.id);
  assert.equal((await replicate.wait(slow, { interval: 200 })).status, "canceled");

  await assert.rejects(replicate.run(MODEL, { input: { prompt: "refused" } }), /too rude/);
  assert.ok((await replicate.predictions.list()).results.some((one) => one.id === slow.id));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
