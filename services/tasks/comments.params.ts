import * as rules from "../../core/rules.ts";

export const body = { ...rules.text(1, 10_000), trim: true } as const;
