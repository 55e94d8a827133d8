/** The log: pino, one JSON object a line, or text for a terminal. Each line says which request it belongs to. */
import type { LoggerConfig } from "moleculer";
import { type Bindings, type DestinationStream, destination, type Logger, type LoggerOptions } from "pino";
import type { Config } from "./config.ts";
import { redactText, redactValue, safeError } from "./redact.ts";
import { currentScope } from "./trace.ts";

/** Gets each error that is logged as one, with the service that logged it, and the action that failed where one did. */
export type OnError = (error: Error, origin: { service: string; action?: string }) => void;

/** From this level on an error is a fault of the system (pino's number of `error`). */
const ERROR_LEVEL = 50;
/** From this level on a line is written at once, with those before it (pino's number of `warn`). */
const PROMPT_LEVEL = 40;
/** Bytes of lines that are written together, and milliseconds that they wait for each other. */
const [TOGETHER_BYTES, TOGETHER_MS] = [8192, 100];

const isFields = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !(value instanceof Error);

const mergeAll = (fields: object[]): object =>
  fields.length === 1 ? (fields[0] as object) : fields.reduce((all, some) => ({ ...all, ...some }), {});

/**
 * Moleculer and its services log a message and what belongs to it, in any order: `log.warn(message, error)`,
 * `log.info({ route }, message)`. Pino wants the fields first.
 */
function lineOf(args: unknown[]): { message: string; fields: object; error: Error | undefined } {
  const error = args.find((arg) => arg instanceof Error);
  const words = args.filter((arg) => !isFields(arg) && !(arg instanceof Error));
  const fields = args.filter(isFields).map((found) => redactValue(found) as object);
  return { message: redactText(words.map(String).join(" ")), fields: mergeAll(fields), error };
}

/** Whether lines are text for people: what LOG_JSON says, or else whether a terminal shows them. */
export const isForPeople = ({ LOG_JSON }: Pick<Config, "LOG_JSON">): boolean =>
  LOG_JSON === "auto" ? process.stdout.isTTY : LOG_JSON === "false";

/** Text for people, on stdout. */
async function prettyStream(): Promise<DestinationStream> {
  // For people alone: a node that writes JSON does not load it.
  const { default: pretty } = await import("pino-pretty");
  return pretty({
    sync: true,
    colorize: process.stdout.isTTY,
    ignore: "nodeID,ns,mod,svc",
    messageFormat: "{if svc}{svc}: {end}{msg}",
    translateTime: "SYS:HH:MM:ss.l",
  });
}

/** Stdout, on which lines are written together: a system call for each was a twentieth of a request. */
class JsonStream {
  readonly destination = destination({ dest: 1, minLength: TOGETHER_BYTES, sync: true });
  #timer: NodeJS.Timeout | undefined;

  constructor() {
    process.once("exit", () => this.destination.flushSync());
  }

  /** A line was written. @param level pino's number */
  wrote(level: number): void {
    if (level < PROMPT_LEVEL) this.#timer ??= setTimeout(() => this.#flush(), TOGETHER_MS).unref();
    else this.#flush();
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    // flushSync would wait for the disk, too, where stdout is a file.
    this.destination.flush();
  }
}

/** One for all nodes of the process. */
let jsonStream: JsonStream | undefined;

/** Moleculer's logger. */
export async function loggerOptions(config: Config, onError: OnError = () => {}): Promise<LoggerConfig> {
  const json = isForPeople(config) ? null : (jsonStream ??= new JsonStream());
  const options: LoggerOptions = {
    // Moleculer's bindings name the node and the service.
    base: null,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label) => ({ level: label }) },
    serializers: { err: safeError },
    mixin() {
      const scope = currentScope();
      return scope === undefined ? {} : { request_id: scope.requestId, trace_id: scope.place.traceId };
    },
    hooks: {
      logMethod(this: Logger, args: unknown[], method, level) {
        const { message, fields, error } = lineOf(args);
        method.call(this, error === undefined ? fields : { ...fields, err: error }, message);
        json?.wrote(level);
        if (error !== undefined && level >= ERROR_LEVEL) {
          const { svc, mod }: Bindings = this.bindings();
          const { action } = fields as { action?: unknown };
          onError(error, {
            service: String(svc ?? mod),
            ...(typeof action === "string" && { action }),
          });
        }
      },
    },
  };
  const stream = json?.destination ?? (await prettyStream());
  return { type: "Pino", options: { level: config.LOG_LEVEL, pino: { options, destination: stream } } };
}
