/** What went wrong, in the error's own words; never a stack. */
export function explain(error: unknown): string {
  const { message, code, errors } = error as NodeJS.ErrnoException & { errors?: unknown[] };
  // Of several addresses that were tried, none of which answered (AggregateError), the first one speaks.
  return message || (errors?.[0] !== undefined ? explain(errors[0]) : (code ?? String(error)));
}
