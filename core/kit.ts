/**
 * The typed service kit. A service is written against its contract, and called through it:
 *
 *     export interface TasksContract extends ServiceContract {     tasks.contract.ts: types, and the way to call
 *       name: "tasks";
 *       actions: { get: { params: { id: string }; result: Task } };
 *     }
 *     export const tasks = remote<TasksContract>("tasks");
 *
 *     export default (config: Config) => service<TasksContract, WithDatabase>({ name: "tasks", … });
 *     const task = await tasks.call(ctx, "get", { id });           anywhere else
 *
 * What does not compile: an action that is missing or not in the contract, a wrong result, a param without a
 * validator rule, an action without `auth` (test/types/kit.types.ts proves each).
 */
import type { ValidationRule, ValidationRuleObject } from "fastest-validator";
import type { ProblemCode } from "./errors.ts";
import type { Schema } from "./json-schema.ts";
import type { Context, Service, ServiceBroker, ServiceSchema } from "moleculer";
import { begin, originHere, placeOf, traced } from "./trace.ts";

export type Role = "user" | "manager" | "admin";

/** The user who makes a request, as the gateway verified it. Frozen: no service changes it. */
export interface Actor {
  readonly id: string;
  readonly role: Role;
  /** The session that the access token belongs to, or the personal token's own id. */
  readonly session: string;
  /** What a personal access token allows; undefined for a person's own session, which may do all. */
  readonly scope?: "read" | "write";
  /** Ids of the projects that a personal access token is limited to; undefined where nothing limits the actor. */
  readonly projects?: readonly string[];
}

/** Whether the actor's token reaches a project; null stands for what lies in none. Policies judge roles and memberships. */
export const reaches = ({ projects }: Pick<Actor, "projects">, projectId: string | null): boolean =>
  projects === undefined || (projectId !== null && projects.includes(projectId));

/**
 * The callers of an action: anyone; a logged-in user; users of at least that global role; `session`, a logged-in user in
 * person, not a machine with a personal token; or `internal`, other services alone (the gateway refuses to route to it).
 */
export type Auth = "public" | Role | "session" | "internal";

export interface ServiceContract {
  name: string;
  actions: Record<string, { params: object; result: unknown }>;
}

export type ActionName<C extends ServiceContract> = `${C["name"]}.${keyof C["actions"] & string}`;

/** The conditions of a write, as the request states them (docs/reference.md, Optimistic concurrency; docs/reference.md, Idempotency). */
export interface Conditions {
  /** The versions that `If-Match` accepts; null accepts any. */
  readonly ifMatch: readonly number[] | null;
  /** Identifies a write that the client sends again; null when the write may happen twice. */
  readonly key: IdempotencyKey | null;
}

export interface IdempotencyKey {
  readonly key: string;
  /** Of the request's content: a different request with the same key is refused. */
  readonly fingerprint: string;
  /** True when the gateway made the key for this request: no client can send it again. */
  readonly generated: boolean;
}

/** Travels with a call and back to the caller, so it holds neither secrets nor decisions. */
export interface Meta {
  actor?: Actor | null;
  /** The trace that the request belongs to (W3C Trace Context); absent when the request names none. */
  traceparent?: string;
  /** The span that the call is made from, as `traceparent`; absent for a call of no request, job or mail. */
  trace?: string;
  /** Of the request itself; nested calls have none. */
  conditions?: Conditions | null;
  /** On the way back: the response is that of an earlier request with the same idempotency key. */
  replayed?: boolean;
  /** The caller sends this again, since the node that got it first did not answer: that one may still do it. */
  sentAgain?: boolean;
  /** The client's address and program, for the list of sessions; null when unknown. */
  client?: { address: string | null; userAgent: string | null };
  /** Milliseconds since 1970, when the token of a request that waits expires; null for never. */
  expiresAt?: number | null;
  /** Further response headers, on the way back to the gateway. */
  $responseHeaders?: Record<string, string | string[]>;
}

export type ActionContext<Params, Who> = Context<Params, Meta, { actor: Who; conditions: Conditions }>;

/** Whether the call is Moleculer's second try, here or at the caller. */
export const isSentAgain = (ctx: Context<unknown, Meta>): boolean =>
  ctx.meta.sentAgain === true || ((ctx as { _retryAttempts?: number | null })._retryAttempts ?? 0) > 0;

/** The context of an action that only a logged-in user reaches. */
export type UserContext<Params = object> = ActionContext<Params, Actor>;

/** The OpenAPI document's texts for an action; the rest of its operation follows from its rules and its route. */
export interface ActionDocs {
  summary: string;
  description?: string;
  /** The body of a success; null when it has none. */
  answer: Schema | null;
  /** The action's own problems; its route adds those of credentials, body, limits, and services that are away. */
  problems?: readonly ProblemCode[];
}

interface ActionBasics<Params> {
  /** fastest-validator rules, one for each param; the validator refuses other params. Patterns are strings: a RegExp does not survive the broker. */
  rules: { [Param in keyof Params]-?: ValidationRule };
  /** Changes nothing (RFC 9110 §9.2.1), so the call is retried once when its node dies. */
  safe?: boolean;
  /** Stays within the projects that a personal token is limited to; an action without it refuses such tokens. */
  projectBound?: boolean;
  /**
   * A write that recognises its idempotency key, or that does no more when it comes twice: the call is retried once when
   * its node dies.
   */
  idempotent?: boolean;
  /** Milliseconds that a caller waits, when the broker's own limit is too short (a hash that waits for its turn). */
  timeout?: number;
}

type ActionDefinition<Params, Result> =
  | (ActionBasics<Params> & {
      auth: Role | "session";
      docs: ActionDocs;
      handler(ctx: UserContext<Params>): Result | Promise<Result>;
    })
  | (ActionBasics<Params> & {
      auth: "public";
      docs: ActionDocs;
      handler(ctx: ActionContext<Params, Actor | null>): Result | Promise<Result>;
    })
  | (ActionBasics<Params> & {
      auth: "internal";
      docs?: never;
      handler(ctx: ActionContext<Params, Actor | null>): Result | Promise<Result>;
    });

export interface ServiceDefinition<C extends ServiceContract> {
  name: C["name"];
  mixins?: Partial<ServiceSchema>[];
  /** Services that start before this one. Two services that name each other never start. */
  dependencies?: string[];
  /** Sent to every node: never a secret. */
  settings?: Record<string, unknown>;
  actions: {
    [Name in keyof C["actions"]]: ActionDefinition<
      C["actions"][Name]["params"],
      C["actions"][Name]["result"]
    >;
  };
  events?: Subscriptions;
  methods?: Record<string, (...args: never[]) => unknown>;
  created?(): void;
  started?(): Promise<void> | void;
  stopped?(): Promise<void> | void;
}

/** null passes where a rule says `nullable`, and nowhere else. */
const withoutNull = (rule: ValidationRule): ValidationRule =>
  typeof rule === "string"
    ? { type: rule as "string", nullable: false }
    : { nullable: false, ...(rule as ValidationRuleObject) };

/** Rules that also refuse every param without a rule. */
export const strictRules = (rules: object) => ({
  $$strict: true,
  ...Object.fromEntries(
    Object.entries(rules as Record<string, ValidationRule>).map(([name, rule]) => [name, withoutNull(rule)]),
  ),
});

/** A part of a service's actions, for a file of its own. */
export const actionsOf =
  <C extends ServiceContract, This = object>() =>
  <Names extends keyof C["actions"]>(
    actions: Pick<ServiceDefinition<C>["actions"], Names> & ThisType<Service & This>,
  ): Pick<ServiceDefinition<C>["actions"], Names> =>
    actions;

/**
 * A Moleculer schema made of a typed definition. `This` is what the mixins lend.
 * Visibility follows from `auth`: only `internal` actions are hidden from the gateway.
 */
export function service<C extends ServiceContract, This = object>(
  definition: ServiceDefinition<C> & ThisType<Service & This>,
): ServiceSchema {
  const actions = Object.entries<ActionDefinition<object, unknown>>(definition.actions).map(
    ([name, definition]): [string, object] => {
      const {
        rules,
        safe = false,
        idempotent = false,
        projectBound = false,
        docs: _docs,
        ...action
      } = definition;
      return [
        name,
        {
          ...action,
          safe,
          projectBound,
          params: strictRules(rules),
          visibility: action.auth === "internal" ? "public" : "published",
          retryPolicy: { enabled: safe || idempotent },
        },
      ];
    },
  );
  const schema: ServiceSchema = { ...definition, actions: Object.fromEntries(actions) };
  const said = Object.entries<ActionDefinition<object, unknown>>(definition.actions);
  documented.set(schema, Object.fromEntries(said.map(([name, { docs }]) => [name, docs])));
  return schema;
}

/** Apart from the schemas: Moleculer sends those to every node, and no node needs the docs. */
const documented = new WeakMap<ServiceSchema, Record<string, ActionDocs | undefined>>();

/** The docs of a service's actions, by action name. */
export const docsOf = (schema: ServiceSchema): Record<string, ActionDocs | undefined> =>
  documented.get(schema) ?? {};

/** The origin of a call: the context that it belongs to, or the broker for a call that begins here. */
export type Caller = Pick<ServiceBroker, "call"> | Context<never, never>;

/** The request and the span that a message over the broker belongs to; of a message that begins something, none. */
function originOptions(): { requestID?: string; meta?: { trace: string } } {
  const origin = originHere();
  return origin === null ? {} : { requestID: origin.request_id, meta: { trace: origin.trace } };
}

/** The calls that a contract offers, typed on the caller's side. */
export function remote<C extends ServiceContract>(name: C["name"]) {
  return {
    /**
     * Calls one action. Throws its problem, or Moleculer's error when no node answers.
     * @param nodeID the one node that can answer, where it holds what the call is about
     */
    call<A extends keyof C["actions"] & string>(
      from: Caller,
      action: A,
      params: C["actions"][A]["params"],
      nodeID?: string,
    ): Promise<C["actions"][A]["result"]> {
      const { meta, ...options } = originOptions();
      // The actor comes from `ctx.locals`, never from `ctx.meta`, which a callee may have changed.
      const actor =
        "locals" in from
          ? { actor: (from as { locals: Meta }).locals.actor ?? null, conditions: null }
          : undefined;
      return (from as Pick<ServiceBroker, "call">).call<C["actions"][A]["result"], object>(
        `${name}.${action}`,
        params,
        { ...options, meta: { ...meta, ...actor }, ...(nodeID !== undefined && { nodeID }) },
      );
    },
  };
}

/** A broker event that may be lost: a listener that needs it for correctness also reads Postgres. */
export interface Hint<Payload extends object> {
  readonly name: string;
  /** Carries the type alone; it has no value. */
  readonly payload?: Payload;
}

export type Subscriptions = Record<string, { handler(this: Service, ctx: Context<unknown>): Promise<void> }>;

/** Declares a hint by its name on the wire. */
export const hint = <Payload extends object>(name: string): Hint<Payload> => ({ name });

/** Sends a hint to every node of each service that listens. Never throws and never waits: it is a hint. */
export function broadcast<Payload extends object>(
  broker: ServiceBroker,
  { name }: Hint<Payload>,
  payload: Payload,
): void {
  // A closed transporter throws before there is a promise.
  void traced(`publish ${name}`, "producer", {}, () =>
    Promise.try(() => broker.broadcast(name, payload, originOptions())),
  ).catch((error: unknown) => broker.logger.warn(`hint ${name} was not sent`, error));
}

/** Whether a node listens to a hint, as far as this node knows. */
export const isHeard = (broker: ServiceBroker, { name }: { readonly name: string }): boolean =>
  broker.registry.events.getAllEndpoints(name).length > 0;

/** Listens to a hint. An error of the handler is logged here, since Moleculer has no caller to give it to. */
export function on<Payload extends object, This = Service>(
  { name }: Hint<Payload>,
  handler: (this: This, payload: Payload) => void | Promise<void>,
): Subscriptions {
  return {
    [name]: {
      handler(ctx) {
        const { trace } = ctx.meta as Meta;
        const beginning = {
          service: { broker: this.broker, name: this.name },
          name: `receive ${name}`,
          kind: "consumer",
          requestId: ctx.requestID ?? ctx.id,
          parent: placeOf(trace),
        } as const;
        return begin(beginning, async () => {
          try {
            await handler.call(this as This, ctx.params as Payload);
          } catch (error) {
            this.logger.error(`handling the hint ${name} failed`, error);
            throw error;
          }
        }).catch(() => {});
      },
    },
  };
}
