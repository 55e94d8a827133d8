import { readFile } from "node:fs/promises";
import { beforeAll, describe, expect, test } from "@jest/globals";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { isEmailAddress } from "../../core/text.ts";
import FastestValidator from "fastest-validator";
import { CLIENT, DOCUMENT, EVENTS_DOCUMENT, generate, readActions } from "../../scripts/openapi.ts";
import { schemaOf } from "../../services/api-gateway/openapi-rules.ts";
import { ROUTES } from "../../services/api-gateway/routes.ts";
import * as rules from "../../core/rules.ts";

let generated: Awaited<ReturnType<typeof generate>>;
let document: any;
let actions: Awaited<ReturnType<typeof readActions>>;
beforeAll(async () => {
  actions = await readActions();
  generated = await generate();
  document = JSON.parse(generated.document);
});

const operations = (): [string, any][] =>
  Object.entries<any>(document.paths).flatMap(([path, item]) =>
    Object.entries<any>(item).map(([method, operation]): [string, any] => [`${method} ${path}`, operation]),
  );

const ajv = (): Ajv2020 => {
  const made = new Ajv2020({ strict: false, allErrors: true });
  (addFormats as unknown as (to: Ajv2020) => void)(made);
  made.addFormat("idn-email", isEmailAddress);
  return made;
};

/** Every schema with examples, and every media type with one: what it is of, and an example of it. */
function examplesIn(value: any, pointer = "#"): { of: string; example: unknown }[] {
  if (typeof value !== "object" || value === null) return [];
  const inner = Object.entries(value)
    .filter(
      ([key]) => !["example", "examples", "enum", "default"].includes(key) || pointer.endsWith("/properties"),
    )
    .flatMap(([key, child]) =>
      examplesIn(child, `${pointer}/${encodeURIComponent(key.replaceAll("~", "~0").replaceAll("/", "~1"))}`),
    );
  if (Array.isArray(value.examples)) {
    inner.push(...value.examples.map((example: unknown) => ({ of: pointer, example })));
  } else if (value.schema !== undefined) {
    const named = Object.values<any>(value.examples ?? {}).map(
      ({ $ref }) => document.components.examples[$ref.split("/").at(-1)].value,
    );
    const given = value.example === undefined ? named : [value.example];
    inner.push(...given.map((example) => ({ of: `${pointer}/schema`, example })));
  }
  return inner;
}

describe("the document", () => {
  test("is what docs/openapi.json holds (else: npm run openapi)", async () => {
    expect(await readFile(DOCUMENT, "utf8")).toBe(generated.document);
  });

  test("is what the client's types are made of (else: npm run openapi)", async () => {
    expect(await readFile(CLIENT, "utf8")).toBe(generated.client);
  });

  test("of events is what docs/asyncapi.json holds (else: npm run openapi)", async () => {
    expect(await readFile(EVENTS_DOCUMENT, "utf8")).toBe(generated.events);
  });

  test("has every route once, and says of HEAD once what it is", () => {
    const routes = ROUTES.map(
      ({ method, path }) => `${method.toLowerCase()} ${path.replace(/:(\w+)/g, "{$1}")}`,
    );
    expect(document.info.description).toContain("Every `GET` supports `HEAD` too");
    expect(
      operations()
        .map(([name]) => name)
        .sort(),
    ).toEqual([...routes, "get /live", "get /ready", "get /health", "get /metrics"].sort());
  });

  test("comes to its operations after a few lines, and names no address of a server", () => {
    expect(document.info.description.length).toBeLessThan(1_000);
    expect(document.info.description).toMatch(/\[The guide\]\(\/guide\)/);
    expect(generated.document).not.toMatch(/127\.0\.0\.1|localhost|:3000/);
    expect(document.servers.every(({ url }: any) => url.startsWith("/"))).toBe(true);
  });

  test("calls each operation by a name of its own", () => {
    const names = operations().map(([, { operationId }]) => operationId);
    expect(new Set(names).size).toBe(names.length);
  });

  test("has an example for every body, with all that the body needs", () => {
    const poor = operations().flatMap(([name, { requestBody }]) => {
      if (requestBody === undefined) return [];
      const { schema, example } = requestBody.content["application/json"];
      const { required = [] } = document.components.schemas[schema.$ref.split("/").at(-1)];
      return required
        .filter((field: string) => example[field] === undefined)
        .map((field: string) => `${name} ${field}`);
    });
    expect(poor).toEqual([]);
  });

  test("has examples that are what they are examples of", () => {
    const checker = ajv().addSchema(document, "openapi.json");
    const examples = examplesIn(document);
    expect(examples.length).toBeGreaterThan(100);
    const wrong = examples.flatMap(({ of, example }) => {
      const validate = checker.compile({ $ref: `openapi.json${of}` });
      return validate(example) ? [] : [{ of, example, errors: validate.errors }];
    });
    expect(wrong).toEqual([]);
  });
});

describe("the schema of a body and the rules that check it", () => {
  const LONG = "x".repeat(10_001);
  const VALUES = [
    ...[null, true, 0, 1, 1.5, -1, [], {}, "", " ", "x", " x ", "\0x", "😀".repeat(100), LONG],
    ...["pending", "low", "owner", "admin", "read", "active", "#1e90ff", "#xyzxyz", "ada@example.com"],
    ...[
      "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
      "0193A5C0-7D4E-7C31-9A55-3F0C8B1D2E4F",
      "2026-11-21T09:30:00Z",
      "2026-11-21",
    ],
  ];
  const validator = new (FastestValidator as any)({
    useNewCustomCheckerFunction: true,
    considerNullAsAValue: true,
  });

  test("agree on examples, and on what they could be with another value in each field", () => {
    const checker = ajv().addSchema(document, "openapi.json");
    const differences: unknown[] = [];
    for (const [name, { operationId, requestBody }] of operations()) {
      if (requestBody === undefined) continue;
      const { example } = requestBody.content["application/json"];
      const title = operationId.charAt(0).toUpperCase() + operationId.slice(1) + "Body";
      const schema = checker.compile({ $ref: `openapi.json#/components/schemas/${title}` });
      const inPath = [...name.matchAll(/\{(\w+)\}/g)].map(([, param]) => param as string);
      const route = ROUTES.find(
        ({ method, path }) => `${method.toLowerCase()} ${path.replace(/:(\w+)/g, "{$1}")}` === name,
      );
      const params = Object.fromEntries(
        Object.entries((actions.get(route?.action as string) as any).params).filter(
          ([field]) => !inPath.includes(field),
        ),
      );
      const rules = validator.compile(params);
      const judge = (body: object) => {
        const [said, checked] = [schema(body), rules(structuredClone(body)) === true];
        if (said !== checked)
          differences.push({ name, body: JSON.stringify(body).slice(0, 200), said, checked });
      };
      judge(example);
      judge({ ...example, nonsense: 1 });
      for (const field of Object.keys(params).filter((field) => !field.startsWith("$$"))) {
        const { [field]: _, ...without } = example;
        // The cookie may stand for it.
        if (field !== "refresh_token") judge(without);
        for (const value of VALUES) judge({ ...example, [field]: value });
      }
    }
    expect(differences).toEqual([]);
  });
});

describe("a rule as a schema", () => {
  test.each<[what: string, rule: object | string, good: unknown[], bad: unknown[]]>([
    ["text", rules.text(2, 3), ["ab", "😀😀😀", " a"], ["a", "abcd", "a\0", 1, null]],
    ["trimmed text", { ...rules.text(1, 3), trim: true }, [" a "], ["", "  "]],
    ["what may be null", { ...rules.text(1, 3), nullable: true }, ["a", null], [""]],
    ["an enum that may be null", { type: "enum", values: ["a"], nullable: true }, ["a", null], ["b"]],
    [
      "text of one line",
      { ...rules.line(1, 5), trim: true },
      ["a b", " abcde "],
      ["", "abcdef", "a\nb", "a\u202eb", "\u0007"],
    ],
    ["an e-mail address", rules.email, ["\u00e9@example.com"], ["a", "a\u202e@example.com"]],
    ["an id", rules.id, ["0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f"], ["x", ""]],
    [
      "a timestamp",
      rules.timestamp,
      ["2026-11-21T09:30:00Z", "2026-11-21T09:30:00+02:00"],
      ["2026-11-21", "2026-02-30T00:00:00Z"],
    ],
    ["a comma list", rules.commaList(["a", "b"]), [["a"], ["b", "a", "b"]], [[], ["c"]]],
    ["a whole number", { type: "number", integer: true, min: 1, max: 3 }, [1, 3], [0, 4, 1.5]],
    ["a list", { type: "array", items: "string", min: 1, max: 2 }, [["a"]], [[], ["a", "b", "c"], [1]]],
    [
      "an object",
      { type: "object", props: { a: "string", b: { type: "number", optional: true } } },
      [{ a: "x" }],
      [{}, { a: "x", c: 1 }],
    ],
    ["one of several", [{ type: "equal", value: "a" }, "boolean"], ["a", true], ["b"]],
  ])("%s", (_, rule, good, bad) => {
    const validate = ajv().compile(schemaOf(rule));
    expect(good.filter((value) => !validate(value))).toEqual([]);
    expect(bad.filter((value) => validate(value))).toEqual([]);
  });

  test("of a kind that is not known is an error", () => {
    expect(() => schemaOf({ type: "currency" })).toThrow(/no JSON Schema/);
  });
});
