import {
  boolean,
  enumOf,
  like,
  nullable,
  object,
  page,
  type Schema,
  text,
  timestamp,
  uuid,
} from "../../core/json-schema.ts";
import { type FoundPerson, type Person, ROLES, type User } from "./users.contract.ts";

const email = like({ type: "string", format: "idn-email" }, "ada@example.com");
const name = {
  id: uuid("0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f"),
  username: text("ada"),
  first_name: nullable(text("Ada")),
  last_name: nullable(text("Lovelace")),
};

export const user = object<User>("User", {
  id: name.id,
  email,
  username: name.username,
  first_name: name.first_name,
  last_name: name.last_name,
  role: enumOf(ROLES, "What the user may do outside of their own projects."),
  is_active: boolean(true),
  is_verified: boolean(true, "Whether the user has confirmed the address in `email`."),
  created_at: timestamp("2026-11-21T09:30:00.000Z"),
  updated_at: timestamp("2026-11-21T09:30:00.000Z"),
});

export const person = object<Person>("Person", name);

export const foundPerson = object<FoundPerson>(
  "FoundPerson",
  { ...name, email: { type: "string", format: "idn-email", description: "Only in answers to admins." } },
  ["email"],
);

export const people = page(foundPerson);

/** The whole account for its owner and for admins, the person for others. */
export const userOrPerson: Schema = { anyOf: [user, person], examples: user.examples };
