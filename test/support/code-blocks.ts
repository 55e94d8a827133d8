/** The blocks of code of the pages that people read, and what each page says about those that it has. */
import { readFile } from "node:fs/promises";
import { marked, type Token, type Tokens } from "marked";
import { GUIDE } from "../../services/api-gateway/guide-menu.ts";

/**
 * A comment above a block: `not run: reason`, `run by file`, `runs on: what it says once it does` for a program that a
 * reader ends, `given: name: type; …` for what is around a fragment.
 */
export interface Mark {
  kind: "not run" | "run by" | "runs on" | "given";
  text: string;
}

export interface CodeBlock {
  /** The page, below the repository. */
  page: string;
  /** Its language: the first word behind the fence. */
  lang: string;
  /** The words after it. */
  note: string;
  code: string;
  mark: Mark | null;
}

/** The pages of the guide in its order, and the repository's first one. */
export const PAGES_WITH_CODE: readonly string[] = [
  "README.md",
  ...GUIDE.map(({ file }) => file).filter((file) => file.endsWith(".md")),
];

const MARK = /^<!--\s*(not run|run by|runs on|given):? ([\s\S]*?)\s*-->/;

function markOf(token: Token | undefined): Mark | null {
  const [, kind, text] = (token?.type === "html" && MARK.exec(token.raw)) || [];
  return kind === undefined ? null : { kind: kind as Mark["kind"], text: text as string };
}

function blocksIn(tokens: readonly Token[], page: string): CodeBlock[] {
  const shown = tokens.filter(({ type }) => type !== "space");
  return shown.flatMap((token, at) => {
    if (token.type === "list")
      return (token as Tokens.List).items.flatMap(({ tokens }) => blocksIn(tokens, page));
    if (token.type === "blockquote") return blocksIn((token as Tokens.Blockquote).tokens, page);
    if (token.type !== "code") return [];
    const { lang = "", text } = token as Tokens.Code;
    const [first = "", ...more] = lang.split(" ");
    return [{ page, lang: first, note: more.join(" "), code: text, mark: markOf(shown[at - 1]) }];
  });
}

/** All blocks of a page, in its order, also those within lists. @param page below the repository */
export async function readBlocks(page: string): Promise<CodeBlock[]> {
  const text = await readFile(new URL(`../../${page}`, import.meta.url), "utf8");
  return blocksIn(marked.lexer(text), page);
}

/** A block in a list of faults. */
export const nameOf = ({ page, code }: CodeBlock): string => `${page}: ${code.split("\n")[0]}`;

/** The file that a program's first line names: `// board.js`. */
export const fileOf = ({ code }: CodeBlock): string | null =>
  /^\/\/ ([\w-]+\.(?:js|ts))\n/.exec(code)?.[1] ?? null;

/** Whether a block is for a terminal. */
export const isShell = ({ lang }: CodeBlock): boolean => lang === "sh" || lang === "bash";
