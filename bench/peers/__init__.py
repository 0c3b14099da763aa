"""What is measured side by side: one module per peer, with the settings its own documentation, or our search, found best.

NAME         how the tables call it
KEEPS        what is left of a finished job
SLOW         how many times fewer jobs a drain gets, so that a run doesn't take minutes
LEFT         SQL: how many jobs are not finished
missing()    why it can't be measured here, or None
version()    of the peer
prepare(dsn) makes the schema
fill(dsn, jobs, first_at=None, every_seconds=0, priority=0)
             submits in bulk: job n at first_at + n × every_seconds, or due at once. A higher priority runs first
command(dsn), environ(dsn)
             the worker process. Its handler writes down its start (`bench.starts`) and does nothing
enqueuer(dsn)
             an asynchronous context: `submit(n)` commits one job due at once and returns the moment after, in nanoseconds
finish_waiting(dsn)
             only where SLOW: finish all waiting jobs by SQL that leaves the same rows and row versions as the worker

The list is `bench.peers.everyone`; it is not here so that a worker process of one peer imports nothing of another one.
"""
