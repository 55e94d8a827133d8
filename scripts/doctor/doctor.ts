/** Looks at all that a node of this configuration leans on. */
import { type Config, ConfigError, loadConfig } from "../../core/config.ts";
import { checkNats, checkRedis } from "./check-brokers.ts";
import { checkDatabase } from "./check-database.ts";
import { checkPorts } from "./check-ports.ts";
import { checkSecrets } from "./check-secrets.ts";
import { checkSmtp } from "./check-smtp.ts";
import { examine, type Finding } from "./findings.ts";

/** All findings, part by part. A configuration that no node would start with is the only part that is looked at. */
export async function doctor(env: NodeJS.ProcessEnv): Promise<Finding[]> {
  let config: Config;
  try {
    config = loadConfig(env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.message.split("\n").map((text) => ({ level: "fail", part: "configuration", text }));
  }
  const checks = [checkSecrets(env), checkDatabase, checkNats, checkRedis, checkSmtp, checkPorts];
  return (await Promise.all(checks.map((check) => examine(check, config)))).flat();
}

/** The findings as lines. */
export function describeFindings(findings: Finding[]): string {
  const width = Math.max(...findings.map(({ part }) => part.length));
  return findings
    .map(({ level, part, text }) => `${level.padEnd(4)}  ${part.padEnd(width)}  ${text}`)
    .join("\n");
}
