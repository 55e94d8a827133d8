import { actionsOf, type Actor } from "../../core/kit.ts";
import { pageRules, type PageOf } from "../../core/pagination.ts";
import * as rules from "../../core/rules.ts";
import { page } from "../../core/json-schema.ts";
import { writeContext } from "../../mixins/event-log.ts";
import { withIdempotencyKey } from "../../mixins/idempotency.ts";
import { createCategory, deleteCategory, forgetCategory, patchCategory } from "./categories.commands.ts";
import type { TasksContract } from "./tasks.contract.ts";
import { CATEGORY_SORTS, findCategory, findDeletedCategory, listCategories } from "./categories.queries.ts";
import { UNCONDITIONAL } from "./batches.commands.ts";
import { color, name } from "./categories.params.ts";
import { category } from "./categories.answers.ts";
import { categoryView } from "./categories.view.ts";
import type { TasksLend } from "./tasks.methods.ts";

/** How long a client waits for the tasks of a category that it deletes. */
const WAIT_MS = 1000;

export const categoryActions = actionsOf<TasksContract, TasksLend>()({
  list_categories: {
    auth: "user",
    safe: true,
    rules: pageRules(...CATEGORY_SORTS),
    docs: {
      summary: "List your categories",
      description: "Sorted by name by default.",
      answer: page(category),
    },
    handler(ctx) {
      return listCategories(this.db, ctx.locals.actor.id, ctx.params as PageOf);
    },
  },

  create_category: {
    auth: "user",
    idempotent: true,
    rules: { name, color },
    docs: {
      summary: "Create a category",
      description:
        "A category is a label of your own. Its name is unique among your categories, whatever the case of its letters.",
      answer: category,
      problems: ["already-exists"],
    },
    handler(ctx) {
      return withIdempotencyKey(this.db, ctx, () => createCategory(this.db, ctx.params, writeContext(ctx)));
    },
  },

  get_category: {
    auth: "user",
    safe: true,
    rules: { id: rules.id },
    docs: { summary: "Read a category", answer: category },
    async handler(ctx) {
      return categoryView(await findCategory(this.db, ctx.locals.actor.id, ctx.params.id));
    },
  },

  patch_category: {
    auth: "user",
    idempotent: true,
    rules: {
      id: rules.id,
      name: { ...name, optional: true },
      color: { ...color, optional: true },
    },
    docs: { summary: "Change a category", answer: category, problems: ["already-exists"] },
    handler(ctx) {
      const { id, ...params } = ctx.params;
      return withIdempotencyKey(this.db, ctx, () =>
        patchCategory(this.db, id, rules.omitUndefined(params), writeContext(ctx)),
      );
    },
  },

  /** A job takes the category off the tasks that are left after WAIT_MS. */
  delete_category: {
    auth: "user",
    idempotent: true,
    rules: { id: rules.id },
    docs: {
      summary: "Delete a category",
      description:
        "Its tasks stay, with `category_id: null`. If they are very many, the last ones change within minutes.",
      answer: null,
    },
    async handler(ctx) {
      const { id } = ctx.params;
      const write = writeContext(ctx);
      await withIdempotencyKey(this.db, ctx, () => deleteCategory(this.db, id, write));
      const until = performance.now() + WAIT_MS;
      while (this.publishBatch(await forgetCategory(this.db, id, { ...write, conditions: UNCONDITIONAL })))
        if (performance.now() > until) return;
    },
  },

  forget_categories: {
    auth: "internal",
    rules: {},
    async handler(ctx) {
      const found = await findDeletedCategory(this.db);
      if (found === null) return false;
      const { requestID: requestId } = ctx;
      const actor: Actor = { id: found.user_id, role: "user", session: found.id };
      const write = { actor, requestId, time: new Date().toISOString(), conditions: UNCONDITIONAL };
      this.publishBatch(await forgetCategory(this.db, found.id, write));
      return true;
    },
  },
});
