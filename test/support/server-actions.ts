/**
 * What the test vectors need the server's own hand for. The runner calls these; `npm run vectors` offers them over HTTP to
 * runners in other languages.
 */
import type { ServiceBroker } from "moleculer";
import type { Database } from "../../mixins/database.ts";
import type { Notifier } from "../../services/notifier/notifier.state.ts";

interface Arguments {
  stream: string;
  seq: number;
  user: string;
}

export function serverActions(broker: ServiceBroker) {
  const notifier = broker.getLocalService("notifier") as unknown as Notifier & { db: Database };
  const socketsOf = (user: string) =>
    [...notifier.io.of("/").sockets.values()].filter(({ data }) => data.actor.id === user);
  const write = (name: string, text: string, values: unknown[]) =>
    notifier.db.query({ name, text, values, write: true });

  return {
    /** The hint of the next write reaches no notifier. */
    lose_hint() {
      const { streams } = notifier;
      const offer = streams.offer.bind(streams);
      streams.offer = () => void (streams.offer = offer);
    },
    /** The node closes the user's connections without a word, as one that stops. */
    drop({ user }: Arguments) {
      socketsOf(user).forEach(({ conn }) => conn.close());
    },
    /** The tokens of the user's open sockets run out now. */
    expire({ user }: Arguments) {
      for (const socket of socketsOf(user)) notifier.expiries.set(socket, Date.now());
    },
    /** The log forgets the stream's events before `seq`. */
    async forget_before({ stream, seq }: Arguments) {
      await write("vectors-forget", "DELETE FROM events.log WHERE stream = $1 AND seq < $2", [stream, seq]);
    },
    /** The stream is as a backup has it whose last event is `seq`. */
    async restore({ stream, seq }: Arguments) {
      await write(
        "vectors-restore",
        `WITH gone AS (DELETE FROM events.log WHERE stream = $1 AND seq > $2)
         UPDATE events.streams SET head = $2, previous_id = NULL,
           last_id = (SELECT id FROM events.log WHERE stream = $1 AND seq = $2) WHERE name = $1`,
        [stream, seq],
      );
    },
  } satisfies Record<string, (of: Arguments) => void | Promise<void>>;
}

export type ServerActions = ReturnType<typeof serverActions>;
