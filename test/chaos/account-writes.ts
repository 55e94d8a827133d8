/** Writes of accounts: sessions, personal tokens, passwords, names, roles and categories. */
import type { Writer, Writes } from "./writer.ts";

const COLORS = ["#112233", "#445566", "#778899", "#AABBCC"];
/** Categories that a user has at most. */
const MAX_CATEGORIES = 5;
const MAIL_WITHIN_MS = 5000;

const newPassword = ({ world }: Writer): string => `another password ${world.personalTitle()}`;

async function setColor(
  by: Writer,
  [method, path, name]: ["POST" | "PATCH", string, string],
): Promise<string | null> {
  const color = by.random.pick(COLORS);
  const note = {
    action: method === "POST" ? "categories.create" : "categories.patch",
    row: { name: `category ${name}`, state: color },
  };
  const request = { method, path, body: { name, color }, isKeyed: method === "POST" };
  const { outcome, body } = await by.send(request, note);
  return outcome === "ok" ? body.id : null;
}

export const accountWrites: Writes = {
  logOut: {
    weight: 0.7,
    async make(by) {
      const { world, random } = by;
      const user = random.pick(world.watchers);
      const session = await world.logIn(user);
      const other = await world.logIn(user);
      if (session === null || other === null) return;
      const [method, path, ends] = random.pick([
        ["POST", "/auth/logout", { session: session.id }],
        ["POST", "/auth/logout-all", { keepsTokens: true }],
        ["DELETE", `/auth/sessions/${other.id}`, { session: other.id }],
      ] as const);
      await by.send({ method, path }, { action: "auth.logout", ends: { user: user.id, ...ends } }, session);
    },
  },
  revokeToken: {
    weight: 1.5,
    async make(by) {
      const { world, random } = by;
      if (world.tokens.length === 0) return;
      const { user, id } = random.pick(world.tokens);
      const session = user.isGone ? null : await world.logIn(user);
      if (session === null) return;
      const note = {
        action: "auth.revoke_token",
        ends: { user: user.id, session: id },
        row: { name: `token ${id}`, state: null },
      };
      await by.send({ method: "DELETE", path: `/auth/tokens/${id}` }, note, session);
    },
  },
  changePassword: {
    weight: 0.5,
    async make(by) {
      const user = by.random.pick(by.world.watchers);
      const session = await by.world.logIn(user);
      const [current = ""] = user.passwords;
      if (session === null) return;
      const password = newPassword(by);
      user.passwords = [password, ...user.passwords];
      const body = { current_password: current, password };
      const ends = { user: user.id, except: session.id };
      const request = { method: "POST", path: "/auth/password/change", body };
      await by.send(request, { action: "auth.change_password", ends }, session);
    },
  },
  /** By the link of a mail, which may be late or lost. */
  resetPassword: {
    weight: 0.5,
    async make(by) {
      const { world, random } = by;
      const user = random.pick(world.watchers);
      const asked = { method: "POST", path: "/auth/password/forgot", body: { email: user.email } };
      await world.http.send(asked, { user: user.id }, { action: "auth.forgot_password" });
      const token = await world.mails.takeToken(user.email, "reset", MAIL_WITHIN_MS);
      if (token === null) return;
      const password = newPassword(by);
      user.passwords = [...user.passwords, password];
      const request = { method: "POST", path: "/auth/password/reset", body: { token, password } };
      const note = { action: "auth.reset_password", ends: { user: user.id } };
      const { outcome } = await world.http.send(request, { user: user.id }, note);
      if (outcome === "ok") user.passwords = [password, ...user.passwords];
    },
  },
  /** A new account, which verifies its address by another mail than the first one. */
  register: {
    weight: 0.5,
    async make(by) {
      const user = await by.world.register("newcomer");
      const session = user && (await by.world.logIn(user));
      if (!user || !session) return;
      const resent = { method: "POST", path: "/auth/verify-email/resend" };
      await by.send(resent, { action: "auth.resend_verification" }, session);
      const token = await by.world.mails.takeToken(user.email, "verify", MAIL_WITHIN_MS);
      if (token === null) return;
      const note = { action: "auth.verify_email", row: { name: `verified ${user.name}`, state: "true" } };
      const request = { method: "POST", path: "/auth/verify-email", body: { token } };
      await by.world.http.send(request, { user: user.id }, note);
    },
  },
  renameUser: {
    weight: 1,
    async make(by) {
      const { user, world } = by;
      const session = await world.logIn(user);
      if (session === null) return;
      const first_name = world.personalTitle();
      const note = { action: "users.patch", row: { name: `name of ${user.id}`, state: first_name } };
      await by.send({ method: "PATCH", path: `/users/${user.id}`, body: { first_name } }, note, session);
    },
  },
  /** Makes somebody a manager of all projects, or a user again: that ends all their sessions. */
  changeRole: {
    weight: 0.5,
    async make(by) {
      const user = by.random.pick(by.world.staff);
      const session = await by.world.logIn(by.world.admin);
      if (session === null) return;
      const role = user.role === "manager" ? "user" : "manager";
      const note = {
        action: "users.change_role",
        ends: { user: user.id },
        row: { name: `role of ${user.id}`, state: role },
      };
      const request = { method: "PATCH", path: `/users/${user.id}`, body: { role } };
      if ((await by.insist(request, note, session)) === "ok") user.role = role;
    },
  },
  /** A manager of all projects edits a task of one; a user is told that there is none. */
  editAsStaff: {
    weight: 2,
    async make(by, project) {
      const session = await by.world.logIn(by.random.pick(by.world.staff));
      if (session === null || project.tasks.length === 0) return;
      const path = `/tasks/${by.random.pick(project.tasks)}`;
      const note = { action: "tasks.patch_as_staff", leavesEvent: true };
      await by.send({ method: "PATCH", path, body: { title: by.world.title(project) } }, note, session);
    },
  },
  endAccount: {
    weight: 0.3,
    async make(by) {
      const { world, random } = by;
      const user = world.guests.find(({ isGone }) => !isGone);
      const session = user && (await world.logIn(world.admin));
      if (!user || !session) return;
      user.isGone = true;
      // An account may also end itself.
      const own = random.next() < 0.3 ? await world.logIn(user) : null;
      const isErased = own !== null || random.next() < 0.5;
      const note = {
        action: isErased ? "users.erase" : "users.deactivate",
        ends: { user: user.id },
        makesMany: true,
        ...(isErased && { row: { name: `account ${user.name}`, state: null } }),
      };
      const path = `/users/${user.id}`;
      const request = isErased
        ? { method: "DELETE", path }
        : { method: "PATCH", path, body: { is_active: false } };
      if (own === null || (await by.send(request, note, own)).outcome !== "ok")
        await by.insist(request, note, session);
    },
  },
  createCategory: {
    weight: 2,
    async make(by) {
      const { world, user } = by;
      if (world.categoriesOf(user).length >= MAX_CATEGORIES) return;
      const name = world.personalTitle();
      const id = await setColor(by, ["POST", "/categories", name]);
      if (id !== null) world.categories.push({ user, id, name });
    },
  },
  changeCategory: {
    weight: 2,
    async make(by) {
      const own = by.world.categoriesOf(by.user);
      if (own.length === 0) return;
      const { id, name } = by.random.pick(own);
      await setColor(by, ["PATCH", `/categories/${id}`, name]);
    },
  },
  /** Its tasks lose it. */
  removeCategory: {
    weight: 1,
    async make(by) {
      const { world, random, user } = by;
      const own = world.categoriesOf(user);
      if (own.length === 0) return;
      const category = random.pick(own);
      world.categories.splice(world.categories.indexOf(category), 1);
      const row = { name: `category ${category.name}`, state: null };
      const note = { action: "categories.delete", row, makesMany: true };
      await by.send({ method: "DELETE", path: `/categories/${category.id}` }, note);
    },
  },
};
