-- Worker processes and their leases.
-- locks: new objects only.

CREATE TABLE workers (
    id uuid PRIMARY KEY,
    host text NOT NULL,
    pid integer NOT NULL,
    version text NOT NULL,
    queues text [] NOT NULL,
    concurrency integer NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    lease_until timestamptz NOT NULL,
    loop_lag_ms integer NOT NULL DEFAULT 0,
    stopping boolean NOT NULL DEFAULT false,
    CONSTRAINT workers_concurrency_check CHECK (concurrency > 0),
    CONSTRAINT workers_queues_check CHECK (cardinality(queues) > 0),
    CONSTRAINT workers_loop_lag_ms_check CHECK (loop_lag_ms >= 0)
)
-- Every row is updated every three seconds: room on the page keeps those updates off the index.
WITH (fillfactor = 50);

CREATE INDEX workers_lease_idx ON workers (lease_until);

COMMENT ON TABLE workers IS 'One row per worker process that lives, or died within the last day';
COMMENT ON COLUMN workers.id IS 'UUIDv7, new at every start of a process';
COMMENT ON COLUMN workers.host IS 'The machine it runs on';
COMMENT ON COLUMN workers.pid IS 'Its process id there';
COMMENT ON COLUMN workers.version IS 'The version of jobhub it runs';
COMMENT ON COLUMN workers.queues IS 'The queues it takes jobs from';
COMMENT ON COLUMN workers.concurrency IS 'How many jobs it runs at once';
COMMENT ON COLUMN workers.started_at IS 'When the process registered';
COMMENT ON COLUMN workers.lease_until IS 'Its jobs are its own until then; renewed every 3 s for 15 s';
COMMENT ON COLUMN workers.loop_lag_ms IS 'How late its event loop was when it last renewed';
COMMENT ON COLUMN workers.stopping IS 'Whether it was told to stop and only finishes what it runs';
