/**
 * What core/kit.ts refuses to compile. `tsc -p .` checks this file and nobody runs it: an error that goes missing
 * leaves its directive unused, which is an error too. Each wrong line differs from a right one in one thing.
 */
import type { Context, Service, ServiceBroker } from "moleculer";
import {
  type Actor,
  broadcast,
  hint,
  on,
  remote,
  service,
  type ServiceContract,
  type ServiceDefinition,
} from "../../core/kit.ts";

interface ThingsContract extends ServiceContract {
  name: "things";
  actions: { get: { params: { id: string; note?: string }; result: number } };
}
type Actions = ServiceDefinition<ThingsContract>["actions"];

declare const broker: ServiceBroker;
declare const ctx: Context<{ id: string }, { actor?: Actor | null }>;

/** A service of these actions; of this one action. */
const things = (actions: Actions) => service<ThingsContract>({ name: "things", actions });
const action = (get: Actions["get"]) => things({ get });

const rules = { id: "string", note: "string" } as const;
const docs = { summary: "Get a thing", answer: null };
const handler = () => 1;
const get = { auth: "user", docs, rules, handler } as const;

// ── A service has its contract's name and actions, all of them and no other ──────────────────────────────────────────

things({ get });

// @ts-expect-error An action of the contract is missing.
things({});

// @ts-expect-error An action is not in the contract.
things({ get, put: get });

// @ts-expect-error The service has another name than the contract.
service<ThingsContract>({ name: "others", actions: { get } });

// ── An action has the contract's result ──────────────────────────────────────────────────────────────────────────────

action({ auth: "user", docs, rules, handler: () => 1 });
action({ auth: "user", docs, rules, handler: async () => 1 });

// @ts-expect-error The result is of another type.
action({ auth: "user", docs, rules, handler: () => "one" });

// @ts-expect-error The result that is promised is of another type.
action({ auth: "user", docs, rules, handler: async () => "one" });

// @ts-expect-error There is no result.
action({ auth: "user", docs, rules, handler: () => {} });

// ── It has a rule for each of its params ─────────────────────────────────────────────────────────────────────────────

action({ auth: "user", docs, rules: { id: "string", note: "string" }, handler });

// @ts-expect-error A param has no rule.
action({ auth: "user", docs, rules: { note: "string" }, handler });

// @ts-expect-error An optional param has no rule.
action({ auth: "user", docs, rules: { id: "string" }, handler });

// @ts-expect-error A rule is for a param that the contract does not have.
action({ auth: "user", docs, rules: { id: "string", note: "string", role: "string" }, handler });

// @ts-expect-error There are no rules.
action({ auth: "user", docs, handler });

// ── It says who may call it, and so knows who calls ──────────────────────────────────────────────────────────────────

action({ auth: "user", docs, rules, handler: ({ locals }) => locals.actor.id.length });
action({ auth: "public", docs, rules, handler: ({ locals }) => locals.actor?.id.length ?? 0 });

// @ts-expect-error It does not say who may call it.
action({ docs, rules, handler });

// @ts-expect-error It is for somebody who does not exist.
action({ auth: "root", docs, rules, handler });

// @ts-expect-error Who calls a public action may be nobody.
action({ auth: "public", docs, rules, handler: ({ locals }) => locals.actor.id.length });

// @ts-expect-error Who calls an internal action may be nobody.
action({ auth: "internal", rules, handler: ({ locals }) => locals.actor.id.length });

// @ts-expect-error Nobody changes who is asking.
action({ auth: "user", docs, rules, handler: ({ locals }) => (locals.actor.id = "2").length });

// ── What clients reach is in the document ────────────────────────────────────────────────────────────────────────────

action({ auth: "internal", rules, handler });

// @ts-expect-error A client developer would find nothing about it.
action({ auth: "user", rules, handler });

// @ts-expect-error Nobody outside can call it.
action({ auth: "internal", docs, rules, handler });

// ── Its handler gets the contract's params, and what the mixins lend ─────────────────────────────────────────────────

action({ auth: "user", docs, rules, handler: ({ params }) => params.id.length });

// @ts-expect-error The contract has no such param.
action({ auth: "user", docs, rules, handler: ({ params }) => Number(params.size) });

// @ts-expect-error The param is optional.
action({ auth: "user", docs, rules, handler: ({ params }) => params.note.length });

service<ThingsContract, { lent: number }>({
  name: "things",
  actions: {
    get: {
      auth: "user",
      docs,
      rules,
      handler() {
        return this.lent;
      },
    },
  },
});

service<ThingsContract, { lent: string }>({
  name: "things",
  actions: {
    get: {
      auth: "user",
      docs,
      rules,
      // @ts-expect-error What the mixin lends is of another type than the result.
      handler() {
        return this.lent;
      },
    },
  },
});

// ── Calls name an action of the contract, with its params, for its result ────────────────────────────────────────────

const far = remote<ThingsContract>("things");
export const one: Promise<number> = far.call(broker, "get", { id: "1" });
export const two: Promise<number> = far.call(ctx, "get", { id: "1", note: "n" });

// @ts-expect-error The contract is another service's.
remote<ThingsContract>("others");

// @ts-expect-error There is no such action.
void far.call(broker, "put", { id: "1" });

// @ts-expect-error A param is missing.
void far.call(broker, "get", {});

// @ts-expect-error A param is of another type.
void far.call(broker, "get", { id: 1 });

// @ts-expect-error There is no such param.
void far.call(broker, "get", { id: "1", role: "admin" });

// @ts-expect-error There are no params.
void far.call(broker, "get");

// @ts-expect-error The result is of another type.
export const three: Promise<string> = far.call(broker, "get", { id: "1" });

// @ts-expect-error The result is promised, not there.
export const four: number = far.call(broker, "get", { id: "1" });

// ── Hints carry their payload ────────────────────────────────────────────────────────────────────────────────────────

const moved = hint<{ to: string }>("things.moved");
broadcast(broker, moved, { to: "there" });
on(moved, ({ to }) => void to.length);
on<{ to: string }, Service & { size: number }>(moved, function ({ to }) {
  this.size = to.length;
});

// @ts-expect-error The payload is of another type.
broadcast(broker, moved, { to: 1 });

// @ts-expect-error The payload lacks a field.
broadcast(broker, moved, {});

// @ts-expect-error The payload has no such field.
on(moved, ({ from }) => void from);
