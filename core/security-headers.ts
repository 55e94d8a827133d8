import type { IncomingMessage, ServerResponse } from "node:http";
import helmet from "helmet";

const secure = helmet();

function collect(): Record<string, string> {
  const headers: Record<string, string> = {};
  const response = {
    setHeader: (name: string, value: string) => (headers[name] = value),
    removeHeader: () => {},
  };
  secure({} as IncomingMessage, response as unknown as ServerResponse, () => {});
  return headers;
}

/** helmet's headers, for answers that are written without a middleware or without a response object. */
export const SECURITY_HEADERS: Readonly<Record<string, string>> = collect();
