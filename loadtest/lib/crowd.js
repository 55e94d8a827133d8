// Many sockets that listen while others write: each virtual user holds its share of them.
import exec from "k6/execution";
import { call, pause } from "./api.js";
import { number } from "./settings.js";
import { Listener, missed, SOCKET_THRESHOLDS } from "./socket.js";
import { TREND_STATS } from "./thresholds.js";
import { projectOf } from "./world.js";

/** @typedef {import("./world.js").World} World */

/** Sockets of a virtual user that are opened at a time. */
const AT_ONCE = 5;
/** Milliseconds that events have to arrive after the last write. */
const SETTLE_MS = 2000;
/** Seconds from the last socket's begin to the first write. */
const LEAD = 1;
/** How often a log is asked for its head. */
const TRIES = 5;

/**
 * @param {{ sockets: number, ramp: number, hold: number, writes: number }} defaults seconds, and writes a second
 */
export function crowd(defaults) {
  const sockets = number("SOCKETS", defaults.sockets);
  const vus = Math.min(100, sockets);
  const ramp = number("RAMP", defaults.ramp);
  const hold = number("SECONDS", defaults.hold);
  const endsAt = 1000 * (ramp + LEAD + hold) + SETTLE_MS;

  return {
    options: {
      setupTimeout: "15m",
      summaryTrendStats: TREND_STATS,
      scenarios: {
        listeners: {
          executor: "ramping-vus",
          startVUs: 0,
          stages: [
            { duration: `${ramp}s`, target: vus },
            { duration: `${LEAD + hold}s`, target: vus },
          ],
          gracefulStop: "60s",
        },
        writers: {
          executor: "constant-arrival-rate",
          exec: "write",
          startTime: `${ramp + LEAD}s`,
          duration: `${hold}s`,
          rate: number("WRITES", defaults.writes),
          preAllocatedVUs: 20,
          maxVUs: 100,
        },
      },
      thresholds: {
        ...SOCKET_THRESHOLDS,
        events_received: ["count>0"],
        ws_sessions: [`count>=${sockets}`],
        checks: ["rate>0.999"],
      },
    },

    /**
     * Opens this virtual user's share, holds it to the end, and looks whether every socket has every event of the log.
     * @param {World} world
     */
    async listen(world) {
      if (exec.vu.iterationInInstance > 0) return pause(1000);
      const nth = (exec.vu.idInTest - 1) % vus;
      const mine = Math.floor((sockets * (nth + 1)) / vus) - Math.floor((sockets * nth) / vus);
      /** @type {Listener[]} */
      const listeners = [];
      for (let count = 0; count < mine; count++) {
        const at = count * vus + nth;
        const user = world.users[at % world.users.length];
        if (user === undefined) return;
        const stream = `project:${projectOf(world, user.index).id}`;
        listeners.push(new Listener(user, stream, at));
        if (count % AT_ONCE === AT_ONCE - 1 || count === mine - 1)
          await Promise.all(listeners.slice(-AT_ONCE).map(({ settled }) => settled));
      }
      await pause(endsAt - exec.instance.currentTestRunDuration);
      await countMissed(world, listeners);
      listeners.forEach((listener) => listener.close());
      while (listeners.some(({ isOpen }) => isOpen)) await pause(50);
    },

    /**
     * Changes a task of a project, one after another.
     * @param {World} world
     */
    async write(world) {
      const nth = exec.scenario.iterationInTest;
      const project = world.projects[nth % world.projects.length];
      const user = world.users[(nth % world.projects.length) * world.teamSize];
      if (project === undefined || user === undefined) return;
      const task = project.tasks[nth % project.tasks.length];
      await call("PATCH /tasks/{id}", `/tasks/${task}`, user, { description: `Change ${nth}` });
    },
  };
}

/**
 * The number of the last event of a project's log. All virtual users ask at once, so a 503 or 504 is asked again.
 * @param {string} stream
 * @param {import("./api.js").User} owner
 * @returns {Promise<number>}
 */
async function headOf(stream, owner) {
  const path = `/projects/${stream.slice("project:".length)}/events?limit=1`;
  for (let tries = 1; ; tries++) {
    const response = await call("GET /projects/{project}/events", path, owner, undefined, [200, 503, 504]);
    if (response.status === 200) return /** @type {any} */ (response.json()).head;
    if (tries === TRIES) throw new Error(`the log of ${stream} can't be read: ${response.status}`);
    await pause(1000 * tries);
  }
}

/**
 * @param {World} world
 * @param {Listener[]} listeners
 */
async function countMissed(world, listeners) {
  const streams = new Set(listeners.map(({ stream }) => stream));
  for (const stream of streams) {
    const at = world.projects.findIndex(({ id }) => stream === `project:${id}`);
    const owner = world.users[at * world.teamSize];
    if (owner === undefined) continue;
    const head = await headOf(stream, owner);
    for (const listener of listeners)
      if (listener.stream === stream && listener.seq < head) missed.add(head - listener.seq);
  }
}
