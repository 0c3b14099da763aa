"""Quarantine: a job that has already lost a worker runs in a process of its own, so that it costs no second one.

Which job brought a worker down nobody knows; all that ran there are suspects. Not here: losses of whole workers, which the statement
rescue_jobs records in the same way.
"""

import sys

from jobhub.domain.job_types import JobType, Registry
from jobhub.domain.jobs import AttemptOutcome, ClaimedJob, JobStatus, Outcome
from jobhub.worker.process_handler import ProcessDied

MAX_LOST_ATTEMPTS = 3  # as the statement rescue_jobs has it


def runs_apart(job_type: JobType, claimed: ClaimedJob) -> bool:
    """Whether an attempt runs in a process of its own."""
    return job_type.runs_in_process or (claimed.lost_attempts > 0 and _can_be_found(job_type))


def _can_be_found(job_type: JobType) -> bool:
    """Whether a child finds the handler by its module and the job type's name; one that was made inside a function, it can't."""
    module = sys.modules.get(job_type.handler.__module__)
    return module is not None and Registry.from_modules([module]).get(job_type.name) is job_type


def lost(claimed: ClaimedJob, error: ProcessDied) -> Outcome:
    """The outcome of an attempt whose quarantine died with it: as if it had been its worker. How it died is for administrators."""
    is_final = claimed.lost_attempts + 1 >= MAX_LOST_ATTEMPTS
    message = (
        "Three workers disappeared while they ran this job; it may be what brings them down."
        if is_final
        else "The process that ran this attempt disappeared."
    )
    return Outcome(
        job_id=claimed.id,
        attempt=claimed.attempt,
        outcome=AttemptOutcome.WORKER_LOST,
        status=JobStatus.FAILED if is_final else JobStatus.PENDING,
        error_code="worker_lost",
        error_message=message,
        traceback=str(error),
    )
