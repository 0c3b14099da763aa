"""How long a failed job waits before its next attempt."""

MAX_DELAY_SECONDS = 3600.0  # an hour: longer, and a repaired dependency is noticed too late
JITTER = 0.1  # ±10 %, so that jobs which failed together don't come back together


def delay_seconds(failed_attempts: int, *, random: float) -> float:
    """Seconds until the next attempt after `failed_attempts` (1 or more) failures: 1, 16, 81 … at most an hour, ±10 %.

    `random` is a number from 0 to 1, drawn by the caller. The fourth power is River's default policy: early retries come
    quickly, and a dependency that is down for minutes is not hammered.
    """
    exact = min(float(min(failed_attempts, 100) ** 4), MAX_DELAY_SECONDS)
    return exact * (1 + JITTER * (2 * random - 1))
