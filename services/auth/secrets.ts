import { createHash, randomBytes } from "node:crypto";

/** 256 random bits, as text that fits into a URL. */
export const newSecret = (): string => randomBytes(32).toString("base64url");

/** What is stored of a token. A fast hash is right for a secret that nobody can guess. */
export const hashOf = (token: string): Buffer => createHash("sha256").update(token).digest();
