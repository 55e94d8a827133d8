/** compose.yaml as this machine can run it: by podman-compose, on one network, in namespaces of its own. */
import { readFile, writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import { parse } from "yaml";
import { fullName } from "./base-images.ts";
import { run } from "./commands.ts";

export interface Service {
  image: string;
  build?: string;
  profiles?: string[];
  environment?: Record<string, string>;
  depends_on?: unknown;
  volumes?: string[];
}

interface Composition {
  name: string;
  volumes: Record<string, unknown>;
  services: Map<string, Service>;
}

/** compose.yaml, without the services of profiles. */
export async function readComposition(): Promise<Composition> {
  const { name, volumes, services } = parse(await readFile("compose.yaml", "utf8"), { merge: true }) as {
    name: string;
    volumes: Record<string, unknown>;
    services: Record<string, Service>;
  };
  const usual = Object.entries(services).filter(([, { profiles }]) => profiles === undefined);
  return { name, volumes, services: new Map(usual) };
}

/** Whether a service runs our image. */
export const isOurs = ({ build }: Service): boolean => build !== undefined;

/**
 * Writes what this machine can run of it. Containers share one network, so each service has an address of its own on the
 * loopback, which its name leads to, and all ports stay as they are. They share the host's name too, of which a node
 * would make its id. podman has nobody to run health checks, and Debian's waits for no container that has ended: the
 * caller starts the services in their order.
 */
export async function writeLocal(file: string, { name, volumes, services }: Composition): Promise<void> {
  const addresses = new Map([...services.keys()].map((service, at) => [service, `127.0.1.${at + 1}`]));
  const local = (service: string, whole: Service): object => ({
    ...whole,
    image: isOurs(whole) ? whole.image : fullName(whole.image),
    build: undefined,
    networks: undefined,
    network_mode: "host",
    extra_hosts: [...addresses].map(([other, address]) => `${other}:${address}`),
    healthcheck: { disable: true },
    depends_on: undefined,
    volumes: whole.volumes?.map((volume) => volume.replace(/^\.(?=\/)/, resolve("."))),
    ...(isOurs(whole) && {
      environment: { ...whole.environment, HOST: addresses.get(service), NODE_ID: service },
    }),
  });
  const entries = [...services].map(([service, whole]) => [service, local(service, whole)]);
  // JSON is YAML.
  await writeFile(file, JSON.stringify({ name, volumes, services: Object.fromEntries(entries) as unknown }));
}

/** Runs podman-compose on such a file. @returns its stdout. @throws Error with its last lines */
export function compose(file: string, args: string[], env: Record<string, string> = {}): Promise<string> {
  const nested = "--podman-run-args=--cgroups=disabled --ulimit=nofile=4096:4096 --ulimit=nproc=4096:4096";
  return run("podman-compose", ["--in-pod=false", nested, "--file", file, ...args], { env, seconds: 300 });
}
