/** The one client of a page. `/app` and `/events` keep their login in the same place. */
import { createClient } from "../../client/src/index.ts";
import { indexedDbStorage } from "../../client/src/indexeddb.ts";

export const client = createClient({
  // Browsers keep a cookie that is `Secure` on https, and on this machine itself.
  cookie: window.isSecureContext,
  storage: indexedDbStorage("taskwire"),
});

let isLeaving = false;
/** Whether the session ended because the reader logged out here. */
export const hasLeft = (): boolean => isLeaving;

/** Logs out. Where the server can't be told, the session ends by itself; this browser has forgotten it at once. */
export function leave(): void {
  isLeaving = true;
  client
    .logout()
    .catch(() => {})
    .finally(() => (isLeaving = false));
}
