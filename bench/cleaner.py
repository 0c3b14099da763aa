"""A clean-up in a process of its own, as the API runs it, with each batch timed: `python -m bench.cleaner DSN DAYS_OLD`.

On standard output: a line `<nanoseconds of the wall clock> <milliseconds> <deleted>` for each batch as it ends.
"""

import asyncio
import sys
import time
from datetime import timedelta
from typing import Any

from jobhub.domain.jobs import JobStatus
from jobhub.services import clean_up
from jobhub.store import jobs
from jobhub.store.database import Database
from jobhub.store.jobs import Act
from jobhub.store.retention import Cutoff
from jobhub.store.session import Session


class TimedSession(Session):
    """Tells how long each batch took."""

    def __init__(self, session: Session) -> None:
        super().__init__(session._connection, session._answers)

    async def fetch_row(self, name: str, **parameters: Any) -> Any:
        began_at = time.perf_counter()
        row = await super().fetch_row(name, **parameters)
        if name == "clean_up_jobs" and row:
            print(time.time_ns(), (time.perf_counter() - began_at) * 1e3, sum((row["deleted"] or {}).values()), flush=True)
        return row


async def main(dsn: str, days_old: float) -> None:
    async with Database.open(dsn, max_size=1, application_name="bench cleaner") as db, clean_up.alone(db) as session:
        cutoff = await jobs.database_now(db) - timedelta(days=days_old)
        cutoffs = [Cutoff(status=JobStatus.COMPLETED, before=cutoff)]
        await clean_up.sweep(TimedSession(session), cutoffs, details={}, act=Act(actor_id=None))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2])))
