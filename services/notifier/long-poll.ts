import type { Position } from "../../core/events.ts";
import type { UserContext } from "../../core/kit.ts";
import type { Notifier } from "./notifier.state.ts";
import { mustNotBeRevoked } from "./revocations.ts";
import { hasNews, readSync, type Synced, type SyncOptions } from "./sync.ts";

/**
 * What happened after a client's cursors; where nothing did, what happens first within `waitMs`. Between its reads the
 * request asks Postgres nothing: the tails of this node wake it, by a hint or by the beat. It ends early with its token,
 * with its client, and with this node.
 * @throws Problem invalid-token, rate-limited, overloaded, database-unavailable
 */
export async function longPoll(
  { db, revocations, streams, waits }: Notifier,
  ctx: UserContext,
  cursors: Map<string, Position>,
  { waitMs, ...options }: SyncOptions & { waitMs: number },
): Promise<Synced> {
  const { actor } = ctx.locals;
  const read = (): Promise<Synced> => {
    mustNotBeRevoked(revocations, actor);
    return readSync(db, actor, cursors, options);
  };
  const ttlMs = (ctx.meta.expiresAt ?? Infinity) - Date.now();
  const end = performance.now() + Math.min(waitMs, ttlMs);
  if (waitMs === 0) return read();
  return waits.run(actor, ctx.parentID ?? ctx.id, async (wait) => {
    let synced = await read();
    if (hasNews(synced)) return synced;
    const release = await streams.watch(synced.positions, wait.wake);
    try {
      for (;;) {
        if (!wait.isOver) await wait.next(end - performance.now());
        if (wait.isOver || performance.now() >= end) break;
        synced = await read();
        if (hasNews(synced)) return synced;
      }
      // The session may have ended during any of these reads.
      mustNotBeRevoked(revocations, actor);
      return synced;
    } finally {
      release();
    }
  });
}
