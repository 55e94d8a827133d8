// One project that 1,000 sockets follow: each change goes to all of them.
import { crowd } from "./lib/crowd.js";
import { number } from "./lib/settings.js";
import { makeWorld } from "./lib/world.js";

const USERS = number("USERS", 50);
const { options, listen, write } = crowd({ sockets: 1000, ramp: 20, hold: 60, writes: 5 });

export { options, write };
export default listen;

export const setup = () => makeWorld({ users: USERS, teamSize: USERS, tasks: 20 });
