// Home design: the page is there, and can be written into.
const { browse, run, show } = require("./browser.cjs");

run(() => browse(async (open) => {
  const page = await open("/pages/home-design/");
  await page.locator("form textarea").first().waitFor();
  await page.locator("form textarea").first().fill("Transform my living room into a library");
  await show(page, "home-design");
}));
