import { Audit, type OnProgress, type Report } from "./audit.ts";
import { checkConstraints, checkLeftovers, checkProjects, checkReferences } from "./rest.ts";
import { checkStreams } from "./streams.ts";
import { checkComments, checkTasks } from "./things.ts";

/** Audits a live, migrated database, and changes nothing. @throws pg's error when it can't be read */
export async function verify(url: string, onProgress: OnProgress = () => {}): Promise<Report> {
  const audit = new Audit(url, onProgress);
  try {
    await audit.connect();
    await audit.check("constraints", [], () => checkConstraints(audit, url));
    await audit.check("events", ["events.log"], checkStreams);
    await audit.check("projects", ["projects.projects"], checkProjects);
    await audit.check("tasks", ["tasks.tasks"], checkTasks);
    await audit.check("comments", ["tasks.comments"], checkComments);
    await audit.check("references", [], checkReferences);
    await audit.check("jobs", [], checkLeftovers);
    return audit.report;
  } finally {
    await audit.end().catch(() => {});
  }
}
