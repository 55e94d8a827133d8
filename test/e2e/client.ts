import createClient from "openapi-fetch";
import { mustConform } from "../support/conformance.ts";
import type { paths } from "../../client/src/api.ts";

export type Client = ReturnType<typeof connect>;

/** The API as a typed client sees it, which knows nothing but docs/openapi.json. Every answer is held against that too. */
export function connect(url: string, token?: string) {
  const client = createClient<paths>({
    baseUrl: `${url}/api/v1`,
    headers: {
      ...(token !== undefined && { Authorization: `Bearer ${token}` }),
      // No pooled connections: they would outlive the test.
      Connection: "close",
    },
    querySerializer: { array: { style: "form", explode: false } },
  });
  client.use({
    async onResponse({ request, response }) {
      const text = await response.clone().text();
      const body: unknown = text === "" ? null : JSON.parse(text);
      mustConform(request.method, request.url, { status: response.status, headers: response.headers, body });
    },
  });
  return client;
}

interface Result<Data, Fault> {
  data?: Data;
  error?: Fault;
  response: Response;
}

/** What must have succeeded: its body. */
export async function ok<Data, Fault>(result: Promise<Result<Data, Fault>>): Promise<NonNullable<Data>> {
  const { data, error, response } = await result;
  if (!response.ok) throw new Error(`${response.status} ${response.url}: ${JSON.stringify(error)}`);
  return data as NonNullable<Data>;
}

/** What must have failed: status and code of its problem. */
export async function refused(
  result: Promise<Result<unknown, { type?: string } | undefined>>,
): Promise<string> {
  const { error, response } = await result;
  return `${response.status} ${error?.type?.replace("/problems/", "")}`;
}

/** The entity tag of an answer. */
export async function tagged<Data, Fault>(
  result: Promise<Result<Data, Fault>>,
): Promise<{ body: NonNullable<Data>; etag: string }> {
  const answer = await result;
  return { body: await ok(Promise.resolve(answer)), etag: answer.response.headers.get("etag") as string };
}
