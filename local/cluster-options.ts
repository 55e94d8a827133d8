/** The arguments of `npm run cluster`. */
import { parseArgs } from "node:util";
import { type Sizes, USUAL_SIZES } from "./cluster-layout.ts";

/** More than any machine has a use for. */
const MOST = 20;
const NAMES = Object.keys(USUAL_SIZES) as (keyof Sizes)[];

/**
 * @param args such as `--gateways 2 --tasks 3`; what is not named has its usual number
 * @throws Error in one line that says how it is used
 */
export function readSizes(args: string[]): Sizes {
  const usage = `Usage: npm run cluster -- ${NAMES.map((name) => `[--${name} N]`).join(" ")}, each from 1 to ${MOST}`;
  let values: Partial<Record<string, string>>;
  try {
    const options = Object.fromEntries(NAMES.map((name) => [name, { type: "string" as const }]));
    ({ values } = parseArgs({ args, options }));
  } catch {
    throw new Error(usage);
  }
  const sizes = { ...USUAL_SIZES };
  for (const name of NAMES) {
    const { [name]: value } = values;
    if (value === undefined) continue;
    sizes[name] = Number(value);
    if (!/^\d{1,2}$/.test(value) || sizes[name] < 1 || sizes[name] > MOST) throw new Error(usage);
  }
  return sizes;
}
