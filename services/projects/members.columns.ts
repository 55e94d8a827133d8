import { defineColumns } from "../../mixins/columns.ts";
import type { Member } from "./projects.contract.ts";

/** A row of projects.members. */
export interface MemberRow extends Pick<Member, "user_id" | "role" | "created_at"> {
  project_id: string;
}

export const memberColumns = defineColumns<MemberRow, Pick<Member, "role">>({
  project_id: { type: "uuid", once: true },
  user_id: { type: "uuid", once: true },
  role: { type: "text", required: true },
  created_at: { type: "timestamptz", once: true },
});
