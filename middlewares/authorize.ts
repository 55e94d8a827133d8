import { Errors, type Middleware } from "moleculer";
import { Problem } from "../core/errors.ts";
import type { Auth, Conditions, Meta, Role } from "../core/kit.ts";

const RANK: Record<Role, number> = { user: 1, manager: 2, admin: 3 };
const UNCONDITIONAL: Conditions = Object.freeze({ ifMatch: null, key: null });
const AUTHS: readonly unknown[] = ["public", "internal", "session", ...Object.keys(RANK)];

/**
 * Guards every action by its `auth`. The actor is read here once, from what the gateway verified, and frozen:
 * `ctx.meta` flows back from every call, so nothing reads it after this. So are the request's conditions.
 * An action that says no `auth` doesn't start. `private` ones can't be called from outside their service.
 */
export const authorize: Middleware = {
  name: "Authorize",
  localAction(next, action) {
    if (action.name?.startsWith("$node.") === true || action.visibility === "private") return next;
    const { auth, safe, projectBound } = action as { auth?: Auth; safe?: boolean; projectBound?: boolean };
    if (!AUTHS.includes(auth))
      throw new Errors.ServiceSchemaError(`Action ${action.name} does not say who may call it (auth)`, {});
    const needed = auth === "session" ? RANK.user : (RANK[auth as Role] ?? 0);

    return function authorizeAction(ctx) {
      const { actor, conditions } = ctx.meta as Meta;
      ctx.locals["actor"] = actor ? Object.freeze({ ...actor }) : null;
      ctx.locals["conditions"] = conditions ? Object.freeze({ ...conditions }) : UNCONDITIONAL;
      if (needed > 0) {
        if (!actor) return Promise.reject(new Problem("unauthenticated"));
        if (!Object.hasOwn(RANK, actor.role) || RANK[actor.role] < needed)
          return Promise.reject(new Problem("forbidden", `This is for users with the role ${auth} or above`));
        if (auth === "session" && actor.scope !== undefined)
          return Promise.reject(new Problem("forbidden", "A personal token can't do this: log in"));
        if (actor.scope === "read" && safe !== true)
          return Promise.reject(new Problem("forbidden", "This token's scope is read"));
        if (actor.projects !== undefined && projectBound !== true)
          return Promise.reject(new Problem("forbidden", "This token is limited to some projects"));
      }
      return next.call(this, ctx) as Promise<unknown>;
    };
  },
};
