/** Twenty people drag the cards of one column, each by a network that breaks. */
import { setTimeout as delay } from "node:timers/promises";
import type { ProjectSnapshot, ProjectStore, Status } from "../../client/src/index.ts";
import type { Random } from "./random.ts";
import type { Drag } from "./recording.ts";
import type { Own, Topology } from "./topology.ts";
import { TcpProxy } from "./tcp-proxy.ts";
import type { Project, World } from "./world.ts";
import { event } from "./writer.ts";

export const COLUMN: Status = "pending";
const ASIDE: Status = "in_progress";
const CARDS = 40;
/** How often a card leaves the column, comes back, or is put to the column's beginning. */
const [LEAVES, COMES_BACK, TO_THE_TOP] = [0.06, 0.12, 0.4];
/** Milliseconds between two breaks of one client's network, and how long it is broken. */
const HOLDS_MS = [3000, 12_000] as const;
const BROKEN_MS = [200, 2500] as const;

/** The way of one client to gateways and notifiers. */
export class Network {
  readonly #api: TcpProxy;
  readonly #sockets: TcpProxy;
  /** How often it broke. */
  cuts = 0;

  private constructor(api: TcpProxy, sockets: TcpProxy) {
    this.#api = api;
    this.#sockets = sockets;
  }

  /** @param n the client's number: each has an address of its own, by which the balancer keeps it at a notifier */
  static async open(n: number, { api, sockets }: Topology, own: Own): Promise<Network> {
    const address = `127.2.0.${n + 1}`;
    const ways = await Promise.all([api, sockets].map(({ port }) => TcpProxy.listen(() => port, address)));
    const [one, other] = ways as [TcpProxy, TcpProxy];
    own(`the network of client ${n}`, () => Promise.all([one.close(), other.close()]));
    return new Network(one, other);
  }

  get urls(): { api: string; sockets: string } {
    const [api, sockets] = [this.#api, this.#sockets].map(({ port }) => `http://127.0.0.1:${port}`);
    return { api: api as string, sockets: sockets as string };
  }

  /** Breaks and mends it until `signal`; then it is whole. */
  async run(signal: AbortSignal, random: Random): Promise<void> {
    const wait = (range: readonly [number, number]): Promise<void> =>
      delay(random.whole(...range), undefined, { signal }).catch(() => {});
    while (!signal.aborted) {
      await wait(HOLDS_MS);
      if (signal.aborted) break;
      this.cuts += 1;
      const how = random.pick(["cut", "stalled", "one_way"] as const);
      this.#set(how);
      await wait(BROKEN_MS);
      // What was sent has arrived, and its answers are gone for good.
      if (how === "one_way") this.#set("cut");
      this.#set("open");
    }
  }

  #set(state: "cut" | "stalled" | "one_way" | "open"): void {
    this.#api.set(state);
    this.#sockets.set(state);
  }
}

/** Fills the column. @throws Error where the owner can't write */
export async function fillColumn(world: World, project: Project): Promise<void> {
  const session = await world.logIn(project.owner);
  if (session === null) throw new Error("the owner of the board can't log in");
  const identity = { user: project.owner.id, token: session.token };
  for (let n = 0; n < CARDS; n++) {
    const body = { title: world.title(project) };
    const path = `/projects/${project.id}/tasks`;
    const request = { method: "POST", path, body, isKeyed: true };
    const { outcome } = await world.http.send(request, identity, event("tasks.create"));
    if (outcome !== "ok") throw new Error(`card ${n} of the board can't be made`);
  }
}

export const orderOf = ({ columns }: ProjectSnapshot): string[] => columns[COLUMN].map(({ id }) => id);

/** Drags one card as somebody does who sees the board as it is now. @returns null for a board without cards */
export function drag(
  store: ProjectStore,
  random: Random,
): (Pick<Drag, "task" | "status" | "before" | "after"> & { change: string }) | null {
  const { columns } = store.getSnapshot();
  const cards = columns[COLUMN].map(({ id }) => id);
  const aside = columns[ASIDE].map(({ id }) => id);
  const move = (task: string, place: { status: Status; before?: string; after?: string }) => ({
    change: store.move(task, place).change,
    task,
    ...place,
  });
  if (random.next() < LEAVES && cards.length > CARDS / 2) return move(random.pick(cards), { status: ASIDE });
  const movable = aside.length > 0 && random.next() < COMES_BACK ? aside : cards;
  if (movable.length === 0) return null;
  const task = random.pick(movable);
  const others = cards.filter((id) => id !== task);
  if (others.length === 0) return null;
  if (random.next() < TO_THE_TOP) return move(task, { status: COLUMN, before: others[0] as string });
  const next = random.pick(others);
  return move(task, { status: COLUMN, ...(random.next() < 0.5 ? { before: next } : { after: next }) });
}
