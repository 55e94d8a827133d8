/** What GitHub runs: `.ci/run` for each change, and for a tag a deployment that a person lets through. */
import { readFileSync } from "node:fs";
import { expect, test } from "@jest/globals";
import { parse } from "yaml";
import { SERVICES } from "../../core/config.ts";

interface Workflow {
  on: Record<string, { tags?: string[] } | null>;
  jobs: Record<
    string,
    {
      needs?: string | string[];
      environment?: string;
      steps: { run?: string; env?: Record<string, string> }[];
    }
  >;
}
const read = (name: string): Workflow =>
  parse(readFileSync(`.github/workflows/${name}.yml`, "utf8")) as Workflow;
const commandsOf = ({ steps }: Workflow["jobs"][string]): string[] => steps.flatMap(({ run }) => run ?? []);

test("every change and every release runs .ci/run", () => {
  for (const name of ["ci", "release"])
    expect(commandsOf(read(name).jobs.test as Workflow["jobs"][string])).toContain(".ci/run");
});

test("a release deploys every service, after tests, image and plan, and when its reviewers let it", () => {
  const { on, jobs } = read("release");
  expect(on).toEqual({ push: { tags: ["v*"] } });
  const { image, plan, deploy } = jobs as Record<string, Workflow["jobs"][string]>;
  expect([image?.needs, plan?.needs, deploy?.needs]).toEqual(["test", "test", ["image", "plan"]]);
  expect(deploy?.environment).toBe("production");
  // The plan is read by another environment, whose secret can't write.
  expect(plan?.environment).toBe("production-plan");
  const migrate = deploy?.steps.find(({ run }) => run?.includes("npm run --silent migrate"));
  expect(migrate?.run).toBe('npm run --silent migrate -- --approve "$APPROVED"');
  expect(migrate?.env).toMatchObject({ NODE_ENV: "production", APPROVED: "${{ needs.plan.outputs.hash }}" });
  const [, services = ""] =
    /for service in (.+); do/.exec(deploy === undefined ? "" : commandsOf(deploy).join("\n")) ?? [];
  expect(services.split(" ").sort()).toEqual([...SERVICES].sort());
});
