import type { ServiceSchema } from "moleculer";
import type { Config } from "../../core/config.ts";
import { service } from "../../core/kit.ts";
import { metricsOf } from "../../core/metrics.ts";
import { database } from "../../mixins/database.ts";
import { model } from "../../mixins/model.ts";
import { AccountCleaner } from "./account-cleaner.ts";
import { FirstAdminSetup } from "./first-admin.ts";
import { endThreads } from "./hash-threads.ts";
import { internalActions } from "./internal.actions.ts";
import { waitingHashes } from "./password.ts";
import { userActions } from "./users.actions.ts";
import type { UsersContract } from "./users.contract.ts";
import type { UsersLend } from "./users.methods.ts";
import { userModel } from "./users.model.ts";

/** Accounts and password hashes. No hash leaves this service. */
export default (config: Config): ServiceSchema =>
  service<UsersContract, UsersLend & { firstAdmin: FirstAdminSetup }>({
    name: "users",
    mixins: [model(config, userModel), database(config)],
    actions: { ...userActions, ...internalActions },
    created() {
      this.bcryptCost = config.BCRYPT_COST;
      metricsOf(this.broker).gauge(
        "taskwire_hashes_waiting",
        "Password hashes that wait for a thread",
        [],
        waitingHashes,
      );
      this.cleaner = new AccountCleaner(this);
      this.firstAdmin = new FirstAdminSetup(this, config);
    },
    async started() {
      this.cleaner.start();
      await this.firstAdmin.start();
    },
    async stopped() {
      this.firstAdmin.stop();
      await this.cleaner.stop();
      await endThreads();
    },
  });
