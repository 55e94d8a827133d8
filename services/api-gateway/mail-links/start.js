/**
 * Does what a mailed link is for. Its token stands in the fragment, which no server and no log sees; it leaves the
 * address bar at once, so that no history keeps it.
 */
const token = new URLSearchParams(location.hash.slice(1)).get("token") ?? "";
history.replaceState(null, "", location.pathname);

const form = document.querySelector("form");
const button = form.querySelector("button");
const outcome = document.getElementById("outcome");
const password = document.getElementById("password");

/** Says how it stands, to those who listen as well. */
function tell(text, kind) {
  outcome.textContent = text;
  outcome.className = kind;
}

/** What is to be told of an answer that is no success. */
async function problemOf(response) {
  const problem = await response.json().catch(() => ({}));
  const [error] = problem.errors ?? [];
  if (error?.pointer === "#/token") form.hidden = true;
  const wait = response.headers.get("Retry-After");
  const text = error?.message ?? problem.detail ?? `The server answered ${response.status}.`;
  return wait === null ? text : `${text}. Try again in ${wait} seconds.`;
}

/** Hands the token over, with the new password where the page asks for one. */
async function send() {
  button.disabled = true;
  tell("One moment …", "");
  try {
    const response = await fetch(form.dataset.api, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(password === null ? { token } : { token, password: password.value }),
    });
    if (response.ok) {
      form.hidden = true;
      tell(form.dataset.done, "good");
    } else tell(await problemOf(response), "bad");
  } catch {
    tell("The server can't be reached. Look at your connection, and try again.", "bad");
  }
  button.disabled = false;
  // The form may be gone, and the focus with it.
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
  tell("This link is not whole. Open it from the mail, or copy all of it.", "bad");
} else if (password === null) void send();
else form.hidden = false;
