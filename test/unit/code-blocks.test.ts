/**
 * Each block of code of the pages is run, checked, or says why not (test/support/code-blocks.ts). What a terminal runs is
 * run by test/contract/guide-in-a-terminal.test.ts; the rest is held here against what it speaks of.
 */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { beforeAll, expect, test } from "@jest/globals";
import { type ProblemCode, PROBLEMS } from "../../core/errors.ts";
import type { Wire } from "../support/answer.ts";
import {
  type CodeBlock,
  fileOf,
  isShell,
  nameOf,
  PAGES_WITH_CODE,
  readBlocks,
} from "../support/code-blocks.ts";
import { compileFaults, syntaxFaults } from "../support/compile.ts";
import { problemFaults } from "../support/conformance.ts";
import { diagramFaults } from "../support/diagrams.ts";
import { frameFaults } from "../support/frames.ts";

/** Why a block may stay unrun. */
const REASONS =
  /^(takes minutes|needs Docker|starts a dozen processes|replaces a database|installs packages)\b/;
/** A page that needs more of them should look for a way to run them. */
const MOST_UNRUN = 12;

const read = (path: string): string => readFileSync(path, "utf8");
const { scripts } = JSON.parse(read("package.json")) as { scripts: Record<string, string> };

let blocks: CodeBlock[];
beforeAll(async () => {
  blocks = (await Promise.all(PAGES_WITH_CODE.map(readBlocks))).flat();
});
const of = (...langs: string[]): CodeBlock[] => blocks.filter(({ lang }) => langs.includes(lang));
const isMarked = ({ mark }: CodeBlock, kind: string): boolean => mark?.kind === kind;

/** The program of `npm run <name>` or `npm start`; undefined for a tool of somebody else. */
const programOf = (name: string): string | undefined =>
  /node ([\w./-]+\.m?[tj]s)/.exec(scripts[name] ?? "")?.[1];
/** The scripts of package.json that a text runs. */
const scriptsIn = (text: string): string[] =>
  [...text.matchAll(/npm (?:run (?:-s |--silent )?([a-z][\w:-]*)|(start|test)\b)/g)].map(
    ([, name, short]) => (name ?? short) as string,
  );

test("a block has a language that has a way to be checked, and no mark that its language does not know", () => {
  expect(blocks.length).toBeGreaterThan(70);
  const fits: Record<string, readonly (string | undefined)[]> = {
    sh: [undefined, "not run", "run by", "runs on"],
    bash: ["run by"],
    text: [undefined, "not run"],
    ts: [undefined, "given"],
    js: [undefined, "given"],
    json: [undefined],
    sql: ["run by"],
    mermaid: [undefined, "run by"],
  };
  expect(blocks.filter(({ lang, mark }) => !(fits[lang] ?? []).includes(mark?.kind)).map(nameOf)).toEqual([]);
});

test("an output stands below what prints it", () => {
  const before = (block: CodeBlock): CodeBlock | undefined => blocks[blocks.indexOf(block) - 1];
  const orphans = of("text").filter((block) => {
    const prints = before(block);
    return block.mark === null && !(prints !== undefined && isShell(prints) && prints.mark === null);
  });
  expect(orphans.map(nameOf)).toEqual([]);
});

test("what is not run says why, and there is little of it", () => {
  const unrun = blocks.filter((block) => isMarked(block, "not run"));
  expect(unrun.filter(({ mark }) => !REASONS.test(mark?.text ?? "")).map(nameOf)).toEqual([]);
  expect(unrun.length).toBeLessThanOrEqual(MOST_UNRUN);
});

test("what another file runs is run there", () => {
  const elsewhere = blocks.filter((block) => isMarked(block, "run by"));
  expect(elsewhere.length).toBeGreaterThan(10);
  const wrong = elsewhere.filter(({ page, code, mark }) => {
    const file = mark?.text ?? "";
    if (!existsSync(file)) return true;
    const runs = read(file);
    const programs = scriptsIn(code).map((name) => programOf(name) ?? name);
    return (
      !runs.includes(page.split("/").at(-1) as string) && !programs.some((program) => runs.includes(program))
    );
  });
  expect(wrong.map(nameOf)).toEqual([]);
});

test("each npm script that a page names is there, with the options that it is given", () => {
  const pages = PAGES_WITH_CODE.map((page): [string, string] => [page, read(page)]);
  const missing = pages.flatMap(([page, text]) =>
    scriptsIn(text)
      .filter((name) => scripts[name] === undefined)
      .map((name) => `${page}: ${name}`),
  );
  expect(missing).toEqual([]);
  /** A program, and what it imports from beside it. */
  const sourceOf = (program: string): string => {
    const text = read(program);
    const near = [...text.matchAll(/from "(\.[\w./-]+)"/g)].map(([, path]) =>
      normalize(join(dirname(program), path as string)),
    );
    return [text, ...near.map(read)].join("\n");
  };
  const calls = pages.flatMap(([page, text]) =>
    [...text.matchAll(/npm run ([\w:-]+) -- ([^\n`]*)/g)].map(([, name = "", args = ""]) => ({
      page,
      name,
      args,
    })),
  );
  expect(calls.length).toBeGreaterThan(15);
  const unknown = calls.flatMap(({ page, name, args }) => {
    const source = sourceOf(programOf(name) as string);
    return [...(args.split("#")[0] as string).matchAll(/--([a-z][\w-]*)/g)]
      .filter(([, option]) => !new RegExp(`\\b${option}\\b`).test(source))
      .map(([option]) => `${page}: npm run ${name} -- ${option}`);
  });
  expect(unknown).toEqual([]);
});

test("programs compile against the SDK's types; declarations are declarations", () => {
  const programs = new Map<string, string>();
  for (const block of of("ts", "js").filter(({ note }) => note === "")) {
    const { page, lang, code, mark } = block;
    // Fragments of a page are one program, as a reader has them in one file.
    const name = `${page.replaceAll(/\W/g, "-")}-${fileOf(block) ?? `all.${lang}`}`;
    const given = mark?.text.split("; ").map((each) => `declare const ${each};`) ?? [];
    programs.set(name, [programs.get(name), ...given, code, "export {};"].filter(Boolean).join("\n"));
  }
  expect(programs.size).toBeGreaterThanOrEqual(4);
  expect(compileFaults(programs)).toEqual([]);

  const declarations = of("ts").filter(({ note }) => note !== "");
  expect(
    declarations.filter(
      ({ page, note }) => page !== "client/docs/api-reference.md" || note !== "declaration",
    ),
  ).toEqual([]);
  expect(
    declarations.flatMap((block) => syntaxFaults(block.code).map((fault) => `${nameOf(block)}: ${fault}`)),
  ).toEqual([]);
});

test("JSON is a problem or an event, as the documents have them", () => {
  const faults = of("json").flatMap((block): string[] => {
    const value = JSON.parse(block.code) as Wire;
    if (value.stream !== undefined) return frameFaults(value.type as string, [value]);
    const { title, status } = PROBLEMS[String(value.type).replace("/problems/", "") as ProblemCode] ?? {};
    return [
      ...problemFaults(value),
      ...(title === value.title && status === value.status
        ? []
        : [`${nameOf(block)}: ${value.type} has another title or status`]),
    ];
  });
  expect(faults).toEqual([]);
});

test("diagrams are drawn of what they name", () => {
  const diagrams = of("mermaid").filter(({ mark }) => mark === null);
  expect(diagrams.length).toBeGreaterThan(3);
  expect(diagrams.flatMap(({ code }) => diagramFaults(code))).toEqual([]);
});
