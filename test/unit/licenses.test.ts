import { describe, expect, test } from "@jest/globals";
import { isPermissive, licenseProblems, type Manifest, statedLicense } from "../../scripts/licenses.ts";

describe("the licence that a package states", () => {
  test.each<[Manifest, string]>([
    [{ license: "MIT" }, "MIT"],
    [{ license: { type: "BSD-3-Clause" } }, "BSD-3-Clause"],
    [{ licenses: [{ type: "MIT" }, { type: "GPL-2.0" }] }, "MIT OR GPL-2.0"],
    [{ license: "" }, "none stated"],
    [{ licenses: [] }, "none stated"],
    [{}, "none stated"],
  ])("of %j is %s", (manifest, license) => {
    expect(statedLicense(manifest)).toBe(license);
  });
});

test.each([
  ["MIT", true],
  ["(MIT OR CC0-1.0)", true],
  ["MIT OR GPL-3.0-only", true],
  ["(GPL-2.0 OR (MIT AND ISC))", true],
  ["Apache-2.0 AND MIT", true],
  ["MIT AND LGPL-3.0-or-later", false],
  ["(MIT OR ISC) AND GPL-3.0-only", false],
  ["GPL-2.0-only WITH Classpath-exception-2.0", false],
  ["AGPL-3.0-only", false],
  ["BUSL-1.1", false],
  ["UNLICENSED", false],
  ["SEE LICENSE IN LICENSE.md", false],
  ["none stated", false],
])("%s is permissive: %s", (expression, expected) => {
  expect(isPermissive(expression)).toBe(expected);
});

describe("a package that is not permissive", () => {
  const packages = new Map<string, Manifest>([
    ["node_modules/good", { license: "MIT" }],
    ["node_modules/good/node_modules/@bad/one", { license: "GPL-3.0-only" }],
  ]);
  const justified = (license: string) => ({ "@bad/one": { license, because: "a tool" } });

  test("is named, with what to do", () => {
    expect(licenseProblems(packages, {})).toEqual([
      "node_modules/good/node_modules/@bad/one: GPL-3.0-only. Do without it, or justify it in scripts/licenses.ts",
    ]);
  });

  test("may be justified, for the licence that was looked at and no other", () => {
    expect(licenseProblems(packages, justified("GPL-3.0-only"))).toEqual([]);
    expect(licenseProblems(packages, justified("GPL-2.0-only"))).toHaveLength(1);
  });

  test("is justified no longer than it is there", () => {
    expect(licenseProblems(new Map(), justified("GPL-3.0-only"))).toEqual([
      "@bad/one: needs no justification any more. Remove it",
    ]);
  });
});
