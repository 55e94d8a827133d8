import { expect } from "@jest/globals";
import type { ServiceSchema } from "moleculer";
import { type Config, loadConfig, SERVICES } from "../../core/config.ts";
import type { ProblemCode } from "../../core/errors.ts";
import type { Actor, Role } from "../../core/kit.ts";

/** Ids that can be told apart in a failure's message. */
export const idOf = (digit: string): string => `0198c0de-0000-7000-8000-${digit.repeat(12)}`;

export const actorOf = (role: Role, id = idOf("1")): Actor => ({ id, role, session: idOf("5") });

/** Matches a problem by its code, which is all that survives the broker. */
export const problem = (code: ProblemCode, more: object = {}): unknown =>
  expect.objectContaining({ type: code, ...more });

/** The schemas of all services, as a node loads them. */
export function serviceSchemas(): Promise<ServiceSchema[]> {
  const config = loadConfig({ NODE_ENV: "test", DATABASE_URL: "postgres://nobody.invalid/none" });
  return Promise.all(
    SERVICES.map(async (name) => {
      const { default: schemaOf } = (await import(`../../services/${name}/${name}.service.ts`)) as {
        default: (config: Config) => ServiceSchema;
      };
      return schemaOf(config);
    }),
  );
}
