-- Added to version 1 of the journal since: earlier versions of iamlua do without them.

-- All changes of one profile or role of a run.
CREATE INDEX IF NOT EXISTS change_name ON change (run, subject, name COLLATE NOCASE);

-- Profiles and roles that a run has left as they are, although it was to change them.
CREATE TABLE IF NOT EXISTS left_out (
    run TEXT NOT NULL,
    number INTEGER NOT NULL,
    left_out TEXT NOT NULL,
    PRIMARY KEY (run, number)
) WITHOUT ROWID;

-- The order in which runs began, whatever the clock said.
CREATE TABLE IF NOT EXISTS run_order (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    run TEXT NOT NULL UNIQUE
);
