-- The upstream that a job needs: a number of `name`, or 0.

ALTER TABLE accepted ADD COLUMN lane INTEGER NOT NULL DEFAULT 0;
ALTER TABLE live ADD COLUMN lane INTEGER NOT NULL DEFAULT 0;
