// A browser for the tests of pages, and what every page is held to: nothing goes wrong unseen, nothing has to be scrolled sideways
// on a telephone, and both themes are shown. Pictures are written into PICTURES.
const assert = require("node:assert/strict");
const path = require("node:path");
const { chromium } = require("playwright-core");

const { SERVER, PICTURES } = process.env;
const EXECUTABLE = "/usr/bin/chromium";
// Without a screen, and without a word to anybody but the server under test.
const FLAGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];
const WIDTHS = { wide: 1100, narrow: 380 };
const HEIGHT = 800;
// A page that takes longer to come to something has failed.
const PATIENCE_MS = 30_000;

// Runs `use` with a function that opens a page of the server, in a browser that has seen none before. Answers of these codes may
// be part of what is tried; the browser complains of them all.
async function browse(use, { refusals = [] } = {}) {
  const browser = await chromium.launch({ executablePath: EXECUTABLE, args: FLAGS, timeout: PATIENCE_MS });
  const complaints = [];
  const complain = (what) => {
    if (!refusals.some((code) => what.includes(`status of ${code}`))) complaints.push(what);
  };
  try {
    const context = await browser.newContext({ viewport: { width: WIDTHS.wide, height: HEIGHT } });
    context.setDefaultTimeout(PATIENCE_MS);
    await use(async (address) => {
      const page = await context.newPage();
      page.on("console", (message) => ["error", "warning"].includes(message.type()) && complain(message.text()));
      page.on("pageerror", (error) => complain(String(error)));
      await page.goto(new URL(address, SERVER).href);
      return page;
    });
  } finally {
    await browser.close();
  }
  assert.deepEqual(complaints, [], "the browser complains");
}

// Shows a page as it is now in both themes and both widths: all of it, or the end of a talk.
async function show(page, name) {
  const isTalk = await page.locator("form").first().evaluate((form) => getComputedStyle(form).position === "sticky");
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    for (const [size, width] of Object.entries(WIDTHS)) {
      await page.setViewportSize({ width, height: HEIGHT });
      const [content, window] = await page.evaluate(() => {
        const { scrollWidth, clientWidth } = document.documentElement;
        return [scrollWidth, clientWidth];
      });
      assert.ok(content <= window, `${name}, ${size}: ${content} px in a window of ${window}`);
      await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight));
      await page.screenshot({ path: path.join(PICTURES, `${name}-${size}-${colorScheme}.png`), fullPage: !isTalk });
    }
  }
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize({ width: WIDTHS.wide, height: HEIGHT });
}

// What `look` finds, as soon as it is something.
async function until(what, look) {
  const began = Date.now();
  for (;;) {
    const found = await look();
    if (found) return found;
    assert.ok(Date.now() - began < PATIENCE_MS, `not within ${PATIENCE_MS} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

// Runs a whole script, and says how it ended.
function run(script) {
  script().catch((error) => {
    console.error(error);
    process.exitCode = 1;
  });
}

module.exports = { browse, run, show, until };
