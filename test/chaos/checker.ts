/** Judges a recording: pure functions, so that a run can be judged again. */
import { checkAccess } from "./check-access.ts";
import { checkDelivery } from "./check-delivery.ts";
import { checkDragging } from "./check-dragging.ts";
import { checkRewinds, type Rewind } from "./check-rewinds.ts";
import { checkRows, checkWrites } from "./check-writes.ts";
import { Findings } from "./findings.ts";
import { Histories } from "./histories.ts";
import { checkLateness } from "./lateness.ts";
import { type Outage, outagesOf } from "./outages.ts";
import type { Recording } from "./recording.ts";
import { checkStores } from "./check-stores.ts";
import { checkSteps, type Step, stepsOf } from "./rolling-steps.ts";

export interface Verdict {
  findings: Findings;
  /** Milliseconds from commit to receipt, by fault. */
  lateness: Map<string, number[]>;
  outages: Outage[];
  rewinds: Rewind[];
  /** Of a rollout. */
  steps: Step[];
}

export function judge(recording: Recording): Verdict {
  const findings = new Findings();
  const histories = new Histories(recording.histories);
  checkDelivery(recording, histories, findings);
  checkAccess(recording, histories, findings);
  checkWrites(recording, histories, findings);
  checkRows(recording, findings);
  checkStores(recording, findings);
  checkDragging(recording, findings);
  const lateness = checkLateness(recording, histories, findings);
  for (const { node, how } of recording.exits) findings.add("processes_ended", `${node}: ${how}`);
  for (const { node, line } of recording.rejections) findings.add("unhandled_rejections", `${node}: ${line}`);
  for (const fault of recording.state.faults) findings.add("unsound", fault);
  const steps = stepsOf(recording);
  checkSteps(steps, findings);
  const rewinds = checkRewinds(recording, histories, findings);
  return { findings, lateness, outages: outagesOf(recording, histories), rewinds, steps };
}
