"""All peers, in the order of the tables."""

import sys
from types import ModuleType

from bench.peers import graphile_peer, jobhub_peer, pgboss_peer, pgqueuer_peer, plain_sql_peer, procrastinate_peer

PEERS: list[ModuleType] = [jobhub_peer, procrastinate_peer, pgqueuer_peer, pgboss_peer, graphile_peer, plain_sql_peer]


def present(names: str | None) -> list[ModuleType]:
    """Those that can be measured here, of those named. Says on standard error which can't, and why."""
    wanted = [peer for peer in PEERS if names is None or peer.NAME in names.split(",")]
    for peer in wanted:
        if reason := peer.missing():
            print(f"{peer.NAME}: not measured, {reason}", file=sys.stderr)
    return [peer for peer in wanted if peer.missing() is None]


def missing_note(names: str | None) -> str:
    """A sentence for the report about peers that could not be measured; empty if none."""
    absent = [f"{peer.NAME} ({peer.missing()})" for peer in PEERS if peer.missing() and (names is None or peer.NAME in names.split(","))]
    return f" **Not measured: {'; '.join(absent)}.**" if absent else ""
