/** What a run of migrations is about to do, for a person who reads it before production runs it. */
import { createHash } from "node:crypto";

export interface Step {
  /** The file, or `pg-boss` for the schema of the job queues. */
  name: string;
  /** Its SQL, or the source of a migration in TypeScript. */
  text: string;
}

export interface Plan {
  steps: Step[];
  /** Of all names and texts in their order: another plan has another one. */
  hash: string;
}

/** Hexadecimal digits of a plan's hash: nobody forges an own plan, and a person compares them at a glance. */
const DIGITS = 16;

/** @param steps in the order in which they run */
export function planOf(steps: Step[]): Plan {
  const hash = createHash("sha256").update(JSON.stringify(steps.map(({ name, text }) => [name, text])));
  return { steps, hash: hash.digest("hex").slice(0, DIGITS) };
}

const count = ({ length }: unknown[]): string => `${length} migration${length === 1 ? "" : "s"}`;

/**
 * The plan as text.
 * @param where the database, without credentials
 */
export function describePlan({ steps, hash }: Plan, where: string): string {
  if (steps.length === 0) return `${where} is up to date: nothing would run.`;
  const texts = steps.map(({ name, text }) => {
    const what = name.endsWith(".ts") ? `${name}: TypeScript, whose \`up\` runs in a transaction` : name;
    return `-- ${what}\n\n${text.trim()}\n`;
  });
  return [
    `${count(steps)} would run on ${where}, in this order:`,
    "",
    ...texts,
    `${count(steps)}: ${steps.map(({ name }) => name).join(", ")}`,
    `Run exactly these by: npm run migrate -- --approve ${hash}`,
  ].join("\n");
}

/**
 * Production runs a plan that somebody has read.
 * @param approved the hash that they gave; null for none
 * @throws Error in one line that says what to do
 */
export function mustBeApproved(
  { steps, hash }: Plan,
  { approved, production, where }: { approved: string | null; production: boolean; where: string },
): void {
  if (steps.length === 0 || approved === hash || (approved === null && !production)) return;
  const what = `${count(steps)} to run (${steps.map(({ name }) => name).join(", ")})`;
  const how =
    "read `npm run migrate -- --plan`, and run `npm run migrate -- --approve <hash>` with the hash that it ends with";
  throw new Error(
    approved === null
      ? `${where} has ${what}, and production runs only what was approved: ${how}`
      : `The approval ${approved} is for other migrations: ${where} has ${what}. Again ${how}`,
  );
}
