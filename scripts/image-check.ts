/**
 * `npm run image:check`: builds the image for real, and proves it. It lints the Dockerfile, compares what is in the image
 * with the commit and the SBOM, runs a node of all services without rights on a root that nobody can write to, takes the
 * README's tour on it, and stops it under an open socket. A line for each step. Needs root, for namespaces.
 */
import { spawn } from "node:child_process";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { randomBytes } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { explain } from "../core/explain.ts";
import { startPostgres } from "../local/postgres.ts";
import { until } from "../local/until.ts";
import { PROMISED, takeTour } from "../test/support/tour.ts";
import { inNamespaces, mustHave, run, step } from "./containers/commands.ts";
import { Container, runOnce } from "./containers/container.ts";
import { checkContents } from "./containers/contents.ts";
import { buildImage, IMAGE } from "./containers/image.ts";
import { useOwnStorage } from "./containers/storage.ts";

const SBOM = "sbom.cdx.json";
const PORT = "3000";
const OPS_PORT = "9464";
const READY_MS = 60_000;
/** The time that the node has to stop, with a socket open. */
const STOP_MS = 10_000;

async function build(): Promise<void> {
  mustHave("bash", "buildah", "curl", "hadolint", "ip", "npm", "podman");
  if (process.getuid?.() !== 0) throw new Error("Run it as root: it makes namespaces and file systems.");
  await useOwnStorage();
  await step(
    "lint",
    () => run("hadolint", ["Dockerfile"]),
    () => "hadolint finds nothing",
  );
  await buildImage();
  await step(
    "size",
    () => run("podman", ["image", "inspect", "--format", "{{.Size}} {{.Config.User}}", IMAGE]),
    (line) => `${Math.round(parseInt(line, 10) / 1e6)} MB, user ${line.split(" ")[1]}`,
  );
  await step("sbom", () => run("npm", ["run", "--silent", "sbom"]), String);
}

/** What the kernel says of process 1, and what happens to a write. */
const LOOK_INSIDE = `
  const fs = require("node:fs");
  const status = fs.readFileSync("/proc/1/status", "utf8");
  const read = (name) => new RegExp("^" + name + ":\\\\s*(\\\\S+)", "m").exec(status)[1];
  const writes = ["/app", "/tmp", "/"].filter((folder) => {
    try { fs.writeFileSync(folder + "/probe", ""); return true; } catch { return false; }
  });
  const processes = fs.readdirSync("/proc").filter((name) => /^[0-9]+$/.test(name)).length;
  return { user: read("Uid"), rights: read("CapBnd"), noNew: read("NoNewPrivs"), writes, processes };`;
const INSIDE = {
  user: "65532",
  rights: "0000000000000000",
  noNew: "1",
  writes: [],
  // The node, and the process that looks: a zombie would be a third.
  processes: 2,
};

function mustEqual(actual: unknown, expected: unknown): void {
  if (!isDeepStrictEqual(actual, expected))
    throw new Error(`expected ${JSON.stringify(expected)}, not ${JSON.stringify(actual)}`);
}

/** Opens a socket of the tour's Ada. @returns the client, which holds it until it is killed */
async function openSocket(): Promise<ReturnType<typeof spawn>> {
  const login = await fetch(`http://127.0.0.1:${PORT}/auth/login`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ login: "ada", password: "correct horse" }),
  });
  const { access_token } = (await login.json()) as { access_token: string };
  const client = spawn(process.execPath, ["scripts/listen.ts", access_token], {
    env: { ...process.env, PORT },
    stdio: ["ignore", "pipe", "ignore"],
  });
  let said = "";
  client.stdout.on("data", (data: Buffer) => (said += data.toString()));
  if (!(await until(() => said.includes("ready"), 10_000)))
    throw new Error(`the socket is not ready: ${said}`);
  return client;
}

async function runNode(node: { container?: Container }, folder: string): Promise<void> {
  const postgres = await startPostgres({ dir: join(folder, "postgres"), durable: false });
  const files: Record<string, string> = {};
  const env: Record<string, string> = { HOST: "127.0.0.1", PORT, OPS_PORT };
  for (const [name, value] of Object.entries({
    DATABASE_URL: postgres.url,
    JWT_SECRET: randomBytes(48).toString("base64"),
  })) {
    const inside = `/run/secrets/${name.toLowerCase()}`;
    await writeFile((files[inside] = join(folder, name)), value);
    env[`${name}_FILE`] = inside;
  }
  try {
    await step(
      "migrate",
      async () => {
        const migrate = ["node", "scripts/migrate.ts"];
        const plan = await runOnce(IMAGE, [...migrate, "--plan"], { env, files });
        const hash = /--approve (\w+)$/.exec(plan)?.[1] ?? "none";
        return runOnce(IMAGE, [...migrate, "--approve", hash], { env, files });
      },
      (output) => output.split("\n").at(-1) as string,
    );
    const container = await step(
      "start",
      async () => {
        const started = (node.container = await Container.start("taskwire-image-check", IMAGE, {
          env,
          files,
        }));
        if (await until(() => started.isHealthy(), READY_MS)) return started;
        throw new Error(`not ready within ${READY_MS / 1000} s`);
      },
      () => "all services in one node; the health check says that it is ready",
    );
    await step(
      "inside",
      async () => mustEqual(await container.evaluate(LOOK_INSIDE), INSIDE),
      () => "user 65532, no capability, no new privileges, nothing can be written, no other process",
    );
    await step(
      "tour",
      async () => mustEqual(await takeTour(PORT), PROMISED),
      () => "the README's tour: each event once and in order, nothing for the stranger",
    );
    await step(
      "verify",
      () => container.exec(["node", "scripts/verify.ts"]),
      (output) => output.split("\n").at(-1) as string,
    );
    const client = await openSocket();
    try {
      await step(
        "stop",
        async () => {
          const started = performance.now();
          mustEqual(await container.stop(30), 0);
          if (performance.now() - started > STOP_MS) throw new Error(`it took more than ${STOP_MS / 1000} s`);
        },
        () => "SIGTERM with a socket open: exit code 0",
      );
    } finally {
      client.kill();
    }
  } finally {
    await postgres.stop();
  }
}

/** Inside the namespaces. */
async function prove(): Promise<void> {
  await useOwnStorage();
  const folder = await mkdtemp(join(tmpdir(), "taskwire-image-"));
  await chmod(folder, 0o755); // for Postgres' user
  const node: { container?: Container } = {};
  try {
    await step("contents", () => checkContents(IMAGE, SBOM), String);
    await runNode(node, folder);
  } catch (error) {
    console.error((await node.container?.logs()) ?? "");
    throw error;
  } finally {
    await node.container?.remove();
    await rm(folder, { recursive: true, force: true });
  }
}

try {
  if (process.argv[2] === "--inside") await prove();
  else {
    await build();
    process.exitCode = await inNamespaces(import.meta.filename, ["--inside"]);
    if (process.exitCode === 0) console.log("The image is sound.");
  }
} catch (error) {
  console.error(explain(error));
  process.exitCode = 1;
}
