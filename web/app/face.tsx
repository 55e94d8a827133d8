import { fullName, hueOf, initials } from "../shared/words.ts";
import type { Member } from "../../client/src/index.ts";

type Person = Pick<Member, "user_id" | "username" | "first_name" | "last_name">;

/**
 * A person as two letters on a colour of their own. The letters are drawn by the style sheet: they are no text.
 * @param label what a screen reader says; null where something else says it
 */
export const Face = ({ person, label = fullName(person) }: { person: Person; label?: string | null }) => (
  <span class="face" data-hue={hueOf(person.user_id)} title={label ?? fullName(person)}>
    <span aria-hidden="true" data-letters={initials(person)} />
    {label !== null && <span class="unseen">{label}</span>}
  </span>
);
