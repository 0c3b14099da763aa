"""What goes by itself: the policy an operator has set, applied by one worker at a time.

Not here: how batch follows on batch (`services.clean_up`).
"""

from datetime import datetime, timedelta
from functools import partial

import msgspec

from jobhub.domain.errors import CleanUpInProgress
from jobhub.domain.retention import RetentionRule, write_age, write_rules
from jobhub.services.clean_up import alone, sweep, unhurried
from jobhub.store import jobs, retention
from jobhub.store.database import Database
from jobhub.store.jobs import Act
from jobhub.store.retention import AttemptPlace, Cutoff
from jobhub.store.session import Session

EVERY = timedelta(hours=1)
_CHORE = "retention"
_JOBHUB_ITSELF = Act(actor_id=None)


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """How long what is kept: jobs by rules, attempts of settled jobs, entries of the audit log. What is not said is kept for ever."""

    rules: tuple[RetentionRule, ...] = ()
    attempts: timedelta | None = None
    audit: timedelta | None = None

    def __bool__(self) -> bool:
        return bool(self.rules or self.attempts or self.audit)

    @property
    def job_types(self) -> set[str]:
        """Those with a rule of their own."""
        return {rule.job_type for rule in self.rules if rule.job_type}


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    """What one application of a policy removed."""

    jobs: int
    attempts: int
    audit_entries: int


async def apply_policy(db: Database, policy: Policy) -> Removed | None:
    """Remove what the policy says, in batches with pauses, each on record as done by nobody.

    None: it is not time yet, or another clean-up is running.
    """
    # Looked at first without the lock, which would refuse a clean-up by hand at that moment.
    if not await retention.is_chore_due(db, _CHORE, every=EVERY):
        return None
    try:
        async with alone(db) as session:
            if not await retention.begin_chore(session, _CHORE, every=EVERY):
                return None
            return await _apply(session, policy)
    except CleanUpInProgress:
        return None


async def _apply(session: Session, policy: Policy) -> Removed:
    now = await jobs.database_now(session)
    cutoffs = [Cutoff(job_type=rule.job_type, status=rule.status, before=now - rule.age if rule.age else None) for rule in policy.rules]
    deleted = await sweep(session, cutoffs, details={"policy": write_rules(policy.rules)}, act=_JOBHUB_ITSELF) if cutoffs else {}
    return Removed(
        jobs=sum(deleted.values()),
        attempts=await _remove_attempts(session, now, policy.attempts) if policy.attempts else 0,
        audit_entries=await _remove_audit_entries(session, now, policy.audit) if policy.audit else 0,
    )


async def _remove_attempts(session: Session, now: datetime, age: timedelta) -> int:
    removed, details = 0, {"policy": f"attempts={write_age(age)}"}
    place: AttemptPlace | None = retention.FIRST_ATTEMPT
    while place:
        count, place = await unhurried(partial(retention.remove_old_attempts, session, now - age, after=place, details=details))
        removed += count
    return removed


async def _remove_audit_entries(session: Session, now: datetime, age: timedelta) -> int:
    removed, details = 0, {"policy": f"audit={write_age(age)}"}
    while count := await unhurried(partial(retention.remove_old_audit_entries, session, now - age, details=details)):
        removed += count
    return removed
