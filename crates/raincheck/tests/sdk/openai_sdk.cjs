// The documented calls of OpenAI's SDK for Node, with only OPENAI_BASE_URL and OPENAI_API_KEY changed. The models are those of
// openai_sdk.py.
const assert = require('node:assert/strict');
const OpenAI = require('openai');

const client = new OpenAI({ maxRetries: 0 });
// Tries again by itself, as SDKs do unless they are told otherwise.
const patient = new OpenAI({ timeout: 30_000 });
const messages = [{ role: 'user', content: 'Say hello.' }];

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

async function ended(response) {
  for (let round = 0; ['queued', 'in_progress'].includes(response.status); round++) {
    assert(round < 300, response.id);
    await sleep(100);
    response = await client.responses.retrieve(response.id);
  }
  return response;
}

async function all(stream) {
  const events = [];
  for await (const event of stream) events.push(event);
  return events;
}

const cases = {
  async background() {
    const response = await client.responses.create({ model: 'quick', input: 'Say hello.', background: true });
    assert.deepEqual([response.status, response.output, response.output_text], ['queued', [], '']);
    const done = await ended(response);
    assert.equal(done.status, 'completed');
    assert(done.output_text);
  },

  async streamedAndResumed() {
    const seen = [];
    const stream = await client.responses.create({ model: 'slow', input: 'Tell me.', background: true, stream: true });
    for await (const event of stream) {
      seen.push(event);
      if (seen.length === 8) break;
    }
    const id = seen[0].response.id;
    const rest = await all(await client.responses.retrieve(id, { stream: true, starting_after: 7 }));
    const events = [...seen, ...rest];
    assert.deepEqual(events.map((event) => event.sequence_number), [...events.keys()]);
    const deltas = events.filter((event) => event.type === 'response.output_text.delta');
    assert.equal(deltas.map((event) => event.delta).join(''), (await client.responses.retrieve(id)).output_text);
    assert.deepEqual(await all(await client.responses.retrieve(id, { stream: true })), events);
  },

  async helper() {
    for (const model of ['slow', 'cut']) {
      const response = await client.responses.create({ model, input: 'Tell me.', background: true });
      const stream = client.responses.stream({ response_id: response.id, starting_after: 2 });
      const numbers = (await all(stream)).map((event) => event.sequence_number);
      assert.equal(numbers[0], 3);
      const final = await stream.finalResponse();
      assert.deepEqual([final.id, final.status], [response.id, 'completed']);
      assert.equal(final.output_text, (await client.responses.retrieve(response.id)).output_text);
    }
  },

  async cancelledAndDeleted() {
    const response = await client.responses.create({ model: 'slow', input: 'Tell me.', background: true });
    for (let times = 0; times < 2; times++) {
      assert.equal((await client.responses.cancel(response.id)).status, 'cancelled');
    }
    const events = await all(await client.responses.retrieve(response.id, { stream: true }));
    assert.equal(events.at(-1).response.status, 'cancelled');
    await client.responses.delete(response.id);
    await assert.rejects(client.responses.retrieve(response.id), OpenAI.NotFoundError);
  },

  async inputItems() {
    const input = [...Array(5).keys()].map((number) => ({ role: 'user', content: `${number}` }));
    const response = await client.responses.create({ model: 'quick', input, background: true });
    const texts = [];
    for await (const item of client.responses.inputItems.list(response.id, { limit: 2, order: 'asc' })) {
      texts.push(item.content[0].text);
    }
    assert.deepEqual(texts, ['0', '1', '2', '3', '4']);
  },

  async passedOn() {
    const chat = await client.chat.completions.create({ model: 'quick', messages });
    const chunks = await all(await client.chat.completions.create({ model: 'quick', messages, stream: true }));
    const text = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('');
    assert.equal(text, chat.choices[0].message.content);
    const final = await client.responses.stream({ model: 'quick', input: 'Say hello.' }).finalResponse();
    assert(final.output_text);
    assert.equal((await client.embeddings.create({ model: 'quick', input: ['a', 'b'] })).data.length, 2);
  },

  async filesAndBatches() {
    const lines = ['quick', 'refused', 'quick'].map((model, n) => ({
      custom_id: `c${n}`, method: 'POST', url: '/v1/chat/completions', body: { model, messages: [] },
    }));
    const content = lines.map((line) => JSON.stringify(line)).join('\n');
    const file = await client.files.create({
      file: await OpenAI.toFile(Buffer.from(content), 'calls.jsonl'),
      purpose: 'batch',
      expires_after: { anchor: 'created_at', seconds: 3_600 },
    });
    assert.equal(file.expires_at, file.created_at + 3_600);
    assert.equal(await (await client.files.content(file.id)).text(), content);
    let batch = await client.batches.create({
      input_file_id: file.id, endpoint: '/v1/chat/completions', completion_window: '24h',
    });
    for (let round = 0; ['validating', 'in_progress', 'finalizing'].includes(batch.status); round++) {
      assert(round < 300, batch.id);
      await sleep(100);
      batch = await client.batches.retrieve(batch.id);
    }
    assert.deepEqual([batch.status, batch.request_counts], ['completed', { total: 3, completed: 2, failed: 1 }]);
    const output = (await (await client.files.content(batch.output_file_id)).text()).trim().split('\n').map(JSON.parse);
    assert.deepEqual(output.map((line) => line.custom_id), ['c0', 'c2']);
    assert((await client.files.delete(file.id)).deleted);
  },

  async uploads() {
    const upload = await client.uploads.create({ bytes: 6, filename: 'a.txt', mime_type: 'text/plain', purpose: 'user_data' });
    const parts = [];
    for (const text of ['abc', 'def']) {
      const data = await OpenAI.toFile(Buffer.from(text));
      parts.push((await client.uploads.parts.create(upload.id, { data })).id);
    }
    const { file, status } = await client.uploads.complete(upload.id, { part_ids: parts });
    assert.equal(status, 'completed');
    assert.equal(await (await client.files.content(file.id)).text(), 'abcdef');
  },

  async statuses() {
    const kinds = {
      400: OpenAI.BadRequestError, 401: OpenAI.AuthenticationError, 403: OpenAI.PermissionDeniedError,
      404: OpenAI.NotFoundError, 409: OpenAI.ConflictError, 422: OpenAI.UnprocessableEntityError,
      500: OpenAI.InternalServerError,
    };
    for (const [status, kind] of Object.entries(kinds)) {
      await assert.rejects(patient.chat.completions.create({ model: `status-${status}`, messages }), (error) => {
        assert(error instanceof kind && error.requestID, `${status}: ${error}`);
        return true;
      });
    }
  },

  async waits() {
    const began = Date.now();
    for (const [said, told] of [[1, '1'], [61, '60'], [130, '60']]) {
      await assert.rejects(patient.chat.completions.create({ model: `quota-${said}`, messages }), (error) => {
        assert(error instanceof OpenAI.RateLimitError, error);
        assert.equal(error.headers.get('retry-after'), told);
        return true;
      });
    }
    assert(Date.now() - began < 5000, 'nobody is to wait for an account to be filled');
    // What passes is waited for by the server, and the client, which tries nothing again, hears nothing of it.
    assert((await client.chat.completions.create({ model: 'throttled', messages })).choices[0].message.content);
  },

  async brokenInTheMiddle() {
    for (const model of ['error-mid', 'reset-mid']) {
      await assert.rejects(client.chat.completions.create({ model, messages, stream: true }).then(all), model);
    }
  },

  async storedAndAfterAnother() {
    const headers = { prefer: 'respond-async, wait=20' };
    const made = await client.chat.completions.create({ model: 'quick', messages }, { headers });
    assert.deepEqual(await client.chat.completions.retrieve(made.id), made);
    const first = await ended(await client.responses.create({ model: 'quick', input: 'One.', background: true }));
    const second = await client.responses.create({ model: 'quick', input: 'Two.', previous_response_id: first.id });
    assert(second.output_text);
  },

  async errors() {
    await assert.rejects(client.responses.create({ model: 'quick', input: 'x', background: true, store: 'maybe' }), (error) => {
      assert(error instanceof OpenAI.BadRequestError);
      assert.deepEqual([error.param, typeof error.requestID], ['store', 'string']);
      return true;
    });
  },
};

async function main() {
  for (const [name, run] of Object.entries(cases)) {
    await run();
    console.log('ok', name);
  }
}

main();
