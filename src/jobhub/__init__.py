"""jobhub for handler authors, and for programs that submit jobs in transactions of their own.

    import jobhub

    @jobhub.job_type("image.resize", timeout_seconds=60)
    async def resize(ctx: jobhub.JobContext, params: Resize) -> dict[str, int]: ...

docs/writing-handlers.md and docs/submitting-with-sql.md are the guides.
"""

from jobhub.domain.context import JobContext, ProcessJobContext
from jobhub.domain.errors import InvalidInput, JobFailed
from jobhub.domain.job_types import InvalidParameter, Retry, job_type
from jobhub.enqueue import submit, submit_sync

__version__ = "0.1.0"
__all__ = [
    "InvalidInput",
    "InvalidParameter",
    "JobContext",
    "JobFailed",
    "ProcessJobContext",
    "Retry",
    "job_type",
    "submit",
    "submit_sync",
]
