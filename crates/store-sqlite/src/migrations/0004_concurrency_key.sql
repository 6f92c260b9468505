-- What a job may not share its time with, if anything; in `live` too, which is read whole at start.
ALTER TABLE accepted ADD COLUMN concurrency_key TEXT;
ALTER TABLE live ADD COLUMN concurrency_key TEXT;
