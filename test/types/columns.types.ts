/**
 * What mixins/columns.ts refuses to compile. `tsc -p .` checks this file and nobody runs it: an error that goes missing
 * leaves its directive unused, which is an error too. Each wrong list differs from a right one in one thing.
 */
import { type ColumnList, defineColumns } from "../../mixins/columns.ts";

interface Row {
  id: string;
  title: string;
  size: number | null;
  done_at: string | null;
}
interface Input {
  title: string;
  size?: number | null;
}
const columns = (list: ColumnList<Row, Input, "done_at">) => defineColumns<Row, Input, "done_at">(list);

const id = { type: "uuid", once: true } as const;
const title = { type: "text", required: true } as const;
const size = { type: "int", default: null } as const;
const done_at = { type: "timestamptz", told: true } as const;

columns({ id, title, size, done_at });

// @ts-expect-error A column of the row is missing.
columns({ id, title, size });

// @ts-expect-error A column is not in the row.
columns({ id, title, size, done_at, color: { type: "text" } });

// @ts-expect-error A column has no type.
columns({ id: { once: true }, title, size, done_at });

// @ts-expect-error A field that a client must set has no default.
columns({ id, title: { type: "text", default: "" }, size, done_at });

// @ts-expect-error A field that a client may leave out has a default.
columns({ id, title, size: { type: "int" }, done_at });

// @ts-expect-error The default is a value of the field.
columns({ id, title, size: { type: "int", default: "none" }, done_at });

// @ts-expect-error A field that a client may set changes.
columns({ id, title, size: { type: "int", default: null, once: true }, done_at });

// @ts-expect-error A column that a client doesn't set has no default.
columns({ id: { type: "uuid", default: null }, title, size, done_at });

// @ts-expect-error Events tell the changes of a told column.
columns({ id, title, size, done_at: { type: "timestamptz" } });
