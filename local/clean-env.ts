/** The variables that other programs get: paths of programs and temporary files, the language, proxies. */
const ALLOWED =
  /^(PATH|HOME|USER|LANG|LANGUAGE|LC_[A-Z]+|TZ|TERM|TMPDIR|TEMP|TMP|(https?|ftp|no|all)_proxy|SystemRoot|windir|ComSpec|PATHEXT)$/i;

/**
 * The environment of Postgres, NATS, Redis and the tools around them. These run for long, and other users can inspect them:
 * the starter's secrets (JWT_SECRET, ADMIN_PASSWORD, a cloud's keys) stay out of it.
 */
export function cleanEnv(more: Record<string, string> = {}): NodeJS.ProcessEnv {
  return {
    ...Object.fromEntries(Object.entries(process.env).filter(([name]) => ALLOWED.test(name))),
    ...more,
  };
}
