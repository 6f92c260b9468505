// Replicate's SDK for Node, with predictions of Replicate's behind the server: their logs, their output, and their end.

const assert = require("node:assert/strict");
const Replicate = require("replicate");

const replicate = new Replicate({ auth: process.env.REPLICATE_API_TOKEN, baseUrl: process.env.RAINCHECK, useFileOutput: false });
const MODEL = "owner/painter";
const LINES = [0, 25, 50, 75, 100].map((percent) => `${percent}% of the simulated work is done`);
const said = (prediction) => (prediction.logs ?? "").split("\n").filter((line) => line.includes("% of"));

async function main() {
  const output = await replicate.run(MODEL, { input: { prompt: "a fox" } });
  assert.equal(output.length, 4);

  let prediction = await replicate.predictions.create({ model: MODEL, input: { prompt: "a fox" } });
  prediction = await replicate.wait(prediction, { interval: 200 });
  assert.equal(prediction.status, "succeeded");
  assert.deepEqual(prediction.output, output);
  assert.deepEqual(said(prediction), LINES);

  let slow = await replicate.predictions.create({ model: MODEL, input: { prompt: "another fox" } });
  while (!said(slow).includes(LINES[0])) {
    slow = await replicate.predictions.get(slow.id);
    assert.ok(["starting", "processing"].includes(slow.status), slow.status);
  }
  await replicate.predictions.cancel(slow.id);
  assert.equal((await replicate.wait(slow, { interval: 200 })).status, "canceled");
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
