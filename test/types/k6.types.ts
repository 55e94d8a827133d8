/**
 * What the Node runner of the load tests offers of k6's modules is k6's own: each of k6's modules (@types/k6) can stand
 * where the runner's does. The compiler checks it. That the scripts use nothing else is checked by
 * `tsc -p loadtest/runner`, and that k6 takes them by `tsc -p loadtest`.
 */
import type * as core from "k6";
import type execution from "k6/execution";
import type http from "k6/http";
import type * as metrics from "k6/metrics";
import type * as timers from "k6/timers";
import type * as websockets from "k6/websockets";
import type { Modules } from "../../loadtest/runner/modules.ts";

type StandsIn<Offered, _Real extends Offered> = Offered;

export type Contract = [
  StandsIn<Modules["k6"], typeof core>,
  StandsIn<Modules["k6/http"], typeof http>,
  StandsIn<Modules["k6/metrics"], typeof metrics>,
  StandsIn<Modules["k6/execution"], typeof execution>,
  StandsIn<Modules["k6/timers"], typeof timers>,
  StandsIn<Modules["k6/websockets"], typeof websockets>,
];
