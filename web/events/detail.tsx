/** One event: its frame, and how a client goes on from it. */
import type { TaskwireEvent } from "../../client/src/index.ts";
import { Close } from "../shared/icons.tsx";
import { resumption } from "./log.ts";

interface Props {
  event: TaskwireEvent;
  onResume: () => void;
  onClose: () => void;
}

export function Detail({ event, onResume, onClose }: Props) {
  const { code, wire } = resumption(event);
  const [kind, id = ""] = event.stream.split(":");
  const path = kind === "project" ? `/projects/${id}/events` : "/events";
  return (
    <aside class="panel" aria-label="The event">
      <header>
        <h2>
          {event.type} <span class="hint">#{event.seq}</span>
        </h2>
        <button type="button" class="plain icon-only" aria-label="Close the event" onClick={onClose}>
          <Close />
        </button>
      </header>
      <div class="row">
        <button type="button" class="button" onClick={onResume}>
          Resume from here
        </button>
        <button
          type="button"
          class="button quiet"
          onClick={() => void navigator.clipboard.writeText(JSON.stringify(event, null, 2))}
        >
          Copy the JSON
        </button>
      </div>
      <section>
        <h3>The frame</h3>
        <pre tabIndex={0}>{JSON.stringify(event, null, 2)}</pre>
      </section>
      <section>
        <h3>A client that has it sends, with socket.io</h3>
        <pre tabIndex={0}>{code}</pre>
      </section>
      <section>
        <h3>The same on the wire</h3>
        <pre tabIndex={0}>{wire}</pre>
      </section>
      <section>
        <h3>The same without a socket</h3>
        <pre tabIndex={0}>{`curl '${location.origin}${path}?after=${event.seq}-${event.id}' \\
  -H "Authorization: Bearer $TOKEN"`}</pre>
      </section>
    </aside>
  );
}
