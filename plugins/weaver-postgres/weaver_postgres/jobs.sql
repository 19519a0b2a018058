-- Version 2: runs that workers take.

CREATE TABLE weaver.workers (
    name text PRIMARY KEY,
    started timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE weaver.jobs (
    run_id text PRIMARY KEY REFERENCES weaver.runs ON DELETE CASCADE,
    number bigint GENERATED ALWAYS AS IDENTITY,
    state text NOT NULL CHECK (state IN ('scheduled', 'queued', 'claimed', 'done')),
    queue text NOT NULL,
    submitter text NOT NULL,
    priority integer NOT NULL,
    due timestamptz NOT NULL,
    parent text NOT NULL,
    worker text NOT NULL DEFAULT '',
    claim bigint NOT NULL DEFAULT 0,
    claimed timestamptz,
    deaths integer NOT NULL DEFAULT 0,
    max_cost double precision
);
CREATE INDEX jobs_queued ON weaver.jobs (queue, submitter, priority DESC, number) WHERE state = 'queued';
CREATE INDEX jobs_scheduled ON weaver.jobs (due) WHERE state = 'scheduled';
CREATE INDEX jobs_claimed ON weaver.jobs (worker) WHERE state = 'claimed';
CREATE INDEX jobs_by_parent ON weaver.jobs (parent) WHERE parent <> '';

-- Times at which a job is submitted again and again.
CREATE TABLE weaver.schedules (
    name text PRIMARY KEY,
    cron text NOT NULL,
    zone text NOT NULL,
    next timestamptz NOT NULL,
    about text NOT NULL,
    queue text NOT NULL,
    submitter text NOT NULL,
    priority integer NOT NULL,
    max_cost double precision
);

-- Money that the runs of a submitter may cost within a period. '' is everybody without a budget of their own.
CREATE TABLE weaver.budgets (
    submitter text PRIMARY KEY,
    max_cost double precision NOT NULL,
    period text NOT NULL CHECK (period IN ('hour', 'day', 'week', 'month', 'ever')),
    run_cost double precision NOT NULL
);
-- Limits of endpoints that all workers keep together.
CREATE TABLE weaver.endpoints (
    endpoint text PRIMARY KEY,
    calls integer,
    requests_per_minute double precision,
    tokens_per_minute double precision
);
-- What ended runs have cost.
CREATE TABLE weaver.spending (
    submitter text NOT NULL,
    run_id text NOT NULL,
    at timestamptz NOT NULL,
    cost double precision NOT NULL,
    PRIMARY KEY (run_id)
);
CREATE INDEX spending_by_submitter ON weaver.spending (submitter, at);

-- Add a job; a run that exists is left alone. Returns whether it is new.
CREATE FUNCTION weaver.submit(
    p_run text, p_about text, p_queue text, p_submitter text, p_priority integer, p_delay double precision,
    p_at double precision, p_parent text, p_max_cost double precision
) RETURNS boolean AS $$
DECLARE
    now timestamptz := clock_timestamp();
    due timestamptz := greatest(now + make_interval(secs => p_delay), to_timestamp(p_at));
BEGIN
    INSERT INTO weaver.runs (run_id, status, epoch, owner, about) VALUES (p_run, 'queued', 0, '', p_about)
        ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO weaver.jobs (run_id, state, queue, submitter, priority, due, parent, max_cost) VALUES (
        p_run, CASE WHEN due > now THEN 'scheduled' ELSE 'queued' END, p_queue, p_submitter, p_priority, due,
        p_parent, p_max_cost
    );
    RETURN true;
END $$ LANGUAGE plpgsql;

-- What a submitter may still spend: of the budget, minus ended runs, minus what running ones may cost.
CREATE FUNCTION weaver.money_left(p_submitter text) RETURNS double precision AS $$
    SELECT b.max_cost
        - coalesce((
            SELECT sum(s.cost) FROM weaver.spending s WHERE s.submitter = p_submitter AND (
                b.period = 'ever' OR s.at >= date_trunc(nullif(b.period, 'ever'), clock_timestamp(), 'UTC')
            )
        ), 0)
        - coalesce((
            SELECT sum(least(j.max_cost, b.run_cost)) FROM weaver.jobs j
            WHERE j.state = 'claimed' AND j.submitter = p_submitter
        ), 0)
    FROM weaver.budgets b WHERE b.submitter IN (p_submitter, '') ORDER BY b.submitter DESC LIMIT 1
$$ LANGUAGE sql STABLE;

-- Take up to p_limit jobs. One claim at a time: so shares and budgets are exact, and it takes about a millisecond.
CREATE FUNCTION weaver.claim(p_worker text, p_queues text[], p_limit integer) RETURNS SETOF weaver.jobs AS $$
DECLARE
    chosen weaver.jobs;
    now timestamptz := clock_timestamp();
BEGIN
    PERFORM pg_advisory_xact_lock(1466264942, 1);
    UPDATE weaver.jobs SET state = 'queued' WHERE run_id IN (
        SELECT run_id FROM weaver.jobs WHERE state = 'scheduled' AND due <= now ORDER BY due LIMIT 1000
    );
    FOR i IN 1 .. p_limit LOOP
        WITH RECURSIVE line AS (  -- each pair of queue and submitter that has a job, by an index only
            (SELECT queue, submitter FROM weaver.jobs WHERE state = 'queued'
             ORDER BY queue, submitter LIMIT 1)
            UNION ALL
            SELECT following.* FROM line, LATERAL (
                SELECT queue, submitter FROM weaver.jobs
                WHERE state = 'queued' AND (queue, submitter) > (line.queue, line.submitter)
                ORDER BY queue, submitter LIMIT 1
            ) following
        ), busy AS (
            SELECT submitter, count(*) AS jobs FROM weaver.jobs WHERE state = 'claimed' GROUP BY submitter
        )
        SELECT first.* INTO chosen FROM line
        CROSS JOIN LATERAL (
            SELECT * FROM weaver.jobs j
            WHERE j.state = 'queued' AND j.queue = line.queue AND j.submitter = line.submitter
            ORDER BY j.priority DESC, j.number LIMIT 1
        ) first
        LEFT JOIN busy ON busy.submitter = line.submitter
        LEFT JOIN LATERAL (
            SELECT run_cost FROM weaver.budgets b WHERE b.submitter IN (line.submitter, '')
            ORDER BY b.submitter DESC LIMIT 1
        ) budget ON true
        WHERE line.queue = ANY (p_queues) AND (
            budget.run_cost IS NULL
            OR weaver.money_left(line.submitter) >= least(first.max_cost, budget.run_cost)
        )
        ORDER BY first.priority DESC, coalesce(busy.jobs, 0), first.number LIMIT 1;
        EXIT WHEN chosen.run_id IS NULL;
        UPDATE weaver.jobs SET state = 'claimed', worker = p_worker, claim = claim + 1, claimed = now,
            max_cost = least(max_cost, (
                SELECT run_cost FROM weaver.budgets b WHERE b.submitter IN (chosen.submitter, '')
                ORDER BY b.submitter DESC LIMIT 1
            ))
            WHERE run_id = chosen.run_id AND state = 'queued' RETURNING * INTO chosen;
        CONTINUE WHEN NOT FOUND;  -- cancelled just now
        RETURN NEXT chosen;
    END LOOP;
END $$ LANGUAGE plpgsql;

-- The end of a job: what its run has cost is counted once, lost calls included.
CREATE FUNCTION weaver.end_job(p_run text) RETURNS void AS $$
BEGIN
    INSERT INTO weaver.spending
        SELECT j.submitter, j.run_id, clock_timestamp(), coalesce((
            SELECT sum((paid.usage::json ->> 'cost_usd')::double precision) FROM (
                SELECT DISTINCT ON (key, epoch) usage FROM weaver.entries e
                WHERE e.run_id = p_run AND e.usage IS NOT NULL ORDER BY key, epoch, seq DESC
            ) paid
        ), 0)
        FROM weaver.jobs j WHERE j.run_id = p_run AND j.claim > 0
        ON CONFLICT (run_id) DO UPDATE SET cost = excluded.cost;
    UPDATE weaver.jobs SET state = 'done', worker = '' WHERE run_id = p_run;
    PERFORM pg_notify('weaver_job', 'end ' || p_run);
END $$ LANGUAGE plpgsql;

CREATE FUNCTION weaver.finish_job(p_worker text, p_run text, p_claim bigint) RETURNS void AS $$
BEGIN
    PERFORM FROM weaver.jobs
        WHERE run_id = p_run AND state = 'claimed' AND worker = p_worker AND claim = p_claim FOR UPDATE;
    IF FOUND THEN
        PERFORM weaver.end_job(p_run);
    END IF;
END $$ LANGUAGE plpgsql;

-- Put jobs of dead workers, and of workers that do not know of them, back into the queue.
-- A run that had ended is not run again; one that has brought down ten workers has failed.
CREATE FUNCTION weaver.return_jobs(p_runs text[], p_workers text[], p_died boolean) RETURNS void AS $$
DECLARE
    job record;
BEGIN
    FOR job IN
        SELECT j.run_id, j.deaths + p_died::integer AS deaths, r.status FROM weaver.jobs j
        JOIN weaver.runs r USING (run_id)
        WHERE j.run_id = ANY (p_runs) AND j.worker = ANY (p_workers) AND j.state = 'claimed' FOR UPDATE OF j
    LOOP
        IF job.status IN ('complete', 'partial', 'failed', 'cancelled') THEN
            PERFORM weaver.end_job(job.run_id);
        ELSIF job.deaths >= 10 THEN
            UPDATE weaver.runs SET status = 'failed', epoch = epoch + 1, updated = clock_timestamp()
                WHERE run_id = job.run_id;
            PERFORM weaver.end_job(job.run_id);
        ELSE
            UPDATE weaver.jobs SET state = 'queued', worker = '', deaths = job.deaths WHERE run_id = job.run_id;
        END IF;
    END LOOP;
END $$ LANGUAGE plpgsql;

CREATE FUNCTION weaver.release_job(p_worker text, p_run text, p_claim bigint, p_broken boolean)
RETURNS void AS $$
BEGIN
    PERFORM weaver.return_jobs(
        array(SELECT run_id FROM weaver.jobs WHERE run_id = p_run AND claim = p_claim), array[p_worker], p_broken
    );
    PERFORM pg_notify('weaver_job', 'new');
END $$ LANGUAGE plpgsql;

-- Returns the numbers, in p_runs, of claims that are no longer the worker's; and 0 with the time.
-- p_complete: the worker knew of every claim until then when it wrote p_runs; NULL: it does not know.
CREATE FUNCTION weaver.beat(
    p_worker text, p_runs text[], p_claims bigint[], p_lease double precision, p_complete timestamptz
) RETURNS TABLE (place integer, at timestamptz) AS $$
DECLARE
    now timestamptz := clock_timestamp();
    lease interval := make_interval(secs => p_lease);
    last_seen timestamptz;
    dead text[];
BEGIN
    SELECT seen INTO last_seen FROM weaver.workers WHERE name = p_worker;
    INSERT INTO weaver.workers (name) VALUES (p_worker) ON CONFLICT (name) DO UPDATE SET seen = clock_timestamp();
    -- Claimed, but the worker does not know: the answer to its claim was lost.
    PERFORM weaver.return_jobs(array(
        SELECT run_id FROM weaver.jobs WHERE state = 'claimed' AND worker = p_worker
            AND claimed < p_complete AND run_id <> ALL (p_runs)
    ), array[p_worker], false);
    -- The database may have been away from everybody. It was not where this worker has just been seen, or where
    -- runs were written to so long ago that whoever lives has been seen since.
    IF (last_seen > now - lease * 0.7 OR EXISTS (
        SELECT FROM weaver.runs WHERE updated BETWEEN now - lease * 0.7 AND now - lease * 0.3
    )) AND pg_try_advisory_xact_lock(1466264942, 2) THEN
        dead := array(SELECT name FROM weaver.workers WHERE seen < now - lease);
        IF cardinality(dead) > 0 THEN
            PERFORM weaver.return_jobs(
                array(SELECT run_id FROM weaver.jobs WHERE state = 'claimed' AND worker = ANY (dead)), dead, true
            );
            DELETE FROM weaver.workers WHERE name = ANY (dead) AND seen < now - lease;
            PERFORM pg_notify('weaver_job', 'new');
        END IF;
    END IF;
    RETURN QUERY
        SELECT mine.place::integer, now FROM unnest(p_runs, p_claims) WITH ORDINALITY AS mine (run_id, claim, place)
        LEFT JOIN weaver.jobs j ON j.run_id = mine.run_id AND j.claim = mine.claim
            AND j.worker = p_worker AND j.state = 'claimed'
        WHERE j.run_id IS NULL
        UNION ALL SELECT 0, now;
END $$ LANGUAGE plpgsql;

-- A worker's shares: equal ones. A worker that has just come waits until the others have made room.
CREATE FUNCTION weaver.shares(p_worker text) RETURNS TABLE (
    endpoint text, calls integer, requests double precision, tokens double precision
) AS $$
    WITH others AS (
        SELECT name, started, row_number() OVER (ORDER BY started, name) - 1 AS place, count(*) OVER () AS number
        FROM weaver.workers
    ), mine AS (
        SELECT *, started < clock_timestamp() - interval '3 seconds' OR number = 1 AS has_room FROM others
        WHERE name = p_worker
    )
    SELECT e.endpoint,
        CASE WHEN has_room THEN ((e.calls + number - 1 - place) / number)::integer
             WHEN e.calls IS NOT NULL THEN 0 END,
        e.requests_per_minute / number, e.tokens_per_minute / number
    FROM weaver.endpoints e CROSS JOIN mine
$$ LANGUAGE sql;

CREATE FUNCTION weaver.leave(p_worker text) RETURNS void AS $$
BEGIN
    PERFORM weaver.return_jobs(
        array(SELECT run_id FROM weaver.jobs WHERE state = 'claimed' AND worker = p_worker),
        array[p_worker], false
    );
    DELETE FROM weaver.workers WHERE name = p_worker;
    PERFORM pg_notify('weaver_job', 'new');
END $$ LANGUAGE plpgsql;

-- Cancel a run and those that it waits for. Returns whether it had not ended.
CREATE FUNCTION weaver.cancel_job(p_run text) RETURNS boolean AS $$
DECLARE
    is_first boolean := false;
    job record;
BEGIN
    FOR job IN
        WITH RECURSIVE tree AS (
            SELECT r.run_id FROM weaver.runs r WHERE r.run_id = p_run
            UNION SELECT j.run_id FROM weaver.jobs j JOIN tree ON j.parent = tree.run_id WHERE j.parent <> ''
        )
        SELECT r.run_id, r.status FROM tree JOIN weaver.runs r USING (run_id)
    LOOP
        CONTINUE WHEN job.status IN ('complete', 'partial', 'failed', 'cancelled');
        is_first := is_first OR job.run_id = p_run;
        PERFORM weaver.cancel(job.run_id);
        PERFORM weaver.end_job(job.run_id) FROM weaver.jobs j WHERE j.run_id = job.run_id AND j.state <> 'done';
        PERFORM pg_notify('weaver_job', 'cancel ' || job.run_id);
    END LOOP;
    RETURN is_first;
END $$ LANGUAGE plpgsql;

-- Work on a run that has ended again.
CREATE FUNCTION weaver.again(p_run text) RETURNS boolean AS $$
BEGIN
    UPDATE weaver.jobs SET state = 'queued', worker = '', deaths = 0 WHERE run_id = p_run AND state = 'done';
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE weaver.runs SET status = 'queued', updated = clock_timestamp() WHERE run_id = p_run;
    PERFORM pg_notify('weaver_job', 'new');
    RETURN true;
END $$ LANGUAGE plpgsql;
