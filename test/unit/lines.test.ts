import { expect, jest, test } from "@jest/globals";
import { Lines } from "../../core/lines.ts";
import { problem } from "./fixtures.ts";

test("work of one name runs one after another, and other names go on meanwhile", async () => {
  const lines = new Lines(1000);
  const gate = Promise.withResolvers<void>();
  const done: string[] = [];
  const work = (name: string, until?: Promise<void>) =>
    lines.run(name[0] as string, async () => {
      await until;
      done.push(name);
      return name;
    });
  const first = work("a1", gate.promise);
  const failed = lines.run("a", () => Promise.reject(new Error("broken")));
  const third = work("a3");
  expect(await work("b1")).toBe("b1");
  expect(done).toEqual(["b1"]);
  gate.resolve();
  await expect(failed).rejects.toThrow("broken");
  expect(await Promise.all([first, third])).toEqual(["a1", "a3"]);
  expect(done).toEqual(["b1", "a1", "a3"]);
});

test("work that waited for too long is refused and never begins, and the line goes on", async () => {
  const lines = new Lines(1000);
  const gate = Promise.withResolvers<void>();
  const now = jest.spyOn(performance, "now").mockReturnValue(0);
  try {
    const begun = Promise.withResolvers<void>();
    const first = lines.run("a", () => {
      begun.resolve();
      return gate.promise;
    });
    await begun.promise;
    const work = jest.fn(() => Promise.resolve());
    const late = lines.run("a", work);
    now.mockReturnValue(1001);
    gate.resolve();
    await expect(late).rejects.toEqual(problem("overloaded"));
    await first;
    expect(work).not.toHaveBeenCalled();
    await lines.run("a", work);
    expect(work).toHaveBeenCalledTimes(1);
  } finally {
    now.mockRestore();
  }
});
