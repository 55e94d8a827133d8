import { readdir, readFile } from "node:fs/promises";
import { getPriority } from "node:os";
import { describe, expect, test } from "@jest/globals";
import { PROBLEMS, problemCode } from "../../core/errors.ts";
import { endThreads } from "../../services/users/hash-threads.ts";
import { hashPassword, verifyPassword } from "../../services/users/password.ts";
import { problem } from "./fixtures.ts";

/** bcrypt's least. */
const COST = 4;
const verify = (password: string, hash: string | null) => verifyPassword(password, hash, COST);

test("the right password is right, and another is not", async () => {
  const hash = await hashPassword("correct horse", COST);
  expect(hash).toMatch(/^\$2b\$04\$/);
  await expect(verify("correct horse", hash)).resolves.toBe(true);
  await expect(verify("Correct horse", hash)).resolves.toBe(false);
  await expect(verify("", hash)).resolves.toBe(false);
});

test("two hashes of one password differ", async () => {
  expect(await hashPassword("correct horse", COST)).not.toBe(await hashPassword("correct horse", COST));
});

test.each(["", "correct horse"])("without a hash no password is right, %j neither", async (password) => {
  await expect(verify(password, null)).resolves.toBe(false);
});

test.each([
  ["beyond 72 bytes", "x".repeat(72), "x".repeat(73)],
  ["the 128th", `${"x".repeat(127)}a`, `${"x".repeat(127)}b`],
  ["beyond 72 bytes of longer characters", `${"ü".repeat(40)}a`, `${"ü".repeat(40)}b`],
  ["after a NUL", "secret\u0000a", "secret\u0000b"],
])("every character counts: %s", async (_which, password, other) => {
  const hash = await hashPassword(password, COST);
  await expect(verify(password, hash)).resolves.toBe(true);
  await expect(verify(other, hash)).resolves.toBe(false);
});

test("one text typed on two keyboards (NFC and NFD) is one password", async () => {
  const [composed, decomposed] = ["pässwörd é".normalize("NFC"), "pässwörd é".normalize("NFD")];
  expect(composed).not.toBe(decomposed);
  await expect(verify(decomposed, await hashPassword(composed, COST))).resolves.toBe(true);
  await expect(verify(composed, await hashPassword(decomposed, COST))).resolves.toBe(true);
});

/** The niceness of each thread of this process, where the system tells. */
async function niceness(): Promise<number[]> {
  const threads = await readdir("/proc/self/task").catch(() => []);
  const stats = await Promise.all(
    threads.map((thread) => readFile(`/proc/self/task/${thread}/stat`, "utf8")),
  );
  // The fields after the name, which may have blanks.
  return stats.map((stat) => Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[16]));
}

test("who hashes gives way to all other threads, and is gone when the service is", async () => {
  const isLinux = process.platform === "linux";
  const threads = async () => (await niceness()).filter((value) => value > getPriority()).length;
  await hashPassword("correct horse", COST);
  const hashing = await threads();
  expect(hashing > 0).toBe(isLinux);
  await endThreads();
  expect((await threads()) < hashing).toBe(isLinux);
});

describe("a storm of logins", () => {
  test("is served up to a bound, and refused beyond it with a time to come back", async () => {
    const asked = Array.from({ length: 150 }, async () => hashPassword("correct horse", COST));
    const answers = await Promise.allSettled(asked);
    const refused = answers.filter((answer) => answer.status === "rejected");
    expect(refused.length).toBeGreaterThan(0);
    expect(answers.length - refused.length).toBeGreaterThanOrEqual(100);
    for (const { reason } of refused)
      expect(reason).toEqual(
        problem("overloaded", {
          code: PROBLEMS.overloaded.status,
          data: { headers: { "Retry-After": "5" } },
        }),
      );
  });

  test("refuses checks of unknown accounts, too: nobody can tell them apart", async () => {
    const answers = await Promise.allSettled(
      Array.from({ length: 150 }, () => verify("correct horse", null)),
    );
    const codes = answers.map((answer) =>
      answer.status === "rejected" ? problemCode(answer.reason) : answer.value,
    );
    expect(new Set(codes)).toEqual(new Set([false, "overloaded"]));
  });

  test("leaves nothing behind once it is over", async () => {
    await expect(hashPassword("correct horse", COST)).resolves.toEqual(expect.any(String));
  });
});
