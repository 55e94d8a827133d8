import { createHash } from "node:crypto";

/** JSON with the keys of each object in order, so that equal values have equal texts. */
function canonical(value: unknown): string {
  if (value === null || typeof value !== "object") return JSON.stringify(value) ?? "null";
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  const entries = Object.entries(value).filter(([, item]) => item !== undefined);
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`).join(",")}}`;
}

/** A short fingerprint of a JSON value. */
export const digestOf = (value: unknown): string =>
  createHash("sha1").update(canonical(value)).digest("base64url").slice(0, 12);

/** A text that names its project wherever it leaks to. */
export const canary = (project: string, serial: string): string => `canary-${project}-${serial}`;

/** The projects whose canaries a raw frame holds. */
export const canariesIn = (text: string): string[] => [
  ...new Set([...text.matchAll(/canary-([\da-f-]{36})/g)].map(([, project]) => project as string)),
];
