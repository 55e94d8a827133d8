/** A minute of chaos (docs/chaos.md): the whole system as real processes, broken by a fixed seed. */
import { rm } from "node:fs/promises";
import { expect, test } from "@jest/globals";
import { judge } from "../chaos/checker.ts";
import type { Finding } from "../chaos/findings.ts";
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
const WITHIN_MS = 240_000;

/** Findings that bound time: a machine that gives the nodes none can cause a few of them. Broken nodes cause many. */
const TIMED: Finding[] = ["late", "not_closed", "failed_without_fault"];
const FEW = 0.01;

test(
  "a minute of faults loses, repeats, reorders and leaks nothing, and a restored log is told of",
  async () => {
    const faults = ["--only", FAULTS.join(","), "--faults", String(FAULTS.length)];
    const args = ["--seed", SEED, "--scale", "0.2", ...faults];
    const { stdout, stderr } = await runProgram("test/chaos/main.ts", {}, args).ended;
    const [, file] = /^The recording is in (.+)$/m.exec(stdout) ?? [];
    if (file === undefined) throw new Error(`it recorded nothing:\n${stdout}\n${stderr}`);
    const recording = await readRecording(file);
    expect(recording.faults.map(({ name }) => name).sort()).toEqual(FAULTS);
    const { findings, lateness, outages, rewinds } = judge(recording);
    const frames = [...lateness.values()].flat().length;
    expect(frames).toBeGreaterThan(500);
    const found = [...findings.examples].filter(
      ([name]) => !TIMED.includes(name) && findings.counts[name] > 0,
    );
    expect(found).toEqual([]);
    for (const name of TIMED)
      expect([name, findings.counts[name] / recording.calls.length < FEW]).toEqual([name, true]);
    expect(outages.filter(({ firstWrite }) => firstWrite === null)).toEqual([]);
    const fates = new Set(rewinds.flatMap(({ clients }) => clients.flatMap((client) => client.fates)));
    expect([...fates]).toEqual(expect.arrayContaining(["told", "went_on"]));
    await rm(file);
  },
  WITHIN_MS,
);
