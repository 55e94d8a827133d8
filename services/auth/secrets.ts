import { createHash, randomBytes } from "node:crypto";

/** 256 random bits, as text that fits into a URL. */
export const newSecret = (): string => randomBytes(32).toString("base64url");

/** The hash that is stored in place of a token. A fast one will do: nobody can guess 256 bits. */
export const hashOf = (token: string): Buffer => createHash("sha256").update(token).digest();
