/** What is wrong with a diagram of Mermaid, by the part of its language that our pages use: Mermaid itself needs a browser. */

const NAME = String.raw`\w+`;
const MESSAGE = new RegExp(`^(${NAME})--?(?:>>|\\))(${NAME}): .+$`);
const NOTE = new RegExp(`^Note over (${NAME})(?:,(${NAME}))?: .+$`);
const PARTICIPANT = new RegExp(`^participant (${NAME}) as .+$`);
/** A node of a flowchart with its text: `a["…"]`, `a(["…"])`, `a[("…")]`. */
const NODE = new RegExp(`^(${NAME})(?:\\[[^\\]]+\\]|\\(\\[[^\\]]+\\]\\))$`);
const EDGE = /\s*<?--(?: "[^"]+" --)?>\s*/;

/** @returns the lines that are wrong, each with the reason */
export function diagramFaults(source: string): string[] {
  const [kind = "", ...lines] = source.split("\n").map((line) => line.trim());
  const names = new Set<string>();
  const faults: string[] = [];
  let depth = 0;
  const uses = (line: string, used: (string | undefined)[]): void => {
    for (const name of used)
      if (name !== undefined && !names.has(name)) faults.push(`${line}: there is no ${name}`);
  };
  const sequence = (line: string): boolean => {
    const participant = PARTICIPANT.exec(line)?.[1];
    if (participant !== undefined) names.add(participant);
    const [, ...used] = MESSAGE.exec(line) ?? NOTE.exec(line) ?? [];
    uses(line, used);
    return participant !== undefined || used.length > 0 || line === "autonumber" || /^else .+/.test(line);
  };
  const flowchart = (line: string): boolean => {
    const node = NODE.exec(line)?.[1];
    if (node !== undefined) names.add(node);
    const ends = line.split(EDGE);
    if (ends.length > 1) uses(line, ends);
    return node !== undefined || ends.length > 1;
  };
  const isLine = kind === "sequenceDiagram" ? sequence : flowchart;
  if (!/^(sequenceDiagram|flowchart (LR|TB))$/.test(kind)) faults.push(`${kind}: no kind of diagram`);
  for (const line of lines) {
    if (/^(alt|loop|subgraph) ./.test(line)) depth += 1;
    else if (line === "end") depth -= 1;
    else if (!isLine(line)) faults.push(`${line}: not understood`);
    if (depth < 0) faults.push("an end too many");
  }
  if (depth > 0) faults.push("an end is missing");
  return faults;
}
