/** Compiles programs that lie in no file, as a user of the SDK would. */
import { fileURLToPath } from "node:url";
import ts from "typescript";

/** Where they would lie: the SDK and its dependencies are found from there. */
const FOLDER = fileURLToPath(new URL("../../client/examples/", import.meta.url));

const OPTIONS: ts.CompilerOptions = {
  module: ts.ModuleKind.NodeNext,
  target: ts.ScriptTarget.ESNext,
  lib: ["lib.esnext.d.ts", "lib.dom.d.ts", "lib.dom.iterable.d.ts"],
  types: ["node"],
  customConditions: ["taskwire-source"],
  strict: true,
  // JavaScript is checked too, as far as it can be inferred.
  allowJs: true,
  checkJs: true,
  noImplicitAny: false,
  allowImportingTsExtensions: true,
  noEmit: true,
  skipLibCheck: true,
};

/**
 * @param programs texts by name, `readme.ts`
 * @returns what the compiler says against them
 */
export function compileFaults(programs: ReadonlyMap<string, string>): string[] {
  const texts = new Map([...programs].map(([name, text]) => [FOLDER + name, text]));
  const files = ts.createCompilerHost(OPTIONS);
  const host: ts.CompilerHost = {
    ...files,
    fileExists: (path) => texts.has(path) || files.fileExists(path),
    readFile: (path) => texts.get(path) ?? files.readFile(path),
    getSourceFile(path, language, ...more) {
      const text = texts.get(path);
      return text === undefined
        ? files.getSourceFile(path, language, ...more)
        : ts.createSourceFile(path, text, language);
    },
  };
  const program = ts.createProgram([...texts.keys()], OPTIONS, host);
  return [...texts.keys()].flatMap((path) => {
    const source = program.getSourceFile(path);
    return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)].map(
      ({ messageText, start = 0 }) => {
        const line = (source?.getLineAndCharacterOfPosition(start).line ?? 0) + 1;
        return `${path.slice(FOLDER.length)}:${line} ${ts.flattenDiagnosticMessageText(messageText, "\n")}`;
      },
    );
  });
}

/** What is wrong with the form of declarations that stand alone. */
export function syntaxFaults(text: string): string[] {
  const { parseDiagnostics } = ts.createSourceFile(
    "part.ts",
    text,
    ts.ScriptTarget.ESNext,
  ) as ts.SourceFile & {
    parseDiagnostics: readonly ts.Diagnostic[];
  };
  return parseDiagnostics.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, "\n"));
}
