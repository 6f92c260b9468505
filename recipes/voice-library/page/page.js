// The task is kept in the browser: a reload finds it and goes on.
const KEPT = "voice-library";
const WORDS = { pending: "Waiting", running: "Running", completed: "Completed", failed: "Failed", cancelled: "Stopped", expired: "Given up" };

const form = document.querySelector("#scan");
const path = document.querySelector("#path");
const start = document.querySelector("#start");
const stop = document.querySelector("#stop");
const refused = document.querySelector("#refused");
const task = document.querySelector("#task");
const bar = document.querySelector("#bar");
const message = document.querySelector("#message");
const facts = document.querySelector("#facts");
const issues = document.querySelector("#issues");

let id = localStorage.getItem(KEPT);
let source = null;

function busy(is) {
  start.hidden = is;
  stop.hidden = !is;
}

function fact(name, value) {
  const pair = document.createElement("div");
  const [term, said] = ["dt", "dd"].map((tag) => document.createElement(tag));
  term.textContent = name;
  said.textContent = value;
  pair.append(term, said);
  return pair;
}

function show({ status, progress, message: said, results }) {
  task.hidden = false;
  document.querySelector("#status").textContent = WORDS[status] ?? status;
  bar.value = progress;
  bar.hidden = status !== "pending" && status !== "running";
  message.textContent = said ?? "";
  facts.hidden = !results;
  issues.hidden = !results || Object.keys(results.issues).length === 0;
  if (!results) return;
  const { files, ok, warnings, errors, hours, speakers, seconds } = results;
  facts.replaceChildren(
    fact("Files", files.toLocaleString("en")),
    fact("Fine", ok.toLocaleString("en")),
    fact("With warnings", warnings.toLocaleString("en")),
    fact("Unusable", errors.toLocaleString("en")),
    fact("Hours", hours.toFixed(2)),
    fact("Speakers", speakers.count.toLocaleString("en")),
    fact("Took", `${seconds.toFixed(1)} s`),
  );
  const rows = Object.entries(results.issues).toSorted(([, one], [, other]) => other - one).map(([issue, count]) => {
    const row = document.createElement("tr");
    const [name, number] = ["td", "td"].map((tag) => document.createElement(tag));
    name.textContent = issue.replaceAll("_", " ");
    number.textContent = count.toLocaleString("en");
    number.className = "number";
    row.append(name, number);
    return row;
  });
  issues.querySelector("tbody").replaceChildren(...rows);
}

// Follows a task from its first event; its end says the same as its status.
function follow() {
  source?.close();
  busy(true);
  show({ status: "running", progress: 0, message: "Looking for audio files" });
  source = new EventSource(`/api/voice-library/scan-status/${id}`);
  source.addEventListener("progress", (event) => {
    const { percent, message: said } = JSON.parse(event.data);
    show({ status: "running", progress: percent, message: said });
  });
  source.addEventListener("ended", (event) => {
    source.close();
    busy(false);
    show(JSON.parse(event.data));
  });
}

function tell(text) {
  refused.textContent = text;
  refused.hidden = !text;
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (start.hidden) return;
  tell("");
  start.disabled = true;
  try {
    const reply = await fetch("/api/voice-library/scan-libritts", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ libritts_path: path.value }),
    });
    const body = await reply.json();
    if (!reply.ok) throw new Error(body.detail ?? reply.statusText);
    id = body.task_id;
    localStorage.setItem(KEPT, id);
    follow();
  } catch (error) {
    tell(error.message);
  }
  start.disabled = false;
});

stop.addEventListener("click", () => fetch(`/api/voice-library/scan-cancel/${id}`, { method: "POST" }));

// Also how it ended, as long as the server knows.
async function resume() {
  const reply = await fetch(`/api/voice-library/scan-status/${id}`);
  if (reply.ok) return follow();
  id = null;
  localStorage.removeItem(KEPT);
}

if (id) resume();
