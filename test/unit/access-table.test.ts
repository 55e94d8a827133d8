import { expect, test } from "@jest/globals";
import type { Auth } from "../../core/kit.ts";
import { ROUTES } from "../../services/api-gateway/routes.ts";
import { serviceSchemas } from "./fixtures.ts";

/**
 * Who may call each action, written down a second time: an action that appears, disappears or opens its door changes
 * this table too, or fails here. What a caller may then do with one task, project or user is the policies' matter
 * (policies.test.ts, users-policy.test.ts).
 */
const ACCESS: Record<string, Auth> = {
  "auth.register": "public",
  "auth.login": "public",
  "auth.refresh": "public",
  "auth.verify_email": "public",
  "auth.forgot_password": "public",
  "auth.reset_password": "public",
  "auth.me": "user",
  "auth.logout": "session",
  "auth.logout_all": "session",
  "auth.list_sessions": "session",
  "auth.end_session": "session",
  "auth.resend_verification": "session",
  "auth.change_password": "session",
  "auth.list_tokens": "session",
  "auth.create_token": "session",
  "auth.revoke_token": "session",
  "auth.forget_ended": "internal",
  "auth.verify_token": "internal",

  "users.list": "user",
  "users.get": "user",
  "users.patch": "session",
  "users.delete": "session",
  "users.create": "internal",
  "users.account": "internal",
  "users.people": "internal",
  "users.by_email": "internal",
  "users.account_of": "internal",
  "users.verify_password": "internal",
  "users.check_password": "internal",
  "users.check_new_password": "internal",
  "users.set_password": "internal",
  "users.mark_verified": "internal",

  "projects.create": "user",
  "projects.list": "user",
  "projects.get": "user",
  "projects.replace": "user",
  "projects.patch": "user",
  "projects.delete": "user",
  "projects.restore": "user",
  "projects.list_members": "user",
  "projects.add_member": "user",
  "projects.get_member": "user",
  "projects.update_member": "user",
  "projects.remove_member": "user",
  "projects.list_events": "user",
  "projects.stream_events": "user",
  "projects.purge": "internal",
  "projects.sole_owner_of": "internal",
  "projects.leave_all": "internal",
  "projects.readable": "internal",

  "tasks.create": "user",
  "tasks.create_in_project": "user",
  "tasks.list": "user",
  "tasks.list_in_project": "user",
  "tasks.get": "user",
  "tasks.replace": "user",
  "tasks.patch": "user",
  "tasks.assign": "user",
  "tasks.transition": "user",
  "tasks.move": "user",
  "tasks.delete": "user",
  "tasks.restore": "user",
  "tasks.redact": "user",
  "tasks.redact_comment": "user",
  "tasks.bulk": "user",
  "tasks.snapshot": "user",
  "tasks.read_snapshot": "internal",
  "tasks.end_snapshot": "internal",
  "tasks.list_comments": "user",
  "tasks.create_comment": "user",
  "tasks.get_comment": "user",
  "tasks.patch_comment": "user",
  "tasks.delete_comment": "user",
  "tasks.list_categories": "user",
  "tasks.create_category": "user",
  "tasks.get_category": "user",
  "tasks.patch_category": "user",
  "tasks.delete_category": "user",
  "tasks.forget_categories": "internal",
  "tasks.count_by_status": "internal",
  "tasks.unassign_user": "internal",
  "tasks.announce_due": "internal",
  "tasks.spread_positions": "internal",
  "tasks.purge": "internal",

  "notifier.list_events": "user",
  "notifier.sync": "user",
  "notifier.stream_events": "user",
  "notifier.follow": "internal",

  "mailer.send": "internal",
};

test("every action of every service has a row, and keeps to it", async () => {
  const found: Record<string, unknown> = {};
  for (const { name, actions } of await serviceSchemas())
    for (const [action, definition] of Object.entries(actions ?? {}))
      found[`${name}.${action}`] = (definition as { auth?: Auth }).auth;
  expect(found).toEqual(ACCESS);
});

test("no route leads to an internal action", () => {
  for (const { method, path, action } of ROUTES)
    expect([method, path, ACCESS[action]]).toEqual([
      method,
      path,
      expect.stringMatching(/^(public|user|session)$/),
    ]);
});
