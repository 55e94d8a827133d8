import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { startTestNode, type TestNode } from "../support/node.ts";
import { serverActions } from "../support/server-actions.ts";
import { readVectors, runVector } from "../support/vectors.ts";

/** The vectors of docs/write-a-client.md, by a client without a library. */
let node: TestNode;
beforeAll(async () => {
  node = await startTestNode();
});
afterAll(() => node?.stop());

const vectors = readVectors();

test("there is a vector for each thing that a client meets", () => {
  expect(vectors.length).toBeGreaterThanOrEqual(10);
});

test.each(vectors.map((vector) => [vector.name, vector] as const))("%s", async (_, vector) => {
  await runVector(vector, node.url, serverActions(node.broker));
});
