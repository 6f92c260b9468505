// The conversation is kept by the server. The browser keeps its name alone, so that a reload, and every tab, shows the same.
const KEPT = "course-conversation";
const talk = document.querySelector("#talk");
const form = document.querySelector("#ask");
const question = document.querySelector("#question");
const send = document.querySelector("#send");
const stop = document.querySelector("#stop");
const tabs = new BroadcastChannel(KEPT);

// What is being followed: the stream of each job.
const sources = new Map();
// The job that the stop button ends: the last that has not ended.
let underWay = null;
let shown = 0;

function bubble(who, text) {
  const element = document.createElement("div");
  element.className = `message ${who}`;
  element.textContent = text;
  talk.append(element);
  element.scrollIntoView({ block: "end" });
  return element;
}

function note(element, text) {
  const small = document.createElement("small");
  small.className = "note";
  small.textContent = text;
  element.append(small);
}

function busy(job) {
  underWay = job;
  send.hidden = job !== null;
  stop.hidden = job === null;
  stop.disabled = false;
}

// A passage as it stands in the material: paragraphs, whose lines go on where the next begins, lists and code.
function prose(element, text) {
  text.split(/^```.*\n?/m).forEach((part, number) => {
    const isCode = number % 2 === 1;
    const block = document.createElement(isCode ? "pre" : "span");
    block.textContent = isCode ? part.trimEnd() : part.trim().replace(/(?<!\n)\n(?!\n|- )\s*/g, " ");
    element.append(block);
  });
}

// The passages that an answer comes from, folded away unless they are all there is.
function passages(citations, isOpen) {
  const details = document.createElement("details");
  details.className = "note";
  details.open = isOpen;
  const summary = document.createElement("summary");
  summary.textContent = citations.length === 1 ? "1 passage of the course" : `${citations.length} passages of the course`;
  details.append(summary);
  for (const { headings, text } of citations) {
    const passage = document.createElement("blockquote");
    const title = document.createElement("b");
    title.textContent = `${headings.join(" › ")}\n`;
    passage.append(title);
    prose(passage, text);
    details.append(passage);
  }
  return details;
}

function answered(element, { answer, degraded, reason, retryAt, rewritten, citations }) {
  element.className = "message assistant";
  // Without a model the passages are the answer, and stand below.
  element.textContent = degraded ? answer.split("\n\n")[0] : answer;
  if (degraded) {
    element.classList.add("degraded");
    const again = retryAt ? ` Ask again after ${new Date(retryAt).toLocaleTimeString()}.` : "";
    note(element, reason === "provider_unavailable" ? `Not written by the assistant.${again}` : "The assistant had no answer.");
  }
  if (rewritten) note(element, `Understood as: ${rewritten}`);
  if (citations?.length) element.append(passages(citations, degraded));
}

function unanswered(element, text, why, isStopped) {
  element.className = isStopped ? "message assistant" : "message assistant degraded";
  element.textContent = text;
  note(element, why);
}

// Follows a job from its first event on: whatever was missed is told again, and nothing twice.
function follow(job, element) {
  let text = "";
  element.classList.add("thinking");
  element.textContent = "Thinking...";
  busy(job);
  const source = new EventSource(`/api/assistant/jobs/${job}`);
  sources.set(job, source);
  const end = () => {
    source.close();
    sources.delete(job);
    if (underWay === job) busy([...sources.keys()].at(-1) ?? null);
  };
  source.addEventListener("progress", (event) => {
    const { message } = JSON.parse(event.data);
    if (message && !text) element.textContent = message;
  });
  source.addEventListener("restarted", () => {
    text = "";
    element.classList.add("thinking");
    element.textContent = "Thinking...";
  });
  source.addEventListener("output", (event) => {
    text += JSON.parse(event.data).text ?? "";
    element.classList.remove("thinking");
    element.textContent = text;
    element.scrollIntoView({ block: "nearest" });
  });
  source.addEventListener("ended", (event) => {
    const { status, result, message } = JSON.parse(event.data);
    end();
    if (result) answered(element, result);
    else if (status === "cancelled") unanswered(element, text, "Stopped.", true);
    else unanswered(element, text, `That did not work: ${message || status}`, false);
  });
  source.addEventListener("error", () => {
    // Whoever is cut off comes back by itself; a job that is no more does not.
    if (source.readyState !== EventSource.CLOSED) return;
    end();
    unanswered(element, text, "What became of this is not known any more.", false);
  });
}

// The conversation as it is, and what is still being answered of it.
async function show() {
  const turn = ++shown;
  const conversation = localStorage.getItem(KEPT);
  const reply = conversation ? await fetch(`/api/assistant/conversations/${conversation}`) : null;
  // Of two that were asked for at once the later one is shown.
  if (turn !== shown) return;
  if (reply?.status === 404) localStorage.removeItem(KEPT);
  const { messages } = reply?.ok ? await reply.json() : { messages: [] };
  for (const source of sources.values()) source.close();
  sources.clear();
  busy(null);
  talk.replaceChildren();
  for (const { role, state, content, job_id: job, error } of messages) {
    if (role === "user") {
      bubble("user", content);
      continue;
    }
    const element = bubble("assistant", "");
    if (state === "completed") answered(element, content);
    // How much there was of the text is told by the job.
    else if (state === "processing" || state === "cancelled") follow(job, element);
    else unanswered(element, "", `That did not work: ${error?.detail ?? state}`, false);
  }
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = question.value.trim();
  if (!text || send.hidden || send.disabled) return;
  send.disabled = true;
  question.value = "";
  bubble("user", text);
  const element = bubble("assistant", "Thinking...");
  element.classList.add("thinking");
  try {
    const reply = await fetch("/api/assistant/query", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ question: text, conversationId: localStorage.getItem(KEPT) }),
    });
    const body = await reply.json();
    if (!reply.ok) throw new Error(body.message ?? reply.statusText);
    localStorage.setItem(KEPT, body.conversationId);
    follow(body.jobId, element);
    tabs.postMessage("said");
  } catch (error) {
    unanswered(element, "", `That could not be asked: ${error.message}`, false);
    question.value = text;
  } finally {
    send.disabled = false;
  }
});

stop.addEventListener("click", () => {
  stop.disabled = true;
  fetch(`/api/assistant/jobs/${underWay}/cancel`, { method: "POST" });
});

question.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    form.requestSubmit();
  }
});

document.querySelector("#anew").addEventListener("click", () => {
  localStorage.removeItem(KEPT);
  tabs.postMessage("anew");
  show();
  question.focus();
});

tabs.addEventListener("message", show);
show();
