import { setImmediate } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { batched } from "../../services/notifier/batched.ts";

test("questions of one turn are asked together, and each gets its own answer", async () => {
  const asked: number[][] = [];
  const ask = batched(
    async (questions: number[]) => {
      asked.push(questions);
      return questions.map((question) => question * 10);
    },
    () => 1,
  );
  expect(await Promise.all([ask(1), ask(2), ask(3)])).toEqual([10, 20, 30]);
  expect(await ask(4)).toBe(40);
  expect(asked).toEqual([[1, 2, 3], [4]]);
});

test("a batch takes what it can bear, and a heavy question goes alone", async () => {
  const asked: string[][] = [];
  const ask = batched(
    async (questions: string[]) => {
      asked.push(questions);
      return questions;
    },
    ({ length }) => length,
    5,
  );
  await Promise.all(["aa", "bb", "cc", "ddddddddd", "e"].map((question) => ask(question)));
  expect(asked).toEqual([["aa", "bb"], ["cc"], ["ddddddddd"], ["e"]]);
});

test("a failure is that of each question in the batch, and of no other", async () => {
  let times = 0;
  const ask = batched(
    async (questions: number[]) => {
      if (times++ === 0) throw new Error("away");
      return questions;
    },
    () => 1,
  );
  const failed = await Promise.allSettled([ask(1), ask(2)]);
  expect(failed.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  expect(await ask(3)).toBe(3);
});

describe("while two batches are under way", () => {
  // What waits for them waits for a timer, too.
  beforeEach(() => void jest.useFakeTimers({ doNotFake: ["setImmediate", "nextTick", "queueMicrotask"] }));
  afterEach(() => void jest.useRealTimers());

  /** Three questions in turns of their own, and a fourth in the turn after that. Nothing is answered. */
  async function fourTurns() {
    const asked: number[][] = [];
    const answers: (() => void)[] = [];
    const ask = batched(
      async (questions: number[]) => {
        asked.push(questions);
        await new Promise<void>((resolve) => answers.push(resolve));
        return questions;
      },
      () => 1,
    );
    const all: Promise<number>[] = [];
    for (const question of [1, 2, 3, 4]) {
      all.push(ask(question));
      await setImmediate();
      await setImmediate();
    }
    expect(asked).toEqual([[1], [2]]);
    const answerAll = async () => {
      for (const answer of answers) answer();
      await setImmediate();
    };
    return { asked, answers, answerAll, all: Promise.all(all) };
  }

  test("what comes is asked together, once one of them is answered", async () => {
    const { asked, answers, answerAll, all } = await fourTurns();
    answers[1]?.();
    await setImmediate();
    expect(asked).toEqual([[1], [2], [3, 4]]);
    await answerAll();
    expect(await all).toEqual([1, 2, 3, 4]);
  });

  test("what comes is asked in 20 ms though none of them is answered", async () => {
    const { asked, answerAll, all } = await fourTurns();
    jest.advanceTimersByTime(19);
    await setImmediate();
    expect(asked).toHaveLength(2);
    jest.advanceTimersByTime(1);
    await setImmediate();
    expect(asked).toEqual([[1], [2], [3, 4]]);
    await answerAll();
    expect(await all).toEqual([1, 2, 3, 4]);
  });
});
