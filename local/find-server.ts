import { spawn } from "node:child_process";
import { accessSync, constants, existsSync, statSync } from "node:fs";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import { cleanEnv } from "./clean-env.ts";

/** Each program's names on PATH, Debian's package first, and where else it may come from. */
const PROGRAMS = {
  "nats-server": {
    files: ["nats-server"],
    else: 'macOS: brew install nats-server), or run "docker compose up nats redis" and set NATS_URL and REDIS_URL',
  },
  "redis-server": {
    files: ["redis-server"],
    else: 'macOS: brew install redis), or run "docker compose up nats redis" and set NATS_URL and REDIS_URL',
  },
  chromium: {
    files: ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"],
    else: "macOS: brew install chromium), or set CHROMIUM to the path of one",
  },
} as const;

export type ServerName = keyof typeof PROGRAMS;

/** Folders of servers that the PATH of an ordinary user or of a bare CI shell may lack. */
const WELL_KNOWN = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/opt/homebrew/bin"];

/**
 * The path of a program that tests or a cluster need: on PATH, in a well-known folder, or on Debian, for root, installed from its packages.
 * Throws with one line that says what to install.
 */
export async function findServer(name: ServerName, onProgress: (line: string) => void): Promise<string> {
  const found = search(name);
  if (found) return found;
  if (process.getuid?.() === 0 && existsSync("/usr/bin/apt-get")) {
    onProgress(`${name}: not found, installing it with apt-get`);
    const output = await install(name);
    const installed = search(name);
    if (installed) return installed;
    onProgress(`${name}: apt-get failed: ${output.slice(-3).join(" / ")}`);
  }
  throw new Error(
    `${name} was not found: install it (Debian: apt-get install ${name}, ${PROGRAMS[name].else}`,
  );
}

function search(name: ServerName): string | undefined {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), ...WELL_KNOWN].filter(Boolean);
  const end = process.platform === "win32" ? ".exe" : "";
  return PROGRAMS[name].files
    .flatMap((file) => folders.map((folder) => join(folder, file + end)))
    .find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/**
 * Installs the binary without a service: nothing starts now (policy-rc.d, the machine's own if it has one) or at the next
 * boot. `flock` lets one of several processes install while the others wait; the dpkg timeout waits for other apt-gets.
 */
const INSTALL = `
  set -e
  command -v "$0" >/dev/null && exit 0
  if [ ! -e /usr/sbin/policy-rc.d ]; then
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
  fi
  apt-get update -q || true
  apt-get install -q -y --no-install-recommends -o DPkg::Lock::Timeout=120 "$0"
  if command -v systemctl >/dev/null; then systemctl disable "$0" || true; fi
`;

/** Runs `INSTALL`; resolves with the lines that it printed, whether it succeeded or not. */
async function install(name: ServerName): Promise<string[]> {
  const env = cleanEnv({ DEBIAN_FRONTEND: "noninteractive" });
  const child = spawn("flock", ["-w", "300", "/run/taskwire-apt.lock", "sh", "-c", INSTALL, name], {
    env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const lines: string[] = [];
  child.once("error", (error) => lines.push(error.message));
  for (const stream of [child.stdout, child.stderr])
    createInterface({ input: stream }).on("line", (line) => lines.push(line));
  await new Promise((done) => child.once("close", done));
  return lines;
}
