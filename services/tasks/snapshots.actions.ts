import { actionsOf } from "../../core/kit.ts";
import { snapshotLine } from "./snapshots.answers.ts";
import { PART_MS } from "./snapshots.ts";
import type { TasksContract } from "./tasks.contract.ts";
import type { TasksLend } from "./tasks.methods.ts";
import { project } from "./tasks.params.ts";

const snapshotId = { type: "string", length: 22 } as const;

export const snapshotActions = actionsOf<TasksContract, TasksLend>()({
  snapshot: {
    auth: "user",
    projectBound: true,
    safe: true,
    timeout: PART_MS,
    rules: { project },
    docs: {
      summary: "Read the state of a project",
      description:
        "All of one moment, one JSON object a line: first `head`, the position in the project's stream, then each member, task and comment, in no order, and at last `end`. The events after `head.seq` are exactly what the snapshot does not show. Members are as events show them, without names. A response without `end` was cut: drop it and ask again. Each part has to be read within 30 seconds, and all of it within 10 minutes. A user can read 2 snapshots at once.",
      answer: snapshotLine,
    },
    handler(ctx) {
      return this.snapshots.begin(ctx.locals.actor, ctx.params.project);
    },
  },

  read_snapshot: {
    auth: "internal",
    timeout: PART_MS,
    rules: { id: snapshotId },
    handler(ctx) {
      return this.snapshots.read(ctx.params.id);
    },
  },

  end_snapshot: {
    auth: "internal",
    rules: { id: snapshotId },
    handler(ctx) {
      return this.snapshots.end(ctx.params.id);
    },
  },
});
