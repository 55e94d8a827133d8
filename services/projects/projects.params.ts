import { pageRules } from "../../core/pagination.ts";
import * as rules from "../../core/rules.ts";
import { PROJECT_SORTS } from "./projects.list.ts";

/** The project in a path: its id or its slug. */
export const project = rules.text(1, 100);

const name = { ...rules.line(1, 100), trim: true } as const;
const description = { ...rules.text(0, 10_000), optional: true, nullable: true } as const;
const slug = {
  type: "string",
  optional: true,
  min: 1,
  max: 64,
  pattern: "^[a-z0-9]+(?:-[a-z0-9]+)*$",
} as const;
const status = { type: "enum", values: ["active", "archived"], optional: true } as const;

export const createRules = { name, description, slug };
export const replaceRules = { project, ...createRules, status };
export const patchRules = { ...replaceRules, name: { ...name, optional: true } } as const;

export const listRules = {
  status: rules.commaList(status.values),
  q: { ...rules.text(1, 100), optional: true, trim: true },
  include_deleted: rules.flag,
  ...pageRules(...PROJECT_SORTS),
} as const;

export const listEventsRules = {
  project,
  after: rules.wholeNumber({ min: 0, max: Number.MAX_SAFE_INTEGER, default: 0 }),
  limit: pageRules().limit,
};
