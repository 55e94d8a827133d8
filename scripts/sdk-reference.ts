/** `npm run sdk:reference`: writes client/docs/api-reference.md, out of what the client's entries export and its comments. */
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { format, resolveConfig } from "prettier";
import ts from "typescript";

const ENTRIES = ["index.ts", "indexeddb.ts"].map((name) =>
  fileURLToPath(new URL(`../client/src/${name}`, import.meta.url)),
);
export const REFERENCE = new URL("../client/docs/api-reference.md", import.meta.url);
/** Generated types, thousands of lines of them. */
const LEFT_OUT = ["components", "paths"];

/** The chapters, and which exports belong to each. The rest are types. */
const CHAPTERS: Record<string, string[]> = {
  Client: [
    "createClient",
    "Client",
    "ClientOptions",
    "ListenerName",
    "Heard",
    "Filter",
    "ClientEvents",
    "Session",
  ],
  Connection: ["ConnectionState", "ConnectionStatus", "ConnectionCode", "CODES", "Transport", "Position"],
  "Own projects": ["MeStore", "MeSnapshot", "OwnProject"],
  "Live projects": [
    "ProjectStore",
    "ProjectSnapshot",
    "Change",
    "ChangeKind",
    "Made",
    "NewTask",
    "TaskPatch",
    "Place",
    "STATUSES",
    "TRANSITIONS",
  ],
  Errors: ["ProblemError", "NetworkError", "Problem", "unwrap", "codeOf"],
  Storage: ["ClientStorage", "memoryStorage", "webStorage", "indexedDbStorage"],
};

/** The text of a declaration with its comment, and without the body of a function. */
function textOf(node: ts.Node, source: ts.SourceFile): string {
  const comments = ts.getJSDocCommentsAndTags(node).map((comment) => comment.getText(source));
  const end = endOf(node);
  const text = source.text.slice(node.getStart(source), end).trimEnd();
  return [...comments, text.replace(/\s*(=>|=)$/, "")].join("\n");
}

/** Where a declaration ends that people want to read: before the body of a function. */
function endOf(node: ts.Node): number {
  if (ts.isFunctionLike(node) && "body" in node && node.body !== undefined)
    return (node.body as ts.Node).getFullStart();
  return node.getEnd();
}

/** A line of a class; those within a comment stand below its first star. */
const indent = (_line: string, at: number, text: string): string =>
  text.startsWith("/**") && text.lastIndexOf("*/") > at ? "\n   " : "\n  ";

/** A class as its users see it: no bodies, nothing private. */
function classText(node: ts.ClassDeclaration, source: ts.SourceFile): string {
  const members = node.members
    .filter((member) => member.name === undefined || !ts.isPrivateIdentifier(member.name))
    .filter((member) => !ts.isConstructorDeclaration(member))
    .map((member) => `  ${textOf(member, source).replace(/;$/, "").replaceAll(/\n\s*/g, indent)};`);
  const heritage = node.heritageClauses?.map((clause) => ` ${clause.getText(source)}`).join("") ?? "";
  const comments = ts.getJSDocCommentsAndTags(node).map((comment) => comment.getText(source));
  return [...comments, `class ${node.name?.text ?? ""}${heritage} {`, members.join("\n\n"), "}"].join("\n");
}

/** What is exported under a name, as a block of code. */
function declarationText(declaration: ts.Declaration): string {
  const source = declaration.getSourceFile();
  if (ts.isClassDeclaration(declaration)) return classText(declaration, source);
  if (ts.isVariableDeclaration(declaration)) {
    const statement = declaration.parent.parent;
    const { initializer } = declaration;
    if (initializer === undefined || !ts.isArrowFunction(initializer)) return textOf(statement, source);
    const comments = ts.getJSDocCommentsAndTags(statement).map((comment) => comment.getText(source));
    const signature = source.text.slice(
      initializer.getStart(source),
      initializer.equalsGreaterThanToken.getFullStart(),
    );
    return [...comments, `function ${declaration.name.getText(source)}${signature}`].join("\n");
  }
  return textOf(declaration, source);
}

/** The page. */
export async function generateReference(): Promise<string> {
  const program = ts.createProgram(ENTRIES, {
    module: ts.ModuleKind.NodeNext,
    target: ts.ScriptTarget.ESNext,
    allowImportingTsExtensions: true,
    noEmit: true,
    skipLibCheck: true,
    types: ["node"],
  });
  const checker = program.getTypeChecker();
  const exportsOf = (entry: string): ts.Symbol[] => {
    const source = program.getSourceFile(entry);
    const module = source && checker.getSymbolAtLocation(source);
    if (module === undefined) throw new Error(`${entry} exports nothing`);
    return checker.getExportsOfModule(module);
  };
  const texts = new Map<string, string>();
  for (const exported of ENTRIES.flatMap(exportsOf)) {
    const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported;
    const declaration = symbol.declarations?.[0];
    if (declaration !== undefined && !LEFT_OUT.includes(exported.name))
      texts.set(exported.name, declarationText(declaration).replace(/^export (?:declare )?/gm, ""));
  }
  const lines = [
    "# API reference",
    "",
    "Written by `npm run sdk:reference`, out of the doc comments of `client/src`. `indexedDbStorage` is imported from `@taskwire/client/indexeddb`. [How to use it](../README.md).",
  ];
  const chapter = (title: string, names: string[]): void => {
    lines.push("", `## ${title}`);
    for (const name of names) {
      const text = texts.get(name);
      if (text === undefined) throw new Error(`the client exports no ${name}`);
      texts.delete(name);
      lines.push("", `### ${name}`, "", "```ts declaration", text, "```");
    }
  };
  for (const [title, names] of Object.entries(CHAPTERS)) chapter(title, names);
  chapter("Types of the API", [...texts.keys()].sort());
  const path = fileURLToPath(REFERENCE);
  return format(lines.join("\n"), {
    ...(await resolveConfig(path)),
    filepath: path,
    embeddedLanguageFormatting: "off",
  });
}

if (import.meta.main) {
  const page = await generateReference();
  const isNew = page !== (await readFile(REFERENCE, "utf8").catch(() => ""));
  if (isNew) await writeFile(REFERENCE, page);
  console.log(`client/docs/api-reference.md ${isNew ? "written" : "is as it was"}`);
}
