"""Progress reports of one attempt: at most one write a second, never backwards, never an error for the handler."""

import asyncio
import math
from contextlib import suppress
from typing import Any

import structlog

from jobhub.domain.errors import DatabaseUnavailable
from jobhub.domain.jobs import ClaimedJob
from jobhub.store import dispatch
from jobhub.store.database import Database
from jobhub.worker.texts import storable_text

SECONDS_BETWEEN_WRITES = 1.0
MAX_MESSAGE_LENGTH = 500
_log = structlog.get_logger("jobhub.worker")


class Progress:
    """Keeps the latest report and writes it when it may."""

    def __init__(self, db: Database, claimed: ClaimedJob) -> None:
        self._db = db
        self._claimed = claimed
        self._percentage = 0
        self._message: str | None = None
        self._is_written = True
        self._writer: asyncio.Task[None] | None = None
        self._closed = asyncio.Event()

    @property
    def is_used(self) -> bool:
        """Whether anything was ever reported."""
        return self._writer is not None

    def report(self, percentage: Any, message: Any = None) -> None:
        """Note how far the attempt is; what makes no sense is logged and ignored."""
        try:
            whole = math.floor(percentage)
            text = None if message is None else storable_text(str(message), MAX_MESSAGE_LENGTH)
        except Exception as error:  # whatever the handler's own classes raise
            _log.warning("progress_ignored", job_id=str(self._claimed.id), cause=type(error).__name__)
            return
        self._percentage = max(self._percentage, min(max(whole, 0), 100))
        if text is not None:
            self._message = text
        self._is_written = False
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_until_caught_up(), name="write progress")

    async def close(self) -> None:
        """Write what is still unwritten, so that a failed attempt shows how far it came."""
        if self._writer is not None:
            self._closed.set()  # not cancelled: that would lose the report that is on its way
            await asyncio.wait({self._writer})
            await self._write()

    async def _write_until_caught_up(self) -> None:
        while not self._is_written and not self._closed.is_set():
            await self._write()
            with suppress(TimeoutError):
                async with asyncio.timeout(SECONDS_BETWEEN_WRITES):
                    await self._closed.wait()

    async def _write(self) -> None:
        if self._is_written:
            return
        self._is_written = True
        try:
            await dispatch.report_progress(
                self._db, job_id=self._claimed.id, attempt=self._claimed.attempt, percentage=self._percentage, message=self._message
            )
        except DatabaseUnavailable:
            self._is_written = False
        except Exception as error:
            _log.error("progress_failed", job_id=str(self._claimed.id), exc_info=error)
