/**
 * The list is zxcvbn-ts's (MIT): passwords out of breaches, the most common first, in lower case. ASVS 5.0 (6.2.4) asks
 * for the 3,000 most common ones that the other rules let through; shorter ones do not count.
 */
import { dictionary } from "@zxcvbn-ts/language-common";
import { keyOf } from "../../core/text.ts";

/** Passwords of at least MIN_CHARACTERS that are refused. */
const MOST_COMMON = 3000;
/** docs/reference.md, Passwords. */
const MIN_CHARACTERS = 8;

const ranked = dictionary["passwords-common"];
const last = ranked.filter(({ length }) => length >= MIN_CHARACTERS)[MOST_COMMON - 1];
const COMMON: ReadonlySet<string> = new Set(ranked.slice(0, ranked.indexOf(last as string) + 1));

/** Whether a password is one of the most common ones, in any letter case. */
export const isCommonPassword = (password: string): boolean => COMMON.has(keyOf(password));
