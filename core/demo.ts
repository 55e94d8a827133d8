/**
 * The account of the demo (`npm run seed`) that the login page offers where it is there. Everybody knows its password:
 * production neither fills the demo in nor offers it.
 */
export const DEMO = { login: "demo-owner", password: "demo demo demo" } as const;
