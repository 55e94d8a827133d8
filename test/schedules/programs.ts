/** Programs: what users and operators do, and which hints and queries fail meanwhile. Their order is the scheduler's. */
import fc from "fast-check";

export type Step =
  | { kind: "connect"; user: number; behind: number | null }
  | { kind: "reconnect" | "leave"; nth: number }
  | { kind: "write" | "forget"; project: number }
  | { kind: "member"; user: number; project: number; is: boolean }
  | { kind: "subscribe" | "unsubscribe"; nth: number; project: number }
  | { kind: "restore"; behind: number }
  | { kind: "beat" }
  /** Everything that is under way comes to its end. */
  | { kind: "rest" };

export interface Program {
  steps: Step[];
  /** Which hints are lost, in turn. */
  lost: boolean[];
  /** Which queries find Postgres away, in turn. */
  away: boolean[];
  /** Which answers come late, in turn. */
  slow: boolean[];
}

const nth = fc.nat({ max: 3 });

/** The steps of a program, each kind by its weight, in so many projects of so many users. */
function stepsOf(weights: Partial<Record<Step["kind"], number>>, things = 2): fc.Arbitrary<Step[]> {
  const index = fc.constantFrom(0, ...Array(things).keys());
  const kinds: Record<Step["kind"], fc.Arbitrary<object>> = {
    connect: fc.record({ user: index, behind: fc.option(fc.nat({ max: 9 })) }),
    reconnect: fc.record({ nth }),
    leave: fc.record({ nth }),
    write: fc.record({ project: index }),
    forget: fc.record({ project: index }),
    member: fc.record({ user: index, project: index, is: fc.boolean() }),
    subscribe: fc.record({ nth, project: index }),
    unsubscribe: fc.record({ nth, project: index }),
    restore: fc.record({ behind: fc.integer({ min: 1, max: 4 }) }),
    beat: fc.record({}),
    rest: fc.record({}),
  };
  const step = fc.oneof(
    ...(Object.entries(weights) as [Step["kind"], number][]).map(([kind, weight]) => ({
      weight,
      arbitrary: kinds[kind].map((rest) => ({ kind, ...rest }) as Step),
    })),
  );
  return fc.array(step, { minLength: 6, maxLength: 24, size: "max" });
}

/** Programs of everything, and programs that stay with one kind of trouble for long. */
const steps = fc.oneof(
  stepsOf({
    connect: 3,
    reconnect: 1,
    leave: 2,
    write: 6,
    forget: 1,
    member: 4,
    subscribe: 1,
    unsubscribe: 1,
    beat: 3,
    restore: 1,
    rest: 1,
  }),
  stepsOf({ connect: 3, leave: 3, write: 5, beat: 3, rest: 1 }, 1),
  stepsOf({ connect: 2, member: 6, write: 2, beat: 2, rest: 1 }, 1),
  stepsOf({ connect: 3, member: 3, write: 3, beat: 1, restore: 2, rest: 2 }, 1),
  stepsOf({ connect: 2, member: 4, write: 2, beat: 2, forget: 2, rest: 2 }, 1),
);

/** Nothing of the kind in most programs; in the others now and then. */
const nowAndThen = fc.oneof(
  { weight: 3, arbitrary: fc.constant<boolean[]>([false]) },
  {
    weight: 1,
    arbitrary: fc.array(
      fc.nat({ max: 5 }).map((n) => n === 0),
      { minLength: 4, maxLength: 12 },
    ),
  },
);

export const programs: fc.Arbitrary<Program> = fc.record({
  steps,
  lost: fc.array(fc.boolean(), { minLength: 1, maxLength: 5 }),
  away: nowAndThen,
  slow: nowAndThen,
});
