// FAL's client for Node, with a queue of FAL's behind the server: its place, its log, its result, and its end.

const assert = require("node:assert/strict");
const { createFalClient } = require("@fal-ai/client");

const fal = createFalClient({ proxyUrl: { url: `${process.env.RAINCHECK}/fal`, when: "always" } });
const APP = "fal-ai/flux/dev";
const LINES = [0, 25, 50, 75, 100].map((percent) => `${percent}% of the simulated work is done`);
const said = (status) => (status.logs ?? []).map((log) => log.message);

async function main() {
  const seen = [];
  const result = await fal.subscribe(APP, {
    input: { prompt: "a fox", num_images: 2 }, logs: true, onQueueUpdate: (update) => seen.push(update),
  });
  assert.equal(result.data.images.length, 2);
  assert.equal(seen.at(-1).status, "COMPLETED");
  const last = said(seen.at(-1));
  assert.deepEqual(last.filter((line) => line.includes("% of")), LINES);
  assert.ok(last.some((line) => line.startsWith("In the upstream's queue, ")), last);

  const { request_id: requestId } = await fal.queue.submit(APP, { input: { prompt: "a fox" } });
  for (;;) {
    const status = await fal.queue.status(APP, { requestId, logs: true });
    assert.notEqual(status.status, "COMPLETED");
    if (said(status).includes(LINES[0])) break;
  }
  await fal.queue.cancel(APP, { requestId });
  await fal.queue.subscribeToStatus(APP, { requestId });
  await assert.rejects(fal.queue.result(APP, { requestId }), (error) => error.status === 410);
}

main().catch((error) => {
  console.error(error, error.body);
  process.exit(1);
});
