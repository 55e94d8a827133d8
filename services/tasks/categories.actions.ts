import { actionsOf } from "../../core/kit.ts";
import { pageRules, type PageOf } from "../../core/page.ts";
import * as rules from "../../core/rules.ts";
import { page } from "../../core/schema.ts";
import { causeOf } from "../../mixins/event-log.ts";
import { once } from "../../mixins/idempotency.ts";
import { createCategory, deleteCategory, patchCategory } from "./categories.commands.ts";
import type { TasksContract } from "./tasks.contract.ts";
import { CATEGORY_SORTS, findCategorized, listCategories } from "./tasks.queries.ts";
import { categoryName, color } from "./tasks.rules.ts";
import { category } from "./tasks.schemas.ts";
import type { TasksLend } from "./tasks.service.ts";

/** Tasks of a category that are shown anew at once when it changes; there is hardly one with more. */
const SHOWN = 10_000;

type Names = "list_categories" | "create_category" | "patch_category" | "delete_category";

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
      return once(this.db, ctx, () => createCategory(this.db, ctx.params, causeOf(ctx)));
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
      const category = await patchCategory(this.db, id, rules.given(params), causeOf(ctx));
      const shown = await findCategorized(this.db, id, SHOWN);
      await this.outdate(shown.map((task) => `task:${task}`));
      return category;
    },
  },

  /** Deletes one: its tasks go on without. @throws Problem not-found, precondition-failed, conflict */
  delete_category: {
    auth: "user",
    rules: { id: rules.id },
    docs: {
      summary: "Delete a category",
      description: "Its tasks stay, with `category_id: null`.",
      answer: null,
      problems: ["conflict"],
    },
    async handler(ctx) {
      await deleteCategory(this.db, ctx.params.id, causeOf(ctx), (events) =>
        this.publish({ answer: null, events }),
      );
    },
  },
});
