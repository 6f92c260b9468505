// Diagnostics: several files are sent and scored, while the list of tasks goes on answering; a score outlives the page.
const assert = require("node:assert/strict");
const { browse, run, show, until } = require("./browser.cjs");

const PAGE = "/pages/diagnostics/";
const CALLS = ["anna", "ben", "chloe"];
const file = (name) => ({ name: `${name}.txt`, mimeType: "text/plain", buffer: Buffer.from(`Agent: Hello ${name}?`) });
const rows = (page, status) => page.locator(`#tasks li[data-status="${status}"]`);

async function scores(open) {
  const page = await open(PAGE);
  await show(page, "diagnostics-empty");
  await page.setInputFiles("#files", CALLS.map(file));
  await page.fill("#rubric", "100 for a friendly end, else 0");
  await page.click("#send");
  await until("all are at work", async () => (await rows(page, "running").count()) === CALLS.length);
  await rows(page, "running").getByText("The upstream is at work").first().waitFor();
  await show(page, "diagnostics-scoring");
  await rows(page, "running").filter({ hasText: "ben.txt" }).getByRole("button", { name: "Stop" }).click();
  await until("one is stopped", async () => (await rows(page, "cancelled").count()) === 1);
  // Whoever comes back finds them.
  await page.reload();
  await until("the others are scored", async () => (await rows(page, "completed").count()) === 2);
  for (const score of await rows(page, "completed").locator(".score").allTextContents()) {
    assert.ok(/^\d+$/.test(score) && Number(score) <= 100, score);
  }
  assert.ok(Number(await page.textContent("#answers")) > 0);
  await show(page, "diagnostics-scored");
  return page;
}

async function refuses(page) {
  await page.setInputFiles("#files", { name: "empty.txt", mimeType: "text/plain", buffer: Buffer.alloc(0) });
  await page.click("#send");
  await page.getByText("empty.txt: file: the file is empty").waitFor();
  assert.equal(await page.locator("#tasks li").count(), CALLS.length);
}

run(() => browse(async (open) => refuses(await scores(open)), { refusals: [422] }));
