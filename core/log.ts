import type { ServiceBroker } from "moleculer";

/** What a part needs of a service's logger: a test gives it these methods and nothing else. */
export type Log<Level extends "debug" | "info" | "warn" | "error" = "info" | "warn"> = Pick<
  ServiceBroker["logger"],
  Level
>;
