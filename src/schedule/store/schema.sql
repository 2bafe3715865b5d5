-- The schedule, version 1. Moments are milliseconds since 1970.

-- How far each job has come.
CREATE TABLE job (
    path TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    timing TEXT NOT NULL,
    -- The last due moment that was handled, and when the last execution ended.
    handled INTEGER NOT NULL,
    free INTEGER NOT NULL,
    -- The moment that was begun and is not over: its tries, and when the next one begins.
    due INTEGER,
    attempt INTEGER,
    failures INTEGER,
    kills INTEGER,
    again INTEGER
) WITHOUT ROWID;

-- One try of a job. No end: it goes on, or was killed.
CREATE TABLE execution (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    run TEXT NOT NULL UNIQUE,
    path TEXT NOT NULL,
    job TEXT NOT NULL,
    due INTEGER,
    attempt INTEGER NOT NULL,
    started INTEGER NOT NULL,
    ended INTEGER,
    outcome TEXT,
    exit_code INTEGER,
    error TEXT,
    account TEXT,
    mode TEXT NOT NULL,
    changes INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    calls TEXT NOT NULL DEFAULT '{}',
    throttled INTEGER NOT NULL DEFAULT 0,
    output TEXT NOT NULL DEFAULT '',
    -- 0: it has failed for good, and nobody was told yet; 1: somebody was.
    notified INTEGER
);

CREATE INDEX execution_of_job ON execution (path, number);
CREATE INDEX execution_open ON execution (path) WHERE ended IS NULL;
CREATE INDEX execution_untold ON execution (path) WHERE notified = 0;
