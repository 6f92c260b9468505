// The documented calls of Replicate's SDK for Node, with only baseUrl changed.

const assert = require("node:assert/strict");
const http = require("node:http");
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
  const server = http.createServer().listen(0, "127.0.0.1");
  const told = new Promise((resolve) => server.once("request", async (request, response) => {
    let body = "";
    for await (const piece of request) body += piece;
    response.writeHead(204).end();
    resolve(new Request("http://localhost/hook", { method: "POST", headers: request.headers, body }));
  }));
  await new Promise((resolve) => server.once("listening", resolve));
  const webhook = `http://127.0.0.1:${server.address().port}/hook`;
  await replicate.predictions.create({
    model: MODEL, input: { prompt: "a fox" }, webhook, webhook_events_filter: ["completed"],
  });
  const request = await told;
  const { key } = await replicate.webhooks.default.secret.get();
  assert.ok(await Replicate.validateWebhook(request.clone(), key));
  assert.deepEqual((await request.json()).output, [URL]);
  server.close();

  assert.ok((await replicate.predictions.list()).results.some((one) => one.id === slow.id));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
