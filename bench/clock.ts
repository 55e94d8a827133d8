/** What has to be added to performance.now for the time of day, in milliseconds: found at a tick of the clock. */
export function clockOffset(): number {
  const before = Date.now();
  let now = before;
  while (now === before) now = Date.now();
  return now - performance.now();
}
