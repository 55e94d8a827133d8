import { pageRules } from "../../core/pagination.ts";
import * as rules from "../../core/rules.ts";
import { eventStreamRules, logPageRules } from "../events.ts";
import { PROJECT_SORTS } from "./projects.list.ts";

/** The project in a path. */
export const project = { ...rules.text(1, 100), description: "A project's id or slug." } as const;

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
  q: {
    ...rules.text(1, 100),
    optional: true,
    trim: true,
    description: "A part of a name, or a whole slug.",
  },
  include_deleted: { ...rules.flag, description: "`true`: also deleted projects that you may restore." },
  ...pageRules(...PROJECT_SORTS),
} as const;

export const listEventsRules = { project, ...logPageRules };
export const streamEventsRules = { project, ...eventStreamRules };
