import { v7, validate, version } from "uuid";

/** A new UUIDv7 (RFC 9562 §5.7): time-ordered, so that new rows land at the end of an index. */
export const newId = (): string => v7();

/** Whether `value` is written as a UUID of any version. */
export const isId = (value: string): boolean => validate(value) && version(value) > 0;
