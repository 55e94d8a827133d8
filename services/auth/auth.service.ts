import type { ServiceSchema } from "moleculer";
import type { Config } from "../../core/config.ts";
import { service } from "../../core/kit.ts";
import { database } from "../../mixins/database.ts";
import { accountActions } from "./accounts.actions.ts";
import type { AuthContract } from "./auth.contract.ts";
import { type AuthLend, authMethods } from "./auth.methods.ts";
import { internalActions } from "./internal.actions.ts";
import { personalTokenActions } from "./personal-tokens.actions.ts";
import { sessionActions } from "./sessions.actions.ts";

/** Sessions and tokens. Accounts and passwords belong to the users service. */
export default (config: Config): ServiceSchema =>
  service<AuthContract, AuthLend>({
    name: "auth",
    mixins: [database(config)],
    methods: authMethods(config),
    created() {
      this.refreshTtlS = config.REFRESH_TOKEN_TTL;
    },
    actions: { ...accountActions, ...sessionActions, ...personalTokenActions, ...internalActions },
  });
