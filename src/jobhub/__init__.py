"""jobhub for handler authors: everything a module of job types needs is importable from here.

    import jobhub

    @jobhub.job_type("image.resize", timeout_seconds=60)
    async def resize(ctx: jobhub.JobContext, params: Resize) -> dict[str, int]: ...

docs/writing-handlers.md is the guide. `submit` is for programs that submit jobs in a transaction of their own on the same database.
"""

from jobhub.domain.context import JobContext, ProcessJobContext
from jobhub.domain.errors import JobFailed
from jobhub.domain.job_types import InvalidParameter, Retry, job_type
from jobhub.enqueue import submit

__version__ = "0.1.0"
__all__ = ["InvalidParameter", "JobContext", "JobFailed", "ProcessJobContext", "Retry", "job_type", "submit"]
