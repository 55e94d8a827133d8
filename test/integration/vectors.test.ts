import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { startTestNode, type TestNode } from "../support/node.ts";
import { serverActions } from "../support/server-actions.ts";
import { SdkVectorClient } from "../support/sdk-vector-client.ts";
import { readVectors, runVector } from "../support/vectors.ts";

/** The vectors of docs/write-a-client.md, by a client without a library and by the parts of the SDK. */
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

test.each(vectors.map((vector) => [vector.name, vector] as const))("the SDK: %s", async (_, vector) => {
  const client = new SdkVectorClient(node.url);
  await runVector(vector, node.url, serverActions(node.broker), client);
});
