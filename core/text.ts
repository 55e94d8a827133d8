/** Text as people see it: which names are the same, and which text is safe on a terminal. */

/**
 * The key of a name: two names with the same key are one name, whatever their letter case and composition.
 * Only this function makes keys, and tables store them: Postgres' `lower()` depends on the server's locale, folds
 * U+212A (KELVIN SIGN) differently from JavaScript, and leaves `É` as it is in some locales.
 */
export const keyOf = (name: string): string => name.normalize("NFC").toLowerCase().normalize("NFC");

/** Control characters, line breaks, and marks that turn the direction of text (UTR 36 §2.2): all of them disguise text. */
const UNPRINTABLE = String.raw`\p{Cc}\p{Zl}\p{Zp}\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069`;
const ANY_UNPRINTABLE = new RegExp(`[${UNPRINTABLE}]`, "u");
const EACH_UNPRINTABLE = new RegExp(`[${UNPRINTABLE}]`, "gu");

export const isPrintable = (text: string): boolean => !ANY_UNPRINTABLE.test(text);

/** A user's text for one line of a terminal: control characters, which a terminal would obey, are written as `\u{1b}`. */
export const printable = (text: string): string =>
  text.replace(EACH_UNPRINTABLE, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`);

/** Without RFC 5321's quoted names and address literals: no real user has one, and they let a stranger aim mail anywhere. */
const EMAIL = /^[^\s"(),.:;<>@[\\\]]+(?:\.[^\s"(),.:;<>@[\\\]]+)*@(?:[a-z0-9-]+\.)+[a-z]{2,}$/i;
/** Invisible characters: controls, formats, halves of surrogate pairs, and code points without a meaning in Unicode. */
const INVISIBLE = /[\p{C}\p{Z}]/u;

/** Whether text is an e-mail address at a named host, of visible characters. */
export const isEmailAddress = (text: string): boolean =>
  text.length <= 254 && EMAIL.test(text) && !INVISIBLE.test(text);
