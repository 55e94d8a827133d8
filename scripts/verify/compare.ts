import { isDeepStrictEqual } from "node:util";

/** Text that was written before 0010-nfc.sql may be spelled otherwise in the log. */
const spelled = (value: unknown): unknown => (typeof value === "string" ? value.normalize("NFC") : value);

/**
 * The fields in which a row differs from what its last event says. A field that the event does not have is newer than the
 * event, except `deleted_at`, which events of things that live leave out.
 */
export const differences = (told: object, row: object): string[] =>
  [...new Set([...Object.keys(told), "deleted_at"])].filter(
    (field) =>
      !isDeepStrictEqual(
        spelled((told as Record<string, unknown>)[field]),
        spelled((row as Record<string, unknown>)[field]),
      ),
  );

/** `title is "b", and "a" in the log` for each field. */
export const explained = (fields: string[], told: object, row: object): string =>
  fields
    .map((field) => {
      const [inRow, inLog] = [row, told].map((one) => shown((one as Record<string, unknown>)[field]));
      return `${field} is ${inRow}, and ${inLog} in the log`;
    })
    .join("; ");

/** Characters of a text that a line shows. */
const SHOWN = 40;

const shown = (value: unknown): string => {
  const text = JSON.stringify(value ?? null);
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text;
};

/** How far the clocks of nodes may differ: an event bears the time of the node that wrote it. */
const SKEW_MS = 60_000;

export interface FirstKept {
  seq: number;
  time: string;
}

/** Whether an event of this time may be among those that the log has forgotten. */
export const mayBeForgotten = (time: string, first: FirstKept | null): boolean =>
  first !== null && first.seq > 1 && Date.parse(time) < Date.parse(first.time) + SKEW_MS;
