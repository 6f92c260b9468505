// The documented calls of FAL's client for Node: by proxyUrl, and by a middleware that changes the address.

const assert = require("node:assert/strict");
const { createFalClient } = require("@fal-ai/client");

const here = process.env.RAINCHECK;
const APP = "fal-ai/flux/dev";
const clients = {
  proxy: createFalClient({ proxyUrl: { url: `${here}/fal`, when: "always" } }),
  middleware: createFalClient({
    credentials: process.env.FAL_KEY,
    requestMiddleware: async (request) => ({
      ...request,
      url: request.url.replace("https://queue.fal.run", `${here}/fal`).replace("https://fal.run", `${here}/fal/run`),
    }),
  }),
};

async function main() {
  for (const [name, fal] of Object.entries(clients)) {
    const seen = [];
    const onQueueUpdate = (update) => seen.push(update.status);
    const polled = await fal.subscribe(APP, { input: { prompt: "a fox" }, logs: true, onQueueUpdate });
    assert.equal(polled.data.seed, 7, name);
    assert.ok(polled.requestId, name);
    assert.equal(seen.at(-1), "COMPLETED", name);

    const submitted = await fal.queue.submit(APP, { input: { prompt: "a fox" } });
    assert.equal(submitted.status, "IN_QUEUE", name);
    const ended = await fal.queue.subscribeToStatus(APP, { requestId: submitted.request_id, logs: true });
    assert.equal(ended.status, "COMPLETED", name);
    const result = await fal.queue.result(APP, { requestId: submitted.request_id });
    assert.deepEqual(result.data.asked, { prompt: "a fox" }, name);

    const slow = await fal.queue.submit(APP, { input: { prompt: "slow" } });
    await fal.queue.cancel(APP, { requestId: slow.request_id });
    await fal.queue.subscribeToStatus(APP, { requestId: slow.request_id });
    await assert.rejects(fal.queue.result(APP, { requestId: slow.request_id }), (error) => error.status === 410);

    const run = await fal.run(APP, { input: { prompt: "at once" } });
    assert.deepEqual(run.data.asked, { prompt: "at once" }, name);
  }

  // What does not start in its time, here because its queue is paused, ends and is not asked for again.
  const queue = async (what) => assert.ok((await fetch(`${here}/v1/queues/image.generate/${what}`, { method: "POST" })).ok);
  await queue("pause");
  const late = clients.proxy.subscribe(APP, { input: { prompt: "a fox" }, startTimeout: 1.5 });
  await assert.rejects(late, (error) => error.isUserTimeout && /did not start/.test(error.body.detail));
  await queue("resume");

  const seen = [];
  const streamed = await clients.middleware.subscribe(APP, {
    input: { prompt: "a fox" },
    mode: "streaming",
    connectionMode: "server",
    logs: true,
    onQueueUpdate: (update) => seen.push(update),
  });
  assert.equal(streamed.data.seed, 7);
  assert.equal(seen.at(-1).status, "COMPLETED");
  assert.deepEqual(seen.at(-1).logs.map((log) => log.message), ["loading", "painting"]);
}

main().catch((error) => {
  console.error(error, error.body);
  process.exit(1);
});
