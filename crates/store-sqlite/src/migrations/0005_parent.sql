-- The job that this one follows up, if any.
ALTER TABLE accepted ADD COLUMN parent TEXT;
