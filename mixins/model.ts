import type { ServiceSchema } from "moleculer";
import DbService from "moleculer-db";
import SequelizeAdapter from "moleculer-db-adapter-sequelize";
import {
  BaseError,
  type ModelAttributes,
  type ModelOptions,
  type ModelStatic,
  type Model,
  Sequelize,
  UniqueConstraintError,
} from "sequelize";
import type { Config } from "../core/config.ts";
import { CONNECTIONS } from "../core/connections.ts";
import { databaseProblem } from "./database-errors.ts";

export interface ModelDefinition {
  name: string;
  define: ModelAttributes;
  options: ModelOptions & { schema: string };
}

/** What the mixin lends: the Sequelize model. It is connected before the service starts. */
export interface WithModel<Row extends object> {
  model: ModelStatic<Model<Row>>;
}

/**
 * A Sequelize model through moleculer-db, for plain CRUD off the hot path. moleculer-db's own actions stay out: they name
 * no `auth`, and their `query` parameter would let a client write the WHERE clause. Each service has a pool of its own.
 */
export function model(config: Config, definition: ModelDefinition): Partial<ServiceSchema> {
  return {
    mixins: [{ ...(DbService as unknown as ServiceSchema), actions: {} }],
    // Moleculer clones schemas deeply, and a Sequelize instance does not survive that: it comes in after the merge.
    merged(schema: ServiceSchema & { model?: unknown; adapter?: unknown }) {
      const sequelize = new Sequelize(config.DATABASE_URL, {
        dialect: "postgres",
        logging: false,
        pool: { max: Math.min(CONNECTIONS.models, config.DATABASE_POOL), acquire: config.DATABASE_TIMEOUT },
        dialectOptions: {
          connectionTimeoutMillis: Math.ceil(config.DATABASE_TIMEOUT / 2),
          query_timeout: config.DATABASE_TIMEOUT,
          statement_timeout: config.DATABASE_TIMEOUT,
          application_name: `taskwire ${config.NODE_ID} models`,
        },
      });
      // The adapter takes a defined model as it is; given a definition, it would create the table at each start.
      const { name, define, options } = definition;
      schema.model = sequelize.define(name, define, options);
      schema.adapter = new SequelizeAdapter(sequelize);
    },
  } as Partial<ServiceSchema>;
}

/** Runs a read of a model. @throws Problem, as `modelProblem` makes it */
export const readModel = <Result>(read: () => Promise<Result>): Promise<Result> =>
  read().catch((error: unknown) => {
    throw modelProblem(error);
  });

/** Sequelize's error as the problem that a client may see, or as the driver's own error. */
function modelProblem(error: unknown): unknown {
  if (!(error instanceof BaseError) || error instanceof UniqueConstraintError) return error;
  if (/^Sequelize(Connection|Host|AccessDenied|InvalidConnection)/.test(error.name))
    return databaseProblem({ code: "08000" });
  return databaseProblem((error as BaseError & { parent?: unknown }).parent ?? error);
}
