// The conversation is kept by the server; the browser keeps its name, and asks for it again after a reload.
const KEPT = "home-design";
const talk = document.querySelector("#talk");
const form = document.querySelector("#ask");
const message = document.querySelector("#message");
const send = document.querySelector("#send");
const stop = document.querySelector("#stop");

let conversation = localStorage.getItem(KEPT);
let source = null;
let job = null;

function bubble(who, text) {
  const element = document.createElement("div");
  element.className = `message ${who}`;
  element.textContent = text;
  talk.append(element);
  element.scrollIntoView({ block: "end" });
  return element;
}

function answered(element, { state, content, error }) {
  element.className = "message assistant";
  element.textContent = content?.message ?? (state === "cancelled" ? "Stopped." : `That did not work: ${error?.detail ?? state}`);
  if (!content) element.classList.add("degraded");
  if (content?.image_url) {
    const picture = document.createElement("img");
    picture.src = content.image_url;
    picture.alt = content.message;
    element.append(picture);
  }
  element.scrollIntoView({ block: "end" });
}

function busy(is) {
  send.hidden = is;
  stop.hidden = !is;
}

// The conversation as it is, and what is still being made of it.
async function show() {
  if (!conversation) return talk.replaceChildren();
  const reply = await fetch(`/home-design/conversations/${conversation}`);
  if (!reply.ok) {
    conversation = null;
    localStorage.removeItem(KEPT);
    return talk.replaceChildren();
  }
  const { messages } = await reply.json();
  talk.replaceChildren();
  for (const said of messages) {
    if (said.role === "user") {
      bubble("user", said.content);
      continue;
    }
    const element = bubble("assistant", "");
    if (said.state === "processing") follow(said.job_id, element);
    else answered(element, said);
  }
}

function follow(id, element) {
  job = id;
  busy(true);
  element.classList.add("thinking");
  element.textContent = "I'm on it...";
  source = new EventSource(`/home-design/jobs/${id}`);
  source.addEventListener("progress", (event) => {
    const { message: told } = JSON.parse(event.data);
    if (told) element.textContent = told;
  });
  source.addEventListener("ended", () => {
    source.close();
    busy(false);
    show();
  });
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = message.value.trim();
  if (!text || !stop.hidden) return;
  message.value = "";
  bubble("user", text);
  const element = bubble("assistant", "");
  try {
    const reply = await fetch("/home-design/chat", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ message: text, conversation_id: conversation }),
    });
    const body = await reply.json();
    if (!reply.ok) throw new Error(body.detail ?? reply.statusText);
    conversation = body.conversation_id;
    localStorage.setItem(KEPT, conversation);
    follow(body.job_id, element);
  } catch (error) {
    element.className = "message assistant degraded";
    element.textContent = `That could not be sent: ${error.message}`;
    message.value = text;
  }
});

stop.addEventListener("click", () => job && fetch(`/home-design/jobs/${job}/cancel`, { method: "POST" }));

message.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    form.requestSubmit();
  }
});

document.querySelector("#anew").addEventListener("click", () => {
  source?.close();
  conversation = null;
  localStorage.removeItem(KEPT);
  busy(false);
  show();
  message.focus();
});

show();
