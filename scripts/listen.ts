/**
 * `npm run listen -- <access_token> [http://127.0.0.1:3000] [stream …]`: a program of the SDK (client/) that prints every
 * event, one a line, until Ctrl-C. The SDK keeps a cursor for each stream and resumes from there.
 */
import { CODES, createClient } from "../client/src/index.ts";
import { taskwireUrl } from "../core/origin.ts";
import { printable } from "../core/text.ts";

const [token, ...rest] = process.argv.slice(2);
const argument = rest[0]?.includes("://") ? rest.shift() : undefined;
const streams = rest;

function fail(message: string): never {
  console.error(message);
  process.exit(1);
}

if (token === undefined || token === "") fail("Usage: npm run listen -- <access_token> [url] [stream …]");
let url = "";
try {
  url = taskwireUrl(argument, process.env);
} catch (error) {
  fail((error as Error).message);
}

const client = createClient({ url, token, ...(streams.length > 0 && { streams }) });
const known = new Set<string>();
client.on("located", ({ stream, position, recovered }) => {
  if (known.has(stream) && !recovered) console.log(`${stream}: events are missing, fetch the state by REST`);
  known.add(stream);
  console.log(`stream  ${stream} at ${position.seq}`);
});
client.on("event", ({ stream, seq, type, data }) => {
  const { task, member } = data as { task?: { title: string }; member?: { user_id: string } };
  console.log(printable(`${stream} #${seq} ${type} ${task?.title ?? member?.user_id ?? ""}`));
});
client.on("stream_closed", ({ stream }) => console.log(`closed  ${stream}`));
client.on("connection", ({ status, code, problem }) => {
  if (status === "ready") console.log(`ready   ${known.size} streams of ${url} are live`);
  if (problem !== null) console.error(printable(`${problem.title}: ${problem.detail}`));
  // A refusal is final; the client retries a server that is away.
  if (status === "disconnected") process.exit(1);
  if (status === "connecting" && code === CODES.unreachable)
    console.error(`${url}: does not answer, trying again`);
  else if (status === "connecting" && code !== CODES.connect) console.log("disconnected, connecting again");
});
client.connect();
