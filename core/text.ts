/** Text as people see it: what counts as one name, and what may be shown on a terminal. */

/**
 * The key of a name: names with one key are one name, whatever their letter case and however their letters are composed.
 * Keys are made here alone, and stored. Postgres' `lower()` goes by the locale of its server, and so it takes other
 * names for one than JavaScript does (U+212A, KELVIN SIGN) and leaves `É` as it is in some locales.
 */
export const keyOf = (name: string): string => name.normalize("NFC").toLowerCase().normalize("NFC");

/** Control characters, line breaks, and what turns the direction of text (UTR 36 §2.2): text with these lies about itself. */
const UNPRINTABLE = String.raw`\p{Cc}\p{Zl}\p{Zp}\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069`;
const ANY_UNPRINTABLE = new RegExp(`[${UNPRINTABLE}]`, "u");
const EACH_UNPRINTABLE = new RegExp(`[${UNPRINTABLE}]`, "gu");

export const isPrintable = (text: string): boolean => !ANY_UNPRINTABLE.test(text);

/** Somebody's text for one line of a terminal, which acts on control characters: those are written out, `\u{1b}`. */
export const printable = (text: string): string =>
  text.replace(EACH_UNPRINTABLE, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`);

/** Quoted names and address literals are RFC 5321's, but nobody's: mail would go where a stranger points it. */
const EMAIL = /^[^\s"(),.:;<>@[\\\]]+(?:\.[^\s"(),.:;<>@[\\\]]+)*@(?:[a-z0-9-]+\.)+[a-z]{2,}$/i;
/** Characters that nobody sees: controls, formats, halves of surrogate pairs, and what Unicode gives no meaning. */
const INVISIBLE = /[\p{C}\p{Z}]/u;

/** Whether text is an e-mail address at a named host, of what can be seen and typed. */
export const isEmailAddress = (text: string): boolean =>
  text.length <= 254 && EMAIL.test(text) && !INVISIBLE.test(text);
