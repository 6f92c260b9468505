// The conversation is kept by the server; the browser keeps its name, and asks for it again after a reload.
const KEPT = "home-design";
const talk = document.querySelector("#talk");
const form = document.querySelector("#ask");
const message = document.querySelector("#message");
const image = document.querySelector("#image");
const chosen = document.querySelector("#chosen");
const send = document.querySelector("#send");
const stop = document.querySelector("#stop");

let conversation = localStorage.getItem(KEPT);
let source = null;
let job = null;

function keep(id) {
  conversation = id;
  if (id) localStorage.setItem(KEPT, id);
  else localStorage.removeItem(KEPT);
}

function bubble(who, text) {
  talk.querySelector(".empty")?.remove();
  const element = document.createElement("div");
  element.className = `message ${who}`;
  element.textContent = text;
  talk.append(element);
  return element;
}

function toEnd() {
  window.scrollTo({ top: document.body.scrollHeight });
}

function addPicture(element, address, text) {
  const picture = document.createElement("img");
  picture.alt = text;
  picture.addEventListener("load", toEnd);
  picture.src = address;
  element.append(picture);
}

function addOptions(element, options) {
  const list = document.createElement("div");
  list.className = "options";
  for (const { label, message: said } of options) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "quiet";
    button.textContent = label;
    button.addEventListener("click", () => say(said ?? label));
    list.append(button);
  }
  element.append(list);
}

function busy(is) {
  send.hidden = is;
  stop.hidden = !is;
}

// The conversation as it is, and what is still being made of it.
async function show() {
  source?.close();
  const reply = conversation && (await fetch(`/home-design/conversations/${conversation}`));
  if (!reply?.ok) {
    if (reply?.status === 404) keep(null);
    const hint = document.createElement("p");
    hint.className = "empty";
    hint.textContent = reply && !conversation ? "That conversation is gone. Begin a new one." : "Nothing said yet. A picture of a room and a wish will do.";
    talk.replaceChildren(hint);
    return busy(false);
  }
  const { messages, processing } = await reply.json();
  talk.replaceChildren();
  busy(processing);
  let followed = false;
  for (const [at, said] of messages.entries()) {
    const element = bubble(said.role, said.content);
    if (said.image_url) addPicture(element, said.image_url, said.role === "user" ? "The room as it is" : said.content);
    if (said.options && at === messages.length - 1) addOptions(element, said.options);
    if (said.processing && !followed) {
      followed = true;
      follow(said.job_id, element);
    } else if (said.processing) {
      waiting(element, "Waiting for its turn");
    } else if (said.role === "assistant" && !said.image_url && said.content.startsWith("That ")) {
      element.classList.add("degraded");
    }
  }
  toEnd();
}

function waiting(element, text) {
  element.classList.add("thinking");
  element.textContent = text;
}

function follow(id, element) {
  job = id;
  waiting(element, "On it");
  const bar = document.createElement("progress");
  bar.max = 100;
  source = new EventSource(`/home-design/jobs/${id}`);
  source.addEventListener("progress", (event) => {
    const { message: told, percent } = JSON.parse(event.data);
    if (!told) return;
    waiting(element, told);
    bar.value = percent;
    element.append(bar);
    toEnd();
  });
  source.addEventListener("ended", show);
}

async function say(text) {
  const file = image.files[0];
  const body = new FormData();
  body.append("message", text);
  if (conversation) body.append("conversation_id", conversation);
  if (file) body.append("image", file);
  const own = bubble("user", text);
  if (file) addPicture(own, URL.createObjectURL(file), "The room as it is");
  toEnd();
  busy(true);
  try {
    const reply = await fetch("/home-design/chat", { method: "POST", body });
    const told = await reply.json();
    if (!reply.ok) throw new Error(told.detail ?? reply.statusText);
    keep(told.conversation_id);
    message.value = "";
    choose(null);
    await show();
  } catch (error) {
    busy(false);
    own.remove();
    message.value = text;
    bubble("assistant degraded", `That could not be sent: ${error.message}`);
    toEnd();
  }
}

// Shows which picture is sent along.
function choose(file) {
  if (!file) image.value = "";
  chosen.hidden = !file;
  if (file) chosen.querySelector("img").src = URL.createObjectURL(file);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const text = message.value.trim();
  if (text && stop.hidden) say(text);
});

image.addEventListener("change", () => choose(image.files[0]));
chosen.querySelector("button").addEventListener("click", () => choose(null));
stop.addEventListener("click", () => job && fetch(`/home-design/jobs/${job}/cancel`, { method: "POST" }));

message.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    form.requestSubmit();
  }
});

document.querySelector("#anew").addEventListener("click", () => {
  keep(null);
  choose(null);
  show();
  message.focus();
});

show();
