-- Accounts, refresh tokens, tickets and failed logins.

-- name: get_user
-- One account.
-- params:  user_id
-- returns: the user, or no row
-- index:   users_pkey
SELECT id, email, role, disabled_at IS NOT NULL AS disabled, created_at FROM users WHERE id = :user_id::uuid;

-- name: get_users
-- Several accounts.
-- params:  user_ids
-- returns: those that there are
-- index:   users_pkey
SELECT id, email, role, disabled_at IS NOT NULL AS disabled, created_at FROM users WHERE id = ANY(:user_ids::uuid []);

-- name: get_user_by_email
-- One account, with what it takes to check a password.
-- params:  email, in any case
-- returns: the user and password_hash, or no row
-- index:   users_email_idx
-- test:    tests/store/test_email_case.py
SELECT id, email, role, disabled_at IS NOT NULL AS disabled, created_at, password_hash
FROM users
WHERE lower(email) = lower(:email::text)
    -- lower() makes an i of U+0130 and a k of U+212A too: another address, perhaps somebody else's. Their upper cases differ.
    AND upper(email) = upper(:email::text);

-- name: list_users
-- All accounts, oldest first.
-- returns: at most 10,000 users
SELECT id, email, role, disabled_at IS NOT NULL AS disabled, created_at FROM users ORDER BY created_at, id LIMIT 10000;

-- name: create_user
-- Make an account.
-- params:  id, email, password_hash, role; actor_id, request_id for the audit log
-- returns: the user, or no row if the address is taken
-- index:   users_email_idx
WITH created AS (
    INSERT INTO users (id, email, password_hash, role)
    VALUES (:id::uuid, :email::text, :password_hash::text, :role::user_role)
    ON CONFLICT (lower(email)) DO NOTHING
    RETURNING users.id, users.email, users.role, users.disabled_at IS NOT NULL AS disabled, users.created_at
),
audited AS (
    INSERT INTO audit_log (actor_id, verb, user_id, request_id, details)
    SELECT :actor_id::uuid, 'create_user', created.id, :request_id::text, jsonb_build_object('role', created.role) FROM created
)
SELECT created.* FROM created;

-- name: lock_active_administrators
-- Hold every active administrator's row until the transaction ends, so that two can't demote each other at once.
-- returns: their ids
-- locks:   those rows, in the order of their ids
-- index:   users_active_administrators_idx
SELECT id FROM users WHERE role = 'admin' AND disabled_at IS NULL ORDER BY id LIMIT 10000 FOR UPDATE;

-- name: change_user
-- Change role, password or whether the account is disabled; null leaves a value as it is.
-- params:  user_id, role, password_hash, disabled; actor_id, request_id for the audit log
-- returns: the user, or no row if there is none
-- locks:   the user row
-- index:   users_pkey
WITH changed AS (
    UPDATE users
    SET
        role = coalesce(:role::user_role, users.role),
        password_hash = coalesce(:password_hash::text, users.password_hash),
        disabled_at = CASE :disabled::boolean WHEN TRUE THEN coalesce(users.disabled_at, now()) WHEN FALSE THEN NULL ELSE users.disabled_at END
    WHERE users.id = :user_id::uuid
    RETURNING users.id, users.email, users.role, users.disabled_at IS NOT NULL AS disabled, users.created_at
),
audited AS (
    INSERT INTO audit_log (actor_id, verb, user_id, request_id, details)
    SELECT
        :actor_id::uuid, 'change_user', changed.id, :request_id::text,
        jsonb_strip_nulls(jsonb_build_object(
            'role', :role::user_role, 'disabled', :disabled::boolean, 'password_changed', :password_hash::text IS NOT NULL
        ))
    FROM changed
)
SELECT changed.* FROM changed;

-- name: revoke_tokens_of_user
-- End every login of an account. A statement of its own, after `change_user` in its transaction: it has to see the tokens of logins that
-- held the user row until then.
-- params:  user_id
-- index:   refresh_tokens_user_idx
-- test:    tests/web/test_refresh.py
UPDATE refresh_tokens SET revoked_at = now() WHERE user_id = :user_id::uuid AND revoked_at IS NULL;

-- name: lock_user_to_log_in
-- Hold an account as it was when the password was checked, until the new token is on record.
-- params:  user_id, password_hash
-- returns: its id, or no row if it was disabled or its password was changed meanwhile
-- locks:   the user row, shared
-- index:   users_pkey
-- test:    tests/web/test_refresh.py
SELECT id FROM users WHERE id = :user_id::uuid AND password_hash = :password_hash::text AND disabled_at IS NULL FOR SHARE;

-- name: lock_user_of_refresh_token
-- Hold an account until the next token is on record: whoever disables it or changes its password revokes that one too.
-- params:  id of the token
-- returns: the user, or no row if the token is unknown
-- locks:   the user row, shared; before the token's, as `change_user` does
-- index:   refresh_tokens_pkey, users_pkey
-- test:    tests/web/test_refresh.py
SELECT id, email, role, disabled_at IS NOT NULL AS disabled, created_at
FROM users
WHERE id = (SELECT user_id FROM refresh_tokens WHERE refresh_tokens.id = :id::uuid)
FOR SHARE;

-- name: replace_password_hash
-- Keep the same password under newer hashing parameters, unless it was changed meanwhile.
-- params:  user_id, old_hash, new_hash
UPDATE users SET password_hash = :new_hash::text WHERE id = :user_id::uuid AND password_hash = :old_hash::text;

-- name: add_refresh_token
-- Put a refresh token on record.
-- params:  id, family_id, user_id, secret_sha256, lifetime_seconds
INSERT INTO refresh_tokens (id, family_id, user_id, secret_sha256, expires_at)
VALUES (:id::uuid, :family_id::uuid, :user_id::uuid, :secret_sha256::bytea, now() + make_interval(secs => :lifetime_seconds::float8));

-- name: use_refresh_token
-- Exchange a refresh token, once.
-- params:  id, secret_sha256
-- returns: user_id and family_id, or no row if it is unknown, expired, revoked or was used before
-- locks:   the token row
-- index:   refresh_tokens_pkey
UPDATE refresh_tokens
SET used_at = now()
WHERE id = :id::uuid
    AND secret_sha256 = :secret_sha256::bytea
    AND used_at IS NULL
    AND revoked_at IS NULL
    AND expires_at > now()
RETURNING user_id, family_id;

-- name: revoke_family_of_token
-- Revoke every token that came from the same login as this one and is on record now. To be repeated until it revokes none: it does not see
-- the successor of a token it had to wait for.
-- params:  id, secret_sha256
-- returns: one row: how many were revoked
-- test:    tests/web/test_refresh.py
-- index:   refresh_tokens_pkey, refresh_tokens_family_idx
WITH revoked AS (
    UPDATE refresh_tokens SET revoked_at = now()
    WHERE refresh_tokens.revoked_at IS NULL
        AND refresh_tokens.family_id = (
            SELECT known.family_id FROM refresh_tokens AS known
            WHERE known.id = :id::uuid AND known.secret_sha256 = :secret_sha256::bytea
        )
    RETURNING refresh_tokens.id
)
SELECT count(*) AS revoked FROM revoked;

-- name: remove_expired_tokens
-- Forget at most 1,000 refresh tokens that can't be used any more.
-- returns: one row: how many
-- index:   refresh_tokens_expired_idx
WITH expired AS (
    SELECT refresh_tokens.id FROM refresh_tokens
    WHERE refresh_tokens.expires_at < now()
    ORDER BY refresh_tokens.expires_at
    LIMIT 1000
    FOR UPDATE SKIP LOCKED
),
removed AS (
    DELETE FROM refresh_tokens WHERE refresh_tokens.id = ANY(ARRAY(SELECT expired.id FROM expired)) RETURNING refresh_tokens.id
)
SELECT count(*) AS removed FROM removed;

-- name: add_stream_ticket
-- Put a ticket on record.
-- params:  secret_sha256, user_id, lifetime_seconds
INSERT INTO stream_tickets (secret_sha256, user_id, expires_at)
VALUES (:secret_sha256::bytea, :user_id::uuid, now() + make_interval(secs => :lifetime_seconds::float8));

-- name: use_stream_ticket
-- Exchange a ticket for its user, once.
-- params:  secret_sha256
-- returns: the user, or no row if the ticket is unknown, expired or was used before
-- locks:   the ticket's row
-- index:   stream_tickets_pkey, users_pkey
-- test:    tests/web/test_tickets.py
WITH used AS (
    DELETE FROM stream_tickets
    WHERE stream_tickets.secret_sha256 = :secret_sha256::bytea AND stream_tickets.expires_at > now()
    RETURNING stream_tickets.user_id
)
SELECT users.id, users.email, users.role, users.disabled_at IS NOT NULL AS disabled, users.created_at
FROM used INNER JOIN users ON used.user_id = users.id;

-- name: remove_expired_tickets
-- Forget at most 1,000 tickets that nobody used in time.
-- returns: one row: how many
-- index:   stream_tickets_expired_idx
WITH expired AS (
    SELECT stream_tickets.secret_sha256 FROM stream_tickets
    WHERE stream_tickets.expires_at < now()
    ORDER BY stream_tickets.expires_at
    LIMIT 1000
    FOR UPDATE SKIP LOCKED
),
removed AS (
    DELETE FROM stream_tickets
    WHERE stream_tickets.secret_sha256 = ANY(ARRAY(SELECT expired.secret_sha256 FROM expired))
    RETURNING stream_tickets.secret_sha256
)
SELECT count(*) AS removed FROM removed;

-- name: login_delay
-- How long the next login for this account from this network has to wait: nothing for the first five failures, then 1, 2, 4 … s, at most
-- 15 minutes.
-- params:  email_sha256, network
-- returns: at most one row: seconds, 0 or more
-- index:   login_failures_by_account_and_network_pkey
SELECT greatest(0, ceil(extract(EPOCH FROM last_failed_at + make_interval(secs => least(900, 2.0 ^ least(failures - 5, 20))) - clock_timestamp())))::integer AS seconds
FROM login_failures_by_account_and_network
WHERE email_sha256 = :email_sha256::bytea AND network = :network::text::cidr AND failures >= 5;

-- name: count_login
-- Count a login as failed before its password is looked at, unless it has to wait: so of many at once no more get through than one after
-- the other. A success forgets the count. After a day without a failure it starts anew.
-- params:  email_sha256, network
-- returns: one row if it was counted; no row if it has to wait (`login_delay`)
-- locks:   the counter's row
-- index:   login_failures_by_account_and_network_pkey
-- test:    tests/web/test_guessing.py
INSERT INTO login_failures_by_account_and_network AS known (email_sha256, network, failures, last_failed_at)
VALUES (:email_sha256::bytea, :network::text::cidr, 1, now())
ON CONFLICT (email_sha256, network) DO UPDATE
SET
    failures = CASE WHEN known.last_failed_at < now() - interval '1 day' THEN 1 ELSE least(known.failures + 1, 1000) END,
    last_failed_at = now()
WHERE known.failures < 5 OR known.last_failed_at + make_interval(secs => least(900, 2.0 ^ least(known.failures - 5, 20))) <= now()
RETURNING failures;

-- name: count_login_for_account
-- The same for the account, wherever it is tried from: at most so many failures in the hour that begins with the first.
-- params:  email_sha256, limit
-- returns: one row if it was counted; no row if the limit is reached (`account_login_delay`)
-- locks:   the counter's row
-- index:   login_failures_pkey
-- test:    tests/web/test_guessing.py
INSERT INTO login_failures (email_sha256, failures, last_failed_at)
VALUES (:email_sha256::bytea, 1, now())
ON CONFLICT (email_sha256) DO UPDATE
SET
    failures = CASE WHEN login_failures.since <= now() - interval '1 hour' THEN 1 ELSE login_failures.failures + 1 END,
    since = CASE WHEN login_failures.since <= now() - interval '1 hour' THEN now() ELSE login_failures.since END,
    last_failed_at = now()
WHERE login_failures.since <= now() - interval '1 hour' OR login_failures.failures < :limit::integer
RETURNING failures;

-- name: account_login_delay
-- How long an account whose limit is reached has to wait, wherever it is tried from.
-- params:  email_sha256
-- returns: at most one row: seconds, 0 or more
-- index:   login_failures_pkey
SELECT greatest(0, ceil(extract(EPOCH FROM since + interval '1 hour' - clock_timestamp())))::integer AS seconds
FROM login_failures
WHERE email_sha256 = :email_sha256::bytea;

-- name: uncount_login_for_account
-- Take back what was counted for a login that succeeded. The failures of others stay: whoever guesses gets no more tries by it.
-- params:  email_sha256
-- locks:   the counter's row
-- index:   login_failures_pkey
UPDATE login_failures SET failures = failures - 1 WHERE email_sha256 = :email_sha256::bytea AND failures > 0;

-- name: count_login_from_network
-- The same for where it comes from: at most so many failures in the hour that begins with the first.
-- params:  network, limit
-- returns: one row if it was counted; no row if the limit is reached (`network_login_delay`)
-- locks:   the counter's row
-- index:   login_failures_by_network_pkey
-- test:    tests/web/test_guessing.py
INSERT INTO login_failures_by_network (network, failures)
VALUES (:network::text::cidr, 1)
ON CONFLICT (network) DO UPDATE
SET
    failures = CASE WHEN login_failures_by_network.since <= now() - interval '1 hour' THEN 1 ELSE login_failures_by_network.failures + 1 END,
    since = CASE WHEN login_failures_by_network.since <= now() - interval '1 hour' THEN now() ELSE login_failures_by_network.since END
WHERE login_failures_by_network.since <= now() - interval '1 hour' OR login_failures_by_network.failures < :limit::integer
RETURNING failures;

-- name: network_login_delay
-- How long a network whose limit is reached has to wait.
-- params:  network
-- returns: at most one row: seconds, 0 or more
-- index:   login_failures_by_network_pkey
SELECT greatest(0, ceil(extract(EPOCH FROM since + interval '1 hour' - clock_timestamp())))::integer AS seconds
FROM login_failures_by_network
WHERE network = :network::text::cidr;

-- name: uncount_login_from_network
-- Take back what was counted for a login that succeeded. The other failures stay, or an account of one's own would clear them.
-- params:  network
-- locks:   the counter's row
-- index:   login_failures_by_network_pkey
UPDATE login_failures_by_network SET failures = failures - 1 WHERE network = :network::text::cidr AND failures > 0;

-- name: remove_old_network_failures
-- Forget at most 1,000 counters whose hour is over: the next failure would start them anew.
-- returns: one row: how many
WITH old AS (
    SELECT login_failures_by_network.network FROM login_failures_by_network
    WHERE login_failures_by_network.since <= now() - interval '1 hour'
    ORDER BY login_failures_by_network.since
    LIMIT 1000
    FOR UPDATE SKIP LOCKED
),
removed AS (
    DELETE FROM login_failures_by_network
    WHERE login_failures_by_network.network = ANY(ARRAY(SELECT old.network FROM old))
    RETURNING login_failures_by_network.network
)
SELECT count(*) AS removed FROM removed;

-- name: remove_old_account_failures
-- Forget at most 1,000 counters of accounts whose hour is over: the next failure would start them anew.
-- returns: one row: how many
WITH old AS (
    SELECT login_failures.email_sha256 FROM login_failures
    WHERE login_failures.since <= now() - interval '1 hour'
    ORDER BY login_failures.since
    LIMIT 1000
    FOR UPDATE SKIP LOCKED
),
removed AS (
    DELETE FROM login_failures
    WHERE login_failures.email_sha256 = ANY(ARRAY(SELECT old.email_sha256 FROM old))
    RETURNING login_failures.email_sha256
)
SELECT count(*) AS removed FROM removed;

-- name: remove_old_login_failures
-- Forget at most 1,000 counters of accounts nobody has tried from that network for a day: the next failure would start them anew.
-- returns: one row: how many
WITH old AS (
    SELECT known.email_sha256, known.network FROM login_failures_by_account_and_network AS known
    WHERE known.last_failed_at < now() - interval '1 day'
    ORDER BY known.last_failed_at
    LIMIT 1000
    FOR UPDATE SKIP LOCKED
),
removed AS (
    DELETE FROM login_failures_by_account_and_network AS known
    USING old
    WHERE known.email_sha256 = old.email_sha256 AND known.network = old.network
    RETURNING known.network
)
SELECT count(*) AS removed FROM removed;

-- name: forget_login_failures
-- Start the count of an account and a network anew after a success.
-- params:  email_sha256, network
-- index:   login_failures_by_account_and_network_pkey
DELETE FROM login_failures_by_account_and_network WHERE email_sha256 = :email_sha256::bytea AND network = :network::text::cidr;
