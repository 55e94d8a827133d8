import type { ServiceSchema } from "moleculer";
import type { Config } from "../../core/config.ts";
import { Problem } from "../../core/errors.ts";
import { service } from "../../core/kit.ts";
import * as rules from "../../core/rules.ts";
import { model, modelProblem, type WithModel } from "../../mixins/model.ts";
import { createUser, findByPassword } from "./users.commands.ts";
import type { UsersContract } from "./users.contract.ts";
import { type UserRow, userModel } from "./users.model.ts";
import { personView, userView } from "./users.view.ts";

const name = { ...rules.text(1, 100), optional: true, nullable: true, trim: true } as const;

/** Accounts and password hashes. Nobody else sees a hash. */
export default (config: Config): ServiceSchema =>
  service<UsersContract, WithModel<UserRow>>({
    name: "users",
    mixins: [model(config, userModel)],
    actions: {
      /** Creates an account. @throws Problem already-exists, overloaded */
      create: {
        auth: "internal",
        rules: {
          email: { type: "email", mode: "precise", max: 254, normalize: false, trim: true },
          username: {
            type: "string",
            min: 3,
            max: 32,
            trim: true,
            // No @: a user name never looks like somebody else's e-mail address.
            pattern: "^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?$",
          },
          password: rules.text(8, 128),
          first_name: name,
          last_name: name,
        },
        async handler(ctx) {
          return userView(await createUser(this.model, ctx.params, config.BCRYPT_COST));
        },
      },

      /** The whole account of one user. @throws Problem not-found */
      account: {
        auth: "internal",
        safe: true,
        rules: { id: rules.id },
        async handler(ctx) {
          const found = await this.model.findByPk(ctx.params.id).catch((error: unknown) => {
            throw modelProblem(error);
          });
          if (found === null) throw new Problem("not-found");
          return userView(found.get());
        },
      },

      /** Checks a login. @throws Problem overloaded */
      verify_password: {
        auth: "internal",
        rules: { login: { type: "string", max: 254 }, password: "string" },
        async handler(ctx) {
          const row = await findByPassword(this.model, ctx.params, config.BCRYPT_COST);
          return row === null ? null : userView(row);
        },
      },

      /** Small objects for answers that name people, and what assignments and memberships ask of them. */
      people: {
        auth: "internal",
        safe: true,
        rules: { ids: { type: "array", items: "uuid", max: 1000 } },
        async handler(ctx) {
          const rows = await this.model.findAll({ where: { id: ctx.params.ids } }).catch((error: unknown) => {
            throw modelProblem(error);
          });
          return rows
            .map((row) => row.get())
            .map((row) => ({ ...personView(row), is_active: row.is_active, role: row.role }));
        },
      },
    },
  });
