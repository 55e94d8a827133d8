/** Reads the state of a project over REST (docs/write-a-client.md, Fetching). */
import { type Contents, emptyContents } from "./fold.ts";
import type { Http } from "./http.ts";
import { errorOf, NetworkError } from "./problem.ts";
import type { Comment, Member, Position, Project, Task } from "./types.ts";

type Line =
  | ({ type: "head" } & Position)
  | { type: "member"; data: Member }
  | { type: "task"; data: Task }
  | { type: "comment"; data: Comment }
  | { type: "end"; count: number };

/** Silence for so long is the end of an answer. */
const SILENCE_MS = 30_000;

/** The next part of an answer. @throws NetworkError after a long silence */
async function nextOf(reader: ReadableStreamDefaultReader<Uint8Array>) {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new NetworkError("the server fell silent")), SILENCE_MS);
  });
  try {
    return await Promise.race([reader.read(), silence]);
  } finally {
    clearTimeout(timer);
  }
}

/** The lines of an answer, as they come. */
async function* linesOf(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await nextOf(reader);
      if (done) return;
      const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      yield* lines;
    }
  } finally {
    // The rest of an answer that nobody reads; it may have failed already.
    reader.cancel().catch(() => undefined);
  }
}

/** `GET /projects/{id}`, without what is the caller's alone or counts. */
async function readProject(http: Http, id: string): Promise<Project> {
  const answer = (await http.json("GET", `/projects/${id}`)) as Project &
    Record<"role" | "task_counts", unknown>;
  const { role: _role, task_counts: _counts, ...project } = answer;
  return project;
}

/**
 * The state of a project, and the position up to which it holds.
 * @throws ProblemError; NetworkError where the answer was cut
 */
export async function readSnapshot(http: Http, id: string): Promise<{ contents: Contents; head: Position }> {
  const contents = emptyContents();
  contents.project = await readProject(http, id);
  const response = await http.send(http.request("GET", `/projects/${id}/snapshot`));
  if (!response.ok || response.body === null)
    throw errorOf(response, JSON.parse((await response.text()) || "null") as unknown);
  let head: Position | null = null;
  let count = 0;
  for await (const text of linesOf(response.body)) {
    const line = JSON.parse(text) as Line;
    if (line.type === "head") head = { seq: line.seq, id: line.id };
    else if (line.type === "end") {
      if (head !== null && line.count === count) return { contents, head };
    } else {
      count += 1;
      if (line.type === "task") contents.tasks.set(line.data.id, line.data);
      else if (line.type === "comment") contents.comments.set(line.data.id, line.data);
      else if (line.type === "member") contents.members.set(line.data.user_id, line.data);
    }
  }
  throw new NetworkError("the snapshot was cut");
}

/** All items of a list, page by page. @param path with a query, without a cursor */
export async function readAll<Item>(http: Http, path: string): Promise<Item[]> {
  const items: Item[] = [];
  let cursor: string | null = "";
  while (cursor !== null) {
    const page = (await http.json("GET", `${path}?limit=100&cursor=${encodeURIComponent(cursor)}`)) as {
      items: Item[];
      next_cursor: string | null;
    };
    items.push(...page.items);
    cursor = page.next_cursor;
  }
  return items;
}
