// What is asked, and the job that answers it, are kept in the browser: a reload, or another tab, finds them and goes on.
const KEPT = "course-assistant";
const talk = document.querySelector("#talk");
const form = document.querySelector("#ask");
const question = document.querySelector("#question");
const send = document.querySelector("#send");
const stop = document.querySelector("#stop");

let kept = JSON.parse(localStorage.getItem(KEPT) ?? '{"turns": []}');
let source = null;

function keep() {
  localStorage.setItem(KEPT, JSON.stringify(kept));
}

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

function answered(element, turn) {
  element.className = "message assistant";
  element.textContent = turn.answer;
  if (turn.degraded) {
    element.classList.add("degraded");
    note(element, "Not written by the assistant: it could not be reached.");
  }
  if (turn.rewritten) note(element, `Understood as: ${turn.rewritten}`);
  if (turn.stopped) note(element, "Stopped.");
}

function busy(is) {
  send.hidden = is;
  stop.hidden = !is;
}

// Follows a job from its first event: whatever was missed is told again, and nothing twice.
function follow(turn, element) {
  let text = "";
  busy(true);
  element.classList.add("thinking");
  element.textContent = "Thinking...";
  source = new EventSource(`/api/assistant/jobs/${turn.jobId}`);
  source.addEventListener("progress", (event) => {
    const { message } = JSON.parse(event.data);
    if (message && !text) element.textContent = message;
  });
  source.addEventListener("restarted", () => { text = ""; });
  source.addEventListener("output", (event) => {
    text += JSON.parse(event.data).text ?? "";
    element.classList.remove("thinking");
    element.textContent = text;
    element.scrollIntoView({ block: "end" });
  });
  source.addEventListener("ended", (event) => {
    const { status, result, message } = JSON.parse(event.data);
    source.close();
    turn.stopped = status === "cancelled";
    turn.answer = result?.answer ?? (text || (turn.stopped ? "" : `That did not work: ${message}`));
    turn.degraded = result?.degraded ?? false;
    turn.rewritten = result?.rewritten;
    keep();
    answered(element, turn);
    busy(false);
    question.focus();
  });
}

function show() {
  talk.replaceChildren();
  for (const turn of kept.turns) {
    bubble("user", turn.question);
    const element = bubble("assistant", "");
    if (turn.answer === undefined) follow(turn, element);
    else answered(element, turn);
  }
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = question.value.trim();
  if (!text || !stop.hidden) return;
  question.value = "";
  const turn = { question: text };
  bubble("user", text);
  const element = bubble("assistant", "Thinking...");
  element.classList.add("thinking");
  busy(true);
  try {
    const reply = await fetch("/api/assistant/query", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ question: text, conversationId: kept.conversationId ?? null }),
    });
    const body = await reply.json();
    if (!reply.ok) throw new Error(body.message ?? reply.statusText);
    turn.jobId = body.jobId;
    kept.conversationId = body.conversationId;
    kept.turns.push(turn);
    keep();
    follow(turn, element);
  } catch (error) {
    element.className = "message assistant degraded";
    element.textContent = `That could not be asked: ${error.message}`;
    question.value = text;
    busy(false);
  }
});

stop.addEventListener("click", async () => {
  const turn = kept.turns.at(-1);
  if (turn?.jobId) await fetch(`/api/assistant/jobs/${turn.jobId}/cancel`, { method: "POST" });
});

question.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    form.requestSubmit();
  }
});

document.querySelector("#anew").addEventListener("click", () => {
  source?.close();
  kept = { turns: [] };
  keep();
  busy(false);
  show();
  question.focus();
});

show();
