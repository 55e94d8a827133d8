/**
 * Where cached answers and the marks of names are kept: Redis for all nodes, or the memory of a lone process. Each function
 * is one atomic step; mixins/cache.ts says how they fit together.
 *
 * The clock counts writes. A mark has the clock of the last write of its name, and the writes under way. An answer has the
 * clock from before it was read, and its names; it is fresh while each name has a mark, of no later clock, and no write
 * under way. So whatever Redis forgets costs an answer and never makes an outdated one fresh: a mark that is missing gets
 * a new clock, and a lost clock begins at the time in microseconds, beyond all clocks before. (The marks of a write that is
 * under way are the exception: docs/decisions.md.)
 *
 * A text that several answers show is a part of them. They are kept without it, and are fresh while it is. It is kept with the
 * mark of its name, as long as no write of the name is under way that has died, and each write that ends replaces or
 * removes it. A part without a name is the caller's own, such as a role: it is kept with the caller's right.
 */
import { randomUUID } from "node:crypto";
import type { Redis } from "ioredis";
import { LRUCache } from "lru-cache";
import type { Part } from "../core/cached-answer.ts";

/** The way in which names are marked, and which of them: it goes up when either changes. */
const MARKS = 2;
/** Milliseconds that an answer is kept, and that a mark is after its last use. */
const KEPT_MS = 600_000;
/** Milliseconds after which a write that did not end has ended with its node: longer than any statement may take. */
export const WRITE_MS = 15_000;
/** Bounds of a lone node's memory: characters of answers, and marks. */
const [CHARACTERS_IN_MEMORY, MARKS_IN_MEMORY] = [64_000_000, 200_000];

/** A fresh answer, or the clock before the caller reads. */
export type Found = { text: string } | { clock: number };

/** What is asked for, and by whom. */
export interface Question {
  /** Of the answer; of one that is not shared, it names the caller. */
  readonly key: string;
  /** Names the caller with the rights that the token has. */
  readonly viewer: string;
  /** The name whose mark says that the caller's rights have changed. */
  readonly user: string;
  /** The names of the answer that are known before it is read. */
  readonly names: readonly string[];
}

/** An answer to keep. */
export interface Kept {
  readonly names: readonly string[];
  /** The name of all that a caller may see who may see this answer; absent for the answer of one caller alone. */
  readonly realm?: string;
  /** Without its parts. */
  readonly text: string;
  /** In their order, each with its place in `text`. */
  readonly parts?: readonly PlacedPart[];
}

interface PlacedPart extends Part {
  /** The characters of the answer's text before it. */
  readonly at: number;
}

export interface AnswerStore {
  /** Tells it from every other store, and from itself after a restart; null while it is away. */
  readonly id: string | null;
  /** Waits for the id while the store is being connected to. Never throws. */
  identified(): Promise<void>;
  /** An answer that the caller may see. Otherwise the names that are known get marks. */
  find(epoch: string, question: Question): Promise<Found>;
  /**
   * Keeps an answer, and the caller's right to its realm, unless one of the names was written since `clock`; and of its parts
   * those that were not.
   */
  keep(epoch: string, question: Question, clock: number, kept: Kept): Promise<void>;
  /** Begins a write of names: their answers are outdated, and none is kept until it ends. */
  begin(epoch: string, names: readonly string[], write: string): Promise<void>;
  /**
   * Ends a write: answers that are read from now on are fresh.
   * @param shown what the part of one of the names is now. It replaces an older one, if that is still there and no other
   *   write of the name is under way: then none has ended since this one began
   */
  end(epoch: string, names: readonly string[], write: string, shown?: Part): Promise<void>;
}

/**
 * The names of an answer and of the right to see it, and its parts: the caller's own, and those of others too. A shared answer
 * does not depend on who has read it.
 */
function namesOf({ user, names }: Question, { names: more, realm, parts = [] }: Kept) {
  const answer = new Set([...(realm === undefined ? [user] : []), ...names, ...more]);
  for (const { name } of parts) answer.delete(name);
  const [own, shared] = [parts.find(({ name }) => name === ""), parts.filter(({ name }) => name !== "")];
  return {
    answer: [...answer],
    right: realm === undefined ? [] : [user, realm],
    own: own?.text ?? "",
    shared,
  };
}

const TICK = `
local function tick()
  local clock = redis.call('INCR', ARGV[1] .. 'clock')
  if clock > 1e15 then return clock end
  local now = redis.call('TIME')
  clock = tonumber(now[1]) * 1000000 + tonumber(now[2])
  redis.call('SET', ARGV[1] .. 'clock', string.format('%.0f', clock))
  return clock
end
local function mark(name, clock)
  redis.call('HSET', ARGV[1] .. name, 'clock', string.format('%.0f', clock))
  redis.call('PEXPIRE', ARGV[1] .. name, ${KEPT_MS})
end
local function now_ms()
  local now = redis.call('TIME')
  return tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000)
end
`;

/** The text of what is kept, with the caller's own part; nothing if it is not fresh. */
const FRESH = `
local function part(name)
  local found = redis.call('HGETALL', ARGV[1] .. name)
  if #found ~= 4 then return nil end
  return (found[1] == 'part' and found[2]) or (found[3] == 'part' and found[4])
end
local function fresh(kept, own)
  local head = string.find(kept, '\\n', 1, true)
  local clock, at, pieces = nil, head + 1, {}
  for word in string.gmatch(string.sub(kept, 1, head - 1), '%S+') do
    local sign = string.sub(word, 1, 1)
    if clock == nil then
      clock = tonumber(word)
    elseif sign == '@' then
      local colon = string.find(word, ':', 1, true)
      local text = colon == #word and own or part(string.sub(word, colon + 1))
      if not text then return nil end
      local last = at + tonumber(string.sub(word, 2, colon - 1)) - 1
      pieces[#pieces + 1] = string.sub(kept, at, last)
      pieces[#pieces + 1] = text
      at = last + 1
    elseif sign ~= '>' then
      local found = redis.call('HGETALL', ARGV[1] .. word)
      if #found ~= 2 or tonumber(found[2]) > clock then return nil end
    end
  end
  pieces[#pieces + 1] = string.sub(kept, at)
  return table.concat(pieces)
end
`;

/** ARGV[1] is what all keys of an epoch begin with. */
const SCRIPTS = {
  answerFind: `${TICK}${FRESH}
local answer = redis.call('GET', KEYS[1])
if answer then
  local realm = string.match(answer, '^%S+ >(%S+)')
  local right = realm and redis.call('GET', ARGV[2] .. realm)
  local own = right and fresh(right)
  local text = (own or not realm) and fresh(answer, own)
  if text then return text end
end
for n = 3, #ARGV do
  if redis.call('EXISTS', ARGV[1] .. ARGV[n]) == 0 then mark(ARGV[n], tick()) end
end
return tonumber(redis.call('GET', ARGV[1] .. 'clock') or tick())`,

  // ARGV from 5 on: how many names there are, the names, and a name and a text for each part.
  answerKeep: `${TICK}
local clock, now = tonumber(ARGV[2]), now_ms()
local function is_unwritten(name)
  local key = ARGV[1] .. name
  local found = redis.call('HGETALL', key)
  local unwritten = #found > 0
  if not unwritten then mark(name, tick()) end
  for field = 1, #found, 2 do
    if found[field] == 'clock' then
      if tonumber(found[field + 1]) > clock then unwritten = false end
    elseif found[field] ~= 'part' then
      if tonumber(found[field + 1]) > now then
        unwritten = false
      else
        redis.call('HDEL', key, found[field], 'part')
      end
    end
  end
  redis.call('PEXPIRE', key, ${KEPT_MS})
  return unwritten
end
local unwritten, last = true, 5 + tonumber(ARGV[5])
for n = 6, last do
  if not is_unwritten(ARGV[n]) then unwritten = false end
end
for n = last + 1, #ARGV, 2 do
  if is_unwritten(ARGV[n]) and unwritten then
    redis.call('HSET', ARGV[1] .. ARGV[n], 'part', ARGV[n + 1])
  end
end
if unwritten then
  redis.call('SET', KEYS[1], ARGV[3], 'PX', ${KEPT_MS})
  if ARGV[4] ~= '' then redis.call('SET', KEYS[2], ARGV[4], 'PX', ${KEPT_MS}) end
end`,

  // ARGV from 2 on: for each mark `begin`, `end` or `show`, the write, how many words follow, and these: the names, or the
  // name of a part and its text.
  answerMark: `${TICK}
local clock, ends = tick(), string.format('%.0f', now_ms() + ${WRITE_MS})
local n = 2
while n < #ARGV do
  local kind, write, last = ARGV[n], ARGV[n + 1], n + 2 + tonumber(ARGV[n + 2])
  if kind == 'show' then
    local key = ARGV[1] .. ARGV[n + 3]
    local found = redis.call('HMGET', key, 'part', write)
    if found[1] and found[2] and redis.call('HLEN', key) == 3 then
      redis.call('HSET', key, 'part', ARGV[n + 4])
      redis.call('HDEL', key, write)
    else
      redis.call('HDEL', key, write, 'part')
    end
    mark(ARGV[n + 3], clock)
  else
    for at = n + 3, last do
      local key = ARGV[1] .. ARGV[at]
      if kind == 'begin' then
        redis.call('HSET', key, 'clock', string.format('%.0f', clock), write, ends)
        redis.call('PEXPIRE', key, ${KEPT_MS})
      elseif redis.call('HDEL', key, write, 'part') > 0 then
        redis.call('HSET', key, 'clock', string.format('%.0f', clock))
      else
        mark(ARGV[at], clock)
      end
    end
  end
  n = last + 1
end`,
} as const;

const KEYS = { answerFind: 1, answerKeep: 2, answerMark: 0 } as const;

type Scripts = Record<keyof typeof SCRIPTS, (...args: (string | number)[]) => Promise<unknown>>;

/** What is kept begins with a line: the clock, the realm, the names, and the parts, each behind so many bytes of text. */
function withHead(
  clock: number,
  names: readonly string[],
  { realm, text, parts = [] }: Omit<Kept, "names">,
): string {
  const bytesBefore = (n: number): number =>
    Buffer.byteLength(text.slice(parts[n - 1]?.at ?? 0, parts[n]?.at));
  const places = parts.map(({ name }, n) => `@${bytesBefore(n)}:${name}`);
  return `${[clock, ...(realm === undefined ? [] : [`>${realm}`]), ...names, ...places].join(" ")}\n${text}`;
}

/** Milliseconds that the end of a write waits for the beginning of another one, to be sent with it. */
const END_WITHIN_MS = 5;

/** Ends of writes that wait to be sent. */
interface WaitingEnds {
  readonly epoch: string;
  /** What the script takes. */
  readonly marks: (string | number)[];
  /** Settles when they are sent. */
  readonly sent: PromiseWithResolvers<void>;
  readonly timer: NodeJS.Timeout;
}

/** Answers and marks in Redis, of all nodes of a namespace. */
export class RedisAnswers implements AnswerStore {
  readonly #redis: Redis & Scripts;
  readonly #prefix: string;
  #id: string | null = null;
  #identifying: Promise<void> = Promise.resolve();
  #ends: WaitingEnds | null = null;

  /** @param prefix of all keys */
  constructor(redis: Redis, prefix: string) {
    for (const [name, lua] of Object.entries(SCRIPTS))
      redis.defineCommand(name, { lua, numberOfKeys: KEYS[name as keyof typeof KEYS] });
    this.#redis = redis as Redis & Scripts;
    this.#prefix = prefix;
    redis.on("ready", () => this.#identify());
    redis.on("close", () => (this.#id = null));
    if (redis.status === "ready") this.#identify();
    else this.#identifying = new Promise((resolve) => redis.once("ready", resolve).once("close", resolve));
  }

  get id(): string | null {
    return this.#id;
  }

  async identified(): Promise<void> {
    await this.#identifying;
    // `ready` resolved the first wait and began the question.
    await this.#identifying;
  }

  /**
   * A process of Redis has an id of its own: after a restart or a failover it is another one. Nodes that mark otherwise must
   * not share answers: to them it is another store.
   */
  #identify(): void {
    const idIn = (info: string): string | null => /^run_id:(\S+)/m.exec(info)?.[1] ?? null;
    this.#identifying = this.#redis.info("server").then(
      (info) => void (this.#id = idIn(info) && `${idIn(info)}/${MARKS}`),
      () => {},
    );
  }

  async find(epoch: string, { key, viewer, user, names }: Question): Promise<Found> {
    const space = this.#space(epoch);
    const rights = `${space}right:${viewer} `;
    const found = await this.#redis.answerFind(`${space}answer:${key}`, space, rights, user, ...names);
    return typeof found === "string" ? { text: found } : { clock: Number(found) };
  }

  async keep(epoch: string, question: Question, clock: number, kept: Kept): Promise<void> {
    const space = this.#space(epoch);
    const { realm } = kept;
    const names = namesOf(question, kept);
    const marked = new Set([...names.answer, ...names.right]);
    await this.#redis.answerKeep(
      `${space}answer:${question.key}`,
      `${space}right:${question.viewer} ${realm ?? ""}`,
      space,
      clock,
      withHead(clock, names.answer, kept),
      realm === undefined ? "" : withHead(clock, names.right, { text: names.own }),
      marked.size,
      ...marked,
      ...names.shared.flatMap(({ name, text }) => [name, text]),
    );
  }

  async begin(epoch: string, names: readonly string[], write: string): Promise<void> {
    if (this.#ends !== null && this.#ends.epoch !== epoch) this.#sendEnds();
    const ends = this.#takeEnds();
    const begun = this.#redis.answerMark(
      this.#space(epoch),
      ...(ends?.marks ?? []),
      "begin",
      write,
      names.length,
      ...names,
    );
    ends?.sent.resolve(begun.then(() => {}));
    await begun;
  }

  /** Nobody waits for it as a rule, so it is sent with the next write's beginning. */
  end(epoch: string, names: readonly string[], write: string, shown?: Part): Promise<void> {
    if (this.#ends !== null && this.#ends.epoch !== epoch) this.#sendEnds();
    this.#ends ??= {
      epoch,
      marks: [],
      sent: Promise.withResolvers(),
      timer: setTimeout(() => this.#sendEnds(), END_WITHIN_MS),
    };
    const ended = names.filter((name) => name !== shown?.name);
    this.#ends.marks.push("end", write, ended.length, ...ended);
    if (shown !== undefined) this.#ends.marks.push("show", write, 2, shown.name, shown.text);
    return this.#ends.sent.promise;
  }

  #takeEnds(): WaitingEnds | null {
    const ends = this.#ends;
    this.#ends = null;
    clearTimeout(ends?.timer);
    return ends;
  }

  #sendEnds(): void {
    const ends = this.#takeEnds();
    if (ends !== null)
      ends.sent.resolve(this.#redis.answerMark(this.#space(ends.epoch), ...ends.marks).then(() => {}));
  }

  #space(epoch: string): string {
    return `${this.#prefix}:${epoch}:`;
  }
}

interface Mark {
  clock: number;
  /** When each write under way has ended at the latest, by performance.now. */
  writes: Map<string, number>;
}

interface InMemory extends Omit<Kept, "parts"> {
  readonly clock: number;
  /** Their texts are kept by themselves. */
  readonly parts?: readonly Omit<PlacedPart, "text">[];
}

const partKey = (epoch: string, name: string): string => `${epoch}#${name}`;

/** The same in the memory of a lone process. */
export class MemoryAnswers implements AnswerStore {
  readonly id = randomUUID();
  #clock = 0;
  readonly #marks = new LRUCache<string, Mark>({ max: MARKS_IN_MEMORY });
  /** Answers, their parts, and rights to realms. */
  readonly #kept = new LRUCache<string, InMemory>({
    maxSize: CHARACTERS_IN_MEMORY,
    sizeCalculation: ({ names, text }) => text.length + 100 * (names.length + 1),
    ttl: KEPT_MS,
  });

  async identified(): Promise<void> {}

  async find(epoch: string, { key, viewer, user, names }: Question): Promise<Found> {
    const kept = this.#fresh(`${epoch} ${key}`);
    const right = kept?.realm === undefined ? undefined : this.#fresh(`${epoch}>${viewer} ${kept.realm}`);
    const text = kept === null || right === null ? null : this.#whole(epoch, kept, right?.text);
    if (text !== null) return { text };
    for (const name of [user, ...names]) this.#markOf(name);
    return { clock: this.#clock };
  }

  async keep(epoch: string, question: Question, clock: number, kept: Kept): Promise<void> {
    const { realm, text, parts = [] } = kept;
    const names = namesOf(question, kept);
    const isUnwritten = (name: string): boolean => {
      const mark = this.#markOf(name);
      for (const [write, ends] of mark.writes) if (ends < performance.now()) mark.writes.delete(write);
      return mark.clock <= clock && mark.writes.size === 0;
    };
    const written = new Set([...names.answer, ...names.right].filter((name) => !isUnwritten(name)));
    for (const part of names.shared) if (!isUnwritten(part.name)) written.add(part.name);
    if ([...names.answer, ...names.right].some((name) => written.has(name))) return;
    for (const { name, text } of names.shared)
      if (!written.has(name)) this.#kept.set(partKey(epoch, name), { clock, names: [name], text });
    this.#kept.set(`${epoch} ${question.key}`, {
      clock,
      names: names.answer,
      text,
      parts: parts.map(({ name, at }) => ({ name, at })),
      ...(realm !== undefined && { realm }),
    });
    if (realm !== undefined)
      this.#kept.set(`${epoch}>${question.viewer} ${realm}`, { clock, names: names.right, text: names.own });
  }

  async begin(_epoch: string, names: readonly string[], write: string): Promise<void> {
    this.#clock += 1;
    for (const name of names) {
      const mark = this.#markOf(name);
      mark.clock = this.#clock;
      mark.writes.set(write, performance.now() + WRITE_MS);
    }
  }

  async end(epoch: string, names: readonly string[], write: string, shown?: Part): Promise<void> {
    this.#clock += 1;
    for (const name of names) {
      const [mark, key] = [this.#markOf(name), partKey(epoch, name)];
      const isShown =
        name === shown?.name && this.#kept.has(key) && mark.writes.has(write) && mark.writes.size === 1;
      mark.clock = this.#clock;
      mark.writes.delete(write);
      if (isShown) this.#kept.set(key, { clock: this.#clock, names: [name], text: shown.text });
      else this.#kept.delete(key);
    }
  }

  /** The mark of a name; one that is missing gets a new clock. */
  #markOf(name: string): Mark {
    let mark = this.#marks.get(name);
    if (mark === undefined) {
      mark = { clock: (this.#clock += 1), writes: new Map() };
      this.#marks.set(name, mark);
    }
    return mark;
  }

  /** An answer with its parts; null if one of them is not fresh. @param own the caller's own part */
  #whole(epoch: string, { text, parts = [] }: InMemory, own = ""): string | null {
    let [whole, last] = ["", 0];
    for (const { name, at } of parts) {
      const part = name === "" ? own : this.#fresh(partKey(epoch, name))?.text;
      if (part === undefined) return null;
      whole += text.slice(last, at) + part;
      last = at;
    }
    return whole + text.slice(last);
  }

  /** What is kept under a key, if it is fresh. */
  #fresh(key: string): InMemory | null {
    const kept = this.#kept.get(key);
    const isFresh = kept?.names.every((name) => {
      const mark = this.#marks.get(name);
      return mark !== undefined && mark.clock <= kept.clock && mark.writes.size === 0;
    });
    return isFresh === true ? (kept as InMemory) : null;
  }
}
