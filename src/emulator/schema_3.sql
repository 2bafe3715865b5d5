-- Additions of version 3 of the local account's file: customer managed policies, and where managed
-- policies are used. `policies/upgrade.rs` adds the column of the inline policies to the roles, and
-- fills these tables in a file of an earlier version.

-- Customer managed policies. The versions and tags come last: lists never read them.
CREATE TABLE managed_policy (
    path TEXT NOT NULL,
    key TEXT NOT NULL,
    name TEXT NOT NULL,
    id TEXT NOT NULL UNIQUE,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    description TEXT,
    default_version INTEGER NOT NULL,
    versions TEXT NOT NULL,
    tags TEXT NOT NULL,
    PRIMARY KEY (path, key)
) WITHOUT ROWID;
CREATE UNIQUE INDEX managed_policy_key ON managed_policy (key);

-- An index over the roles: which managed policy (its ARN) is used by which role, as its `policy` or
-- as its `boundary`. `role` is the key of the role, `path` its path, so that the users of a policy
-- come in pages.
CREATE TABLE attachment (
    policy TEXT NOT NULL,
    path TEXT NOT NULL,
    role TEXT NOT NULL,
    usage TEXT NOT NULL,
    PRIMARY KEY (policy, path, role, usage)
) WITHOUT ROWID;
CREATE INDEX attachment_role ON attachment (role);
