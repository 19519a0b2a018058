-- Version 1. Times are those of the database: machines need not agree on the time.

CREATE TABLE weaver.runs (
    run_id text PRIMARY KEY,
    status text NOT NULL,
    epoch bigint NOT NULL,
    owner text NOT NULL,
    created timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated timestamptz NOT NULL DEFAULT clock_timestamp(),
    about text NOT NULL,
    result bytea,
    last_seq bigint NOT NULL DEFAULT 0,
    last_event bigint NOT NULL DEFAULT 0,
    batch text NOT NULL DEFAULT '',
    event_batch text NOT NULL DEFAULT '',
    -- Somebody follows the run until then, and is notified of every entry.
    followed timestamptz NOT NULL DEFAULT '-infinity'
);
CREATE INDEX runs_by_update ON weaver.runs (updated);

CREATE TABLE weaver.entries (
    run_id text NOT NULL REFERENCES weaver.runs ON DELETE CASCADE,
    seq bigint NOT NULL,
    key text NOT NULL,
    kind text NOT NULL,
    epoch bigint NOT NULL,
    fingerprint text NOT NULL,
    value text,
    packed bytea,
    usage text,
    at timestamptz NOT NULL,
    PRIMARY KEY (run_id, seq)
);
CREATE UNIQUE INDEX first_writer_wins ON weaver.entries (run_id, key, kind, fingerprint)
    WHERE kind IN ('ok', 'verdict');

-- Events that came together, compressed: those with the numbers last - size + 1 to last.
CREATE TABLE weaver.events (
    run_id text NOT NULL REFERENCES weaver.runs ON DELETE CASCADE,
    last bigint NOT NULL,
    size integer NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (run_id, last)
);

-- Become the owner of a run. Returns the new epoch, and the status before or NULL for a new run.
CREATE FUNCTION weaver.open(p_run text, p_owner text, p_about text, OUT new_epoch bigint, OUT before text) AS $$
BEGIN
    INSERT INTO weaver.runs (run_id, status, epoch, owner, about)
        VALUES (p_run, 'running', 1, p_owner, p_about) ON CONFLICT DO NOTHING;
    IF FOUND THEN
        new_epoch := 1;
        RETURN;
    END IF;
    SELECT r.status INTO before FROM weaver.runs r WHERE r.run_id = p_run FOR UPDATE;
    UPDATE weaver.runs r SET status = 'running', epoch = r.epoch + 1, owner = p_owner, updated = clock_timestamp()
        WHERE r.run_id = p_run RETURNING r.epoch INTO new_epoch;
    PERFORM pg_notify('weaver_run', p_run);
END $$ LANGUAGE plpgsql;

-- Record entries, all or none. Returns false for who does not own the run.
-- p_batch names this call: a call that is repeated because its answer was lost writes nothing again.
CREATE FUNCTION weaver.append(
    p_run text, p_epoch bigint, p_batch text, p_keys text[], p_kinds text[], p_fingerprints text[],
    p_values text[], p_packed bytea[], p_usages text[]
) RETURNS boolean AS $$
DECLARE
    run weaver.runs;
    next_seq bigint;
    now timestamptz := clock_timestamp();
BEGIN
    SELECT * INTO run FROM weaver.runs r WHERE r.run_id = p_run FOR UPDATE;
    IF NOT FOUND OR (p_epoch <> 0 AND p_epoch <> run.epoch) THEN
        RETURN false;
    END IF;
    IF p_batch = run.batch THEN
        RETURN true;
    END IF;
    next_seq := run.last_seq + 1;
    FOR i IN 1 .. cardinality(p_keys) LOOP
        INSERT INTO weaver.entries VALUES (
            p_run, next_seq, p_keys[i], p_kinds[i], p_epoch, p_fingerprints[i], p_values[i], p_packed[i],
            p_usages[i], now
        ) ON CONFLICT (run_id, key, kind, fingerprint) WHERE kind IN ('ok', 'verdict') DO NOTHING;
        IF FOUND THEN
            next_seq := next_seq + 1;
        END IF;
    END LOOP;
    UPDATE weaver.runs r SET last_seq = next_seq - 1, updated = now,
        batch = CASE WHEN p_epoch = 0 THEN r.batch ELSE p_batch END WHERE r.run_id = p_run;
    IF p_epoch = 0 OR run.followed > now THEN
        PERFORM pg_notify('weaver_run', p_run);
    END IF;
    RETURN true;
END $$ LANGUAGE plpgsql;

-- Number events and keep them. Returns false for who does not own the run.
CREATE FUNCTION weaver.publish(p_run text, p_epoch bigint, p_batch text, p_size integer, p_body bytea)
RETURNS boolean AS $$
DECLARE
    run weaver.runs;
BEGIN
    SELECT * INTO run FROM weaver.runs r WHERE r.run_id = p_run FOR UPDATE;
    IF NOT FOUND OR p_epoch NOT IN (0, run.epoch) THEN
        RETURN false;
    END IF;
    IF p_batch = run.event_batch THEN
        RETURN true;
    END IF;
    INSERT INTO weaver.events VALUES (p_run, run.last_event + p_size, p_size, p_body);
    UPDATE weaver.runs r SET last_event = run.last_event + p_size, event_batch = p_batch WHERE r.run_id = p_run;
    IF run.followed > clock_timestamp() THEN
        PERFORM pg_notify('weaver_run', p_run);
    END IF;
    RETURN true;
END $$ LANGUAGE plpgsql;

CREATE FUNCTION weaver.finish(p_run text, p_epoch bigint, p_status text, p_result bytea) RETURNS boolean AS $$
DECLARE
    run weaver.runs;
BEGIN
    UPDATE weaver.runs r SET status = p_status, result = p_result, updated = clock_timestamp()
        WHERE r.run_id = p_run AND (p_epoch = 0 OR r.epoch = p_epoch) RETURNING * INTO run;
    IF run.followed > clock_timestamp() THEN
        PERFORM pg_notify('weaver_run', p_run);
    END IF;
    RETURN run.run_id IS NOT NULL;
END $$ LANGUAGE plpgsql;

-- Take a run away from its owner.
CREATE FUNCTION weaver.cancel(p_run text) RETURNS void AS $$
BEGIN
    UPDATE weaver.runs SET status = 'cancelled', epoch = epoch + 1, updated = clock_timestamp()
        WHERE run_id = p_run;
    PERFORM pg_notify('weaver_run', p_run);
END $$ LANGUAGE plpgsql;
