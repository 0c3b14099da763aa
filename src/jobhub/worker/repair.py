"""Looking through the jobs for lost deliveries and claims, newest first, a page at a time. Not here: how often (`worker.loops`)."""

import structlog

from jobhub.store import repair
from jobhub.store.database import Database

_log = structlog.get_logger("jobhub.worker")


class Repair:
    """Remembers where the last page ended, so that a history of any length costs one page a turn."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._before = repair.START

    async def look(self) -> None:
        """Repair one page; where something was lost, the pages behind it at once."""
        while True:
            repaired, self._before = await repair.repair_deliveries(self._db, self._before)
            if repaired:
                _log.error("deliveries_were_lost", repaired=repaired)
            if not repaired or self._before == repair.START:
                return
