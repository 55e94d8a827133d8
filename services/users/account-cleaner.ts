import type { Service } from "moleculer";
import { broadcast, type Caller } from "../../core/kit.ts";
import type { WithDatabase } from "../../mixins/database.ts";
import { auth } from "../auth/auth.contract.ts";
import { projects } from "../projects/projects.contract.ts";
import { tasks } from "../tasks/tasks.contract.ts";
import { type Cleanup, completeCleanup, leaseCleanup, leaseDueCleanup } from "./account-cleanup.ts";
import { sessionsEnded } from "./users.contract.ts";

/** Milliseconds between two looks for cleanups that are due. */
const POLL_MS = 1000;

/** Does the cleanups of account-cleanup.ts: those of this node's commits at once, and those that another node left. */
export class AccountCleaner {
  readonly #service: Service & WithDatabase;
  #timer: NodeJS.Timeout | undefined;
  #polling: Promise<void> | null = null;
  #isStopping = false;

  constructor(service: Service & WithDatabase) {
    this.#service = service;
  }

  /** May be called again: one timer runs. */
  start(): void {
    clearInterval(this.#timer);
    this.#timer = setInterval(() => {
      this.#polling ??= this.#doDue().finally(() => (this.#polling = null));
    }, POLL_MS);
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    clearInterval(this.#timer);
    await this.#polling;
  }

  /** Follows each commit that ended a user's sessions. It never throws: a node repeats later what fails now. */
  async afterCommit(from: Caller, userId: string): Promise<void> {
    const { broker, db } = this.#service;
    broadcast(broker, sessionsEnded, { user_id: userId });
    try {
      const cleanup = await leaseCleanup(db, userId);
      if (cleanup !== null) await this.#do(from, cleanup);
    } catch (error) {
      this.#postponed(userId, error);
    }
  }

  /** Never throws. */
  async #doDue(): Promise<void> {
    const { broker, db, logger } = this.#service;
    try {
      for (let cleanup; !this.#isStopping && (cleanup = await leaseDueCleanup(db)) !== null;) {
        const { user_id } = cleanup;
        await this.#do(broker, cleanup).catch((error: unknown) => this.#postponed(user_id, error));
      }
    } catch (error) {
      logger.debug("cleanups of accounts can't be read now", error);
    }
  }

  /** Tries every step, though an earlier one fails. @throws the first failure: the whole cleanup is repeated then */
  async #do(from: Caller, cleanup: Cleanup): Promise<void> {
    const { db } = this.#service;
    const { user_id, erased_by } = cleanup;
    const steps = [() => auth.call(from, "forget_ended", { user_id })];
    if (erased_by !== null)
      steps.push(
        async () => {
          while (await tasks.call(from, "unassign_user", { user_id, by: erased_by }))
            await leaseCleanup(db, user_id);
        },
        () => projects.call(from, "leave_all", { user_id }),
      );
    const failures: unknown[] = [];
    for (const step of steps) await step().catch((error: unknown) => failures.push(error));
    if (failures.length > 0) throw failures[0];
    await completeCleanup(db, cleanup);
  }

  #postponed(userId: string, error: unknown): void {
    this.#service.logger.warn(
      `the cleanup of user ${userId} is repeated in some seconds: ${(error as Error).message}`,
    );
  }
}
