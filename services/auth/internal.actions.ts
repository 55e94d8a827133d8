/** What other services call, and no client reaches. auth.contract.ts says what each action answers. */
import { Problem } from "../../core/errors.ts";
import { actionsOf } from "../../core/kit.ts";
import * as rules from "../../core/rules.ts";
import type { AuthContract } from "./auth.contract.ts";
import type { AuthLend } from "./auth.methods.ts";
import * as params from "./auth.params.ts";
import { actorView } from "./auth.view.ts";
import { findPersonalToken } from "./personal-tokens.queries.ts";
import { forgetEnded } from "./sessions.commands.ts";

export const internalActions = actionsOf<AuthContract, AuthLend>()<"forget_ended" | "verify_token">({
  forget_ended: {
    auth: "internal",
    idempotent: true,
    rules: { user_id: rules.id },
    handler(ctx) {
      return forgetEnded(this.db, ctx.params.user_id);
    },
  },

  /** @throws Problem invalid-token */
  verify_token: {
    auth: "internal",
    safe: true,
    rules: { token: params.token },
    async handler(ctx) {
      const token = await findPersonalToken(this.db, ctx.params.token);
      if (token === null) throw new Problem("invalid-token");
      const { expires_at } = token;
      return { actor: actorView(token), expires_at: expires_at === null ? null : Date.parse(expires_at) };
    },
  },
});
