-- What version 2 of the local account's file has beyond version 1. It is carried out after schema.sql in a new file, by itself in
-- one of version 1, and with temporary tables beside one of version 1 that can only be read.

-- The regions, if an import has said any.
CREATE TABLE region (
    name TEXT PRIMARY KEY,
    status TEXT NOT NULL
) WITHOUT ROWID;

-- What may name an instance profile. The table lies in the order in which lists come, so a page is one seek and then
-- neighbours. `parent` is the cluster of a node group and the like, or nothing; `more` is JSON: what only that kind has.
CREATE TABLE resource (
    kind TEXT NOT NULL,
    region TEXT NOT NULL,
    parent TEXT NOT NULL,
    key TEXT NOT NULL,
    name TEXT,
    state TEXT,
    created INTEGER NOT NULL,
    profile TEXT,
    profile_id TEXT,
    more TEXT NOT NULL,
    PRIMARY KEY (kind, region, parent, key)
) WITHOUT ROWID;
CREATE INDEX resource_name ON resource (kind, region, name) WHERE name IS NOT NULL;
