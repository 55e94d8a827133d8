/** Nothing reaches a subscriber that it may not read, what it lost is closed in time, and nothing else is. */
import type { Findings } from "./findings.ts";
import { closingTime, type Histories, mayBeRewritten, SLACK_MS } from "./histories.ts";
import type { Call, LogRow, Recording, Signal, Time, Transport } from "./recording.ts";

/** A user's right to a project came or went, at an event of the project's stream. */
interface Change {
  seq: number;
  at: Time;
  gained: boolean;
}

/** The rights of each user to each project, as one history of the log tells them. */
class Rights {
  readonly #changes = new Map<string, Change[]>();
  readonly #ofAll = new Map<string, Change[]>();
  readonly #founders: Record<string, string>;

  constructor(streams: Map<string, Map<number, LogRow>>, founders: Record<string, string>) {
    this.#founders = founders;
    for (const [stream, rows] of streams)
      for (const { seq, type, committed, member } of rows.values()) {
        if (!stream.startsWith("project:")) continue;
        const gained = type === "member_added" || type === "project_restored";
        if (!gained && type !== "member_removed" && type !== "project_deleted") continue;
        // The event of a deletion is the last one that its readers get.
        const change = { seq: type === "project_deleted" ? seq + 1 : seq, at: committed, gained };
        const map = type.startsWith("member") ? this.#changes : this.#ofAll;
        const key = type.startsWith("member") ? `${stream} ${member}` : stream;
        map.set(key, [...(map.get(key) ?? []), change]);
      }
  }

  /** Changes for one user, in order. */
  of(user: string, stream: string): Change[] {
    const own = this.#changes.get(`${stream} ${user}`) ?? [];
    return [...own, ...(this.#ofAll.get(stream) ?? [])].sort((a, b) => a.seq - b.seq);
  }

  mayRead(user: string, stream: string, seq: number): boolean {
    if (stream.startsWith("user:")) return stream === `user:${user}`;
    const own = this.#changes.get(`${stream} ${user}`) ?? [];
    const last = own.filter((change) => change.seq <= seq).at(-1);
    // A new member reads the stream from its first event on.
    const isMember = last?.gained ?? (this.#founders[stream] === user || own.length > 0);
    const project = (this.#ofAll.get(stream) ?? []).filter((change) => change.seq <= seq).at(-1);
    return isMember && (project?.gained ?? true);
  }
}

/** One connection of a subscriber. */
interface Connection {
  name: string;
  transport: Transport;
  user: string;
  opened: Time;
  closed: Time;
  /** The sessions whose tokens it had, and when the last of those tokens expires. */
  session: string;
  isPersonal: boolean;
  expires: Time;
  /** All that it may be sent; null for all that its user may read. */
  streams: string[] | null;
  /** When it had which stream. */
  held: { stream: string; from: Time; to: Time }[];
  frames: Extract<Signal, { kind: "event" }>[];
}

function connectionsOf({ signals, ended }: Recording): Connection[] {
  const open = new Map<string, Connection>();
  const all: Connection[] = [];
  for (const signal of signals) {
    const { client, connection, at } = signal;
    const name = `${client}/${connection}`;
    if (signal.kind === "opened") {
      const { transport, user, session, isPersonal = false, expires_at: expires, streams = null } = signal;
      const made: Connection = {
        name,
        transport,
        user,
        session,
        isPersonal,
        expires,
        streams,
        opened: at,
        closed: ended,
        held: [],
        frames: [],
      };
      open.set(name, made);
      all.push(made);
    }
    const one = open.get(name);
    if (one === undefined) continue;
    const hold = (stream: string): void => {
      if (!one.held.some((span) => span.stream === stream && span.to === Infinity))
        one.held.push({ stream, from: at, to: Infinity });
    };
    const letGo = (stream: string | null): void => {
      for (const span of one.held)
        if (span.to === Infinity && (stream === null || span.stream === stream)) span.to = at;
    };
    if (signal.kind === "event") one.frames.push(signal);
    if (signal.kind === "event") hold(signal.stream);
    if (signal.kind === "ready") Object.keys(signal.streams).forEach(hold);
    if (signal.kind === "stream_closed") letGo(signal.stream);
    if (signal.kind === "renewed")
      Object.assign(one, { expires: signal.expires_at, session: signal.session });
    if (signal.kind === "closed") {
      one.closed = at;
      letGo(null);
      open.delete(name);
    }
  }
  for (const { held } of all) for (const span of held) span.to = Math.min(span.to, ended);
  return all;
}

/** What is known of the token that a client had. */
interface Proof {
  user: string;
  session: string;
  isPersonal?: boolean;
}

const endsSession = ({ ends }: Call, { user, session, isPersonal = false }: Proof): boolean =>
  ends !== undefined &&
  ends.user === user &&
  !(isPersonal && ends.keepsTokens === true) &&
  (ends.session === undefined ? ends.except !== session : ends.session === session);

export function checkAccess(recording: Recording, histories: Histories, findings: Findings): void {
  const rights = new Map(
    histories.all.map((history) => [history, new Rights(history.streams, recording.founders)]),
  );
  const ends = recording.calls.filter(({ ends }) => ends !== undefined);
  /** Project of a canary, as far as the user ever may read it. */
  const everRead = (user: string, project: string): boolean =>
    [...rights.values()].some((one) => {
      const stream = `project:${project}`;
      return recording.founders[stream] === user || one.of(user, stream).some(({ gained }) => gained);
    });

  for (const connection of connectionsOf(recording)) {
    const { user, name, transport, closed } = connection;
    checkFrames(connection);
    for (const { stream, from, to } of connection.held) checkHolding(stream, from, to);
    const ended = ends.filter((call) => call.outcome === "ok" && endsSession(call, connection));
    for (const { ended: at } of ended) if (at >= connection.opened) checkEnd(at, "its session ended");
    checkEnd(connection.expires, "its token expired");

    function checkFrames({ frames }: Connection): void {
      for (const { stream, seq, id, at, tags } of frames) {
        const where = `${name}: ${stream} #${seq}`;
        if (connection.streams?.includes(stream) === false)
          findings.add("leaked", `${where} beyond its token`);
        for (const project of tags)
          if (!everRead(user, project)) findings.add("leaked", `${where} tells of project ${project}`);
        const found = histories.find(stream, id);
        if (found === undefined) continue;
        const own = rights.get(found.history) as Rights;
        if (own.mayRead(user, stream, seq)) continue;
        // A user who gained the right again reads what was committed meanwhile.
        const regained = own.of(user, stream).some((c) => c.gained && c.seq > seq && c.at <= at + SLACK_MS);
        if (!regained) findings.add("leaked", where);
      }
    }

    function checkHolding(stream: string, from: Time, to: Time): void {
      const changes = (rights.get(histories.at(from)) as Rights).of(user, stream);
      for (const { at, gained } of changes) {
        if (gained || at > to) continue;
        const due = Math.max(closingTime(recording, at, transport), from);
        const regained = changes.some(
          (later) => later.gained && later.at >= at && later.at <= due + SLACK_MS,
        );
        if (to > due && !regained && !mayBeRewritten(recording, at))
          findings.add("not_closed", `${name}: ${stream} ${Math.round(to - at)} ms after the loss`);
      }
    }

    function checkEnd(at: Time, why: string): void {
      const due = closingTime(recording, at, transport);
      if (mayBeRewritten(recording, at)) return;
      if (closed > due)
        findings.add("not_closed", `${name}: open ${Math.round(closed - at)} ms after ${why}`);
      for (const { stream, id, seq } of connection.frames) {
        const committed = histories.find(stream, id)?.row.committed;
        if (committed !== undefined && committed > due)
          findings.add("leaked", `${name}: ${stream} #${seq} after ${why}`);
      }
    }
  }
  checkSessions(recording, ends, findings);
}

/** Codes by which the server says that a session or a token is no good. */
const SESSION_REFUSED = ["invalid-token", "unauthenticated"];

function checkSessions(recording: Recording, ends: Call[], findings: Findings): void {
  const current = new Map<string, Proof & { expires_at: Time }>();
  const { faults } = recording;
  const rewritten = Math.min(...faults.flatMap(({ rewritesLog, began }) => (rewritesLog ? [began] : [])));
  for (const signal of recording.signals) {
    const { client, at } = signal;
    if (signal.kind === "opened") current.set(client, signal);
    const known = current.get(client);
    if (signal.kind === "renewed" && known !== undefined) current.set(client, { ...known, ...signal });
    const mayEnd = (proof: Proof): boolean =>
      at > rewritten || ends.some((call) => call.began <= at && endsSession(call, proof));
    if (signal.kind === "refused" && SESSION_REFUSED.includes(signal.code)) {
      const isExpired = at + SLACK_MS >= signal.expires_at;
      if (!isExpired && !mayEnd(signal)) findings.add("sessions_lost", `${client}: refused, ${signal.code}`);
    }
    if (signal.kind !== "dismissed" || known === undefined) continue;
    const isInOrder = signal.frame === "token_expired" ? at + SLACK_MS >= known.expires_at : mayEnd(known);
    if (!isInOrder) findings.add("sessions_lost", `${client}: ${signal.frame} without a cause`);
  }
}
