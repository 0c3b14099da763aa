"""Pure values and rules: jobs, their life cycle, job types, backoff, errors. No input or output of any kind."""
