-- Version 1. Times are milliseconds since the Unix epoch. Append-only: rows are added, never changed; a session and an
-- attempt are closed exactly once. INSERT OR REPLACE would slip past UPDATE and DELETE triggers, so taken ids are refused.

CREATE TABLE sessions (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  benchmark TEXT NOT NULL,
  command TEXT NOT NULL,
  base_commit TEXT NOT NULL,
  seed TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  config TEXT NOT NULL,
  machine TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  outcome TEXT,
  closed_at INTEGER
);

CREATE TABLE epochs (
  id INTEGER PRIMARY KEY,
  session_id INTEGER NOT NULL REFERENCES sessions(id),
  pid INTEGER NOT NULL,
  started_at INTEGER NOT NULL
);

CREATE TABLE session_states (
  id INTEGER PRIMARY KEY,
  session_id INTEGER NOT NULL REFERENCES sessions(id),
  state TEXT NOT NULL,
  detail TEXT NOT NULL,
  created_at INTEGER NOT NULL
);

CREATE TABLE attempts (
  id INTEGER PRIMARY KEY,
  session_id INTEGER NOT NULL REFERENCES sessions(id),
  number INTEGER NOT NULL,
  key TEXT NOT NULL,
  recipe TEXT NOT NULL,
  level TEXT NOT NULL,
  hypothesis TEXT NOT NULL,
  proposal TEXT NOT NULL,
  base_commit TEXT NOT NULL,
  alpha REAL NOT NULL,
  created_at INTEGER NOT NULL,
  verdict TEXT NOT NULL DEFAULT 'pending' CHECK (verdict IN ('keep', 'revert', 'partial', 'pending')),
  status TEXT CHECK (status IN ('keep', 'discard', 'crash')),
  reason TEXT,
  explanation TEXT,
  change_description TEXT,
  baseline_metric REAL,
  result_metric REAL,
  delta_pct REAL,
  e_value_ln REAL,
  threshold_ln REAL,
  evidence TEXT,
  unlocks TEXT,
  blocks TEXT,
  embedding BLOB,
  branch TEXT,
  commit_id TEXT,
  diff_sha256 TEXT,
  closed_at INTEGER,
  UNIQUE (session_id, number)
);
CREATE INDEX attempts_by_key ON attempts(key);

CREATE TABLE attempt_states (
  id INTEGER PRIMARY KEY,
  attempt_id INTEGER NOT NULL REFERENCES attempts(id),
  state TEXT NOT NULL,
  detail TEXT NOT NULL,
  created_at INTEGER NOT NULL
);
CREATE INDEX attempt_states_by_attempt ON attempt_states(attempt_id);

CREATE TABLE measurements (
  id INTEGER PRIMARY KEY,
  session_id INTEGER NOT NULL REFERENCES sessions(id),
  attempt_id INTEGER REFERENCES attempts(id),
  phase TEXT NOT NULL,
  pair INTEGER NOT NULL,
  arm TEXT NOT NULL CHECK (arm IN ('a', 'b')),
  first INTEGER NOT NULL,
  wall_ns INTEGER NOT NULL,
  user_ns INTEGER NOT NULL,
  sys_ns INTEGER NOT NULL,
  rss_bytes_max INTEGER NOT NULL,
  stdout_sha256 TEXT NOT NULL,
  sample TEXT NOT NULL,
  created_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX measurements_by_pair
  ON measurements(session_id, ifnull(attempt_id, 0), phase, pair, arm);

CREATE TABLE findings (
  id INTEGER PRIMARY KEY,
  session_id INTEGER NOT NULL REFERENCES sessions(id),
  kind TEXT NOT NULL,
  detail TEXT NOT NULL,
  created_at INTEGER NOT NULL
);

CREATE TABLE links (
  id INTEGER PRIMARY KEY,
  from_id INTEGER NOT NULL,
  from_type TEXT NOT NULL,
  to_id INTEGER NOT NULL,
  to_type TEXT NOT NULL,
  relation TEXT NOT NULL CHECK (relation IN ('enables', 'blocks', 'similar', 'contradicts', 'supports', 'refines')),
  note TEXT NOT NULL DEFAULT '',
  created_at INTEGER NOT NULL
);

CREATE TABLE tags (
  id INTEGER PRIMARY KEY,
  memory_id INTEGER NOT NULL,
  memory_type TEXT NOT NULL,
  tag TEXT NOT NULL,
  created_at INTEGER NOT NULL
);

CREATE TRIGGER sessions_no_delete BEFORE DELETE ON sessions
  BEGIN SELECT RAISE(ABORT, 'the worklog is append-only'); END;
CREATE TRIGGER sessions_no_replace BEFORE INSERT ON sessions WHEN EXISTS (SELECT 1 FROM sessions WHERE id = NEW.id OR name = NEW.name)
  BEGIN SELECT RAISE(ABORT, 'the worklog is append-only'); END;
CREATE TRIGGER sessions_close_once BEFORE UPDATE ON sessions
  WHEN OLD.closed_at IS NOT NULL OR NEW.closed_at IS NULL OR NEW.id IS NOT OLD.id OR NEW.name IS NOT OLD.name
    OR NEW.benchmark IS NOT OLD.benchmark OR NEW.command IS NOT OLD.command OR NEW.base_commit IS NOT OLD.base_commit
    OR NEW.seed IS NOT OLD.seed OR NEW.fingerprint IS NOT OLD.fingerprint OR NEW.config IS NOT OLD.config
    OR NEW.machine IS NOT OLD.machine OR NEW.created_at IS NOT OLD.created_at
  BEGIN SELECT RAISE(ABORT, 'the worklog is append-only'); END;

CREATE TRIGGER attempts_no_delete BEFORE DELETE ON attempts
  BEGIN SELECT RAISE(ABORT, 'the worklog is append-only'); END;
CREATE TRIGGER attempts_no_replace BEFORE INSERT ON attempts
  WHEN EXISTS (SELECT 1 FROM attempts WHERE id = NEW.id OR (session_id = NEW.session_id AND number = NEW.number))
  BEGIN SELECT RAISE(ABORT, 'the worklog is append-only'); END;
CREATE TRIGGER attempts_close_once BEFORE UPDATE ON attempts
  WHEN OLD.verdict <> 'pending' OR NEW.verdict = 'pending' OR NEW.closed_at IS NULL OR NEW.id IS NOT OLD.id
    OR NEW.session_id IS NOT OLD.session_id OR NEW.number IS NOT OLD.number OR NEW.key IS NOT OLD.key
    OR NEW.recipe IS NOT OLD.recipe OR NEW.level IS NOT OLD.level OR NEW.hypothesis IS NOT OLD.hypothesis
    OR NEW.proposal IS NOT OLD.proposal OR NEW.base_commit IS NOT OLD.base_commit OR NEW.alpha IS NOT OLD.alpha
    OR NEW.created_at IS NOT OLD.created_at
  BEGIN SELECT RAISE(ABORT, 'the worklog is append-only'); END;

-- The tables that only ever grow: no row is changed, deleted or replaced.

CREATE TRIGGER epochs_no_update BEFORE UPDATE ON epochs
  BEGIN SELECT RAISE(ABORT, 'the worklog is append-only'); END;
CREATE TRIGGER epochs_no_delete BEFORE DELETE ON epochs
  BEGIN SELECT RAISE(ABORT, 'the worklog is append-only'); END;
CREATE TRIGGER epochs_no_replace BEFORE INSERT ON epochs WHEN EXISTS (SELECT 1 FROM epochs WHERE id = NEW.id)
  BEGIN SELECT RAISE(ABORT, 'the worklog is append-only'); END;

CREATE TRIGGER session_states_no_update BEFORE UPDATE ON session_states
  BEGIN SELECT RAISE(ABORT, 'the worklog is append-only'); END;
CREATE TRIGGER session_states_no_delete BEFORE DELETE ON session_states
  BEGIN SELECT RAISE(ABORT, 'the worklog is append-only'); END;
CREATE TRIGGER session_states_no_replace BEFORE INSERT ON session_states WHEN EXISTS (SELECT 1 FROM session_states WHERE id = NEW.id)
  BEGIN SELECT RAISE(ABORT, 'the worklog is append-only'); END;

CREATE TRIGGER attempt_states_no_update BEFORE UPDATE ON attempt_states
  BEGIN SELECT RAISE(ABORT, 'the worklog is append-only'); END;
CREATE TRIGGER attempt_states_no_delete BEFORE DELETE ON attempt_states
  BEGIN SELECT RAISE(ABORT, 'the worklog is append-only'); END;
CREATE TRIGGER attempt_states_no_replace BEFORE INSERT ON attempt_states WHEN EXISTS (SELECT 1 FROM attempt_states WHERE id = NEW.id)
  BEGIN SELECT RAISE(ABORT, 'the worklog is append-only'); END;

CREATE TRIGGER measurements_no_update BEFORE UPDATE ON measurements
  BEGIN SELECT RAISE(ABORT, 'the worklog is append-only'); END;
CREATE TRIGGER measurements_no_delete BEFORE DELETE ON measurements
  BEGIN SELECT RAISE(ABORT, 'the worklog is append-only'); END;
CREATE TRIGGER measurements_no_replace BEFORE INSERT ON measurements WHEN EXISTS (SELECT 1 FROM measurements WHERE id = NEW.id)
  BEGIN SELECT RAISE(ABORT, 'the worklog is append-only'); END;
CREATE TRIGGER measurements_no_replace_pair BEFORE INSERT ON measurements
  WHEN EXISTS (SELECT 1 FROM measurements WHERE session_id = NEW.session_id
    AND ifnull(attempt_id, 0) = ifnull(NEW.attempt_id, 0) AND phase = NEW.phase AND pair = NEW.pair AND arm = NEW.arm)
  BEGIN SELECT RAISE(ABORT, 'the worklog is append-only'); END;

CREATE TRIGGER findings_no_update BEFORE UPDATE ON findings
  BEGIN SELECT RAISE(ABORT, 'the worklog is append-only'); END;
CREATE TRIGGER findings_no_delete BEFORE DELETE ON findings
  BEGIN SELECT RAISE(ABORT, 'the worklog is append-only'); END;
CREATE TRIGGER findings_no_replace BEFORE INSERT ON findings WHEN EXISTS (SELECT 1 FROM findings WHERE id = NEW.id)
  BEGIN SELECT RAISE(ABORT, 'the worklog is append-only'); END;

CREATE TRIGGER links_no_update BEFORE UPDATE ON links
  BEGIN SELECT RAISE(ABORT, 'the worklog is append-only'); END;
CREATE TRIGGER links_no_delete BEFORE DELETE ON links
  BEGIN SELECT RAISE(ABORT, 'the worklog is append-only'); END;
CREATE TRIGGER links_no_replace BEFORE INSERT ON links WHEN EXISTS (SELECT 1 FROM links WHERE id = NEW.id)
  BEGIN SELECT RAISE(ABORT, 'the worklog is append-only'); END;

CREATE TRIGGER tags_no_update BEFORE UPDATE ON tags
  BEGIN SELECT RAISE(ABORT, 'the worklog is append-only'); END;
CREATE TRIGGER tags_no_delete BEFORE DELETE ON tags
  BEGIN SELECT RAISE(ABORT, 'the worklog is append-only'); END;
CREATE TRIGGER tags_no_replace BEFORE INSERT ON tags WHEN EXISTS (SELECT 1 FROM tags WHERE id = NEW.id)
  BEGIN SELECT RAISE(ABORT, 'the worklog is append-only'); END;
