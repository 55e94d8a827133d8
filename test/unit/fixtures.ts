import { expect } from "@jest/globals";
import type { ProblemCode } from "../../core/errors.ts";
import type { Actor, Role } from "../../core/kit.ts";

/** Ids that can be told apart in a failure's message. */
export const idOf = (digit: string): string => `0198c0de-0000-7000-8000-${digit.repeat(12)}`;

export const actorOf = (role: Role, id = idOf("1")): Actor => ({ id, role, session: idOf("5") });

/** Matches a problem by its code, which is all that survives the broker. */
export const problem = (code: ProblemCode, more: object = {}): unknown =>
  expect.objectContaining({ type: code, ...more });
