import { stat } from "node:fs/promises";
import { SECRETS, DEVELOPMENT_SECRET } from "../../core/config/variables.ts";
import { check, unlessProduction } from "./findings.ts";

/** Permission of a file for users who are neither its owner nor of its group. */
const OTHERS_READ = 0o004;
/** Different characters that a random secret of 32 bytes has at least, in any usual notation. */
const FEWEST = 10;

/** The configuration itself refuses secrets that are too short, and in production those that everybody knows. */
export const checkSecrets = (env: NodeJS.ProcessEnv) =>
  check("secrets", async (config, say) => {
    const before = say;
    let isWell = true;
    const complain: typeof say = (level, text) => {
      isWell = false;
      before(level, text);
    };
    if (config.JWT_SECRET === DEVELOPMENT_SECRET)
      complain("warn", "JWT_SECRET is the one that everybody knows: set one by `openssl rand -base64 48`");
    for (const name of ["JWT_SECRET", "JWT_SECRET_PREVIOUS", "METRICS_TOKEN"] as const)
      if (config[name] !== "" && new Set(config[name]).size < FEWEST)
        complain(
          unlessProduction(config),
          `${name} is no random text: make one by \`openssl rand -base64 48\``,
        );
    if (config.JWT_SECRET_PREVIOUS !== "")
      complain(
        "warn",
        "JWT_SECRET_PREVIOUS is still accepted: leave it out once ACCESS_TOKEN_TTL has passed on all nodes",
      );
    for (const name of SECRETS) {
      const file = env[`${name}_FILE`];
      if (file === undefined || file === "") continue;
      const { mode } = await stat(file);
      if ((mode & OTHERS_READ) !== 0)
        complain("warn", `every user of this machine can read ${file} (${name}_FILE): chmod o-r ${file}`);
    }
    if (isWell) before("ok", "none is a default, and no file of one is open to every user");
  });
