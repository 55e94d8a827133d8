/** `/events`: the reader's streams, live, for those who build clients and those who operate the server. */
import "./style.css";
import { render } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import {
  type ConnectionState,
  createClient,
  type TaskwireEvent,
  unwrap,
  type User,
} from "../../client/src/index.ts";
import { client as ownClient } from "../shared/client.ts";
import { field } from "../shared/fields.ts";
import { faultOf } from "../shared/hooks.ts";
import { Logo } from "../shared/icons.tsx";
import { showTheme } from "../shared/theme.ts";
import { sentence } from "../shared/words.ts";
import { Detail } from "./detail.tsx";
import { addLines, type Client, type Line, lineOf, PAGE, readAfter, readEnd } from "./log.ts";

/** At the start the page reads the ends of so many logs. */
const FIRST_STREAMS = 5;
const FIRST_EVENTS = 20;

const clock = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  fractionalSecondDigits: 3,
});

function Door({ onClient }: { onClient: (client: Client) => void }) {
  const [fault, setFault] = useState<string | null>(null);
  async function enter(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const token = field(event.currentTarget as HTMLFormElement, "token").trim();
    const client = createClient({ token });
    try {
      await unwrap(client.rest.GET("/projects", { params: { query: { limit: 1 } } }));
      onClient(client);
    } catch (error) {
      void client.close();
      setFault(faultOf(error));
    }
  }
  return (
    <main class="door">
      <h1>Live events</h1>
      <p>
        This page shows the streams that you may read, as your clients get them. <a href="/app">Log in</a>{" "}
        first, or use a personal access token.
      </p>
      <form onSubmit={(event) => void enter(event)}>
        {fault !== null && (
          <p class="fault" role="alert">
            {fault}
          </p>
        )}
        <div>
          <label for="token">Personal access token</label>
          <input id="token" name="token" type="password" autocomplete="off" required />
        </div>
        <div class="row">
          <button class="button">Show the streams</button>
        </div>
      </form>
    </main>
  );
}

const frame = (words: string): Line => ({
  key: crypto.randomUUID(),
  kind: "frame",
  time: new Date().toISOString(),
  words,
});

const stateWords = ({ status, code, problem }: ConnectionState): string =>
  `${status} (${code})${problem === null ? "" : `: ${problem.detail ?? problem.title}`}`;

interface Streams {
  /** `project:<id>` or `user:<id>` to how people call it. */
  names: ReadonlyMap<string, string>;
  fault: string | null;
}

function useStreams(client: Client, user: User | null): Streams {
  const [streams, setStreams] = useState<Streams>({ names: new Map(), fault: null });
  useEffect(() => {
    unwrap(client.rest.GET("/projects", { params: { query: { limit: 100 } } })).then(
      ({ items }) => {
        const names = new Map(items.map(({ id, name }) => [`project:${id}`, name]));
        if (user !== null) names.set(`user:${user.id}`, "your own");
        setStreams({ names, fault: null });
      },
      (error: unknown) => setStreams(({ names }) => ({ names, fault: faultOf(error) })),
    );
  }, [client, user]);
  return streams;
}

function Table({
  lines,
  chosen,
  nameOf,
  onChoose,
}: {
  lines: readonly Line[];
  chosen: string | null;
  nameOf: (stream: string) => string;
  onChoose: (line: Line) => void;
}) {
  return (
    <table>
      <thead>
        <tr>
          <th scope="col">Time</th>
          <th scope="col">Stream</th>
          <th scope="col">seq</th>
          <th scope="col">Event</th>
          <th scope="col" class="wide">
            What happened
          </th>
          <th scope="col" class="wide">
            Came
          </th>
        </tr>
      </thead>
      <tbody>
        {lines.map((line) => {
          if (line.kind === "frame")
            return (
              <tr class="frame" key={line.key}>
                <td class="mono">{clock.format(Date.parse(line.time))}</td>
                <td colSpan={5}>The connection is {line.words}</td>
              </tr>
            );
          const { event, how } = line;
          const { verb, task, rest } = sentence(event, () => "somebody");
          return (
            <tr key={line.key} class={how === "live" ? "fresh" : ""} aria-selected={line.key === chosen}>
              <td class="mono">{clock.format(Date.parse(event.time))}</td>
              <td title={event.stream}>{nameOf(event.stream)}</td>
              <td class="mono number">{event.seq}</td>
              <td class="mono">
                <button type="button" class="link" onClick={() => onChoose(line)}>
                  {event.type}
                </button>
              </td>
              <td class="wide">
                {verb} {task?.title} {rest}
              </td>
              <td class="wide hint">{how === "live" ? "live" : "log"}</td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

function Streams({ client, user }: { client: Client; user: User | null }) {
  const { names, fault } = useStreams(client, user);
  const [lines, setLines] = useState<readonly Line[]>([]);
  const [connection, setConnection] = useState(client.connection);
  const [held, setHeld] = useState<readonly Line[] | null>(null);
  const [chosen, setChosen] = useState<TaskwireEvent | null>(null);
  const [stream, setStream] = useState("");
  const [type, setType] = useState("");
  const [text, setText] = useState("");
  const [said, setSaid] = useState<string | null>(null);

  useEffect(() => {
    const add = (line: Line): void => setLines((known) => addLines(known, [line]));
    const ends = [
      client.on("event", (event) => add(lineOf(event, "live"))),
      client.on("connection", (state) => {
        setConnection(state);
        add(frame(stateWords(state)));
      }),
      client.on("reset", (reset) =>
        add(frame(`reset for ${reset.stream}: its log does not go on from there`)),
      ),
    ];
    client.connect();
    return () => {
      for (const end of ends) end();
    };
  }, [client]);

  const fail = (error: unknown): void => setSaid(faultOf(error));
  const show = (events: readonly TaskwireEvent[]): void =>
    setLines((known) =>
      addLines(
        known,
        events.map((event) => lineOf(event, "log")),
      ),
    );
  useEffect(() => {
    for (const name of [...names.keys()].slice(0, FIRST_STREAMS))
      readEnd(client, name, FIRST_EVENTS).then(show, fail);
  }, [client, names]);
  useEffect(() => {
    if (stream !== "") readEnd(client, stream, PAGE).then(show, fail);
  }, [client, stream]);

  async function resume(from: TaskwireEvent): Promise<void> {
    setStream(from.stream);
    setType("");
    setText("");
    setHeld(null);
    try {
      const { items, head } = await readAfter(client, from.stream, from.seq);
      setLines(items.map((event) => lineOf(event, "log")).reverse());
      setSaid(
        `A client that has ${from.seq} gets ${items.length} of ${head - from.seq} events first, then the live ones.`,
      );
    } catch (error) {
      fail(error);
    }
  }

  const types = useMemo(
    () => [...new Set(lines.flatMap((line) => (line.kind === "event" ? [line.event.type] : [])))].sort(),
    [lines],
  );
  const wanted = text.trim().toLowerCase();
  const shown = (held ?? lines).filter(
    (line) =>
      line.kind === "frame" ||
      ((stream === "" || line.event.stream === stream) &&
        (type === "" || line.event.type === type) &&
        (wanted === "" || JSON.stringify(line.event).toLowerCase().includes(wanted))),
  );
  const look = { ready: "live", "catching-up": "busy", connecting: "busy", disconnected: "away" } as const;
  return (
    <div class="shell">
      <header class="bar">
        <a class="brand" href="/app">
          <Logo />
          <span>Taskwire</span>
        </a>
        <h1>Live events</h1>
        <span class="presence" role="status" data-state={look[connection.status]}>
          {connection.status}
        </span>
        <span class="space" />
        <a class="plain" href="/docs/events">
          Events and frames
        </a>
        <a class="plain" href="/docs">
          REST API
        </a>
      </header>
      <main>
        <div class="filters">
          <div>
            <label for="stream">Stream</label>
            <select id="stream" value={stream} onChange={(event) => setStream(event.currentTarget.value)}>
              <option value="">All of yours ({names.size})</option>
              {[...names].map(([name, called]) => (
                <option key={name} value={name}>
                  {called}
                </option>
              ))}
            </select>
          </div>
          <div>
            <label for="type">Event</label>
            <select id="type" value={type} onChange={(event) => setType(event.currentTarget.value)}>
              <option value="">Every event</option>
              {types.map((one) => (
                <option key={one}>{one}</option>
              ))}
            </select>
          </div>
          <div>
            <label for="text">Contains</label>
            <input
              id="text"
              type="search"
              placeholder="An id, a title, a request id"
              value={text}
              onInput={(event) => setText(event.currentTarget.value)}
            />
          </div>
          <button
            type="button"
            class="button quiet"
            aria-pressed={held !== null}
            onClick={() => setHeld(held === null ? lines : null)}
          >
            {held === null ? "Pause" : `Go on (${lines.filter((line) => !held.includes(line)).length})`}
          </button>
          <button type="button" class="button quiet" onClick={() => setLines([])}>
            Clear
          </button>
        </div>
        <div class="table" tabIndex={0} role="region" aria-label="Events">
          {(fault ?? said) !== null && (
            <p class="hint" role="status">
              {fault ?? said}
            </p>
          )}
          <Table
            lines={shown}
            chosen={chosen === null ? null : lineOf(chosen, "log").key}
            nameOf={(name) => names.get(name) ?? name}
            onChoose={(line) => line.kind === "event" && setChosen(line.event)}
          />
          {shown.length === 0 && <p class="none">Nothing has happened yet. Change a task in the app.</p>}
        </div>
      </main>
      {chosen !== null && (
        <Detail event={chosen} onResume={() => void resume(chosen)} onClose={() => setChosen(null)} />
      )}
    </div>
  );
}

function App() {
  const [client, setClient] = useState<Client | null>(null);
  const [user, setUser] = useState<User | null | undefined>(undefined);
  useEffect(() => {
    ownClient.restore().then(setUser, () => setUser(ownClient.user));
    return ownClient.on("session", setUser);
  }, []);
  if (client !== null) return <Streams client={client} user={null} />;
  if (user === undefined) return null;
  return user === null ? <Door onClient={setClient} /> : <Streams client={ownClient} user={user} />;
}

showTheme();
render(<App />, document.getElementById("app") as HTMLElement);
