-- What is measured, by name.
CREATE TABLE sli (
  id   INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
) STRICT;

-- What was counted in a minute (60), an hour (3600) or a day (86400) from `start`, in seconds since 1970, UTC.
-- No moment is in two of them.
CREATE TABLE slice (
  sli     INTEGER NOT NULL REFERENCES sli (id) ON DELETE CASCADE,
  start   INTEGER NOT NULL,
  seconds INTEGER NOT NULL CHECK (seconds IN (60, 3600, 86400)),
  good    INTEGER NOT NULL CHECK (good >= 0),
  bad     INTEGER NOT NULL CHECK (bad >= 0),
  PRIMARY KEY (sli, start, seconds)
) STRICT, WITHOUT ROWID;

-- How many latencies of a slice were in the bucket whose longest is `nanos` nanoseconds (three digits).
CREATE TABLE latency (
  sli     INTEGER NOT NULL REFERENCES sli (id) ON DELETE CASCADE,
  start   INTEGER NOT NULL,
  seconds INTEGER NOT NULL,
  nanos   INTEGER NOT NULL,
  count   INTEGER NOT NULL CHECK (count > 0),
  PRIMARY KEY (sli, start, seconds, nanos)
) STRICT, WITHOUT ROWID;

-- How many latencies of a slice kept a limit of `nanos` nanoseconds that an objective compares with, exactly.
CREATE TABLE within (
  sli     INTEGER NOT NULL REFERENCES sli (id) ON DELETE CASCADE,
  start   INTEGER NOT NULL,
  seconds INTEGER NOT NULL,
  nanos   INTEGER NOT NULL,
  good    INTEGER NOT NULL CHECK (good >= 0),
  bad     INTEGER NOT NULL CHECK (bad >= 0),
  PRIMARY KEY (sli, start, seconds, nanos)
) STRICT, WITHOUT ROWID;

-- Every run; `conclusion` is NULL while it goes on, and stays so when it is cut off.
CREATE TABLE run (
  id         TEXT PRIMARY KEY,
  started    TEXT NOT NULL,
  version    TEXT NOT NULL,
  file       TEXT,
  conclusion TEXT CHECK (conclusion IN ('pass', 'inconclusive', 'not_measured', 'fail'))
) STRICT, WITHOUT ROWID;

-- What an SLI came to in a run; `samples` is JSON: counts, latency and within, as in the tables above.
CREATE TABLE measured (
  run      TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
  scenario TEXT NOT NULL,
  sli      TEXT NOT NULL,
  samples  TEXT NOT NULL,
  PRIMARY KEY (run, scenario, sli)
) STRICT, WITHOUT ROWID;

-- What was concluded of each objective in a run; `judgement` is JSON with every number it rests on.
CREATE TABLE verdict (
  run       TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
  scenario  TEXT NOT NULL,
  slo       TEXT NOT NULL,
  objective TEXT NOT NULL,
  verdict   TEXT NOT NULL CHECK (verdict IN ('pass', 'warn', 'inconclusive', 'no data', 'fail')),
  said      TEXT NOT NULL,
  judgement TEXT NOT NULL,
  PRIMARY KEY (run, scenario, slo, objective)
) STRICT, WITHOUT ROWID;

-- What a gate decided; `overridden` is the reason somebody gave for going on nevertheless, `by` who that was.
CREATE TABLE decision (
  id         INTEGER PRIMARY KEY,
  at         TEXT NOT NULL,
  slo        TEXT NOT NULL,
  objective  TEXT NOT NULL,
  verdict    TEXT NOT NULL CHECK (verdict IN ('pass', 'warn', 'inconclusive', 'no data', 'fail')),
  said       TEXT NOT NULL,
  overridden TEXT,
  by         TEXT,
  CHECK ((overridden IS NULL) = (by IS NULL))
) STRICT;

CREATE INDEX run_by_time ON run (started);
CREATE INDEX decision_by_time ON decision (at);
