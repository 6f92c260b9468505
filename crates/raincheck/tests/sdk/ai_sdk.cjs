// The AI SDK, with only its base address and key changed. The models are those of openai_sdk.py.
const assert = require('node:assert/strict');
const { APICallError, embed, generateText, streamText } = require('ai');
const { createOpenAI } = require('@ai-sdk/openai');

const openai = createOpenAI({ baseURL: process.env.OPENAI_BASE_URL, apiKey: process.env.OPENAI_API_KEY });

async function main() {
  // Responses, which it calls by default, and chat completions. A Response that is queued would be an empty text to it.
  for (const model of [openai('quick'), openai.chat('quick')]) {
    const { text, finishReason, usage } = await generateText({ model, prompt: 'Say hello.' });
    assert(text.length > 0);
    assert.equal(finishReason, 'stop');
    assert(usage.outputTokens > 0);
    const stream = streamText({ model, prompt: 'Say hello.' });
    const pieces = [];
    for await (const piece of stream.textStream) pieces.push(piece);
    assert(pieces.length > 1);
    assert.equal(pieces.join(''), text);
    assert.equal(await stream.finishReason, 'stop');
  }
  assert((await embed({ model: openai.embedding('quick'), value: 'a' })).embedding.length > 0);
  const refused = generateText({ model: openai('refused'), prompt: 'Say hello.' });
  await assert.rejects(refused, (error) => APICallError.isInstance(error) && error.statusCode === 400);
}

main();
