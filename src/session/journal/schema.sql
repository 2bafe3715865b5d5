-- The journal, version 1. Moments are milliseconds since 1970; JSON columns hold what the column's name says.

-- One execution of one script, plan or undo, from its first change on.
CREATE TABLE run (
    id TEXT PRIMARY KEY,
    started INTEGER NOT NULL,
    ended INTEGER,
    command TEXT NOT NULL,
    script TEXT,
    script_sha256 TEXT,
    parameters TEXT,
    operator TEXT NOT NULL,
    program TEXT NOT NULL,
    plan TEXT,
    undoes TEXT,
    status TEXT,
    error TEXT,
    calls TEXT,
    throttled INTEGER
) WITHOUT ROWID;

-- Where the changes of a run went, and as whom.
CREATE TABLE site (
    run TEXT NOT NULL,
    number INTEGER NOT NULL,
    site TEXT NOT NULL,
    PRIMARY KEY (run, number)
) WITHOUT ROWID;

-- One call that changes an account: written before it is sent, and its outcome after. No outcome: nobody knows yet.
CREATE TABLE change (
    run TEXT NOT NULL,
    number INTEGER NOT NULL,
    site INTEGER NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    name TEXT NOT NULL,
    arguments TEXT NOT NULL,
    before TEXT,
    after TEXT,
    started INTEGER NOT NULL,
    ended INTEGER,
    outcome TEXT,
    error TEXT,
    note TEXT,
    plan_change INTEGER,
    -- The change of an earlier run that this one takes back, and the run that took this one back.
    undoes_run TEXT,
    undoes_change INTEGER,
    undone TEXT,
    PRIMARY KEY (run, number)
) WITHOUT ROWID;

-- What is still in doubt is found without reading what is not.
CREATE INDEX change_open ON change (run) WHERE outcome IS NULL OR outcome = 'in doubt';
CREATE INDEX run_plan ON run (plan) WHERE plan IS NOT NULL;
