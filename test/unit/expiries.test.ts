import { expect, test } from "@jest/globals";
import { Expiries } from "../../services/notifier/expiries.ts";

const socketUntil = (expiresAt: number | null) => ({ disconnected: false, data: { expiresAt } });

test("a socket is due once its token has expired: not before, and not after another token, or once it is gone", () => {
  const expiries = new Expiries<ReturnType<typeof socketUntil>>();
  const [early, late, renewed, forever, gone] = [10_000, 10_400, 10_000, null, 10_000].map(socketUntil) as [
    ReturnType<typeof socketUntil>,
    ReturnType<typeof socketUntil>,
    ReturnType<typeof socketUntil>,
    ReturnType<typeof socketUntil>,
    ReturnType<typeof socketUntil>,
  ];
  for (const socket of [early, late, renewed, forever, gone]) expiries.set(socket, socket.data.expiresAt);
  expiries.set(renewed, 20_000);
  expiries.forget(gone);
  expect(expiries.due(9_999)).toEqual([]);
  expect(expiries.due(10_000)).toEqual([early]);
  expect(new Set(expiries.due(19_999))).toEqual(new Set([early, late]));
  for (const socket of [early, late]) expiries.forget(socket);
  // A beat may come late.
  expect(expiries.due(90_000)).toEqual([renewed]);
  // Its request for another token may outlive a socket.
  expiries.forget(renewed);
  expiries.set(Object.assign(renewed, { disconnected: true }), 30_000);
  expect(expiries.due(90_000)).toEqual([]);
});
