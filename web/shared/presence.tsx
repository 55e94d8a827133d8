import { CODES, type ProjectSnapshot } from "../../client/src/index.ts";
import { useConnection } from "./hooks.ts";

interface Look {
  state: "live" | "busy" | "away";
  words: string;
}

const count = (waiting: number): string => (waiting === 1 ? "1 change waits" : `${waiting} changes wait`);

/** How far what the page shows can be trusted: live, catching up, or offline and how many changes wait. */
export function Presence({ snapshot }: { snapshot?: ProjectSnapshot }) {
  const { status, code } = useConnection();
  const waiting = snapshot?.waiting ?? 0;
  const look = ((): Look => {
    if (status === "ready" && (snapshot === undefined || snapshot.status === "live"))
      return { state: "live", words: waiting > 0 ? "Saving" : "Live" };
    if (status === "ready" || status === "catching-up") return { state: "busy", words: "Catching up" };
    if (status === "connecting" && code === CODES.connect) return { state: "busy", words: "Connecting" };
    return { state: "away", words: waiting > 0 ? `Offline: ${count(waiting)}` : "Offline" };
  })();
  return (
    <span class="presence" data-state={look.state} role="status">
      {look.words}
    </span>
  );
}
