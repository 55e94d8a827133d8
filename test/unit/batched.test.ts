import { expect, test } from "@jest/globals";
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
