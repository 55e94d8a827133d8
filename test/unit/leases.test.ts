/** Points that gateways take ahead: fewer round trips, and never more requests than the budget has. */
import { expect, test } from "@jest/globals";
import type { RateLimiterRes } from "rate-limiter-flexible";
import { RateLimiterMemory } from "rate-limiter-flexible";
import { Leases } from "../../services/api-gateway/leases.ts";

/** A budget that gateways share, and the round trips to it. */
class Shared extends RateLimiterMemory {
  trips = 0;

  override async consume(...args: Parameters<RateLimiterMemory["consume"]>): Promise<RateLimiterRes> {
    this.trips += 1;
    await new Promise((resolve) => setImmediate(resolve));
    return super.consume(...args);
  }
}

const gateways = (points: number, count = 1) => {
  const shared = new Shared({ points, duration: 60 });
  return { shared, each: Array.from({ length: count }, () => new Leases(shared, points)) };
};
const takeAll = async (leases: Leases, requests: number) => {
  const left: number[] = [];
  for (let nth = 0; nth < requests; nth++) {
    const { state, enough } = await leases.take("ada");
    if (enough) left.push(state.remainingPoints);
  }
  return left;
};

test("of one gateway, each request is told what is left, the last ones too, and then it is refused", async () => {
  const {
    shared,
    each: [leases],
  } = gateways(1000);
  const left = await takeAll(leases as Leases, 1010);
  expect(left).toEqual(Array.from({ length: 1000 }, (_, nth) => 999 - nth));
  expect(shared.trips).toBeLessThan(150);
});

test("a small budget is counted one by one", async () => {
  const {
    shared,
    each: [leases],
  } = gateways(150);
  expect(await takeAll(leases as Leases, 151)).toHaveLength(150);
  expect(shared.trips).toBe(151);
});

test("several gateways and requests at once never let more through than the budget, and hold back a hundredth each", async () => {
  const { each } = gateways(300, 4);
  const taken = await Promise.all(
    Array.from({ length: 600 }, (_, nth) => (each[nth % 4] as Leases).take("ada")),
  );
  const through = taken.filter(({ enough }) => enough).length;
  expect(through).toBeLessThanOrEqual(300);
  expect(through).toBeGreaterThanOrEqual(300 - 4 * 3);
});

test("points that are held end with their window", async () => {
  let now = 0;
  const shared = new Shared({ points: 1000, duration: 60 });
  const leases = new Leases(shared, 1000, () => now);
  expect(await takeAll(leases, 5)).toEqual([999, 998, 997, 996, 995]);
  now = 59_000;
  expect(await takeAll(leases, 1)).toEqual([994]);
  now = 60_000;
  await shared.delete("ada");
  expect(await takeAll(leases, 1)).toEqual([999]);
});
