-- Which mails with links somebody was sent of late, one row a purpose: its lock lets those who ask at once take turns.
CREATE TABLE auth.mail_budgets (
  user_id uuid NOT NULL REFERENCES users.users (id) ON DELETE CASCADE,
  purpose text NOT NULL CHECK (purpose IN ('verify_email', 'reset_password')),
  -- `mails` were sent in the 24 hours that began then.
  day_began timestamptz(3) NOT NULL,
  mails integer NOT NULL,
  mailed_at timestamptz(3) NOT NULL,
  -- 32 bits of a digest of address and generation: they tell whether the next link would be good for the same, and not
  -- which address it is.
  link integer NOT NULL,
  CONSTRAINT mail_budgets_pkey PRIMARY KEY (user_id, purpose)
);
