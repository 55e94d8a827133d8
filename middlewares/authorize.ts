import { Errors, type Middleware } from "moleculer";
import { Problem } from "../core/errors.ts";
import type { Auth, Conditions, Meta, Role } from "../core/kit.ts";

const RANK: Record<Role, number> = { user: 1, manager: 2, admin: 3 };
const UNCONDITIONAL: Conditions = Object.freeze({ ifMatch: null, key: null });
const AUTHS: readonly unknown[] = ["public", "internal", "session", ...Object.keys(RANK)];

/**
 * Guards every action by its `auth`. It copies the actor and the conditions, which the gateway verified, from `ctx.meta`
 * to `ctx.locals` and freezes them: `ctx.meta` flows back from every call, so no later code reads it. A service with an
 * action without `auth` doesn't start. `private` actions need no guard: other services can't call them.
 */
export const authorize: Middleware = {
  name: "Authorize",
  localAction(next, action) {
    if (action.name?.startsWith("$node.") === true || action.visibility === "private") return next;
    const { auth, safe, projectBound } = action as { auth?: Auth; safe?: boolean; projectBound?: boolean };
    if (!AUTHS.includes(auth))
      throw new Errors.ServiceSchemaError(`Action ${action.name} has no auth: say who may call it`, {});
    const needed = auth === "session" ? RANK.user : (RANK[auth as Role] ?? 0);

    return function authorizeAction(ctx) {
      const { actor, conditions } = ctx.meta as Meta;
      ctx.locals["actor"] = actor ? Object.freeze({ ...actor }) : null;
      ctx.locals["conditions"] = conditions ? Object.freeze({ ...conditions }) : UNCONDITIONAL;
      if (needed > 0) {
        if (!actor) return Promise.reject(new Problem("unauthenticated"));
        if (!Object.hasOwn(RANK, actor.role) || RANK[actor.role] < needed)
          return Promise.reject(
            new Problem("forbidden", `This operation requires the role ${auth} or a higher one`),
          );
        if (auth === "session" && actor.scope !== undefined)
          return Promise.reject(new Problem("forbidden", "A personal token can't do this: log in"));
        if (actor.scope === "read" && safe !== true)
          return Promise.reject(
            new Problem("forbidden", "This token has the scope `read`: it can't change anything"),
          );
        if (actor.projects !== undefined && projectBound !== true)
          return Promise.reject(
            new Problem(
              "forbidden",
              "This token is limited to some projects and can't be used for this operation",
            ),
          );
      }
      return next.call(this, ctx) as Promise<unknown>;
    };
  },
};
