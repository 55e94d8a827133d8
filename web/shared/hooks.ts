import { useEffect, useState } from "preact/hooks";
import { type ConnectionState, NetworkError, ProblemError } from "../../client/src/index.ts";
import { client } from "./client.ts";

/** A store's present snapshot; the component is drawn again when it changes. */
export function useSnapshot<Snapshot>(store: {
  subscribe: (listener: () => void) => () => void;
  getSnapshot: () => Snapshot;
}): Snapshot {
  const [, redraw] = useState<object>();
  useEffect(() => {
    redraw({});
    return store.subscribe(() => redraw({}));
  }, [store]);
  return store.getSnapshot();
}

export function useConnection(): ConnectionState {
  const [state, setState] = useState(client.connection);
  useEffect(() => {
    setState(client.connection);
    return client.on("connection", setState);
  }, []);
  return state;
}

/** What went wrong, in a sentence for people. */
export function faultOf(error: unknown): string {
  if (error instanceof ProblemError) {
    const [first] = error.problem.errors ?? [];
    return first ? first.message : (error.problem.detail ?? error.problem.title);
  }
  if (error instanceof NetworkError) return "The server can't be reached. Check your connection.";
  return error instanceof Error ? error.message : String(error);
}
