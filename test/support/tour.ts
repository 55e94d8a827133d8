import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";

/** The tour's blocks of bash, without the first one, which starts the system. */
async function readTour(): Promise<string> {
  const readme = await readFile("README.md", "utf8");
  const tour = readme.slice(readme.indexOf("## A five-minute tour"), readme.indexOf("## Architecture"));
  return [...tour.matchAll(/```bash\n([\s\S]*?)```/g)]
    .map(([, block]) => block as string)
    .slice(1)
    .join("");
}

/** What the tour's logs and problems say, in the words of README.md's promise. */
export interface TourLogs {
  ada: string[];
  ben: string[];
  /** Whether Ben got the assignment on his own stream too. */
  onBensOwn: boolean;
  /** Whether Eve listened, and got no event of a task. */
  eveGotNothing: boolean;
  problems: string[];
}

/** What the tour promises. */
export const PROMISED: TourLogs = {
  ada: ["#3 task_created", "#4 task_assigned", "#5 task_completed"],
  ben: ["#3 task_created", "#4 task_assigned", "#5 task_completed"],
  onBensOwn: true,
  eveGotNothing: true,
  problems: ['"status":404'],
};

/**
 * Takes README.md's tour, word for word, against the system at `port` of 127.0.0.1.
 * @throws Error with the tour's output when one of its commands fails
 */
export async function takeTour(port: string): Promise<TourLogs> {
  const checkout = await mkdtemp(join(tmpdir(), "taskwire-tour-"));
  try {
    for (const name of ["scripts", "node_modules"]) await symlink(resolve(name), join(checkout, name));
    const { stdout, stderr } = await promisify(execFile)("bash", ["-c", await readTour()], {
      cwd: checkout,
      env: { PATH: process.env.PATH, PORT: port },
    });
    const [, ada = "", ben = "", eve = ""] = stdout.split(/==> \w+\.log <==\n/);
    const ofTheProject = (log: string): string[] =>
      [...log.matchAll(/^project:\S+ (#\d task_\w+)/gm)].map(([, event]) => event as string);
    return {
      ada: ofTheProject(ada),
      ben: ofTheProject(ben),
      onBensOwn: /^user:\S+ #\d+ task_assigned/m.test(ben),
      eveGotNothing: /^ready {3}1 streams/m.test(eve) && !eve.includes("task_"),
      problems: stderr.match(/"status":\d+/g) ?? [],
    };
  } finally {
    await rm(checkout, { recursive: true, force: true });
  }
}
