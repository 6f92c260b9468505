// The voice library: a path that is not there is told as the document has it, and a corpus is looked through.
const assert = require("node:assert/strict");
const { browse, run, show } = require("./browser.cjs");

const { CORPUS } = process.env;
const PAGE = "/pages/voice-library/";

async function scan(page, path) {
  await page.fill("#path", path);
  await page.click("#start");
}

run(() => browse(async (open) => {
  const page = await open(PAGE);
  await scan(page, "/tmp/there/is/nothing/here");
  await page.getByText("Path not found", { exact: true }).waitFor();
  assert.ok(!(await page.locator("#task").isVisible()));
  await show(page, "voice-library-not-found");
  await scan(page, CORPUS);
  await page.getByRole("heading", { name: "Completed" }).waitFor();
  assert.ok(!(await page.locator("#refused").isVisible()));
  const facts = await page.locator("#facts div").allTextContents();
  assert.deepEqual(facts.slice(0, 4), ["Files21", "Fine20", "With warnings0", "Unusable1"]);
  await show(page, "voice-library-completed");
  // It is found again.
  await page.reload();
  await page.getByRole("heading", { name: "Completed" }).waitFor();
}, { refusals: [400] }));
