-- Sessions of the pages under /ui.

-- name: add_session
-- Put a session on record.
-- params:  id_sha256, user_id, lifetime_seconds
INSERT INTO sessions (id_sha256, user_id, expires_at)
VALUES (:id_sha256::bytea, :user_id::uuid, now() + make_interval(secs => :lifetime_seconds::float8));

-- name: use_session
-- Whose session it is; and that it was used now, unless that was put down within the last `precision_seconds`: most requests write nothing.
-- params:  id_sha256, idle_seconds, precision_seconds (null: put nothing down)
-- returns: the user, or no row if the session is unknown, over or was idle for too long, or the user is disabled
-- locks:   the session's row when it is written; a request that comes second skips it and writes nothing
-- index:   sessions_pkey, users_pkey
-- test:    tests/store/test_sessions.py
WITH live AS (
    SELECT sessions.id_sha256, sessions.user_id, sessions.seen_at FROM sessions
    WHERE sessions.id_sha256 = :id_sha256::bytea
        AND sessions.expires_at > now()
        AND sessions.seen_at > now() - make_interval(secs => :idle_seconds::float8)
),
due AS (
    SELECT sessions.id_sha256 FROM sessions
    WHERE sessions.id_sha256 = (
            SELECT live.id_sha256 FROM live WHERE live.seen_at < now() - make_interval(secs => :precision_seconds::float8)
        )
    FOR UPDATE SKIP LOCKED
),
seen AS (
    UPDATE sessions SET seen_at = now() FROM due WHERE sessions.id_sha256 = due.id_sha256
)
SELECT users.id, users.email, users.role, users.disabled_at IS NOT NULL AS disabled, users.created_at
FROM live INNER JOIN users ON live.user_id = users.id
WHERE users.disabled_at IS NULL;

-- name: end_session
-- Sign one browser out.
-- params:  id_sha256
-- index:   sessions_pkey
DELETE FROM sessions WHERE id_sha256 = :id_sha256::bytea;

-- name: end_sessions_of_user
-- Sign a user out everywhere. A statement of its own, after `change_user` in its transaction: it has to see the sessions of sign-ins that
-- held the user row until then.
-- params:  user_id
-- index:   sessions_of_user_idx
-- test:    tests/web/ui/test_session.py
DELETE FROM sessions WHERE user_id = :user_id::uuid;

-- name: remove_expired_sessions
-- Forget at most 1,000 sessions that are over. Those that were idle for too long go when their time is over too.
-- returns: one row: how many
-- index:   sessions_expired_idx
WITH expired AS (
    SELECT sessions.id_sha256 FROM sessions
    WHERE sessions.expires_at < now()
    ORDER BY sessions.expires_at
    LIMIT 1000
    FOR UPDATE SKIP LOCKED
),
removed AS (
    DELETE FROM sessions WHERE sessions.id_sha256 = ANY(ARRAY(SELECT expired.id_sha256 FROM expired)) RETURNING sessions.id_sha256
)
SELECT count(*) AS removed FROM removed;
