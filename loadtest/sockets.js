// 10,000 sockets at once, and what is written meanwhile reaches those whom it concerns: 100 sockets a project.
import { crowd } from "./lib/crowd.js";
import { number } from "./lib/settings.js";
import { makeWorld } from "./lib/world.js";

const { options, listen, write } = crowd({ sockets: 10_000, ramp: 120, hold: 60, writes: 10 });

export { options, write };
export default listen;

export const setup = () => makeWorld({ users: number("USERS", 500), teamSize: 5, tasks: 5 });
