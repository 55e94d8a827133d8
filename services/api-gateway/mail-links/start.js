/**
 * Sends the token of a mailed link to the API. The token is in the fragment, which no server and no log sees. It leaves
 * the address bar at once, so that the history does not keep it.
 */
const token = new URLSearchParams(location.hash.slice(1)).get("token") ?? "";
history.replaceState(null, "", location.pathname);

const form = document.querySelector("form");
const button = form.querySelector("button");
const outcome = document.getElementById("outcome");
const password = document.getElementById("password");

/** Shows the state; screen readers announce it. */
function show(text, kind) {
  outcome.textContent = text;
  outcome.className = kind;
}

/** The message for a response that is no success. */
async function messageOf(response) {
  const problem = await response.json().catch(() => ({}));
  const [error] = problem.errors ?? [];
  if (error?.pointer === "#/token") form.hidden = true;
  const wait = response.headers.get("Retry-After");
  const text = error?.message ?? problem.detail ?? `The server responded with status ${response.status}.`;
  return wait === null ? text : `${text}. Try again in ${wait} seconds.`;
}

/** Sends the token, with the new password where the page asks for one. */
async function send() {
  button.disabled = true;
  show("One moment …", "");
  try {
    const response = await fetch(form.dataset.api, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(password === null ? { token } : { token, password: password.value }),
    });
    if (response.ok) {
      form.hidden = true;
      show(form.dataset.success, "good");
    } else show(await messageOf(response), "bad");
  } catch {
    show("The server can't be reached. Check your connection and try again.", "bad");
  }
  button.disabled = false;
  // The form may be hidden, and the focus with it.
  if (form.hidden) outcome.focus();
  else {
    button.hidden = false;
    password?.focus();
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  void send();
});
document.getElementById("show")?.addEventListener("change", ({ target }) => {
  password.type = target.checked ? "text" : "password";
});

if (token === "") {
  form.hidden = true;
  show("This link is incomplete. Open it from the mail, or copy all of it.", "bad");
} else if (password === null) void send();
else form.hidden = false;
