/**
 * The images that Dockerfile and compose.yaml name. Where no registry answers, each has a stand-in under its name, made
 * of Debian's packages: it proves the steps and the settings around it, and nothing about the registry's image.
 */
import { existsSync } from "node:fs";
import { chmod, cp, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { postgresBinaries } from "../../local/postgres/binaries.ts";
import { mustHave, run } from "./commands.ts";

/** This machine's certificate authorities, with those of a proxy that it may sit behind. */
const AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt";
const PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

interface StandIn {
  /** mmdebstrap's: `extract` unpacks the packages alone, `minbase` makes a system with a shell. */
  variant: "extract" | "minbase";
  packages: string[];
  /** Adds to the root file system. */
  fill: (root: string) => Promise<void>;
  /** Arguments of `buildah config`. */
  config: string[];
}

async function addAuthorities(root: string): Promise<void> {
  if (!existsSync(AUTHORITIES)) return;
  await mkdir(join(root, dirname(AUTHORITIES)), { recursive: true });
  await cp(AUTHORITIES, join(root, AUTHORITIES), { dereference: true });
}

/** The user of distroless images. */
const USERS = [
  [
    "etc/passwd",
    "root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n",
  ],
  ["etc/group", "root:x:0:\nnonroot:x:65532:\n"],
] as const;

/** As the entrypoint of the official image: makes a database cluster of these settings, once, and gives up root. */
const POSTGRES_ENTRYPOINT = `#!/bin/sh
set -e
data=/var/lib/postgresql/18/docker
drop="setpriv --reuid=999 --regid=999 --clear-groups"
grep -q ^postgres: /etc/passwd || echo "postgres:x:999:999::/var/lib/postgresql:/bin/sh" >> /etc/passwd
if [ ! -e $data/PG_VERSION ]; then
  mkdir -p $data && chown -R 999:999 /var/lib/postgresql
  printf '%s' "$POSTGRES_PASSWORD" > /tmp/password && chown 999 /tmp/password
  $drop initdb -D $data -U "$POSTGRES_USER" --pwfile=/tmp/password -A scram-sha-256 $POSTGRES_INITDB_ARGS
  echo 'host all all all scram-sha-256' >> $data/pg_hba.conf
  rm /tmp/password
  echo "CREATE DATABASE $POSTGRES_DB;" | $drop postgres --single -j -D $data postgres
fi
exec $drop "$@" -D $data -c listen_addresses='*' -c unix_socket_directories=
`;

/** A server of Debian's, which needs no file of ours. */
const server = (packages: string[], entrypoint: string[]): StandIn => ({
  variant: "extract",
  packages,
  fill: addAuthorities,
  config: ["--env", PATH, "--entrypoint", JSON.stringify(entrypoint)],
});

/** By name, without the version: a stand-in follows the Dockerfile's. */
const STAND_INS: Record<string, StandIn> = {
  "gcr.io/distroless/cc-debian12": {
    variant: "extract",
    packages: ["base-files", "netbase", "tzdata", "libc6", "libgcc-s1", "libgomp1", "libssl3", "libstdc++6"],
    fill: async (root) => {
      await addAuthorities(root);
      await mkdir(join(root, "etc"), { recursive: true });
      for (const [file, content] of USERS) await writeFile(join(root, file), content);
    },
    config: ["--user", "65532", "--env", PATH],
  },
  "docker.io/library/node": {
    variant: "minbase",
    packages: [],
    // The Node that this runs on, and the npm that started it.
    fill: async (root) => {
      await addAuthorities(root);
      const cli = process.env.npm_execpath;
      if (cli === undefined) throw new Error("run it by `npm run`, which says where npm is");
      await mkdir(join(root, "usr/local/bin"), { recursive: true });
      await cp(process.execPath, join(root, "usr/local/bin/node"), { dereference: true });
      await cp(dirname(dirname(cli)), join(root, "usr/local/lib/node_modules/npm"), { recursive: true });
      await symlink("../lib/node_modules/npm/bin/npm-cli.js", join(root, "usr/local/bin/npm"));
    },
    config: ["--env", PATH, "--env", `NODE_EXTRA_CA_CERTS=${AUTHORITIES}`],
  },
  "docker.io/library/haproxy": server(
    ["haproxy"],
    ["haproxy", "-W", "-db", "-f", "/usr/local/etc/haproxy/haproxy.cfg"],
  ),
  "docker.io/library/nats": server(["nats-server"], ["nats-server"]),
  "docker.io/library/redis": server(["redis-server", "redis-tools"], []),
  // The Postgres that npm brings.
  "docker.io/library/postgres": {
    variant: "minbase",
    packages: [],
    fill: async (root) => {
      await addAuthorities(root);
      const native = dirname(dirname((await postgresBinaries(undefined)).postgres));
      await cp(native, join(root, "usr/local"), { recursive: true, verbatimSymlinks: true });
      await writeFile(join(root, "usr/local/bin/entrypoint"), POSTGRES_ENTRYPOINT, { mode: 0o755 });
    },
    config: ["--env", PATH, "--entrypoint", '["entrypoint"]', "--volume", "/var/lib/postgresql"],
  },
};

/** Makes the stand-in of an image, under the image's name. @throws Error where none is known, or a tool is missing */
async function standIn(image: string): Promise<void> {
  const known = STAND_INS[image.replace(/:[^/]*$/, "")];
  if (known === undefined) throw new Error(`no registry gave ${image}, and it has no stand-in`);
  mustHave("mmdebstrap");
  const folder = await mkdtemp(join(tmpdir(), "taskwire-base-"));
  try {
    const system = join(folder, "system.tar");
    const root = join(folder, "root");
    await mkdir(root);
    await chmod(root, 0o755);
    await known.fill(root);
    const packages = known.packages.length > 0 ? [`--include=${known.packages.join(",")}`] : [];
    await run("mmdebstrap", [`--variant=${known.variant}`, ...packages, "bookworm", system], {
      seconds: 600,
    });
    const container = await run("buildah", ["from", "scratch"]);
    for (const part of [system, root]) await run("buildah", ["add", "--quiet", container, part, "/"]);
    await run("buildah", ["config", ...known.config, container]);
    await run("buildah", ["commit", "--quiet", "--rm", container, image], { seconds: 120 });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** An image's name with its registry, which Docker leaves out. */
export const fullName = (image: string): string =>
  image.includes("/") ? image : `docker.io/library/${image}`;

/** The images after FROM in a Dockerfile, stages of its own left out, by their full names. */
export function baseImages(dockerfile: string): string[] {
  const stages = [...dockerfile.matchAll(/^FROM (\S+)(?: AS (\S+))?$/gm)];
  const own = stages.map(([, , name]) => name);
  return stages
    .map(([, image]) => image as string)
    .filter((image) => !own.includes(image))
    .map(fullName);
}

/** Whether the storage has an image. */
const has = (image: string): Promise<boolean> =>
  run("buildah", ["images", "--quiet", image]).then(
    () => true,
    () => false,
  );

/**
 * Brings an image into the storage: from its registry, or as a stand-in.
 * @returns a line about where it came from. storage.ts says where that lies; without it the registry is asked again
 */
export async function provideImage(image: string): Promise<string> {
  if (await has(image)) return `${image}: kept from an earlier run`;
  try {
    await run("buildah", ["pull", "--quiet", image], { seconds: 300 });
    return `${image}: pulled`;
  } catch {
    await standIn(image);
    return `${image}: no registry gave it; a stand-in of Debian's packages proves all but the registry's image`;
  }
}
