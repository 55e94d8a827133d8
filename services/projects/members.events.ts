import type { Change } from "../../core/events.ts";
import { type Cause, type NewEvent, newEvent, projectStream, userStream } from "../../mixins/event-log.ts";
import type { MemberRow } from "./members.columns.ts";
import { membershipView } from "./members.view.ts";
import { type EventMembership, memberEvents, type ProjectRole } from "./projects.contract.ts";

type EventProject = EventMembership["project"];

/** The project's stream, and the user's own: they can't read the project's before they join, nor after they leave. */
const streamsOf = (project: EventProject, { user_id }: MemberRow): string[] => [
  projectStream(project.id),
  userStream(user_id),
];

export function memberAdded(project: EventProject, member: MemberRow, cause: Cause): NewEvent[] {
  const data = { ...membershipView(project, member), changes: {} };
  return streamsOf(project, member).map((stream) => newEvent(stream, memberEvents.member_added, data, cause));
}

export function memberUpdated(
  project: EventProject,
  member: MemberRow,
  role: Change<ProjectRole>,
  cause: Cause,
): NewEvent[] {
  const data = { ...membershipView(project, member), changes: { role } };
  return streamsOf(project, member).map((stream) =>
    newEvent(stream, memberEvents.member_updated, data, cause),
  );
}

export function memberRemoved(project: EventProject, member: MemberRow, cause: Cause): NewEvent[] {
  const data = { ...membershipView(project, member), changes: {} };
  return streamsOf(project, member).map((stream) =>
    newEvent(stream, memberEvents.member_removed, data, cause),
  );
}
