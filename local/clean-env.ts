/** What a program that is not ours may know: where programs and temporary files lie, the language, the way out. */
const ALLOWED =
  /^(PATH|HOME|USER|LANG|LANGUAGE|LC_[A-Z]+|TZ|TERM|TMPDIR|TEMP|TMP|(https?|ftp|no|all)_proxy|SystemRoot|windir|ComSpec|PATHEXT)$/i;

/**
 * The environment of Postgres, NATS, Redis and the tools around them. They run for long, and for other users to look
 * at: the starter's secrets (JWT_SECRET, ADMIN_PASSWORD, a cloud's keys) stay with the starter.
 */
export function cleanEnv(more: Record<string, string> = {}): NodeJS.ProcessEnv {
  return {
    ...Object.fromEntries(Object.entries(process.env).filter(([name]) => ALLOWED.test(name))),
    ...more,
  };
}
