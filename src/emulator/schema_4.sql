-- Additions of version 4 of the local account's file: what is known about temporary credentials,
-- and settings of the account.

-- What was said when credentials were handed out (JSON): MFA, session tags, source identity.
CREATE TABLE session_context (
    access_key TEXT PRIMARY KEY,
    context TEXT NOT NULL
) WITHOUT ROWID;

-- Settings that few accounts have, by name.
CREATE TABLE setting (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
