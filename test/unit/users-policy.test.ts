import { describe, expect, test } from "@jest/globals";
import type { Role } from "../../core/kit.ts";
import { may, maySearchAccounts, type UserVerb } from "../../services/users/users.policy.ts";
import { actorOf, idOf } from "./fixtures.ts";

const [SELF, OTHER] = [idOf("1"), idOf("2")];

describe("an account (docs/reference.md, Users)", () => {
  /** A verb that is not named here does not compile. */
  const VERBS = Object.keys({
    read: 0,
    read_account: 0,
    edit: 0,
    administer: 0,
    erase: 0,
  } satisfies Record<UserVerb, 0>) as UserVerb[];
  const EVERYTHING = "read read_account edit administer erase";
  const OWN = "read read_account edit erase";

  test.each<[Role, whose: string, id: string, active: string, inactive: string]>([
    ["user", "their own", SELF, OWN, ""],
    ["user", "another's", OTHER, "read", ""],
    ["manager", "their own", SELF, OWN, ""],
    ["manager", "another's", OTHER, "read", ""],
    ["admin", "their own", SELF, EVERYTHING, EVERYTHING],
    ["admin", "another's", OTHER, EVERYTHING, EVERYTHING],
  ])("%s and %s (%s): active [%s], inactive [%s]", (role, _whose, id, active, inactive) => {
    const allowed = (is_active: boolean) =>
      VERBS.filter((verb) => may(actorOf(role, SELF), verb, { id, is_active })).join(" ");
    expect([allowed(true), allowed(false)]).toEqual([active, inactive]);
  });

  test("is closed to a verb or a role that nobody thought of", () => {
    const standing = { id: SELF, is_active: true };
    for (const role of ["user", "manager", "admin"] as const)
      expect(may(actorOf(role, SELF), "sell" as UserVerb, standing)).toBe(false);
    expect(may(actorOf("root" as Role, OTHER), "edit", standing)).toBe(false);
  });
});

test.each<[Role, boolean]>([
  ["user", false],
  ["manager", false],
  ["admin", true],
])("the list shows %s addresses and who is not active: %s", (role, expected) => {
  expect(maySearchAccounts(actorOf(role))).toBe(expected);
});
