import { type Cause, type NewEvent, newEvent, projectStream, userStream } from "../../mixins/event-log.ts";
import { projectColumns, type ProjectRow } from "./projects.columns.ts";
import { type ProjectChanges, projectEvents } from "./projects.contract.ts";
import { eventView } from "./projects.view.ts";

/** The fields that differ between two states of a project; empty when a write changes nothing. */
export const changesBetween = (before: ProjectRow, after: ProjectRow): ProjectChanges =>
  projectColumns.changesBetween(before, after);

export const projectUpdated = (project: ProjectRow, changes: ProjectChanges, cause: Cause): NewEvent[] => [
  newEvent(
    projectStream(project.id),
    projectEvents.project_updated,
    { project: eventView(project), changes },
    cause,
  ),
];

export const projectDeleted = (project: ProjectRow, cause: Cause): NewEvent[] => [
  newEvent(projectStream(project.id), projectEvents.project_deleted, { project: eventView(project) }, cause),
];

/** @param memberIds the members lost the project's stream with its deletion, so each gets the event on their own */
export function projectRestored(
  project: ProjectRow,
  changes: ProjectChanges,
  memberIds: string[],
  cause: Cause,
): NewEvent[] {
  const data = { project: eventView(project), ...(Object.keys(changes).length > 0 && { changes }) };
  return [projectStream(project.id), ...memberIds.map(userStream)].map((stream) =>
    newEvent(stream, projectEvents.project_restored, data, cause),
  );
}
