/**
 * The columns of a table, named once. A resource lists them in `<name>.columns.ts`:
 *
 *     export const tasks = defineColumns<TaskRow, TaskInput, "completed_at">({
 *       id: { type: "uuid", once: true },                written by INSERT alone
 *       title: { type: "text", required: true },         a client must set it
 *       description: { type: "text", default: null },    a client may set it
 *       completed_at: { type: "timestamptz", told: true },   the service sets it, and events tell its changes
 *       version: { type: "int" },                        the service sets it
 *     });
 *
 * The compiler asks for each column of the row, and for each field of the input in the way that the client gives it.
 * Statements, defaults and the changes that events tell are made of the list when the service loads.
 */
import type { Change } from "../core/events.ts";

interface Typed {
  /** Of Postgres, as `json_to_recordset` reads the value. */
  readonly type: string;
}

type ColumnOf<Row, Input, Told, Name extends keyof Row> = Name extends keyof Input
  ? object extends Pick<Input, Name>
    ? Typed & { readonly default: Exclude<Input[Name], undefined> }
    : Typed & { readonly required: true }
  : Name extends Told
    ? Typed & { readonly told: true }
    : Typed & { readonly once?: true };

/** One entry for each column of `Row`. `Told`: columns that clients don't set and of whose changes events tell. */
export type ColumnList<Row, Input, Told extends keyof Row> = {
  readonly [Name in keyof Required<Row>]: ColumnOf<Row, Input, Told, Name>;
};

type OptionalKey<Input> = {
  [Name in keyof Input]-?: object extends Pick<Input, Name> ? Name : never;
}[keyof Input];

export interface Columns<Row extends object, Input extends object, Told extends keyof Row> {
  readonly list: ColumnList<Row, Input, Told>;
  readonly count: number;
  /** Columns that an UPDATE writes. */
  readonly changing: readonly (keyof Row & string)[];
  /** Columns of whose changes events tell. */
  readonly told: readonly ((keyof Input | Told) & string)[];
  /** Values of what a client leaves out of a creation or of a full replacement. */
  readonly defaults: { readonly [Name in OptionalKey<Input>]-?: Exclude<Input[Name], undefined> };
  /** `id, title, …` */
  readonly names: string;
  /** `t.id, t.title, …`: what a SELECT from the table, called `t`, reads. */
  readonly selected: string;
  /** `id uuid, title text, …`: the columns of `json_to_recordset`. */
  readonly definitions: string;
  /** `$1, $2, …` for `valuesOf`, beginning at `$first`. */
  parameters(first: number): string;
  valuesOf(row: Row): unknown[];
  /** `title = $3, …` for `changingValuesOf` without the same columns, beginning at `$first`. */
  assignments(first: number, without?: readonly (keyof Row)[]): string;
  changingValuesOf(row: Row, without?: readonly (keyof Row)[]): unknown[];
  /** `title = g.title, …` */
  assignmentsFrom(source: string): string;
  /** The told columns that differ. */
  changesBetween(before: Row, after: Row): { [Name in (keyof Input & keyof Row) | Told]?: Change<Row[Name]> };
}

/** @param list in the order in which statements and events name the columns */
export function defineColumns<Row extends object, Input extends object, Told extends keyof Row = never>(
  list: ColumnList<Row, Input, Told>,
): Columns<Row, Input, Told> {
  type Name = keyof Row & string;
  const columns = Object.entries(list) as [Name, Typed & Record<string, unknown>][];
  const namesWhere = (holds: (column: object) => boolean): Name[] =>
    columns.filter(([, column]) => holds(column)).map(([name]) => name);
  const all = namesWhere(() => true);
  const changing = namesWhere((column) => !("once" in column));
  const written = (without: readonly (keyof Row)[] = []): Name[] =>
    changing.filter((name) => !without.includes(name));
  const told = namesWhere((column) => "required" in column || "default" in column || "told" in column);
  const defaults = columns.filter(([, column]) => "default" in column);

  return {
    list,
    count: all.length,
    changing,
    told: told as unknown as Columns<Row, Input, Told>["told"],
    defaults: Object.fromEntries(defaults.map(([name, column]) => [name, column.default])) as Columns<
      Row,
      Input,
      Told
    >["defaults"],
    names: all.join(", "),
    selected: all.map((name) => `t.${name}`).join(", "),
    definitions: columns.map(([name, { type }]) => `${name} ${type}`).join(", "),
    parameters: (first) => all.map((_name, n) => `$${first + n}`).join(", "),
    valuesOf: (row) => all.map((name) => row[name]),
    assignments: (first, without) =>
      written(without)
        .map((name, n) => `${name} = $${first + n}`)
        .join(", "),
    changingValuesOf: (row, without) => written(without).map((name) => row[name]),
    assignmentsFrom: (source) => changing.map((name) => `${name} = ${source}.${name}`).join(", "),
    changesBetween: (before, after) =>
      Object.fromEntries(
        told
          .filter((name) => before[name] !== after[name])
          .map((name) => [name, { old: before[name], new: after[name] }]),
      ) as ReturnType<Columns<Row, Input, Told>["changesBetween"]>,
  };
}
