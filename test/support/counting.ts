import type { Answer } from "./answer.ts";

/** 1 … n */
export const upTo = (n: number): number[] => Array.from({ length: n }, (_, index) => index + 1);

/** The number of answers of each status. */
export function tally(answers: Answer[]): Record<number, number> {
  const counts: Record<number, number> = {};
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}
