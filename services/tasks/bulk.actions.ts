import { actionsOf } from "../../core/kit.ts";
import { writeContext } from "../../mixins/event-log.ts";
import { withIdempotencyKey } from "../../mixins/idempotency.ts";
import { bulkAnswer } from "./bulk.answers.ts";
import { assigneesOf, BULK_MS, categoriesOf, runBulk } from "./bulk.commands.ts";
import { operations } from "./bulk.params.ts";
import type { TasksContract } from "./tasks.contract.ts";
import type { TasksLend } from "./tasks.methods.ts";
import { readReferences } from "./tasks.references.ts";

export const bulkActions = actionsOf<TasksContract, TasksLend>()({
  bulk: {
    auth: "user",
    projectBound: true,
    idempotent: true,
    timeout: BULK_MS,
    rules: { operations },
    docs: {
      summary: "Carry out many operations, or none",
      description:
        "Each operation stands for a request: `create` (POST /tasks), `update` (PATCH), `transition`, `assign`, `delete`. It is judged on the tasks as the operations before it leave them. If one can't be carried out, none is, and the problem's `results` say which and why.",
      answer: bulkAnswer,
      problems: ["bulk-failed"],
    },
    handler(ctx) {
      const { operations: given } = ctx.params;
      return withIdempotencyKey(this.db, ctx, async () => {
        const { people, categories } = await readReferences(ctx, this.db, {
          assignees: assigneesOf(given),
          categories: categoriesOf(given),
          tasks: [],
        });
        return this.publish(await runBulk(this.db, given, { people, categories }, writeContext(ctx)));
      });
    },
  },
});
