/** Login and registration. */
import { useEffect, useState } from "preact/hooks";
import { client } from "../shared/client.ts";
import { field } from "../shared/fields.ts";
import { faultOf } from "../shared/hooks.ts";
import { Logo } from "../shared/icons.tsx";
import { go, toHome } from "./route.ts";

/** The login of the demo, where the server has one to offer. */
const told = document.querySelector<HTMLMetaElement>('meta[name="demo"]')?.content ?? null;
const DEMO = told === null ? null : (JSON.parse(told) as { login: string; password: string });

export function Door({ ended, demo }: { ended: boolean; demo: boolean }) {
  const [isNew, setNew] = useState(false);
  const [isBusy, setBusy] = useState(false);
  const [fault, setFault] = useState<string | null>(null);

  async function enter(how: () => Promise<unknown>): Promise<void> {
    setBusy(true);
    setFault(null);
    try {
      await how();
    } catch (error) {
      setFault(faultOf(error));
      setBusy(false);
    }
  }
  const enterDemo = (): Promise<void> =>
    enter(async () => {
      if (DEMO === null) throw new Error("There is no demo here: npm run seed makes it.");
      await client.login(DEMO);
      go(toHome);
    });
  useEffect(() => {
    if (demo) void enterDemo();
  }, [demo]);

  function submit(event: SubmitEvent): void {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const text = (name: string): string => field(form, name).trim();
    const password = field(form, "password");
    const [first_name, last_name] = [text("first_name"), text("last_name")];
    void enter(() =>
      isNew
        ? client.register({
            email: text("email"),
            username: text("username"),
            password,
            ...(first_name !== "" && { first_name }),
            ...(last_name !== "" && { last_name }),
          })
        : client.login({ login: text("login"), password }),
    );
  }

  return (
    <div class="door">
      <section class="pitch" aria-label="Taskwire">
        <a class="brand" href={toHome}>
          <Logo />
          <span>Taskwire</span>
        </a>
        <div>
          <h1>Work that moves in front of everyone.</h1>
          <p>
            A board that is the same in every window: each change once, in order, on time. Also after a
            tunnel, a restart or a crash.
          </p>
        </div>
        <nav aria-label="For developers">
          <a href="/docs">REST API</a>
          <a href="/events">Live events</a>
          <a href="/guide">Guide</a>
        </nav>
      </section>
      <main class="desk">
        <form onSubmit={submit}>
          <h2>{isNew ? "Create an account" : "Log in"}</h2>
          {ended && fault === null && <p class="fault">Your session has ended. Log in again.</p>}
          {fault !== null && (
            <p class="fault" role="alert">
              {fault}
            </p>
          )}
          {isNew ? (
            <>
              <div>
                <label for="username">User name</label>
                <input id="username" name="username" autocomplete="username" required autofocus />
              </div>
              <div>
                <label for="email">E-mail</label>
                <input id="email" name="email" type="email" autocomplete="email" required />
              </div>
              <div>
                <label for="first_name">First name</label>
                <input id="first_name" name="first_name" autocomplete="given-name" />
              </div>
              <div>
                <label for="last_name">Last name</label>
                <input id="last_name" name="last_name" autocomplete="family-name" />
              </div>
            </>
          ) : (
            <div>
              <label for="login">User name or e-mail</label>
              <input id="login" name="login" autocomplete="username" required autofocus />
            </div>
          )}
          <div>
            <label for="password">Password</label>
            <input
              id="password"
              name="password"
              type="password"
              autocomplete={isNew ? "new-password" : "current-password"}
              minLength={isNew ? 8 : 1}
              required
            />
          </div>
          <button class="button" disabled={isBusy}>
            {isNew ? "Create the account" : "Log in"}
          </button>
          <p class="hint">
            {isNew ? "You have an account? " : "New here? "}
            <button
              type="button"
              class="link"
              onClick={() => {
                setNew(!isNew);
                setFault(null);
              }}
            >
              {isNew ? "Log in" : "Create an account"}
            </button>
          </p>
          {DEMO !== null && !isNew && (
            <>
              <p class="or">or</p>
              <button type="button" class="button quiet" disabled={isBusy} onClick={() => void enterDemo()}>
                Enter the demo
              </button>
            </>
          )}
        </form>
      </main>
    </div>
  );
}
