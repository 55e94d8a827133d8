import { invalidField } from "../../core/errors.ts";
import { actionsOf, type UserContext } from "../../core/kit.ts";
import { type PageOf, pageRules } from "../../core/pagination.ts";
import * as rules from "../../core/rules.ts";
import { projects } from "../projects/projects.contract.ts";
import * as answers from "./auth.answers.ts";
import type { AuthContract } from "./auth.contract.ts";
import type { AuthLend } from "./auth.methods.ts";
import * as params from "./auth.params.ts";
import { createPersonalToken, revokePersonalToken } from "./personal-tokens.commands.ts";
import { listPersonalTokens, TOKEN_SORTS } from "./personal-tokens.queries.ts";

/** @throws Problem validation-failed for a project that the caller may not read */
async function mustReadProjects(ctx: UserContext, ids: string[]): Promise<void> {
  const readable = await projects.call(ctx, "readable", { ids });
  const at = ids.findIndex((id) => !readable.includes(id));
  if (at !== -1) throw invalidField(`project_ids/${at}`, "unknown", `There is no project ${ids[at]}`);
}

export const personalTokenActions = actionsOf<AuthContract, AuthLend>()({
  list_tokens: {
    auth: "session",
    docs: {
      summary: "List your personal access tokens",
      description: "Without their text.",
      answer: answers.personalTokens,
    },
    safe: true,
    rules: pageRules(...TOKEN_SORTS),
    handler(ctx) {
      return listPersonalTokens(this.db, ctx.locals.actor.id, ctx.params as PageOf);
    },
  },

  create_token: {
    auth: "session",
    docs: {
      summary: "Create a personal access token",
      description:
        "For programs. The answer shows its text, and no later answer does. With `project_ids` the token reaches these projects, their members, tasks, comments and events, and nothing else: no personal tasks, no categories, no other people.",
      answer: answers.newPersonalToken,
    },
    rules: params.newPersonalToken,
    async handler(ctx) {
      const { expires_at, project_ids } = ctx.params;
      if (expires_at != null && Date.parse(expires_at) <= Date.now())
        throw invalidField("expires_at", "past", "The 'expires_at' field must lie in the future");
      if (project_ids != null) await mustReadProjects(ctx, project_ids);
      return createPersonalToken(this.db, ctx.locals.actor, ctx.params);
    },
  },

  revoke_token: {
    auth: "session",
    idempotent: true,
    docs: { summary: "Revoke a personal access token", answer: null },
    rules: { id: rules.id },
    handler(ctx) {
      return this.endOwn(ctx, "token", revokePersonalToken);
    },
  },
});
