-- Published, read-only: which sessions and personal tokens there are. A restore to an older backup loses some whose tokens
-- are out already; no logout and no new password can end a session that has no row.
CREATE VIEW auth.issued AS
SELECT id FROM auth.sessions
UNION ALL
SELECT id FROM auth.personal_tokens;
