/** The search of `/guide`: over all parts of all pages, read when somebody wants to search. */
import "./style.css";
import { showTheme } from "../shared/theme.ts";
import { type Entry, find, wordsOf } from "./find.ts";

const RESULTS = 10;
const AROUND = 70;

showTheme();
const input = document.querySelector<HTMLInputElement>("#search") as HTMLInputElement;
const list = document.querySelector<HTMLElement>("#found") as HTMLElement;
let entries: Promise<Entry[]> | null = null;
let chosen = 0;

async function read(): Promise<Entry[]> {
  const response = await fetch(input.dataset["entries"] as string);
  if (!response.ok) throw new Error(`${response.status}`);
  return (await response.json()) as Entry[];
}

/** The words around the first one that was found. */
function excerpt({ text }: Entry, word: string): string {
  const at = Math.max(0, text.toLowerCase().indexOf(word) - AROUND / 2);
  return `${at > 0 ? "…" : ""}${text.slice(at, at + 2 * AROUND).trim()}…`;
}

function close(): void {
  list.hidden = true;
  input.setAttribute("aria-expanded", "false");
  input.removeAttribute("aria-activedescendant");
}

function choose(index: number): void {
  const links = [...list.children];
  chosen = Math.min(Math.max(index, 0), links.length - 1);
  links.forEach((link, at) => link.setAttribute("aria-selected", String(at === chosen)));
  links[chosen]?.scrollIntoView({ block: "nearest" });
  if (links[chosen]) input.setAttribute("aria-activedescendant", `found-${chosen}`);
}

function element(tag: string, text: string): HTMLElement {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

async function search(): Promise<void> {
  const words = wordsOf(input.value);
  if (words.length === 0) return close();
  entries ??= read();
  let found: Entry[];
  try {
    found = find(await entries, words).slice(0, RESULTS);
  } catch {
    // The next letter asks again.
    entries = null;
    list.replaceChildren(element("p", "The search can't be reached."));
    list.hidden = false;
    return;
  }
  list.replaceChildren(
    ...found.map((entry, at) => {
      const link = document.createElement("a");
      link.href = entry.href;
      link.id = `found-${at}`;
      link.setAttribute("role", "option");
      link.append(
        element("strong", entry.title),
        element("span", entry.page),
        element("small", excerpt(entry, words[0] as string)),
      );
      return link;
    }),
  );
  if (found.length === 0) list.replaceChildren(element("p", "No page has these words."));
  list.hidden = false;
  input.setAttribute("aria-expanded", "true");
  choose(0);
}

input.addEventListener("input", () => void search());
input.addEventListener("keydown", (event) => {
  if (event.key === "ArrowDown") choose(chosen + 1);
  else if (event.key === "ArrowUp") choose(chosen - 1);
  else if (event.key === "Enter") list.querySelectorAll("a")[chosen]?.click();
  else if (event.key === "Escape") close();
  else return;
  event.preventDefault();
});
document.addEventListener("pointerdown", ({ target }) => {
  if (!(target as Element).closest(".search")) close();
});
list.addEventListener("click", close);
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target === input) return;
  event.preventDefault();
  input.focus();
});
