/** A bounded load of every kind that the dashboards show: requests, logins, sockets, syncs and an event stream. */
import { type Socket, io } from "socket.io-client";
import { newId } from "../../core/ids.ts";
import type { WatchedSystem } from "./system.ts";

/** Milliseconds between two requests. */
const EVERY_MS = 40;
/** At most so many requests wait for their answer; a turn that finds more does nothing. */
const AT_ONCE = 50;
const SOCKETS = 20;
const PATIENCE_MS = 5000;
const PASSWORD = "correct horse battery";

export interface Load {
  /** How many answers had each status; `none` had none. */
  statuses: Map<number | "none", number>;
  /** Events that arrived at sockets. */
  events(): number;
  stop(): void;
}

/** Starts it with an account and a project of its own. @throws Error when these can't be made */
export async function startLoad({ origin, notifiers }: WatchedSystem): Promise<Load> {
  const statuses: Load["statuses"] = new Map();
  const ended = new AbortController();
  let token = "";

  const request = async (method: string, path: string, body?: object): Promise<Response> =>
    fetch(`${origin}${path}`, {
      method,
      headers: {
        "Content-Type": "application/json",
        ...(token !== "" && { Authorization: `Bearer ${token}` }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: AbortSignal.any([ended.signal, AbortSignal.timeout(PATIENCE_MS)]),
    });
  const must = async <Body>(method: string, path: string, body?: object): Promise<Body> => {
    const answer = await request(method, path, body);
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return (await answer.json()) as Body;
  };

  const username = `watched-${newId().slice(-12)}`;
  const account = { email: `${username}@example.com`, username, password: PASSWORD };
  const login = { login: username, password: PASSWORD };
  const { id: user } = await must<{ id: string }>("POST", "/auth/register", account);
  token = (await must<{ access_token: string }>("POST", "/auth/login", login)).access_token;
  const { id: project } = await must<{ id: string }>("POST", "/projects", { name: "Watched" });
  const { id: task } = await must<{ id: string }>("POST", "/tasks", {
    title: "Watched",
    project_id: project,
  });

  let [sent, underWay, events] = [0, 0, 0];
  /** One after another. The last one asks for what is not there: 404. */
  const kinds: (() => Promise<Response>)[] = [
    () => request("POST", "/tasks", { title: `Task ${sent}`, project_id: project }),
    () => request("GET", `/tasks/${task}`),
    () => request("PATCH", `/tasks/${task}`, { title: `Watched ${sent}` }),
    () => request("GET", `/tasks/${task}`),
    () => request("GET", `/tasks?project_id=${project}&limit=20`),
    () => request("GET", `/projects/${project}`),
    () => request("POST", `/tasks/${task}/comments`, { body: `Comment ${sent}` }),
    () => request("GET", "/auth/me"),
    () => request("POST", "/auth/login", login),
    () => request("POST", "/sync", { wait: 1 }),
    () => request("POST", "/auth/password/forgot", { email: account.email }),
    () => request("GET", `/tasks/${user}`),
  ];
  const note = (status: number | "none"): void => {
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
  };
  const sendNext = async (): Promise<void> => {
    const kind = kinds[sent++ % kinds.length] as () => Promise<Response>;
    underWay++;
    try {
      const answer = await kind();
      await answer.arrayBuffer();
      note(answer.status);
    } catch {
      if (!ended.signal.aborted) note("none");
    } finally {
      underWay--;
    }
  };
  const send = (): void => {
    if (underWay < AT_ONCE) void sendNext();
  };

  const open = (nth: number): Socket => {
    const socket = io(notifiers[nth % notifiers.length] as string, {
      path: "/ws",
      auth: { token, streams: [`project:${project}`] },
      transports: ["websocket"],
      forceNew: true,
    });
    socket.onAny(() => events++);
    return socket;
  };
  const sockets = Array.from({ length: SOCKETS }, (_, nth) => open(nth));
  /** One socket after another leaves and comes back. */
  let turn = 0;
  const replace = (): void => {
    sockets[turn % SOCKETS]?.disconnect();
    sockets[turn % SOCKETS] = open(turn);
    turn++;
  };
  /** Reads a stream of events for as long as it goes on, and opens it again. */
  const follow = async (): Promise<void> => {
    const answer = await fetch(`${origin}/projects/${project}/events/stream`, {
      headers: { Authorization: `Bearer ${token}` },
      signal: ended.signal,
    });
    for await (const chunk of answer.body ?? []) void chunk;
  };
  let following: Promise<void> | null = null;
  const keepFollowing = (): void => {
    // An outage ends it: the next turn opens it again.
    following ??= follow()
      .catch(() => {})
      .finally(() => (following = null));
  };
  keepFollowing();
  const timers = [setInterval(send, EVERY_MS), setInterval(replace, 2000), setInterval(keepFollowing, 1000)];
  return {
    statuses,
    events: () => events,
    stop() {
      timers.forEach(clearInterval);
      ended.abort();
      sockets.forEach((socket) => socket.disconnect());
    },
  };
}
