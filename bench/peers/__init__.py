"""What is measured side by side: each module fills a queue with jobs that do nothing, and works it off in a process of its own.

`NAME`; `prepare(dsn)` makes the schema; `fill(dsn, jobs)` submits in bulk; `LEFT` is SQL that counts what is not finished; `command(dsn)` is
the worker process. `missing()` says why the peer can't be measured here, or None.
"""
