/**
 * Holds every answer that a test gets against docs/openapi.json: the status is documented for the operation, and so is
 * each header, the content type and the body, which has no field that the document does not know.
 */
import { readFileSync } from "node:fs";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { isEmailAddress } from "../../core/text.ts";
import type { Answer, Wire } from "./answer.ts";

const openapi: Wire = JSON.parse(readFileSync(new URL("../../docs/openapi.json", import.meta.url), "utf8"));

const ajv = new Ajv2020({ strict: false, allErrors: true, validateFormats: true });
(addFormats as unknown as (to: Ajv2020) => void)(ajv);
ajv.addFormat("idn-email", isEmailAddress);
ajv.addSchema(openapi, "openapi.json");

const validators = new Map<string, ValidateFunction>();
function validator(pointer: string): ValidateFunction {
  const known = validators.get(pointer) ?? ajv.compile({ $ref: `openapi.json${pointer}` });
  validators.set(pointer, known);
  return known;
}

/** Headers of HTTP itself and of CORS, which every operation may have. */
const TRANSPORT =
  /^(date|connection|keep-alive|content-type|content-length|transfer-encoding|vary|access-control-.*)$/;
/** Paths for people, which are no part of the document. */
const PAGES =
  /^\/(app|docs|redoc|guide|guide\.md|problems|verify-email|reset-password|links|openapi\.json|asyncapi\.json|app-worker\.js|ws)(\/|$)/;

/** JSON Pointer (RFC 6901) */
const step = (name: string): string =>
  `/${encodeURIComponent(name.replaceAll("~", "~0").replaceAll("/", "~1"))}`;
const resolve = (pointer: string): Wire =>
  pointer
    .slice(2)
    .split("/")
    .map((part) => decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~"))
    .reduce((value, name) => value?.[name], openapi);
/** A pointer, with the `$ref` that it leads to resolved. */
const follow = (pointer: string): string => resolve(pointer)?.$ref ?? pointer;

/** `/api/v1/tasks/?limit=1` to `/tasks` */
const plainPath = (url: string): string =>
  url
    .replace(/^https?:\/\/[^/]*/i, "")
    .replace(/[?#].*$/, "")
    .replace(/^\/api\/v1(?=\/|$)/, "")
    .replace(/(?<=.)\/$/, "");

const templates = Object.keys(openapi.paths).map((template) => ({
  template,
  pattern: new RegExp(`^${template.replace(/[.]/g, "\\.").replace(/\{\w+\}/g, "[^/]+")}$`),
}));

/** The operation's pointer; null when there is none. A literal path takes precedence over a parameter. */
function operationOf(method: string, path: string): string | null {
  const found = templates
    .filter(({ pattern }) => pattern.test(path))
    .sort((a, b) => a.template.split("{").length - b.template.split("{").length)[0];
  // The document says of HEAD once that it is GET without the body.
  const verb = method === "HEAD" ? "get" : method.toLowerCase();
  if (found === undefined || openapi.paths[found.template][verb] === undefined) return null;
  return `#/paths${step(found.template)}${step(verb)}`;
}

function bodyFaults(pointer: string, { headers, body }: Answer): string[] {
  const validate = validator(pointer);
  const type = headers.get("content-type") ?? "none";
  const [, documented = "application~1problem%2Bjson"] = /\/content\/([^/]+)\/schema$/.exec(pointer) ?? [];
  const expected = decodeURIComponent(documented).replace("~1", "/");
  const faultsOfValue = (value: Wire): string[] =>
    validate(value)
      ? []
      : (validate.errors ?? []).map(
          ({ instancePath, message, params }) => `body${instancePath} ${message} ${JSON.stringify(params)}`,
        );
  return [
    ...(type.startsWith(expected) ? [] : [`the content type is ${type}, not ${expected}`]),
    // The document describes one line of an ndjson.
    ...(expected === "application/x-ndjson" ? (body as Wire[]).flatMap(faultsOfValue) : faultsOfValue(body)),
  ];
}

/** Where a value differs from the document's schema of a problem. */
export function problemFaults(value: unknown): string[] {
  const validate = validator("#/components/schemas/Problem");
  return validate(value)
    ? []
    : (validate.errors ?? []).map((fault) => `${fault.instancePath} ${fault.message}`);
}

const isEmpty = (body: unknown): boolean => body === null || body === "";

function faultsOf(method: string, path: string, answer: Answer): string[] {
  const { status, headers, body } = answer;
  const operation = operationOf(method, path);
  if (operation === null) {
    if (PAGES.test(path) || method === "OPTIONS") return [];
    if (status < 400) return [`there is no such operation`];
    return method === "HEAD" || method === "CONNECT"
      ? []
      : bodyFaults("#/components/schemas/Problem", answer);
  }
  const response = follow(`${operation}/responses/${status}`);
  const documented = resolve(response);
  if (documented === undefined) return [`the status is not documented: ${JSON.stringify(body)}`];

  const faults: string[] = [];
  const known = Object.keys(documented.headers ?? {});
  for (const name of headers.keys())
    if (!TRANSPORT.test(name) && !known.some((documented) => documented.toLowerCase() === name))
      faults.push(`the header ${name} is not documented`);
  for (const name of known) {
    const header = resolve(follow(`${response}/headers${step(name)}`));
    const value = headers.get(name);
    if (value === null ? header.required : !ajv.validate(header.schema, value))
      faults.push(`the header ${name} is ${value ?? "missing"}`);
  }
  if (documented.content === undefined || method === "HEAD") {
    if (!isEmpty(body)) faults.push(`a body is not documented: ${JSON.stringify(body)}`);
    return faults;
  }
  const [type = "", content] = Object.entries<Wire>(documented.content)[0] ?? [];
  faults.push(...bodyFaults(`${response}/content${step(type)}/schema`, answer));
  const code = String(body?.type).replace("/problems/", "");
  if (type === "application/problem+json" && content.examples?.[code] === undefined)
    faults.push(`the problem ${code} is not documented`);
  return faults;
}

/** @throws Error that says where the answer differs from the document */
export function mustConform(method: string, url: string, answer: Answer): void {
  const faults = faultsOf(method.toUpperCase(), plainPath(url), answer);
  if (faults.length > 0)
    throw new Error(
      `${method} ${url} ${answer.status} is not as docs/openapi.json says:\n  ${faults.join("\n  ")}`,
    );
}
