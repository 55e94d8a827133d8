import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { expect, test } from "@jest/globals";
import { Ajv } from "ajv";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { EVENTS_DOCUMENT } from "../../scripts/openapi.ts";
import { EVENT_TYPES } from "../../services/events.ts";
import { frames, requests } from "../../services/notifier/notifier.answers.ts";
import type { Wire } from "../support/answer.ts";

/** What docs/asyncapi.json says of itself; test/support/frames.ts holds the frames of all tests against it. */
const document: Wire = JSON.parse(await readFile(EVENTS_DOCUMENT, "utf8"));
const withFormats = <Validator extends Ajv | Ajv2020>(validator: Validator): Validator => {
  (addFormats as unknown as (to: Validator) => void)(validator);
  return validator;
};

test("is a document of AsyncAPI 3.0", () => {
  const schema = createRequire(import.meta.url)("@asyncapi/specs/schemas/3.0.0.json") as object;
  const validate = withFormats(new Ajv({ strict: false, allErrors: true, meta: false })).compile(schema);
  expect(validate(document) ? [] : validate.errors).toEqual([]);
});

test("has each event, frame and request as a message of the channel", () => {
  const names = [...EVENT_TYPES, ...Object.keys(frames), ...Object.keys(requests)];
  const { messages } = document.channels.socket;
  expect(names.filter((name) => document.components.messages[name]?.summary === undefined)).toEqual([]);
  expect(names.filter((name) => messages[name] === undefined)).toEqual([]);
});

test("refers to nothing that is missing", () => {
  const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)];
  const missing = references.filter(
    ([, path = ""]) => path.split("/").reduce((value, step) => value?.[step], document) === undefined,
  );
  expect(missing.map(([, path]) => path)).toEqual([]);
});

/** AsyncAPI's own dialect is draft-07 with additions; the schemas mean the same in both. */
test.each([
  ["draft-07", () => new Ajv({ strict: false, allErrors: true })],
  ["2020-12", () => new Ajv2020({ strict: false, allErrors: true })],
])("has examples that conform to their schemas as %s", (_, make) => {
  const ajv = withFormats<Ajv | Ajv2020>(make());
  ajv.addSchema(document, "asyncapi.json");
  for (const [name, { examples }] of Object.entries<Wire>(document.components.messages)) {
    const validate = ajv.compile({ $ref: `asyncapi.json#/components/messages/${name}/payload` });
    expect([name, validate(examples[0].payload), validate.errors]).toEqual([name, true, null]);
  }
});
