-- The local account's file, version 1 (version 2 has more: schema_2.sql). `key` is a name in lower case: names are unique ignoring case.

-- The one row about the account itself. The counts are kept with every insert and delete, so that no quota check has
-- to count a million rows. Markers are bound to the salt.
CREATE TABLE account (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    id TEXT NOT NULL,
    alias TEXT,
    salt INTEGER NOT NULL,
    profiles INTEGER NOT NULL DEFAULT 0,
    roles INTEGER NOT NULL DEFAULT 0,
    profiles_quota INTEGER NOT NULL,
    roles_quota INTEGER NOT NULL,
    policies_per_role_quota INTEGER NOT NULL
);

-- Every path that was ever used, never deleted: a marker remembers a path of 512 letters by its number.
CREATE TABLE path (
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL UNIQUE
);

-- Both tables lie in the order in which lists come, so a page is one seek and then neighbours. The tags come last:
-- lists never read them.
CREATE TABLE role (
    path TEXT NOT NULL,
    key TEXT NOT NULL,
    name TEXT NOT NULL,
    id TEXT NOT NULL UNIQUE,
    created INTEGER NOT NULL,
    trust TEXT NOT NULL,
    description TEXT,
    max_session INTEGER NOT NULL,
    boundary TEXT,
    last_used INTEGER,
    last_used_region TEXT,
    policies TEXT NOT NULL,
    tags TEXT NOT NULL,
    PRIMARY KEY (path, key)
) WITHOUT ROWID;
CREATE UNIQUE INDEX role_key ON role (key);

CREATE TABLE profile (
    path TEXT NOT NULL,
    key TEXT NOT NULL,
    name TEXT NOT NULL,
    id TEXT NOT NULL UNIQUE,
    created INTEGER NOT NULL,
    role TEXT,
    tags TEXT NOT NULL,
    PRIMARY KEY (path, key)
) WITHOUT ROWID;
CREATE UNIQUE INDEX profile_key ON profile (key);
CREATE INDEX profile_role ON profile (role, path, key) WHERE role IS NOT NULL;

-- Policies that exist besides those that AWS ships.
CREATE TABLE policy (
    arn TEXT PRIMARY KEY
) WITHOUT ROWID;

-- Temporary credentials that AssumeRole gave out.
CREATE TABLE session (
    access_key TEXT PRIMARY KEY,
    role_id TEXT NOT NULL,
    role_name TEXT NOT NULL,
    name TEXT NOT NULL,
    expires INTEGER NOT NULL
) WITHOUT ROWID;

-- What lagging reads still see: the record (JSON; NULL if there was none) as it was before a write, until then
-- (milliseconds since 1970). Several for one record are in the order of their numbers.
CREATE TABLE past (
    number INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    until INTEGER NOT NULL,
    record TEXT
);
CREATE INDEX past_key ON past (kind, key, number);
CREATE INDEX past_until ON past (until);
