/** Postgres in memory, as far as `Streams` asks for it: the log, the memberships, and a history that can lose its end. */
import type { CommittedEvent, LoggedEvent, Position } from "../../core/events.ts";
import type { Statement } from "../../mixins/database.ts";
import { projectStream, userStream } from "../../mixins/event-log.ts";

/** Ids that can be told apart in a failure's message. */
const idOf = (digit: string): string => `0198c0de-0000-7000-8000-${digit.repeat(12)}`;

export const USERS = [idOf("a"), idOf("b")] as const;
export const PROJECTS = [idOf("1"), idOf("2")] as const;

interface Stream {
  /** Without the events that the retention has forgotten. */
  log: LoggedEvent[];
  members_version: number;
}

interface Snapshot {
  members: Set<string>;
  streams: Map<string, Stream>;
}

/** What Postgres holds. Each change is one commit. */
export class World {
  #members = new Set<string>();
  #streams = new Map<string, Stream>();
  /** What each commit left. */
  readonly #snapshots: Snapshot[] = [];
  /** The commit that each event is of, by its id, and the one that took a membership away. */
  readonly #committed = new Map<string, number>();
  readonly #lost = new Map<string, number>();
  #commits = 0;
  #ids = 0;
  /** The event before each event in its stream, by id. */
  readonly previous = new Map<string, string | null>();
  /** Memberships that are not there since a restore: the next beat finds that out. */
  readonly #undone = new Set<string>();
  /** Connections that were lost. */
  interruptions = 0;
  /** Whether every event since the beginning is in the log: a cursor is always honoured then. */
  isWhole = true;

  stream(name: string): Stream {
    const stream = this.#streams.get(name) ?? { log: [], members_version: 0 };
    this.#streams.set(name, stream);
    return stream;
  }

  /** Where a stream is now. */
  head(name: string): Position {
    const { seq = 0, id = null } = this.stream(name).log.at(-1) ?? {};
    return { seq, id };
  }

  isMember(user: string, project: string): boolean {
    return this.#members.has(`${user} ${project}`);
  }

  /** The streams that a user may read. */
  readable(user: string): string[] {
    return [
      userStream(user),
      ...PROJECTS.filter((project) => this.isMember(user, project)).map(projectStream),
    ];
  }

  #commit(change: () => CommittedEvent[]): CommittedEvent[] {
    this.#commits += 1;
    const events = change();
    const streams = [...this.#streams].map(([name, { log, ...rest }]): [string, Stream] => [
      name,
      { log: [...log], ...rest },
    ]);
    this.#snapshots.push({ members: new Set(this.#members), streams: new Map(streams) });
    return events;
  }

  #append(name: string, type: string, data: object): CommittedEvent {
    const last = this.head(name);
    const event: LoggedEvent = {
      id: `event-${++this.#ids}`,
      stream: name,
      seq: last.seq + 1,
      type,
      time: "",
      actor_id: null,
      request_id: null,
      data,
    };
    this.stream(name).log.push(event);
    this.#committed.set(event.id, this.#commits);
    this.previous.set(event.id, last.id);
    return { ...event, previous_id: last.id };
  }

  /** Whether an event was committed with the loss of a membership that the user has not got back, or after it. */
  isLeaked(user: string, project: string, id: string): boolean {
    const lost = this.#lost.get(`${user} ${project}`);
    return !this.isMember(user, project) && lost !== undefined && (this.#committed.get(id) ?? 0) >= lost;
  }

  write(project: string): CommittedEvent[] {
    return this.#commit(() => [this.#append(projectStream(project), "task_updated", {})]);
  }

  setMember(user: string, project: string, isMember: boolean): CommittedEvent[] {
    if (this.isMember(user, project) === isMember) return [];
    return this.#commit(() => {
      const membership = `${user} ${project}`;
      this.#undone.delete(membership);
      if (isMember) this.#members.add(membership);
      else this.#members.delete(membership);
      if (!isMember) this.#lost.set(membership, this.#commits);
      const data = { project: { id: project }, member: { user_id: user } };
      return [projectStream(project), userStream(user)].map((name) => {
        this.stream(name).members_version += 1;
        return this.#append(name, isMember ? "member_added" : "member_removed", data);
      });
    });
  }

  /** What a client of the user may have: all but the last few events of what the user reads. */
  cursors(user: string, behind: number): Map<string, Position> {
    return new Map(
      this.readable(user).map((name) => {
        const { seq = 0, id = null } = this.stream(name).log.at(-1 - behind) ?? {};
        return [name, { seq, id }];
      }),
    );
  }

  /** The last few commits never happened, and their numbers are given again: a failover or a restore that lost them. */
  restore(behind: number): void {
    this.interruptions += 1;
    this.isWhole = false;
    this.#snapshots.length = Math.max(1, this.#snapshots.length - behind);
    const { members, streams } = this.#snapshots.at(-1) as Snapshot;
    // A socket may be anywhere in what never happened: it may have got a membership there, or not have lost one yet.
    for (const user of USERS)
      for (const membership of PROJECTS.map((project) => `${user} ${project}`)) {
        this.#lost.delete(membership);
        if (!members.has(membership)) this.#undone.add(membership);
      }
    this.#members = new Set(members);
    this.#streams = new Map(
      [...streams].map(([name, { log, ...rest }]) => [name, { log: [...log], ...rest }]),
    );
  }

  /** What a statement sees: each history counts its commits from what it began with. */
  get sight(): { session: string; snapshot: string } {
    return { session: `session ${this.interruptions}`, snapshot: `${this.#snapshots.length}` };
  }

  /** A beat that began after so many interruptions has ended: what was undone before is known from now on. */
  beatEnded(interruptions: number): void {
    if (interruptions !== this.interruptions) return;
    for (const membership of this.#undone) this.#lost.set(membership, this.#commits + 1);
    this.#undone.clear();
  }

  /** The retention forgets all events but the last one. */
  forget(project: string): void {
    this.isWhole = false;
    const { log } = this.stream(projectStream(project));
    log.splice(0, log.length - 1);
  }

  /** What a statement finds, now. */
  answer({ name, values = [] }: Statement): object[] {
    const logOf = (stream: string, after: number, upTo: number, limit: number) =>
      this.stream(stream)
        .log.filter(({ seq }) => seq >= after && seq <= upTo)
        .slice(0, limit);
    const headOf = (stream: string) => {
      const { seq, id } = this.head(stream);
      return { name: stream, head: seq, members_version: this.stream(stream).members_version, last_id: id };
    };
    const headsOf = (streams: string[]) => streams.map(headOf).filter(({ head }) => head > 0);
    switch (name) {
      case "events-heads":
        return headsOf(values[0] as string[]);
      case "events-read":
        return logOf(values[0] as string, values[1] as number, values[2] as number, values[3] as number);
      case "events-read-many": {
        const [names, afters, upTos, limit] = values as [string[], number[], number[], number];
        return names.flatMap((stream, at) =>
          logOf(stream, afters[at] ?? 0, upTos[at] ?? 0, limit).map((event) => ({ nth: at + 1, ...event })),
        );
      }
      case "events-moved": {
        const [names = [], heads = [], ids = [], versions = []] = values.map((list) =>
          (list as string).slice(1, -1).split(","),
        );
        const moved = names.flatMap((name, at): object[] => {
          const { seq, id } = this.head(name);
          const { members_version } = this.stream(name);
          const isKnown =
            [seq, id ?? "NULL", members_version].join() === [heads[at], ids[at], versions[at]].join();
          return isKnown ? [] : [{ ...this.sight, name, head: seq, last_id: id, members_version }];
        });
        return moved.length > 0 ? moved : [{ ...this.sight, name: null }];
      }
      case "events-moment":
        return [this.sight];
      case "notifier-access": {
        const [streams, nths, users, projects] = values as [string[], number[], string[], string[]];
        const readable = projects.flatMap((id, at) =>
          this.isMember(users[at] as string, id) ? [{ nth: nths[at], name: projectStream(id) }] : [],
        );
        return [...headsOf(streams).map((head) => ({ nth: null, ...head })), ...readable];
      }
      case "notifier-readers":
        return (values[1] as string[])
          .filter((user) => this.isMember(user, values[0] as string))
          .map((user_id): { user_id: string | null } => ({ user_id }))
          .concat([{ user_id: null }]);
      case "notifier-memberships":
        return (values[0] as string[]).flatMap((user, at): object[] => {
          const mine = PROJECTS.filter((project) => this.isMember(user, project));
          const own = { nth: at + 1, ...headOf(userStream(user)) };
          return mine.length === 0
            ? [{ ...own, project_id: null, all: null }]
            : mine.map((project_id) => ({ ...own, project_id, all: mine.length }));
        });
      default:
        throw new Error(`the model knows no statement ${name}`);
    }
  }
}
