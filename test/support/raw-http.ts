import { type IncomingMessage, request } from "node:http";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { type Answer, bodyOf } from "./answer.ts";
import { mustConform } from "./conformance.ts";

export interface Raw {
  method?: string;
  path: string;
  headers?: Record<string, string | string[]>;
  body?: string | Buffer;
}

const answerOf = (status: number, headers: Headers, text: string): Answer => ({
  status,
  headers,
  body: bodyOf(headers, text),
});

/** Sends requests that `fetch` can't: paths as they are, any method, repeated or forbidden headers, bytes. */
export async function send(url: string, { method = "GET", path, headers = {}, body }: Raw): Promise<Answer> {
  const length =
    body === undefined || "Transfer-Encoding" in headers ? {} : { "Content-Length": Buffer.byteLength(body) };
  const options = { method, path, headers: { ...length, ...headers }, agent: false };
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  request(url, options, resolve).on("error", reject).end(body);
  const incoming = await promise;
  const fields = Object.entries(incoming.headersDistinct).flatMap(([name, values = []]) =>
    values.map((value): [string, string] => [name, value]),
  );
  const answer = answerOf(incoming.statusCode as number, new Headers(fields), await text(incoming));
  mustConform(method, path, answer);
  return answer;
}

/** A body in chunks (RFC 9112 §7.1), put together. */
function dechunk(chunks: string): string {
  const [, size = "0", rest = ""] = /^([0-9a-f]+)\r\n(.*)$/is.exec(chunks) ?? [];
  const length = parseInt(size, 16);
  return length === 0 ? "" : rest.slice(0, length) + dechunk(rest.slice(length + 2));
}

/** Sends lines that are no HTTP, or almost HTTP. The server has to close the connection. */
export async function dial(url: string, lines: string[]): Promise<Answer> {
  const { port, hostname } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.write([...lines, "Connection: close", "", ""].join("\r\n"));
  const [, head = "", body = ""] = /^(.*?)\r\n\r\n(.*)$/s.exec(await text(socket)) ?? [];
  const [status = "", ...fields] = head.split("\r\n");
  const headers = new Headers(fields.map((field) => field.split(/: (.*)/).slice(0, 2) as [string, string]));
  const whole = headers.get("transfer-encoding") === "chunked" ? dechunk(body) : body;
  return answerOf(Number(status.split(" ")[1]), headers, whole);
}
