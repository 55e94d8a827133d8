import { describe, expect, test } from "@jest/globals";
import { type Accepted, judge, type Report } from "../../scripts/audit.ts";

const report = (
  severity: string,
  fixAvailable: Report["vulnerabilities"][string]["fixAvailable"],
): Report => {
  const advisory = {
    name: "leaky",
    severity,
    title: "Leaks",
    url: "https://github.com/advisories/GHSA-aaaa-bbbb-cccc",
    range: "<1.2.3",
  };
  return {
    vulnerabilities: {
      leaky: { via: [advisory], fixAvailable },
      // Vulnerable for what it brings along: told once, at its source.
      parent: { via: ["leaky"], fixAvailable },
      cousin: { via: [advisory], fixAvailable },
    },
  };
};
const ADVISORY = "leaky <1.2.3: Leaks (https://github.com/advisories/GHSA-aaaa-bbbb-cccc)";

describe("an advisory", () => {
  test.each(["high", "critical"])("that is %s fails, and says what to do", (severity) => {
    expect(judge(report(severity, true), {})).toEqual({
      fail: true,
      lines: [`${severity}: ${ADVISORY}: run \`npm audit fix\``],
    });
  });

  test.each<[Report["vulnerabilities"][string]["fixAvailable"], string]>([
    [false, "there is no fix yet: do without it, or accept it in scripts/audit.ts with a reason"],
    [{ name: "parent", version: "2.0.0", isSemVerMajor: true }, "npm install --save-exact parent@2.0.0"],
  ])("with the fix %j: %s", (fix, advice) => {
    expect(judge(report("high", fix), {}).lines).toEqual([`high: ${ADVISORY}: ${advice}`]);
  });

  test("that is moderate is told and fails nothing; a low one is not told", () => {
    expect(judge(report("moderate", true), {})).toMatchObject({ fail: false, lines: [expect.any(String)] });
    expect(judge(report("low", true), {})).toEqual({ fail: false, lines: [] });
  });

  test("that is accepted passes up to its day, and fails after it", () => {
    const accepted: Accepted = { "GHSA-aaaa-bbbb-cccc": { because: "never called", until: "2026-11-30" } };
    const on = (time: string) => judge(report("critical", false), accepted, new Date(time));
    expect(on("2026-11-30T23:00:00Z")).toEqual({
      fail: false,
      lines: [`critical: ${ADVISORY}: accepted until 2026-11-30: never called`],
    });
    expect(on("2026-12-01T00:00:00Z")).toEqual({
      fail: true,
      lines: [`critical: ${ADVISORY}: accepted only until 2026-11-30`],
    });
  });
});

test("nothing known is nothing to tell", () => {
  expect(judge({ vulnerabilities: {} })).toEqual({ fail: false, lines: [] });
});
