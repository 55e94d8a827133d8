/**
 * The pages that links in mails lead to (services/auth/mails.ts): they send the token to the API. They load their own two
 * files and nothing else, and have no inline script. An app at APP_URL can replace them.
 */
import { readFile } from "node:fs/promises";

interface LinkPage {
  title: string;
  /** Fields of the form; null for a page that asks nothing. */
  form: string | null;
  /** The API's path that takes the token. */
  api: string;
  successMessage: string;
}

const NEW_PASSWORD = `<label for="password">New password</label>
<input id="password" type="password" autocomplete="new-password" required aria-describedby="rule outcome">
<p class="hint" id="rule">8 to 128 characters.</p>
<label class="choice"><input id="show" type="checkbox"> Show the password</label>
<button>Set the password</button>`;

const PAGES: Record<string, LinkPage> = {
  "/verify-email": {
    title: "Confirm your e-mail address",
    form: null,
    api: "/api/v1/auth/verify-email",
    successMessage: "Your e-mail address is confirmed. You can close this page.",
  },
  "/reset-password": {
    title: "Choose a new password",
    form: NEW_PASSWORD,
    api: "/api/v1/auth/password/reset",
    successMessage: "Your new password is set, and all your sessions have ended. Log in with it.",
  },
};

const body = ({ title, form, api, successMessage }: LinkPage): string => `<main>
<h1>${title}</h1>
<form data-api="${api}" data-success="${successMessage}"${form === null ? "" : " hidden"}>
${form ?? "<button hidden>Try again</button>"}
</form>
<p id="outcome" role="status" tabindex="-1"></p>
<noscript><p>This page needs JavaScript to send the link's token to the server.</p></noscript>
</main>
<script src="/links/start.js"></script>`;

const file = (name: string) => readFile(new URL(`mail-links/${name}`, import.meta.url));

/** Path, title and body of each page. */
export const linkPages = Object.entries(PAGES).map(([path, page]) => ({
  path,
  title: page.title,
  body: body(page),
}));
export const LINK_HEAD = '<link rel="stylesheet" href="/links/style.css">';
export const LINK_POLICY = "script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:";
export const readLinkScript = (): Promise<Buffer> => file("start.js");
export const readLinkStyle = (): Promise<Buffer> => file("style.css");
