import type { DataSchemas, EventData } from "../../core/events.ts";
import { changes, nullable, object, text, uuid, versionFields } from "../../core/json-schema.ts";
import { taskFields } from "./tasks.answers.ts";
import type { Comment, commentEvents } from "./tasks.contract.ts";

const commentFields = {
  id: uuid("0193a5c8-5bad-7cd4-bf60-ae9d8c7b6a5f"),
  task_id: taskFields.id,
  author_id: taskFields.created_by,
  body: text("The table of operations is done."),
  ...versionFields,
};

export const comment = object<Comment>("Comment", commentFields);

type DataOf<Type extends keyof typeof commentEvents> = EventData<(typeof commentEvents)[Type]>;

const eventComment = object<DataOf<"comment_created">["comment"]>("EventComment", {
  ...commentFields,
  body: nullable(
    text("The table of operations is done.", "Null in events from before the comment was redacted."),
  ),
});
const commentAlone = object<DataOf<"comment_created">>("CommentEventData", { comment: eventComment });

export const commentEventData: DataSchemas<typeof commentEvents> = {
  comment_created: commentAlone,
  comment_updated: object<DataOf<"comment_updated">>("CommentChangeData", {
    comment: eventComment,
    changes: changes("CommentChanges", { body: commentFields.body }),
  }),
  comment_deleted: commentAlone,
  comment_redacted: commentAlone,
};
