-- Accounts: users, their refresh tokens, and the counters that slow down guessing.
-- locks: new objects only.

CREATE TYPE user_role AS ENUM ('user', 'admin');

CREATE TABLE users (
    id uuid PRIMARY KEY,
    email text NOT NULL,
    password_hash text NOT NULL,
    role user_role NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    disabled_at timestamptz,
    CONSTRAINT users_email_check CHECK (email = btrim(email) AND length(email) BETWEEN 3 AND 254 AND email !~ '[[:cntrl:]]'),
    CONSTRAINT users_password_hash_check CHECK (password_hash LIKE '$argon2id$%')
);

CREATE UNIQUE INDEX users_email_idx ON users (lower(email));
CREATE INDEX users_active_administrators_idx ON users (id) WHERE role = 'admin' AND disabled_at IS NULL;

COMMENT ON TABLE users IS 'Who may submit jobs, and who administers. Never deleted: jobs and the audit log refer to them.';
COMMENT ON COLUMN users.id IS 'UUIDv7; the sub of the user''s tokens';
COMMENT ON COLUMN users.email IS 'As typed; compared without case';
COMMENT ON COLUMN users.password_hash IS 'argon2id, with its parameters';
COMMENT ON COLUMN users.role IS 'What the user may do';
COMMENT ON COLUMN users.created_at IS 'When the account was made';
COMMENT ON COLUMN users.disabled_at IS 'Since when the account is refused everywhere; null: it is active';

-- jobs.owner_id has no foreign key: each submit would take a row lock on its user, and many at once turn into multixacts
-- (docs/decisions/0003-no-foreign-key-to-users.md). This trigger gives the same guarantee from the other side.
CREATE FUNCTION users_are_never_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'users are never deleted: set disabled_at instead' USING ERRCODE = 'restrict_violation';
END;
$$;

CREATE TRIGGER users_are_never_deleted BEFORE DELETE OR TRUNCATE ON users
FOR EACH STATEMENT EXECUTE FUNCTION users_are_never_deleted();

CREATE TABLE refresh_tokens (
    id uuid PRIMARY KEY,
    family_id uuid NOT NULL,
    user_id uuid NOT NULL REFERENCES users (id),
    secret_sha256 bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    revoked_at timestamptz,
    CONSTRAINT refresh_tokens_secret_sha256_check CHECK (length(secret_sha256) = 32),
    CONSTRAINT refresh_tokens_expires_at_check CHECK (expires_at > created_at)
);

CREATE INDEX refresh_tokens_family_idx ON refresh_tokens (family_id);
CREATE INDEX refresh_tokens_user_idx ON refresh_tokens (user_id) WHERE revoked_at IS NULL;
CREATE INDEX refresh_tokens_expired_idx ON refresh_tokens (expires_at);

COMMENT ON TABLE refresh_tokens IS 'One row per refresh token handed out; the secret itself is not kept';
COMMENT ON COLUMN refresh_tokens.id IS 'UUIDv7, the first half of the token';
COMMENT ON COLUMN refresh_tokens.family_id IS 'All tokens that came from one login; a reused one revokes them all';
COMMENT ON COLUMN refresh_tokens.user_id IS 'Whose token it is';
COMMENT ON COLUMN refresh_tokens.secret_sha256 IS 'SHA-256 of the 256-bit random half of the token';
COMMENT ON COLUMN refresh_tokens.created_at IS 'When it was handed out';
COMMENT ON COLUMN refresh_tokens.expires_at IS 'From when it is refused';
COMMENT ON COLUMN refresh_tokens.used_at IS 'When it was exchanged for its successor; a second use is a theft';
COMMENT ON COLUMN refresh_tokens.revoked_at IS 'When its family was revoked: logout, reuse, password change or disabling';

CREATE TABLE login_failures (
    email_sha256 bytea PRIMARY KEY,
    failures integer NOT NULL,
    last_failed_at timestamptz NOT NULL,
    CONSTRAINT login_failures_failures_check CHECK (failures > 0)
);

COMMENT ON TABLE login_failures IS 'Failed logins in a row by e-mail address, known or not, so that guessing gets slower and slower';
COMMENT ON COLUMN login_failures.email_sha256 IS 'SHA-256 of the lower-case address that was tried';
COMMENT ON COLUMN login_failures.failures IS 'Failures since the last success, or since a day without any';
COMMENT ON COLUMN login_failures.last_failed_at IS 'When the latest of them happened';
