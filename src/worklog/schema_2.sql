-- Version 2. What got in the way of a pair while it ran, the worse of its two runs, as shares of the time; absent where it
-- is not known. A pair that was disturbed and is run again stays in the worklog, and no decision rests on it.

ALTER TABLE measurements ADD COLUMN steal_share REAL;
ALTER TABLE measurements ADD COLUMN wait_share REAL;
ALTER TABLE measurements ADD COLUMN redone INTEGER NOT NULL DEFAULT 0 CHECK (redone IN (0, 1));
