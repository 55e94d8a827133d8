/**
 * The list is zxcvbn-ts's (MIT): passwords out of breaches, the most common first, in lower case. ASVS 5.0 (6.2.4)
 * counts the 3,000 among those that the other rules let through: shorter ones would fill most of the list for nothing.
 */
import { dictionary } from "@zxcvbn-ts/language-common";
import { keyOf } from "../../core/text.ts";

/** How many of the passwords that are long enough are refused, at the least. */
const MOST_COMMON = 3000;
/** Characters; docs/reference.md, Passwords. */
const SHORTEST = 8;

const ranked = dictionary["passwords-common"];
const last = ranked.filter(({ length }) => length >= SHORTEST)[MOST_COMMON - 1];
const COMMON: ReadonlySet<string> = new Set(ranked.slice(0, ranked.indexOf(last as string) + 1));

/** Whether a password is one of the most common ones, in any letter case. */
export const isCommonPassword = (password: string): boolean => COMMON.has(keyOf(password));
