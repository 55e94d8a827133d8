/** What a run must have none of, and what each is called in the table. */
export const FINDINGS = {
  lost: "events that a subscriber never got",
  repeated: "events that a subscriber got twice",
  out_of_order: "events that came after a later one",
  phantom: "frames whose event the log never had",
  altered: "frames that differ from the log",
  late: "frames later than the promise",
  unannounced: "histories that changed without recovered: false",
  misled: "positions that a restore took away from a client that was not told",
  needless_resets: "recovered: false without need",
  leaked: "frames committed after their reader lost the right",
  not_closed: "streams and sockets open after the right was lost",
  streams_missing: "streams that a subscriber should have had at the end",
  state_differs: "tasks whose fold differs from REST at the end",
  store_differs: "stores of the SDK that differ from REST at the end",
  order_differs: "cards that are elsewhere than the last one who dragged them put them",
  store_waits: "changes of the SDK that were not sent at the end",
  sessions_lost: "sessions refused or ended without a cause",
  unredacted: "redacted texts that stayed, or were sent afterwards",
  holes: "missing numbers in the log",
  doubled: "writes that happened twice",
  acknowledged_gone: "acknowledged writes that the log does not have",
  refused_written: "refused writes that the log has",
  rows_differ: "rows that differ from what the last write of them made",
  unsound: "faults that `npm run verify` finds in the database",
  failed_without_fault: "requests that failed while nothing was broken",
  failed_in_restart: "requests that failed while a rollout restarted a node by SIGTERM",
  slow_return: "sockets that came back late in a rollout, or were closed late",
  processes_ended: "processes that ended by themselves",
  unhandled_rejections: "unhandled rejections in the nodes' lines",
} as const;

export type Finding = keyof typeof FINDINGS;

const EXAMPLES = 5;

/** Counts findings, and keeps a few of each to look at. */
export class Findings {
  readonly counts = Object.fromEntries(Object.keys(FINDINGS).map((name) => [name, 0])) as Record<
    Finding,
    number
  >;
  readonly examples = new Map<Finding, string[]>();

  add(finding: Finding, example: string, count = 1): void {
    this.counts[finding] += count;
    const examples = this.examples.get(finding) ?? [];
    if (examples.length < EXAMPLES && count > 0) examples.push(example);
    this.examples.set(finding, examples);
  }

  get isSound(): boolean {
    return Object.values(this.counts).every((count) => count === 0);
  }
}
