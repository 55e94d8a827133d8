/** A minute of chaos (docs/chaos.md): the whole system as real processes, broken by a fixed seed. */
import { rm } from "node:fs/promises";
import { expect, test } from "@jest/globals";
import { judge } from "../chaos/checker.ts";
import { readRecording } from "../chaos/recording.ts";
import { runProgram } from "../support/program.ts";

/** Its first ten faults are these, in about a minute, some of them two at a time. */
const SEED = "932";
const FAULTS = [
  "gateway-killed",
  "log-forgotten",
  "mass-reconnect",
  "nats-killed",
  "notifier-frozen",
  "notifier-killed",
  "postgres-failover",
  "postgres-restored",
  "redis-unsubscribed",
  "tasks-killed",
];
const WITHIN_MS = 180_000;

test(
  "a minute of faults loses, repeats, reorders and leaks nothing, and a restored log is told of",
  async () => {
    const faults = ["--only", FAULTS.join(","), "--faults", String(FAULTS.length)];
    const args = ["--seed", SEED, "--scale", "0.2", ...faults];
    const { code, stdout, stderr } = await runProgram("test/chaos/main.ts", {}, args).ended;
    // Where something was found, the report says what.
    expect(code === 0 ? "" : `${stdout}\n${stderr}`).toBe("");

    const [, file = ""] = /^The recording is in (.+)$/m.exec(stdout) ?? [];
    const recording = await readRecording(file);
    expect(recording.faults.map(({ name }) => name).sort()).toEqual(FAULTS);
    const { findings, lateness, outages, rewinds } = judge(recording);
    expect(findings.isSound).toBe(true);
    expect([...lateness.values()].flat().length).toBeGreaterThan(1000);
    expect(outages.filter(({ firstWrite }) => firstWrite === null)).toEqual([]);
    const fates = new Set(rewinds.flatMap(({ clients }) => clients.flatMap((client) => client.fates)));
    expect([...fates]).toEqual(expect.arrayContaining(["told", "went_on"]));
    await rm(file);
  },
  WITHIN_MS,
);
