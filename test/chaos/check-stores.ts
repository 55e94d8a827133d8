/** Clients of the SDK end with what REST says, and with nothing that waits. */
import type { Findings } from "./findings.ts";
import type { Recording } from "./recording.ts";

export function checkStores({ stores = [] }: Recording, findings: Findings): void {
  for (const { client, stream, status, waiting, differences, doubled, errors } of stores) {
    const of = `${client} ${stream} (${status})`;
    if (status !== "live" && status !== "closed") findings.add("store_differs", `${of} is not live`);
    if (differences.length > 0)
      findings.add("store_differs", `${of}: ${differences.length}, ${differences.slice(0, 3).join(", ")}`);
    for (const text of doubled) findings.add("doubled", `${of}: ${text}`);
    if (waiting > 0) findings.add("store_waits", of, waiting);
    for (const error of errors) findings.add("store_differs", `${of}: ${error}`);
  }
}
