/** The error's own message; never a stack. */
export function explain(error: unknown): string {
  const { message, code, errors } = error as NodeJS.ErrnoException & { errors?: unknown[] };
  // An AggregateError (several addresses, none of which answered) has no message: its first error has one.
  return message || (errors?.[0] !== undefined ? explain(errors[0]) : (code ?? String(error)));
}
