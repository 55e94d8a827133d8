import { actionsOf, type Actor, type Conditions } from "../../core/kit.ts";
import { pageRules, type PageOf } from "../../core/pagination.ts";
import * as rules from "../../core/rules.ts";
import { page } from "../../core/json-schema.ts";
import { writeContext } from "../../mixins/event-log.ts";
import { withIdempotencyKey } from "../../mixins/idempotency.ts";
import { createCategory, deleteCategory, forgetCategory, patchCategory } from "./categories.commands.ts";
import type { TasksContract } from "./tasks.contract.ts";
import { CATEGORY_SORTS, findCategory, findDeletedCategory, listCategories } from "./categories.queries.ts";
import { findCategorized } from "./tasks.queries.ts";
import { categoryName, color } from "./tasks.params.ts";
import { category } from "./tasks.answers.ts";
import { categoryView } from "./tasks.view.ts";
import type { TasksLend } from "./tasks.service.ts";

/** Tasks of a category that are shown anew at once when it changes; there is hardly one with more. */
const SHOWN = 10_000;

/** Milliseconds that a client waits for the tasks of a category that it deletes. */
const PATIENCE = 1000;
const ANY: Conditions = { ifMatch: null, key: null };

type Names =
  | "list_categories"
  | "create_category"
  | "get_category"
  | "patch_category"
  | "delete_category"
  | "forget_categories";

export const categoryActions = actionsOf<TasksContract, TasksLend>()<Names>({
  /** The caller's own categories, by name unless they say. */
  list_categories: {
    auth: "user",
    safe: true,
    rules: pageRules(...CATEGORY_SORTS),
    docs: { summary: "List your categories", answer: page(category) },
    handler(ctx) {
      return listCategories(this.db, ctx.locals.actor.id, ctx.params as PageOf);
    },
  },

  /** Makes a category. @throws Problem already-exists */
  create_category: {
    auth: "user",
    idempotent: true,
    rules: { name: categoryName, color },
    docs: {
      summary: "Create a category",
      description: "A label of your own. Its name is unique among yours, in any case of its letters.",
      answer: category,
      problems: ["already-exists"],
    },
    handler(ctx) {
      return withIdempotencyKey(this.db, ctx, () => createCategory(this.db, ctx.params, writeContext(ctx)));
    },
  },

  /** One of the caller's own. @throws Problem not-found */
  get_category: {
    auth: "user",
    safe: true,
    rules: { id: rules.id },
    docs: { summary: "Read a category", answer: category },
    async handler(ctx) {
      return categoryView(await findCategory(this.db, ctx.locals.actor.id, ctx.params.id));
    },
  },

  /** Renames or recolours one. @throws Problem not-found, precondition-failed, already-exists */
  patch_category: {
    auth: "user",
    rules: {
      id: rules.id,
      name: { ...categoryName, optional: true },
      color: { ...color, optional: true },
    },
    docs: { summary: "Change a category", answer: category, problems: ["already-exists"] },
    async handler(ctx) {
      const { id, ...params } = ctx.params;
      const category = await patchCategory(this.db, id, rules.omitUndefined(params), writeContext(ctx));
      const shown = await findCategorized(this.db, id, SHOWN);
      await this.outdate(shown.map((task) => `task:${task}`));
      return category;
    },
  },

  /** Deletes one: its tasks go on without. Where those are many, a job does the rest. @throws Problem not-found, precondition-failed */
  delete_category: {
    auth: "user",
    rules: { id: rules.id },
    docs: {
      summary: "Delete a category",
      description: "Its tasks stay, with `category_id: null`; of very many, the last follow within minutes.",
      answer: null,
    },
    async handler(ctx) {
      const { id } = ctx.params;
      const write = writeContext(ctx);
      await deleteCategory(this.db, id, write);
      const until = performance.now() + PATIENCE;
      while (await this.publishBatch(await forgetCategory(this.db, id, { ...write, conditions: ANY })))
        if (performance.now() > until) return;
    },
  },

  /** Takes a category that was deleted off a batch of the tasks that still have it. */
  forget_categories: {
    auth: "internal",
    rules: {},
    async handler(ctx) {
      const found = await findDeletedCategory(this.db);
      if (found === null) return false;
      const { requestID: requestId } = ctx;
      const actor: Actor = { id: found.user_id, role: "user", session: found.id };
      const write = { actor, requestId, time: new Date().toISOString(), conditions: ANY };
      await this.publishBatch(await forgetCategory(this.db, found.id, write));
      return true;
    },
  },
});
