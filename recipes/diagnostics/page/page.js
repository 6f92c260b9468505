// The list of tasks is asked for once a second, and so is the status of each that is not done: as an application would.
// No connection is kept open for minutes, so any number of diagnostics may be under way in one browser.
const EVERY = 1000;
// Of so many answers it is remembered how long they took.
const TIMES_MAX = 1000;
const WORDS = {
  scheduled: "waiting", queued: "waiting", waiting: "waiting, and tried again", running: "being scored",
  completed: "scored", failed: "failed", cancelled: "stopped", expired: "given up",
};
const OPEN = ["scheduled", "queued", "waiting", "running"];

const form = document.querySelector("#submit");
const files = document.querySelector("#files");
const rubric = document.querySelector("#rubric");
const send = document.querySelector("#send");
const refused = document.querySelector("#refused");
const list = document.querySelector("#tasks");
const rows = new Map();
const times = [];
let answers = 0;

// Asks, and takes the time.
async function ask(path) {
  const began = performance.now();
  const reply = await fetch(path);
  const body = await reply.json();
  times.push(performance.now() - began);
  if (times.length > TIMES_MAX) times.shift();
  answers += 1;
  if (!reply.ok) throw new Error(body.message ?? reply.statusText);
  return body;
}

function element(name, className, text = "") {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

function row(id, file) {
  const item = document.createElement("li");
  const head = element("div", "head");
  const row = {
    item,
    score: element("b", "score"),
    state: element("span", "quietly"),
    bar: document.createElement("progress"),
    said: element("p", "said"),
    stop: element("button", "quiet", "Stop"),
    isDone: false,
  };
  row.stop.type = "button";
  row.stop.addEventListener("click", () => fetch(`/api/diagnostics/${id}/cancel`, { method: "POST" }));
  row.bar.setAttribute("aria-label", file);
  head.append(element("span", "name", file), row.state, row.score, row.stop);
  item.append(head, row.bar, row.said);
  rows.set(id, row);
  return row;
}

function show(row, { status, position, message, result }) {
  const isOpen = OPEN.includes(status);
  row.isDone = !isOpen;
  row.item.dataset.status = status;
  row.state.textContent = position ? `number ${position} in the line` : WORDS[status] ?? status;
  row.score.textContent = result ? result.score : "";
  row.said.textContent = result ? result.reasons : status === "cancelled" ? "" : message;
  row.said.classList.toggle("error", status === "failed" || status === "expired");
  row.said.hidden = !row.said.textContent;
  row.bar.hidden = row.stop.hidden = !isOpen;
}

async function look() {
  const { tasks } = await ask("/api/tasks?limit=100");
  // Newest first, as they are told; those that the server has forgotten go.
  const told = tasks.map(({ id, file }) => rows.get(id) ?? row(id, file));
  list.replaceChildren(...told.map(({ item }) => item));
  document.querySelector("#none").hidden = tasks.length > 0;
  const open = tasks.filter(({ id }) => !rows.get(id).isDone);
  await Promise.all(open.map(async ({ id }) => show(rows.get(id), await ask(`/api/diagnostics/${id}`))));
  pace();
}

function pace() {
  const sorted = times.toSorted((one, other) => one - other);
  const say = (id, ms) => { document.querySelector(id).textContent = ms === undefined ? "–" : `${ms.toFixed(1)} ms`; };
  document.querySelector("#answers").textContent = answers;
  say("#median", sorted[Math.floor(sorted.length / 2)]);
  say("#slowest", sorted.at(-1));
}

async function watch() {
  try {
    await look();
    if (refused.dataset.of === "look") tell("", "");
  } catch (error) {
    tell(`The server gave no answer: ${error.message}`, "look");
  }
  setTimeout(watch, EVERY);
}

function tell(text, of) {
  refused.textContent = text;
  refused.dataset.of = of;
  refused.hidden = !text;
}

async function submit(file) {
  const body = new FormData();
  body.append("file", file);
  body.append("rubric", rubric.value);
  const reply = await fetch("/api/diagnostics", { method: "POST", body });
  const told = await reply.json();
  if (!reply.ok) throw new Error(`${file.name}: ${told.message ?? reply.statusText}`);
  return told;
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  send.disabled = true;
  const sent = await Promise.allSettled([...files.files].map(submit));
  send.disabled = false;
  const failed = sent.filter(({ status }) => status === "rejected").map(({ reason }) => reason.message);
  tell(failed.join("\n"), "submit");
  if (failed.length === 0) files.value = "";
});

watch();
