-- Counters that slow down guessing from one client address, whatever accounts it tries.
-- locks: new objects only. Code of an older version doesn't count there.

CREATE TABLE login_failures_by_network (
    network cidr PRIMARY KEY,
    failures integer NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT login_failures_by_network_failures_check CHECK (failures >= 0)
);

COMMENT ON TABLE login_failures_by_network IS 'Failed logins within an hour by client, so that nobody tries many accounts a few times each';
COMMENT ON COLUMN login_failures_by_network.network IS 'An IPv4 address, or the /64 an IPv6 address is in';
COMMENT ON COLUMN login_failures_by_network.failures IS 'Failures since then, and logins that are being checked';
COMMENT ON COLUMN login_failures_by_network.since IS 'The first of them; an hour later the count starts anew';
