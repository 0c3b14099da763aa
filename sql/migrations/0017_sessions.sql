-- Sessions of the pages under /ui: who is signed in with which browser.
-- locks: SHARE ROW EXCLUSIVE on users for an instant, for the foreign key; else new objects only.
-- Code of an older version ends no session when a password is changed; a disabled user is refused by the look at the user, whoever asks.

CREATE TABLE sessions (
    id_sha256 bytea PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id),
    created_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    CONSTRAINT sessions_id_sha256_check CHECK (length(id_sha256) = 32),
    CONSTRAINT sessions_expires_at_check CHECK (expires_at > created_at)
);

CREATE INDEX sessions_of_user_idx ON sessions (user_id);
CREATE INDEX sessions_expired_idx ON sessions (expires_at);

COMMENT ON TABLE sessions IS 'One row per browser that is signed in; what its cookie says is not kept. Signing out deletes the row';
COMMENT ON COLUMN sessions.id_sha256 IS 'SHA-256 of the 256-bit random id in the cookie';
COMMENT ON COLUMN sessions.user_id IS 'Who signed in';
COMMENT ON COLUMN sessions.created_at IS 'When';
COMMENT ON COLUMN sessions.seen_at IS 'When a page was last asked for, to within some minutes; too long ago, and the session is over';
COMMENT ON COLUMN sessions.expires_at IS 'When the session is over, however busy it is';
