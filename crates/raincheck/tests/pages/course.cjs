// The course's assistant: it thinks, its text grows, a reload and a second tab in the middle of it see the same text once, and it
// can be stopped.
const assert = require("node:assert/strict");
const { browse, run, show, until } = require("./browser.cjs");

const PAGE = "/pages/course/";
const answer = (page) => page.locator(".message.assistant").last();
// Asks, and gives the id of the job that answers.
const ask = async (page, question) => {
  await page.fill("#question", question);
  const accepted = page.waitForResponse((reply) => reply.url().endsWith("/api/assistant/query"));
  await page.click("#send");
  return (await (await accepted).json()).jobId;
};
const isThinking = async (page) => (await answer(page).getAttribute("class")).includes("thinking");
// The text so far; nothing while there is only word of what is being done.
const text = async (page) => ((await isThinking(page)) ? "" : await answer(page).evaluate((bubble) => bubble.firstChild?.textContent ?? ""));
const grown = (page, than) => until("its text grows", async () => {
  const now = await text(page);
  return now.length > than.length && now;
});
const ended = (page) => page.locator("#send").waitFor();

async function answers(open) {
  const page = await open(PAGE);
  const job = await ask(page, "What is a foreign key?");
  await answer(page).getByText("Thinking...").waitFor();
  await show(page, "course-thinking");
  const first = await grown(page, "");
  const second = await grown(page, first);
  assert.ok(second.startsWith(first));
  await page.reload();
  const other = await open(PAGE);
  await other.locator("#stop").waitFor();
  const third = await grown(page, second);
  assert.ok(third.startsWith(second), "after a reload it goes on where it was");
  assert.ok(await page.locator("#stop").isVisible(), "the reload came in the middle");
  await Promise.all([ended(page), ended(other)]);
  const [whole, elsewhere] = [await text(page), await text(other)];
  assert.equal(whole, elsewhere, "two tabs agree");
  const told = await page.evaluate(async (job) => (await fetch(`/api/assistant/jobs/${job}`)).json(), job);
  assert.equal(whole, told.result.answer, "the text is there, and once");
  assert.equal(await page.locator(".message").count(), 2);
  await other.close();
  return page;
}

async function stops(page) {
  await ask(page, "And what is an index?");
  const part = await grown(page, "");
  await page.click("#stop");
  await ended(page);
  await answer(page).getByText("Stopped.").waitFor();
  assert.ok((await text(page)).startsWith(part), "what was written stays");
  await page.reload();
  await answer(page).getByText("Stopped.").waitFor();
  assert.equal(await page.locator(".message").count(), 4);
  await show(page, "course-stopped");
}

run(() => browse(async (open) => stops(await answers(open))));
