import { pageRules } from "../../core/pagination.ts";
import * as rules from "../../core/rules.ts";
import { MEMBER_SORTS } from "./members.queries.ts";
import { PROJECT_ROLES } from "./projects.contract.ts";
import { project } from "./projects.params.ts";

const role = { type: "enum", values: [...PROJECT_ROLES] } as const;

/** The member in a path, by the user's id. */
export const memberRules = { project, user_id: rules.nestedId };
export const updateMemberRules = { ...memberRules, role };
export const addMemberRules = { project, user_id: rules.id, role };
export const listMembersRules = { project, ...pageRules(...MEMBER_SORTS) };
