/** What the text of a variable must look like. A thrown message completes the line `NAME: …`. */
import { isIP } from "node:net";
import { makeValidator } from "envalid";
import { sentinelOptions } from "../redis-options.ts";
import { isEmailAddress } from "../text.ts";

/** Origins as browsers send them: scheme, host and port in lower case, without a `/` at the end. */
export const origins = makeValidator<string[]>((input) => {
  const items = input
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");
  if (items.includes("*") && items.length > 1) throw new Error("`*` means all: leave out the rest");
  for (const item of items)
    if (item !== "*" && !(/^https?:/.test(item) && URL.canParse(item) && new URL(item).origin === item))
      throw new Error(
        `"${item}" is not an origin such as https://app.example.com, without a path or a / at its end`,
      );
  return items;
});

export const secret = makeValidator<string>((input) => {
  if (Buffer.byteLength(input) < 32) throw new Error("needs at least 32 bytes");
  return input;
});

const decodes = (text: string): boolean => {
  try {
    return decodeURIComponent(text) !== "";
  } catch {
    return false;
  }
};

export const url = (...protocols: string[]) =>
  makeValidator<string>((input) => {
    if (!URL.canParse(input) || !protocols.includes(new URL(input).protocol))
      throw new Error(`needs a URL that begins with ${protocols.map((name) => `${name}//`).join(" or ")}`);
    const { username, password, hostname, pathname } = new URL(input);
    if (hostname === "") throw new Error("needs a URL that names a host");
    if (![username, password, pathname].every((part) => part === "" || decodes(part)))
      throw new Error("a % in the URL's user, password or path must be written %25");
    return input;
  });

/** One URL or several, separated by commas. */
export const urls = (...protocols: string[]) =>
  makeValidator<string>((input) => {
    const one = url(...protocols)({ default: "" });
    return input
      .split(",")
      .map((item) => one._parse(item.trim()))
      .join(",");
  });

/** The path of a Redis URL is the number of a database. Sentinels are named by a list of hosts (core/redis-options.ts). */
export const redisUrl = makeValidator<string>((input) => {
  if (/^rediss?\+sentinel:/.test(input)) {
    if (sentinelOptions(input) === null)
      throw new Error(
        "needs redis+sentinel://[user:password@]host:port,host:port/name, name as the Sentinels know it",
      );
    return input;
  }
  const checked = url("redis:", "rediss:")({ default: "" })._parse(input);
  if (!/^\/?\d*$/.test(new URL(checked).pathname))
    throw new Error("its path is the number of a database, such as /0");
  return checked;
});

/** The beginning of links: a path that starts with `/` follows it. */
export const baseUrl = makeValidator<string>((input) => {
  const checked = url("http:", "https:")({ default: "" })._parse(input);
  const { username, password, search, hash } = new URL(checked);
  if (checked.endsWith("/") || [username, password, search, hash].some((part) => part !== ""))
    throw new Error("needs a URL without a / at its end, credentials, ? or #");
  return checked;
});

/** @param unit of the number, for the message */
export const whole = (from: number, to: number, unit = "") =>
  makeValidator<number>((input) => {
    const value = Number(input);
    if (!Number.isInteger(value) || value < from || value > to)
      throw new Error(`"${input}" is not a whole number from ${from} to ${to}${unit && ` (${unit})`}`);
    return value;
  });

export const ratio = makeValidator<number>((input) => {
  const value = Number(input);
  if (!(value >= 0 && value <= 1)) throw new Error(`"${input}" is not a number from 0 to 1`);
  return value;
});

/** Where Sentry's protocol finds a project: `https://key@host/project`. */
export const dsn = makeValidator<string>((input) => {
  if (!URL.canParse(input) || !/^https?:\/\/[^:@/]+(?::[^@/]*)?@[^@?#]+\/\d+$/.test(input))
    throw new Error("needs the form https://key@host/project, as Sentry shows it");
  return input;
});

/** An address or a name of this machine, without a scheme or a port. */
export const host = makeValidator<string>((input) => {
  const name = /^(?!-)[a-z\d-]{1,63}(\.[a-z\d-]{1,63})*\.?$/i;
  if (isIP(input) === 0 && !(input.length <= 253 && name.test(input)))
    throw new Error(`"${input}" is not an address such as 127.0.0.1, ::1 or 0.0.0.0, without a port`);
  return input;
});

/** A part of NATS subjects and Redis keys, where spaces, `*` and `>` have a meaning. */
export const token = makeValidator<string>((input) => {
  if (input.length > 100 || !/^[\w-]+(\.[\w-]+)*$/.test(input))
    throw new Error(`"${input}" needs 1 to 100 of A-Z a-z 0-9 _ - with single dots between them`);
  return input;
});

/** A URI or a plain name. */
export const issuer = makeValidator<string>((input) => {
  if (!/^[\x21-\x7e]{1,200}$/.test(input))
    throw new Error("needs 1 to 200 printable characters without spaces");
  return input;
});

/** `name@host`, or `Name <name@host>` (RFC 5322). */
export const mailbox = makeValidator<string>((input) => {
  if (
    input.length > 320 ||
    !/^(?:[^<>@,;\p{C}]*<[^\s<>@,;]+@[^\s<>@,;]+>|[^\s<>@,;]+@[^\s<>@,;]+)$/u.test(input)
  )
    throw new Error("needs a sender such as Taskwire <taskwire@example.com>");
  return input;
});

export const seconds = whole(1, 3600, "seconds");

/** `points/seconds`: `duration` is in seconds, at most a day. */
export const budget = makeValidator<{ points: number; duration: number }>((input) => {
  const [, points, duration] = (/^([1-9]\d{0,8})\/([1-9]\d{0,4})$/.exec(input) ?? []).map(Number);
  if (points === undefined || duration === undefined || duration > 86_400)
    throw new Error(`"${input}" is not count/seconds such as 300/60, with at most 86400 seconds`);
  return { points, duration };
});

export const emailAddress = makeValidator<string>((input) => {
  const address = input.trim().normalize("NFC");
  if (!isEmailAddress(address)) throw new Error("needs an e-mail address");
  return address;
});

export const password = makeValidator<string>((input) => {
  const { length } = [...input];
  if (length < 8 || length > 128) throw new Error("needs 8 to 128 characters");
  return input;
});
