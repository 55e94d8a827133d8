import { stringifySetCookie } from "cookie";
import { REFRESH_COOKIE } from "./auth.contract.ts";

/** Both prefixes of the API: a cookie has one path (docs/reference.md, Cookie mode). */
const PATHS = ["/auth", "/api/v1/auth"];

const cookies = (value: string, maxAge: number): string[] =>
  PATHS.map((path) =>
    stringifySetCookie({
      name: REFRESH_COOKIE,
      value,
      path,
      maxAge,
      httpOnly: true,
      secure: true,
      sameSite: "strict",
    }),
  );

/** Response headers that set the refresh token as a cookie, where no script can read it. */
export const setRefreshCookie = (token: string, ttlS: number) => ({ "Set-Cookie": cookies(token, ttlS) });

/** Response headers that delete the cookie. */
export const clearRefreshCookie = () => ({ "Set-Cookie": cookies("", 0) });
