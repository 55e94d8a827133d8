import { like, object, text, uuid, versionFields } from "../../core/json-schema.ts";
import type { Category } from "./tasks.contract.ts";

export const categoryFields = {
  id: uuid("0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e"),
  name: text("Mathematics"),
  color: like({ type: "string", pattern: "^#[0-9A-F]{6}$" }, "#1E90FF", "`#RRGGBB`"),
};

export const category = object<Category>("Category", { ...categoryFields, ...versionFields });
