/** Holds every frame that a test's socket gets against docs/asyncapi.json: its name, and each field of its payload. */
import { readFileSync } from "node:fs";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import type { Wire } from "./answer.ts";

const asyncapi: Wire = JSON.parse(readFileSync(new URL("../../docs/asyncapi.json", import.meta.url), "utf8"));

const ajv = new Ajv2020({ strict: false, allErrors: true });
(addFormats as unknown as (to: Ajv2020) => void)(ajv);
ajv.addSchema(asyncapi, "asyncapi.json");

const validators = new Map<string, ValidateFunction>();
function faultsOf(message: string, payload: unknown): string[] {
  const pointer = `asyncapi.json#/components/messages/${message}/payload`;
  const validate = validators.get(message) ?? ajv.compile({ $ref: pointer });
  validators.set(message, validate);
  if (validate(payload)) return [];
  return (validate.errors ?? []).map(
    ({ instancePath, message: what, params }) =>
      `${message}${instancePath} ${what} ${JSON.stringify(params)}`,
  );
}

/** The messages of an operation, or of the answers to it. */
const namesIn = (references: { $ref: string }[]): string[] =>
  references.map(({ $ref }) => $ref.split("/").at(-1) as string);
const { events, frames } = asyncapi.operations;
const SENT = new Set([...namesIn(events.messages), ...namesIn(frames.messages)]);

/** The `request_id` of events that a test writes into the log itself: their data is of no declared type. */
export const INVENTED = "invented";
const isInvented = (payload: unknown): boolean =>
  (payload as { request_id?: unknown } | null)?.request_id === INVENTED;

/** Where a frame differs from the document. */
export function frameFaults(name: string, payloads: unknown[]): string[] {
  if (!SENT.has(name)) return [`the frame ${name} is not documented`];
  if (isInvented(payloads[0])) return [];
  return payloads.length === 1 ? faultsOf(name, payloads[0]) : [`${name} has ${payloads.length} arguments`];
}

/** Where the acknowledgement of a request differs from the document. */
export function answerFaults(request: string, answer: Wire): string[] {
  const [done, failed] = namesIn(asyncapi.operations[request].reply.messages) as [string, string];
  return faultsOf("problem" in answer ? failed : done, answer);
}

/** Where the problem of a refused connection differs from the document. */
export const refusalFaults = (refusal: { message: string; data: unknown }): string[] =>
  faultsOf("connect_error", refusal);
