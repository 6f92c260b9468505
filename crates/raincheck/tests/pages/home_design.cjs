// Home design: a room and a wish become a picture, whose place in the queue is told and which a reload in the middle does not
// disturb; choices are offered; it can be stopped in one tab and is seen so in another; what is no picture is refused in words.
const assert = require("node:assert/strict");
const zlib = require("node:zlib");
const { browse, run, show, until } = require("./browser.cjs");

const PAGE = "/pages/home-design/";
const last = (page) => page.locator(".message").last();
const says = (page, text) => until(`the last message says ${text}`, async () => (await last(page).textContent()).includes(text));

// A picture of one grey as PNG.
function room(side) {
  const chunk = (name, data) => {
    const named = Buffer.concat([Buffer.from(name), data]);
    const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    sum.writeUInt32BE(zlib.crc32 ? zlib.crc32(named) : crc32(named));
    return Buffer.concat([length, named, sum]);
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(side, 0);
  head.writeUInt32BE(side, 4);
  head[8] = 8;
  const rows = Buffer.concat(Array(side).fill(Buffer.concat([Buffer.from([0]), Buffer.alloc(side, 128)])));
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, chunk("IHDR", head), chunk("IDAT", zlib.deflateSync(rows)), chunk("IEND", Buffer.alloc(0))]);
}

// Older versions of Node have none of their own.
function crc32(bytes) {
  let sum = ~0;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit += 1) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
  }
  return ~sum >>> 0;
}

async function say(page, message, picture) {
  if (picture) await page.setInputFiles("#image", { name: "room.png", mimeType: "image/png", buffer: picture });
  await page.fill("#message", message);
  await page.click("#send");
}

async function becomes(page) {
  await say(page, "Transform my living room into a library", room(64));
  await until("its place in the queue", async () => (await last(page).textContent()).includes("ahead"));
  await show(page, "home-design-queued");
  await page.reload();
  await last(page).locator("progress").waitFor();
  const picture = page.locator(".message.assistant img");
  await until("the picture", () => picture.evaluate((image) => image.complete && image.naturalWidth > 0));
  assert.equal(await page.locator(".message.assistant").count(), 1, "it was made once");
  await show(page, "home-design-done");
}

async function chooses(page) {
  await say(page, "Which colour suits a room to the north?");
  await page.locator(".options button").first().waitFor();
}

async function stops(page, open) {
  await say(page, "Now transform it into blue");
  const other = await open(PAGE);
  await other.locator(".thinking").waitFor();
  await page.click("#stop");
  await Promise.all([says(page, "Stopped."), says(other, "Stopped.")]);
  await other.close();
}

async function refuses(page) {
  await say(page, "Transform it", Buffer.from("<svg/>"));
  await says(page, "That could not be sent");
  await show(page, "home-design-refused");
}

run(() => browse(async (open) => {
  const page = await open(PAGE);
  await page.locator(".empty").waitFor();
  await becomes(page);
  await chooses(page);
  await stops(page, open);
  await refuses(page);
}, { refusals: [415] }));
