-- What workers do to jobs: promote, claim and start, report progress, finish, rescue.
-- Every change is fenced by (job id, attempt): no row back means somebody else owns the job now. What ends an attempt or finishes a job
-- counts it in job_stat_changes, a row for all that are alike.
-- Workers run these with hash and merge joins and sequential scans off (worker.service): what is small here is an array of ids, and
-- each of them is one look-up by primary key, whatever the statistics say. They must not say anything of a status either: the few
-- rows that have it now would look like the better start, a plan that reads all jobs. coalesce() keeps the planner from guessing.

-- name: promote_jobs
-- Give at most 1,000 jobs whose time has come their delivery. Any number of workers may do it at once.
-- returns: one row: how many were promoted
-- locks:   those job rows, SKIP LOCKED
-- index:   jobs_promote_idx
WITH due AS (
    SELECT jobs.id, jobs.job_type, jobs.queue, jobs.priority, jobs.owner_id
    FROM jobs
    WHERE jobs.deliver_at <= now()
    ORDER BY jobs.deliver_at
    LIMIT 1000
    FOR UPDATE SKIP LOCKED
),
delivery AS (
    SELECT delivered.job_id, delivered.delivery_id
    FROM (
        SELECT
            array_agg(due.id) AS ids, array_agg(due.job_type::text) AS types, array_agg(due.queue::text) AS queues,
            array_agg(due.priority::integer) AS priorities, array_agg(due.owner_id) AS owners
        FROM due
    ) AS given
    CROSS JOIN LATERAL deliver_jobs(given.ids, given.types, given.queues, given.priorities, given.owners) AS delivered
),
promoted AS (
    UPDATE jobs
    SET delivery_id = delivery.delivery_id, deliver_at = NULL
    FROM delivery
    WHERE jobs.id = delivery.job_id
    RETURNING jobs.id
)
SELECT count(*) AS promoted FROM promoted;

-- name: claim_jobs
-- Take up to `slots` deliveries and start their jobs. The deliveries have served and go.
-- A delivery does nothing if its job is not pending any more or has a newer delivery. A job whose type this worker doesn't know is
-- put back for 30 s, since a newer worker may be about to come up; an hour after the first time it is started all the same, and fails.
-- params:  worker_id, queues, known_types, slots; after_rank and after_id: look only behind this delivery, where rank is -priority.
--          While a long transaction keeps dead index entries alive, every look from the front would walk over all of them
-- returns: one row per started job, best first, with what it takes to run it, and in each how many deliveries were taken; one row
--          with nothing but that number if no job was started
-- locks:   the deliveries (SKIP LOCKED), then their jobs
-- index:   deliveries_best_idx, procrastinate_jobs_pkey, jobs_pkey
-- test:    tests/store/test_dispatch.py, tests/contract/test_plans.py
WITH due AS MATERIALIZED (
    SELECT delivery.id, (delivery.args ->> 'job_id')::uuid AS job_id, -delivery.priority AS rank
    FROM procrastinate_jobs AS delivery
    WHERE delivery.status = 'todo'
        AND NOT delivery.held
        AND (-delivery.priority, delivery.id) > (:after_rank::integer, :after_id::bigint)
        AND delivery.queue_name = ANY(:queues::text [])
        AND EXISTS (SELECT FROM workers WHERE workers.id = :worker_id::uuid AND workers.lease_until > now())
    ORDER BY -delivery.priority, delivery.id
    LIMIT :slots::integer
    FOR UPDATE OF delivery SKIP LOCKED
),
taken AS (
    DELETE FROM procrastinate_jobs USING due WHERE procrastinate_jobs.id = due.id
),
started AS (
    UPDATE jobs
    SET
        status = 'running',
        attempt = jobs.attempt + 1,
        progress_percentage = 0,
        progress_message = NULL,
        started_at = now(),
        worker_id = :worker_id::uuid,
        delivery_id = NULL,
        unknown_type_since = NULL,
        updated_at = now(),
        version = jobs.version + 1
    FROM due
    WHERE jobs.id = due.job_id
        AND coalesce(jobs.delivery_id = due.id AND jobs.status = 'pending', false)
        AND (jobs.job_type = ANY(:known_types::text []) OR jobs.unknown_type_since < now() - interval '1 hour')
    RETURNING
        due.rank, due.id AS delivery_id,
        jobs.id, jobs.owner_id, jobs.job_type, jobs.attempt, jobs.failed_attempts, jobs.lost_attempts, jobs.max_attempts,
        jobs.parameters
),
noted AS (
    INSERT INTO claims (worker_id, job_ids)
    SELECT :worker_id::uuid, array_agg(started.id) FROM started HAVING count(*) > 0
),
put_back AS (
    UPDATE jobs
    SET deliver_at = now() + interval '30 s', delivery_id = NULL, unknown_type_since = coalesce(jobs.unknown_type_since, now())
    FROM (SELECT due.id, due.job_id FROM due WHERE due.id NOT IN (SELECT started.delivery_id FROM started)) AS left_over
    WHERE jobs.id = left_over.job_id AND coalesce(jobs.delivery_id = left_over.id AND jobs.status = 'pending', false)
)
SELECT
    due_count.taken, started.rank, started.delivery_id,
    started.id, started.owner_id, started.job_type, started.attempt, started.failed_attempts, started.lost_attempts,
    started.max_attempts, started.parameters
FROM (SELECT count(*) AS taken FROM due) AS due_count
LEFT JOIN started ON true
ORDER BY started.rank, started.delivery_id
LIMIT greatest(:slots::integer, 1);

-- name: claim_jobs_within_limit
-- claim_jobs where no user may have more than `max_running` jobs running, over all workers. Deliveries of those who have are held.
-- params:  as claim_jobs; max_running, at least 1
-- returns: as claim_jobs; and in each row how many of the deliveries taken are held now
-- locks:   the deliveries (SKIP LOCKED), then an advisory one for each owner among them, then their jobs. Nobody waits for a delivery, and
--          who holds a job's row waits for no owner: so there is no circle
-- index:   deliveries_best_idx, procrastinate_jobs_pkey, jobs_pkey; claims_of_worker_idx in startable_deliveries()
-- test:    tests/store/test_running_limit.py, tests/contract/test_plans.py
WITH candidate AS MATERIALIZED (
    SELECT
        delivery.id, (delivery.args ->> 'job_id')::uuid AS job_id, -delivery.priority AS rank,
        -- A version that knew no limits made deliveries without their owner.
        coalesce(
            delivery.owner_id, (SELECT jobs.owner_id FROM jobs WHERE jobs.id = (delivery.args ->> 'job_id')::uuid)
        ) AS owner_id
    FROM procrastinate_jobs AS delivery
    WHERE delivery.status = 'todo'
        AND NOT delivery.held
        AND (-delivery.priority, delivery.id) > (:after_rank::integer, :after_id::bigint)
        AND delivery.queue_name = ANY(:queues::text [])
        AND EXISTS (SELECT FROM workers WHERE workers.id = :worker_id::uuid AND workers.lease_until > now())
    ORDER BY -delivery.priority, delivery.id
    LIMIT :slots::integer
    FOR UPDATE OF delivery SKIP LOCKED
),
due AS MATERIALIZED (
    SELECT candidate.id, candidate.job_id, candidate.rank
    FROM (
        SELECT
            array_agg(candidate.id ORDER BY candidate.rank, candidate.id) AS ids,
            array_agg(candidate.owner_id ORDER BY candidate.rank, candidate.id) AS owners
        FROM candidate
    ) AS given
    CROSS JOIN LATERAL startable_deliveries(:worker_id::uuid, given.ids, given.owners, :max_running::integer) AS startable
    INNER JOIN candidate ON startable.delivery_id = candidate.id
),
taken AS (
    DELETE FROM procrastinate_jobs USING due WHERE procrastinate_jobs.id = due.id
),
started AS (
    UPDATE jobs
    SET
        status = 'running',
        attempt = jobs.attempt + 1,
        progress_percentage = 0,
        progress_message = NULL,
        started_at = now(),
        worker_id = :worker_id::uuid,
        delivery_id = NULL,
        unknown_type_since = NULL,
        updated_at = now(),
        version = jobs.version + 1
    FROM due
    WHERE jobs.id = due.job_id
        AND coalesce(jobs.delivery_id = due.id AND jobs.status = 'pending', false)
        AND (jobs.job_type = ANY(:known_types::text []) OR jobs.unknown_type_since < now() - interval '1 hour')
    RETURNING
        due.rank, due.id AS delivery_id,
        jobs.id, jobs.owner_id, jobs.job_type, jobs.attempt, jobs.failed_attempts, jobs.lost_attempts, jobs.max_attempts,
        jobs.parameters
),
noted AS (
    INSERT INTO claims (worker_id, job_ids)
    SELECT :worker_id::uuid, array_agg(started.id) FROM started HAVING count(*) > 0
),
put_back AS (
    UPDATE jobs
    SET deliver_at = now() + interval '30 s', delivery_id = NULL, unknown_type_since = coalesce(jobs.unknown_type_since, now())
    FROM (SELECT due.id, due.job_id FROM due WHERE due.id NOT IN (SELECT started.delivery_id FROM started)) AS left_over
    WHERE jobs.id = left_over.job_id AND coalesce(jobs.delivery_id = left_over.id AND jobs.status = 'pending', false)
)
SELECT
    candidates.taken, candidates.taken - due_count.startable AS held, started.rank, started.delivery_id,
    started.id, started.owner_id, started.job_type, started.attempt, started.failed_attempts, started.lost_attempts,
    started.max_attempts, started.parameters
FROM (SELECT count(*) AS taken FROM candidate) AS candidates
CROSS JOIN (SELECT count(*) AS startable FROM due) AS due_count
LEFT JOIN started ON true
ORDER BY started.rank, started.delivery_id
LIMIT greatest(:slots::integer, 1);

-- name: unhold_deliveries
-- Let held deliveries of users with room go, and wake the workers.
-- params:  max_running; 0 lets all go
-- returns: one row: let_go, at most 1,000; are_left, whether some may still be held
-- locks:   those deliveries, SKIP LOCKED
-- index:   deliveries_held_idx, jobs_pkey; claims is small
SELECT unheld.let_go, unheld.are_left FROM unhold_deliveries(:max_running::integer) AS unheld;

-- name: report_progress
-- Record how far a running attempt is. It never goes backwards.
-- params:  job_id, attempt, percentage, message (null: keep the last one)
-- returns: the job's id, or no row if the attempt is over or the report is behind an earlier one
-- locks:   the job row
-- index:   jobs_pkey
UPDATE jobs
SET
    progress_percentage = :percentage::smallint,
    progress_message = coalesce(:message::text, jobs.progress_message),
    updated_at = now(),
    version = jobs.version + 1
WHERE jobs.id = :job_id::uuid
    AND jobs.status = 'running'
    AND jobs.attempt = :attempt::integer
    AND jobs.progress_percentage <= :percentage::smallint
    AND (jobs.progress_percentage, jobs.progress_message) IS DISTINCT FROM
    (:percentage::smallint, coalesce(:message::text, jobs.progress_message))
RETURNING jobs.id;

-- name: finish_jobs
-- Record how attempts ended, all in one statement: complete, fail, cancel and release differ only in their values.
-- A job that would go back to pending but was asked to stop is cancelled instead. An attempt that was lost with the process it had to
-- itself (worker_lost, from worker.quarantine) is counted as rescue_jobs counts those lost with their worker.
-- params:  arrays of one length: job_ids, attempts, outcomes, statuses, results, error_codes, error_messages, tracebacks,
--          delays_seconds (for those that go back to pending; 0: at once)
-- returns: job_id, attempt, status of each accepted outcome. An outcome without a row was fenced off: the job is not running that attempt
-- locks:   the job rows, first those that go back, each lot in the order given: give them in the order of their ids, so that two of
--          these can't deadlock
-- index:   jobs_pkey
-- limit:   10 s
WITH outcome AS MATERIALIZED (
    SELECT given.* FROM unnest(
        :job_ids::uuid [], :attempts::integer [], :outcomes::attempt_outcome [], :statuses::job_status [], :results::jsonb [],
        :error_codes::text [], :error_messages::text [], :tracebacks::text [], :delays_seconds::float8 []
    ) AS given (job_id, attempt, outcome, status, result, error_code, error_message, traceback, delay_seconds)
),
-- Locked before the deliveries are made: nobody may ask it to stop in between.
back AS (
    SELECT jobs.id, jobs.job_type, jobs.queue, jobs.priority, jobs.owner_id, jobs.due_at, outcome.delay_seconds
    FROM outcome
    INNER JOIN jobs ON outcome.job_id = jobs.id
    WHERE outcome.status = 'pending'
        AND coalesce(jobs.status = 'running' AND jobs.attempt = outcome.attempt AND jobs.cancel_requested_at IS NULL, false)
    FOR UPDATE OF jobs
),
delivery AS (
    SELECT delivered.job_id, delivered.delivery_id
    FROM (
        SELECT
            array_agg(back.id) AS ids, array_agg(back.job_type::text) AS types, array_agg(back.queue::text) AS queues,
            array_agg(back.priority::integer) AS priorities, array_agg(back.owner_id) AS owners
        FROM back
        WHERE back.delay_seconds <= 0
    ) AS given
    CROSS JOIN LATERAL deliver_jobs(given.ids, given.types, given.queues, given.priorities, given.owners) AS delivered
),
finished AS (
    UPDATE jobs
    SET
        status = CASE WHEN outcome.status = 'pending' AND back.id IS NULL THEN 'cancelled' ELSE outcome.status END,
        progress_percentage = CASE outcome.status WHEN 'completed' THEN 100 ELSE jobs.progress_percentage END,
        result = CASE outcome.status WHEN 'completed' THEN outcome.result END,
        error_code = CASE WHEN outcome.outcome <> 'worker_lost' OR outcome.status = 'failed' THEN outcome.error_code END,
        error_message = CASE WHEN outcome.outcome <> 'worker_lost' OR outcome.status = 'failed' THEN outcome.error_message END,
        failed_attempts = jobs.failed_attempts + (outcome.outcome = 'failed')::integer,
        lost_attempts = jobs.lost_attempts + (outcome.outcome = 'worker_lost')::integer,
        scheduled_for = CASE
            WHEN back.id IS NOT NULL AND outcome.outcome = 'failed' THEN now() + make_interval(secs => outcome.delay_seconds)
            ELSE jobs.scheduled_for
        END,
        due_at = CASE WHEN back.id IS NOT NULL THEN now() + make_interval(secs => outcome.delay_seconds) ELSE jobs.due_at END,
        deliver_at = CASE WHEN back.delay_seconds > 0 THEN now() + make_interval(secs => back.delay_seconds) END,
        delivery_id = delivery.delivery_id,
        completed_at = CASE WHEN back.id IS NULL THEN now() END,
        updated_at = now(),
        version = jobs.version + 1
    FROM outcome
    LEFT JOIN back ON outcome.job_id = back.id
    LEFT JOIN delivery ON outcome.job_id = delivery.job_id
    WHERE jobs.id = outcome.job_id
        AND coalesce(jobs.status = 'running' AND jobs.attempt = outcome.attempt, false)
    RETURNING
        jobs.id, jobs.job_type, jobs.attempt, jobs.status, jobs.worker_id, coalesce(back.due_at, jobs.due_at) AS due_at, jobs.started_at,
        outcome.outcome, outcome.error_code, outcome.error_message, outcome.traceback,
        date_part('epoch', jobs.started_at - coalesce(back.due_at, jobs.due_at)) AS waiting_seconds,
        date_part('epoch', now() - jobs.started_at) AS processing_seconds
),
recorded AS (
    INSERT INTO job_attempts (job_id, number, worker_id, due_at, started_at, outcome, error_code, error_message, traceback)
    SELECT
        finished.id, finished.attempt, finished.worker_id, finished.due_at, finished.started_at,
        finished.outcome, finished.error_code, finished.error_message, finished.traceback
    FROM finished
),
counted AS (
    INSERT INTO job_stat_changes (
        at, job_type, status, error_code, jobs, outcome, attempts,
        waiting_microseconds, processing_microseconds, waiting_buckets, processing_buckets
    )
    SELECT
        now(), finished.job_type, nullif(finished.status, 'pending'), CASE finished.status WHEN 'failed' THEN finished.error_code END,
        CASE WHEN finished.status <> 'pending' THEN count(*) ELSE 0 END, finished.outcome, count(*),
        coalesce(sum((greatest(finished.waiting_seconds, 0) * 1e6)::bigint) FILTER (WHERE finished.outcome IN ('completed', 'failed')), 0),
        coalesce(sum((greatest(finished.processing_seconds, 0) * 1e6)::bigint) FILTER (WHERE finished.outcome IN ('completed', 'failed')), 0),
        coalesce(array_agg(stat_bucket(finished.waiting_seconds)) FILTER (WHERE finished.outcome IN ('completed', 'failed')), '{}'),
        coalesce(array_agg(stat_bucket(finished.processing_seconds)) FILTER (WHERE finished.outcome IN ('completed', 'failed')), '{}')
    FROM finished
    GROUP BY finished.job_type, finished.outcome, finished.status, CASE finished.status WHEN 'failed' THEN finished.error_code END
)
SELECT finished.id AS job_id, finished.attempt, finished.status FROM finished;

-- name: list_running_jobs
-- What the database says a worker runs: to stop what it must, and to give back what it doesn't know of.
-- params:  worker_id
-- returns: job_id, attempt, cancel_requested
-- index:   claims_of_worker_idx, jobs_pkey
SELECT jobs.id AS job_id, jobs.attempt, jobs.cancel_requested_at IS NOT NULL AS cancel_requested
FROM jobs
WHERE jobs.id = ANY(ARRAY(SELECT unnest(claims.job_ids) FROM claims WHERE claims.worker_id = :worker_id::uuid))
    AND jobs.worker_id = :worker_id::uuid
    AND jobs.status = 'running'
ORDER BY jobs.id
LIMIT 10000;

-- name: forget_claims
-- Forget at most 1,000 claims of a worker, and of lost ones, of which nothing runs any more.
-- params:  worker_id
-- returns: one row: how many
-- index:   claims_of_worker_idx, jobs_pkey
WITH forgotten AS (
    DELETE FROM claims
    -- Found once: joined with, they would be found again for each claim by a plan made when there was none.
    WHERE claims.id = ANY(ARRAY(
            SELECT settled.id FROM claims AS settled
            WHERE (
                settled.worker_id = :worker_id::uuid
                OR NOT EXISTS (SELECT FROM workers WHERE workers.id = settled.worker_id AND workers.lease_until >= now())
            )
            AND NOT EXISTS (
                SELECT FROM jobs
                WHERE jobs.id = ANY(settled.job_ids) AND jobs.status = 'running' AND jobs.worker_id = settled.worker_id
            )
            ORDER BY settled.id
            LIMIT 1000
        ))
    RETURNING claims.id
)
SELECT count(*) AS forgotten FROM forgotten;

-- name: rescue_jobs
-- Take at most 1,000 running jobs from workers whose lease is over, or that left no row: back to the queue, or, the third time a worker
-- is lost with the same job, failed. One that was asked to stop is cancelled.
-- returns: job_id, attempt, status of each
-- locks:   those job rows, SKIP LOCKED
-- index:   jobs_pkey; claims is small
WITH lost AS (
    SELECT
        jobs.id, jobs.attempt, jobs.job_type, jobs.queue, jobs.priority, jobs.owner_id, jobs.worker_id, jobs.due_at, jobs.started_at,
        CASE
            WHEN jobs.cancel_requested_at IS NOT NULL THEN 'cancelled'::job_status
            WHEN jobs.lost_attempts + 1 >= 3 THEN 'failed'
            ELSE 'pending'
        END AS status
    FROM jobs
    WHERE jobs.id = ANY(ARRAY(
            SELECT unnest(claims.job_ids) FROM claims
            WHERE NOT EXISTS (SELECT FROM workers WHERE workers.id = claims.worker_id AND workers.lease_until >= now())
        ))
        AND jobs.status = 'running'
        AND NOT EXISTS (SELECT FROM workers WHERE workers.id = jobs.worker_id AND workers.lease_until >= now())
    ORDER BY jobs.id
    LIMIT 1000
    FOR UPDATE OF jobs SKIP LOCKED
),
delivery AS (
    SELECT delivered.job_id, delivered.delivery_id
    FROM (
        SELECT
            array_agg(lost.id) AS ids, array_agg(lost.job_type::text) AS types, array_agg(lost.queue::text) AS queues,
            array_agg(lost.priority::integer) AS priorities, array_agg(lost.owner_id) AS owners
        FROM lost
        WHERE lost.status = 'pending'
    ) AS given
    CROSS JOIN LATERAL deliver_jobs(given.ids, given.types, given.queues, given.priorities, given.owners) AS delivered
),
recorded AS (
    INSERT INTO job_attempts (job_id, number, worker_id, due_at, started_at, outcome, error_code, error_message)
    SELECT
        lost.id, lost.attempt, lost.worker_id, lost.due_at, lost.started_at, 'worker_lost', 'worker_lost',
        'The worker that ran this attempt disappeared.'
    FROM lost
),
counted AS (
    INSERT INTO job_stat_changes (at, job_type, status, error_code, jobs, outcome, attempts)
    SELECT
        now(), alike.job_type, alike.status, CASE alike.status WHEN 'failed' THEN 'worker_lost' END,
        CASE WHEN alike.status IS NULL THEN 0 ELSE count(*) END, 'worker_lost', count(*)
    FROM (SELECT lost.job_type, CASE WHEN lost.status <> 'pending' THEN lost.status END AS status FROM lost) AS alike
    GROUP BY alike.job_type, alike.status
)
UPDATE jobs
SET
    status = lost.status,
    lost_attempts = jobs.lost_attempts + 1,
    error_code = CASE lost.status WHEN 'failed' THEN 'worker_lost' END,
    error_message = CASE lost.status
        WHEN 'failed' THEN 'Three workers disappeared while they ran this job; it may be what brings them down.'
    END,
    due_at = CASE lost.status WHEN 'pending' THEN now() ELSE jobs.due_at END,
    delivery_id = delivery.delivery_id,
    completed_at = CASE WHEN lost.status <> 'pending' THEN now() END,
    updated_at = now(),
    version = jobs.version + 1
FROM lost
LEFT JOIN delivery ON lost.id = delivery.job_id
WHERE jobs.id = lost.id
RETURNING jobs.id AS job_id, jobs.attempt, jobs.status;
