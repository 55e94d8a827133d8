import type { Person } from "./api.ts";

const [FIRST_MS, LONGEST_MS] = [1500, 24_000];

/**
 * Uses a personal token before it ends, which is soon. On a machine that is too slow for that, another one that lives longer.
 * @param use returns null where the token had ended before
 * @returns what `use` did, and how many milliseconds the token lived
 * @throws Error when no token lived long enough
 */
export async function useShortToken<Result>(
  { api }: Person,
  use: (token: string) => Promise<Result | null>,
): Promise<{ token: string; result: Result; ms: number }> {
  for (let ms = FIRST_MS; ms <= LONGEST_MS; ms *= 2) {
    const expires_at = new Date(Date.now() + ms).toISOString();
    const { token } = await api.must("POST", "/auth/tokens", { name: "Short", scope: "read", expires_at });
    const result = await use(token as string);
    if (result !== null) return { token, result, ms };
  }
  throw new Error(`a token of ${LONGEST_MS} ms had ended before it was used`);
}
