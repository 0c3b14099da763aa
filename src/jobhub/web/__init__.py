"""HTTP in, HTTP out: the only layer that knows Litestar. No SQL, no rules about jobs."""
