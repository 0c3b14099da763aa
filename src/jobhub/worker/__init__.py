"""Running jobs: the only layer that knows Procrastinate. No HTTP, no SQL."""
