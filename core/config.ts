/** The configuration: the environment, read and checked once at start. Its table is core/config/variables.ts. */
import { readFileSync } from "node:fs";
import { cleanEnv } from "envalid";
import { contradictionsIn } from "./config/contradictions.ts";
import { SECRETS, type Values, VARIABLES } from "./config/variables.ts";
import { originOf } from "./origin.ts";

export { type ServiceName, SERVICES } from "./config/variables.ts";

export type Config = Values & { readonly production: boolean };

/** Says what to set, in one line a variable. */
export class ConfigError extends Error {}

function refuse(problems: string[]): void {
  if (problems.length > 0) throw new ConfigError(problems.join("\n"));
}

/** Reads `NAME` from the file that `NAME_FILE` names, for secrets. @returns a line for each file that cannot be used */
function readSecretFiles(env: NodeJS.ProcessEnv): string[] {
  const problems: string[] = [];
  for (const name of SECRETS) {
    const file = env[`${name}_FILE`];
    if (file === undefined) continue;
    if (env[name] !== undefined) problems.push(`${name}: set ${name} or ${name}_FILE, not both`);
    try {
      env[name] = readFileSync(file, "utf8").trim();
    } catch (error) {
      problems.push(`${name}_FILE: cannot read ${file} (${(error as NodeJS.ErrnoException).code})`);
    }
  }
  return problems;
}

/**
 * Reads and checks the environment once. `NAME_FILE` names a file that holds `NAME`, for secrets (Docker, Kubernetes).
 * @throws ConfigError one line for each variable that is missing or wrong; it never shows a value of a secret
 */
export function loadConfig(source: NodeJS.ProcessEnv): Config {
  // An empty variable is an unset one, as in a compose file's `NATS_URL=`.
  const env: NodeJS.ProcessEnv = Object.fromEntries(
    Object.entries(source).filter(([, value]) => value !== ""),
  );
  env.NODE_ENV ??= "development";
  const problems = readSecretFiles(env);
  const values = cleanEnv(env, VARIABLES, {
    reporter: ({ errors }) => {
      for (const [name, error] of Object.entries(errors))
        problems.push(`${name}: ${error.message.replaceAll("\n", " ")}`);
    },
  });
  refuse(problems);
  refuse(contradictionsIn(values, (name) => env[name] !== undefined));
  const APP_URL = values.APP_URL === "" ? originOf(values.HOST, values.PORT) : values.APP_URL;
  return Object.freeze({ ...values, APP_URL, production: values.NODE_ENV === "production" });
}

type Spec = { desc?: string; default?: unknown; devDefault?: unknown };

/** A value as the environment has it. */
const show = (value: unknown): string =>
  [value ?? ""]
    .flat()
    .map((item: unknown) =>
      typeof item === "object" && item !== null ? Object.values(item).join("/") : `${item as string}`,
    )
    .join(",");

/** The README's table of variables (Markdown). */
export function documentConfig(): string {
  const rows = Object.entries(VARIABLES as unknown as Record<string, Spec>).map(([name, spec]) => {
    const usual = name === "SERVICES" ? "all" : show(spec.default);
    const development =
      spec.devDefault === undefined || name === "JWT_SECRET"
        ? ""
        : ` (${show(spec.devDefault)} in development)`;
    const file = (SECRETS as readonly string[]).includes(name) ? ` Also \`${name}_FILE\`.` : "";
    return `| \`${name}\` | ${usual === "" ? "" : `\`${usual}\``}${development} | ${spec.desc ?? ""}.${file} |`;
  });
  return ["| variable | default | meaning |", "| --- | --- | --- |", ...rows].join("\n");
}
