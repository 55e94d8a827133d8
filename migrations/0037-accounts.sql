-- Published, read-only: an account as its owner sees it, for the answer to a refresh. Nobody else is shown it.
CREATE VIEW users.accounts AS
SELECT id, email, username, first_name, last_name, role, is_active, is_verified, created_at, updated_at FROM users.users;
