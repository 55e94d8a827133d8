/**
 * `npm run audit:check`: known vulnerabilities of production packages. High and critical ones fail, unless ACCEPTED lists
 * them; moderate ones are printed. A registry that does not answer fails no build: one line says so.
 */
import { execFile } from "node:child_process";

/** How long the registry has to answer, and npm to end. */
const REGISTRY_MS = 15_000;
const NPM_MS = 20_000;

/** Known advisories that do no harm here, by GHSA id; after `until` (a day, UTC) they fail again. */
const ACCEPTED: Accepted = {};

export type Accepted = Record<string, { because: string; until: string }>;

interface Advisory {
  name: string;
  severity: string;
  title: string;
  url: string;
  range: string;
}

/** `npm audit --json`, report version 2. A package that is vulnerable only through another one names it in `via`. */
export interface Report {
  vulnerabilities: Record<
    string,
    {
      via: (string | Advisory)[];
      fixAvailable: boolean | { name: string; version: string; isSemVerMajor: boolean };
    }
  >;
}

function remedy(fix: boolean | { name: string; version: string }): string {
  if (fix === true) return "run `npm audit fix`";
  if (fix === false)
    return "there is no fix yet: do without it, or accept it in scripts/audit.ts with a reason";
  return `npm install --save-exact ${fix.name}@${fix.version}`;
}

/** A line for each advisory of a report, and whether one of them fails the build. */
export function judge(
  report: Report,
  accepted: Accepted = ACCEPTED,
  now = new Date(),
): { fail: boolean; lines: string[] } {
  const lines: string[] = [];
  const seen = new Set<string>();
  let fail = false;
  for (const { via, fixAvailable } of Object.values(report.vulnerabilities))
    for (const advisory of via) {
      if (typeof advisory === "string") continue;
      const { name, severity, title, url, range } = advisory;
      const id = url.split("/").at(-1) as string;
      const isGrave = ["high", "critical"].includes(severity);
      if (seen.has(`${name} ${id}`) || (!isGrave && severity !== "moderate")) continue;
      seen.add(`${name} ${id}`);

      const known = accepted[id];
      const isAccepted = known !== undefined && now <= new Date(`${known.until}T23:59:59Z`);
      if (isGrave && !isAccepted) fail = true;
      const what = `${severity}: ${name} ${range}: ${title} (${url})`;
      if (isAccepted) lines.push(`${what}: accepted until ${known.until}: ${known.because}`);
      else lines.push(`${what}: ${known ? `accepted only until ${known.until}` : remedy(fixAvailable)}`);
    }
  return { fail, lines };
}

/** The report, or the reason why there is none. */
async function audit(): Promise<Report | string> {
  const args = ["audit", "--omit=dev", "--json", "--fetch-retries=0", `--fetch-timeout=${REGISTRY_MS}`];
  // `npm run` names npm's script, which also works on Windows, where npm is no program of its own.
  const { npm_execpath: npm } = process.env;
  const [file, rest] = npm === undefined ? ["npm", args] : [process.execPath, [npm, ...args]];
  const { promise, resolve } = Promise.withResolvers<Report | string>();
  const options = { timeout: NPM_MS, killSignal: "SIGKILL", maxBuffer: 64 * 1024 * 1024 } as const;
  execFile(file, rest, { ...options, cwd: new URL("..", import.meta.url) }, (error, stdout) => {
    try {
      const answer = JSON.parse(stdout) as Partial<Report> & {
        message?: string;
        error?: { summary?: string };
      };
      if (answer.vulnerabilities !== undefined) return resolve(answer as Report);
      resolve(answer.message ?? answer.error?.summary ?? "no report");
    } catch {
      resolve(
        error?.killed === true ? `no answer within ${NPM_MS / 1000} s` : (error?.message ?? "no report"),
      );
    }
  });
  return promise;
}

if (import.meta.main) {
  const report = await audit();
  if (typeof report === "string")
    console.log(`vulnerabilities are NOT checked: the registry gave no report (${report.split("\n")[0]})`);
  else {
    const { fail, lines } = judge(report);
    for (const line of lines) console.error(line);
    if (!fail) console.log("no production package has a known high or critical vulnerability");
    process.exitCode = fail ? 1 : 0;
  }
}
