/** The members of a project, and how managers add people. */
import { useEffect, useState } from "preact/hooks";
import { type Member, type ProjectSnapshot, type Role, unwrap, type User } from "../../client/src/index.ts";
import { client } from "../shared/client.ts";
import { faultOf } from "../shared/hooks.ts";
import { Close } from "../shared/icons.tsx";
import { capital, fullName, ROLES } from "../shared/words.ts";
import { Face } from "./face.tsx";

const PAUSE_MS = 180;

const findPeople = (q: string, signal: AbortSignal) =>
  unwrap(client.rest.GET("/users", { params: { query: { q, limit: 6 } }, signal }));
type Found = Awaited<ReturnType<typeof findPeople>>["items"][number];

interface Props {
  id: string;
  user: User;
  snapshot: ProjectSnapshot;
  manage: boolean;
  onClose: () => void;
}

export function People({ id, user, snapshot, manage, onClose }: Props) {
  const [query, setQuery] = useState("");
  const [found, setFound] = useState<readonly Found[]>([]);
  const [fault, setFault] = useState<string | null>(null);

  useEffect(() => {
    const wanted = query.trim();
    if (wanted === "") {
      setFound([]);
      return;
    }
    const asking = new AbortController();
    const timer = setTimeout(() => {
      findPeople(wanted, asking.signal).then(
        ({ items }) => setFound(items),
        (error: unknown) => !asking.signal.aborted && setFault(faultOf(error)),
      );
    }, PAUSE_MS);
    return () => {
      clearTimeout(timer);
      asking.abort();
    };
  }, [query]);

  /** The event of the write brings the change to the list. */
  const run = (write: Promise<unknown>): void => {
    setFault(null);
    write.catch((error: unknown) => setFault(faultOf(error)));
  };
  const add = (user_id: string): void => {
    setQuery("");
    run(
      unwrap(
        client.rest.POST("/projects/{project}/members", {
          params: { path: { project: id } },
          body: { user_id, role: "member" },
        }),
      ),
    );
  };
  const path = (member: Member) => ({ params: { path: { project: id, user_id: member.user_id } } });
  const setRole = (member: Member, role: Role): void =>
    run(
      unwrap(client.rest.PATCH("/projects/{project}/members/{user_id}", { ...path(member), body: { role } })),
    );
  const remove = (member: Member): void =>
    run(unwrap(client.rest.DELETE("/projects/{project}/members/{user_id}", path(member))));

  const members = [...snapshot.members.values()].sort(
    (a, b) => ROLES.indexOf(b.role) - ROLES.indexOf(a.role) || fullName(a).localeCompare(fullName(b)),
  );
  const strangers = found.filter((person) => !snapshot.members.has(person.id));
  return (
    <aside class="panel" aria-label="People">
      <header>
        <h2>People</h2>
        <button type="button" class="plain icon-only" aria-label="Close people" onClick={onClose}>
          <Close />
        </button>
      </header>
      <div class="scroll">
        {fault !== null && (
          <p class="fault" role="alert">
            {fault}
          </p>
        )}
        <ul class="people">
          {members.map((member) => (
            <li key={member.user_id}>
              <Face person={member} />
              <span class="name">
                {fullName(member)}
                <small>
                  {member.user_id === user.id ? `${member.username ?? ""} (you)` : member.username}
                </small>
              </span>
              {manage && member.user_id !== user.id ? (
                <>
                  <select
                    aria-label={`Role of ${fullName(member)}`}
                    value={member.role}
                    onChange={(event) => setRole(member, event.currentTarget.value as Role)}
                  >
                    {ROLES.map((role) => (
                      <option key={role} value={role}>
                        {capital(role)}
                      </option>
                    ))}
                  </select>
                  <button
                    type="button"
                    class="plain icon-only"
                    aria-label={`Remove ${fullName(member)}`}
                    onClick={() => remove(member)}
                  >
                    <Close />
                  </button>
                </>
              ) : (
                <span class="hint">{capital(member.role)}</span>
              )}
            </li>
          ))}
        </ul>
        {manage && (
          <form onSubmit={(event) => event.preventDefault()}>
            <label for="person">Add somebody</label>
            <input
              id="person"
              type="search"
              placeholder="Name or user name"
              autocomplete="off"
              value={query}
              onInput={(event) => setQuery(event.currentTarget.value)}
            />
            <ul class="people" aria-label="People found">
              {strangers.map((person) => (
                <li key={person.id}>
                  <Face person={{ ...person, user_id: person.id }} />
                  <span class="name">
                    {fullName(person)}
                    <small>{person.username}</small>
                  </span>
                  <button type="button" class="button quiet" onClick={() => add(person.id)}>
                    Add
                  </button>
                </li>
              ))}
            </ul>
          </form>
        )}
      </div>
    </aside>
  );
}
