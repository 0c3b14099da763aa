-- Tickets that open one event stream each, for browsers, whose EventSource can't send a header.
-- locks: SHARE ROW EXCLUSIVE on users for an instant, for the foreign key; else new objects only.

CREATE TABLE stream_tickets (
    secret_sha256 bytea PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id),
    expires_at timestamptz NOT NULL,
    CONSTRAINT stream_tickets_secret_sha256_check CHECK (length(secret_sha256) = 32)
);

CREATE INDEX stream_tickets_expired_idx ON stream_tickets (expires_at);

COMMENT ON TABLE stream_tickets IS 'One row per ticket that was handed out and not used yet; the ticket itself is not kept';
COMMENT ON COLUMN stream_tickets.secret_sha256 IS 'SHA-256 of the ticket';
COMMENT ON COLUMN stream_tickets.user_id IS 'Whose streams it opens';
COMMENT ON COLUMN stream_tickets.expires_at IS 'From when it is refused';
