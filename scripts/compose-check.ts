/**
 * `npm run compose:check`: brings compose.yaml up for real, with podman-compose, as far as a machine without Docker goes.
 * It takes the README's tour through the proxy, kills a gateway and a notifier under a second one, and a polling socket
 * stays where it began. A line for each step. Needs root, for namespaces.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { explain } from "../core/explain.ts";
import { until } from "../local/until.ts";
import { PROMISED, takeTour } from "../test/support/tour.ts";
import { fullName, provideImage } from "./containers/base-images.ts";
import { inNamespaces, mustHave, run, step } from "./containers/commands.ts";
import { compose, isOurs, readComposition, type Service, writeLocal } from "./containers/composition.ts";
import { buildImage, IMAGE } from "./containers/image.ts";
import { useOwnStorage } from "./containers/storage.ts";

/** The proxy's, inside of the namespaces. */
const PORT = "8080";
const READY_MS = 120_000;

const composition = await readComposition();
const { services } = composition;
const nodes = [...services]
  .filter(([, service]) => service.environment?.SERVICES !== undefined)
  .map(([name]) => name);

async function prepare(): Promise<void> {
  mustHave("bash", "buildah", "curl", "ip", "npm", "podman", "podman-compose");
  if (process.getuid?.() !== 0) throw new Error("Run it as root: it makes namespaces and file systems.");
  await useOwnStorage();
  await buildImage();
  for (const { image } of [...services.values()].filter((service) => !isOurs(service)))
    await step("image", () => provideImage(fullName(image)), String);
}

const container = (service: string): string => `taskwire_${service}_1`;

const isHealthy = (service: string): Promise<boolean> =>
  run("podman", ["exec", container(service), "node", "scripts/healthcheck.ts"]).then(
    () => true,
    () => false,
  );

async function mustBecome(what: string, condition: () => Promise<boolean>): Promise<void> {
  if (!(await until(condition, READY_MS))) throw new Error(`${what}: not within ${READY_MS / 1000} s`);
}

const proxyIsReady = (): Promise<boolean> =>
  fetch(`http://127.0.0.1:${PORT}/ready`).then(
    ({ ok }) => ok,
    () => false,
  );

async function tour(): Promise<void> {
  const seen = await takeTour(PORT);
  if (!isDeepStrictEqual(seen, PROMISED)) throw new Error(`the tour saw ${JSON.stringify(seen)}`);
}

/** Opens a polling session, and uses it on new connections. @throws Error when a request of it comes to another notifier */
async function poll(): Promise<void> {
  const url = `http://127.0.0.1:${PORT}/ws/?EIO=4&transport=polling`;
  const opened = await (await fetch(url)).text();
  const { sid } = JSON.parse(opened.slice(1)) as { sid: string };
  for (let at = 0; at < 10; at++) {
    // An Engine.IO packet that changes nothing; a notifier that does not know the session answers 400.
    const { status } = await fetch(`${url}&sid=${sid}`, {
      method: "POST",
      headers: { Connection: "close", "Content-Type": "text/plain" },
      body: "6",
    });
    if (status !== 200) throw new Error(`request ${at + 1} of a polling socket: ${status}`);
  }
}

/** Kills a node without warning, does something, and starts the node again. */
async function without(name: string, work: () => Promise<void>): Promise<void> {
  await run("podman", ["kill", "--signal", "KILL", container(name)]);
  await work();
  await run("podman", ["start", container(name)]);
  await mustBecome(name, () => isHealthy(name));
}

async function prove(): Promise<void> {
  await useOwnStorage();
  const folder = await mkdtemp(join(tmpdir(), "taskwire-compose-"));
  const file = join(folder, "compose.yaml");
  // Each tour logs three people in from one address.
  const env = { TASKWIRE_IMAGE: IMAGE, RATE_LIMIT: "off", LOG_LEVEL: "warn" };
  await writeLocal(file, composition);
  try {
    const up = (names: string[]) => compose(file, ["up", "--detach", "--no-build", ...names], env);
    const first = [...services.keys()].filter(
      (name) => !isOurs(services.get(name) as Service) && name !== "proxy",
    );
    await step(
      "up",
      () => up(first),
      () => first.join(", "),
    );
    await step(
      "migrate",
      () => compose(file, ["run", "--rm", "migrate"], env),
      (output) => output.split("\n").at(-1) as string,
    );
    await step(
      "up",
      () => up([...nodes, "proxy"]),
      () => `${nodes.length} nodes and the proxy`,
    );
    await step(
      "ready",
      async () => {
        for (const name of nodes) await mustBecome(name, () => isHealthy(name));
        await mustBecome("the proxy", proxyIsReady);
      },
      () => `the health check of ${nodes.length} nodes, and the proxy`,
    );
    await step("tour", tour, () => "the README's tour, through the proxy");
    await step(
      "polling",
      poll,
      () => "ten requests of one polling socket, on a connection each, at one notifier",
    );
    for (const name of ["gateway-1", "notifier-2"])
      await step(
        "kill",
        () => without(name, tour),
        () => `the tour while ${name} is gone (SIGKILL), which then comes back`,
      );
  } catch (error) {
    for (const name of services.keys())
      console.error(
        await run("sh", ["-c", 'podman logs --tail 15 "$0" 2>&1', container(name)]).catch(explain),
      );
    throw error;
  } finally {
    await step(
      "down",
      () => compose(file, ["down", "--volumes", "--timeout", "20"], env),
      () => "containers and volumes are gone",
    );
    await rm(folder, { recursive: true, force: true });
  }
}

try {
  if (process.argv[2] === "--inside") await prove();
  else {
    await prepare();
    process.exitCode = await inNamespaces(import.meta.filename, ["--inside"]);
    if (process.exitCode === 0) console.log("compose.yaml is sound.");
  }
} catch (error) {
  console.error(explain(error));
  process.exitCode = 1;
}
