/**
 * Moleculer's packets as nodes send them: JSON in one line. A result or a hint that is a text (`$json`) follows behind the
 * line as it is, so that nobody escapes or parses it on its way.
 */
import { Serializers } from "moleculer";
import { isJsonText } from "./json-text.ts";
import type { Meta } from "./kit.ts";

type Payload = Record<string, unknown>;

const NEWLINE = 10;

/** What a caller says in its meta, and no callee changes: it does not travel back. */
const SAID: ReadonlySet<string> = new Set<keyof Meta>([
  "actor",
  "client",
  "conditions",
  "expiresAt",
  "trace",
  "traceparent",
]);

const isEmpty = (value: unknown): boolean =>
  value === null ||
  value === undefined ||
  value === false ||
  (typeof value === "object" && Object.keys(value).length === 0);

/** Fields that the receiver takes to be empty where they are missing. */
const OPTIONAL = ["headers", "meta", "timeout", "tracing", "parentID", "caller", "stream", "needAck"];

/** A packet without the fields that say nothing. */
function slim(payload: Payload): Payload {
  const packet = { ...payload };
  for (const field of OPTIONAL) if (isEmpty(packet[field])) delete packet[field];
  return packet;
}

/** What a callee adds to the meta of a call. */
const answerMeta = (meta: unknown): Payload =>
  Object.fromEntries(Object.entries((meta ?? {}) as Payload).filter(([name]) => !SAID.has(name)));

function packetOf(payload: Payload, type: string | undefined): Payload {
  if (type === "RES") return slim({ ...payload, meta: answerMeta(payload.meta) });
  return type === "REQ" || type === "EVENT" ? slim(payload) : payload;
}

export class PacketSerializer extends Serializers.Base {
  override serialize(payload: Payload, type?: string): Buffer {
    const packet = packetOf(payload, type);
    const { data } = packet;
    if (!isJsonText(data)) return Buffer.from(JSON.stringify(packet));
    return Buffer.from(`${JSON.stringify({ ...packet, data: { ...data, $json: "" } })}\n${data.$json}`);
  }

  override deserialize(packet: Buffer): Payload {
    const end = packet.indexOf(NEWLINE);
    if (end === -1) return JSON.parse(packet.toString()) as Payload;
    const payload = JSON.parse(packet.toString("utf8", 0, end)) as { data: Payload };
    payload.data.$json = packet.toString("utf8", end + 1);
    return payload;
  }
}
