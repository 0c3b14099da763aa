"""What one user may ask for. Not here: holding them to it, which the statements that store their jobs and start them do (`submit_jobs`,
`claim_jobs_within_limit`).
"""

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The same for every user, administrators too; 0 is no limit.

    `submits_per_minute` is how many jobs a user may submit within any 60 s; `pending_jobs` how many they may have pending when they
    submit another one; `running_jobs` how many workers run at once.
    """

    submits_per_minute: int = 0
    pending_jobs: int = 0
    running_jobs: int = 0


NO_LIMITS = Limits()


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """How much of each limit a user has used, counted up to 100,000."""

    submits_per_minute: int
    pending_jobs: int
    running_jobs: int
