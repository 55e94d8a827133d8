/** compose.yaml as this machine can run it: by podman-compose, on one network, in namespaces of its own. */
import { readFile, writeFile } from "node:fs/promises";
import { parse } from "yaml";
import { run } from "./commands.ts";

interface Service {
  image: string;
  build?: string;
  profiles?: string[];
  environment?: Record<string, string>;
}

/** The services that `docker compose up` starts without a profile, by name. */
export async function usualServices(): Promise<Map<string, Service>> {
  const { services } = parse(await readFile("compose.yaml", "utf8"), { merge: true }) as {
    services: Record<string, Service>;
  };
  return new Map(Object.entries(services).filter(([, { profiles }]) => profiles === undefined));
}

/** Whether a service runs our image. */
export const isNode = ({ build }: Service): boolean => build !== undefined;

/**
 * Writes what differs here from compose.yaml. Containers share the host's network, so each service has an address of its
 * own on the loopback, which its name leads to, and all ports stay as they are. podman has nobody to run health checks:
 * the caller runs them itself.
 */
export async function writeOverride(file: string, services: Map<string, Service>): Promise<void> {
  const addresses = new Map([...services.keys()].map((name, at) => [name, `127.0.1.${at + 1}`]));
  const extra_hosts = [...addresses].map(([name, address]) => `${name}:${address}`);
  const override = [...services].map(([name, service]) => [
    name,
    {
      network_mode: "host",
      extra_hosts,
      healthcheck: { disable: true },
      ...(isNode(service) && { environment: { HOST: addresses.get(name) as string } }),
    },
  ]);
  // JSON is YAML.
  await writeFile(file, JSON.stringify({ services: Object.fromEntries(override) as unknown }));
}

/** Runs podman-compose on compose.yaml and the override. @returns its stdout. @throws Error with its last lines */
export const compose = (
  override: string,
  args: string[],
  env: Record<string, string> = {},
): Promise<string> =>
  run(
    "podman-compose",
    [
      "--in-pod=false",
      "--podman-run-args=--cgroups=disabled --ulimit=nofile=4096:4096 --ulimit=nproc=4096:4096",
      "-f",
      "compose.yaml",
      "-f",
      override,
      ...args,
    ],
    { env, seconds: 300 },
  );
