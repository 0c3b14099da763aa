"""Statements broken on purpose, each in one place: what the machine has to find. Not here: finding it (`test_mutants`)."""

import re

import msgspec

from jobhub.store.statements import Statement, statements

_DELIVERY = r"CROSS JOIN LATERAL deliver_jobs\((\w+)\.ids.*?\) AS delivered"
_UNDELIVERED = r"CROSS JOIN LATERAL (SELECT unnest(\1.ids) AS job_id, 0::bigint AS delivery_id) AS delivered"
_VERSION = r"version = jobs\.version \+ 1"


class Mutant(msgspec.Struct, frozen=True):
    """A statement of sql/queries/, and what is replaced in it wherever it stands."""

    statement: str
    pattern: str
    replacement: str

    def broken(self) -> Statement:
        """The statement with its defect.

        Raises:
            ValueError: the statement has changed so much that the defect can't be put in; write it anew.
        """
        statement = statements()[self.statement]
        sql, times = re.subn(self.pattern, self.replacement, statement.sql)
        if not times:
            raise ValueError(f"{self.statement} has no {self.pattern!r} any more")
        return msgspec.structs.replace(statement, sql=sql)


MUTANTS = {
    "submit ignores the key": Mutant("submit_jobs", r"submitted\.id IN \(SELECT remembered\.job_id FROM remembered\)", "true"),
    "submit for later is delivered at once": Mutant("submit_jobs", r"coalesce\(given\.scheduled_for, '-infinity'\) <= now\(\)", "true"),
    "promote comes too early": Mutant("promote_jobs", r"deliver_at <= now\(\)", "deliver_at IS NOT NULL"),
    "promote does not lock": Mutant("promote_jobs", r"FOR UPDATE SKIP LOCKED", ""),
    "claim starts by any delivery": Mutant("claim_jobs", r"jobs\.delivery_id = due\.id AND", ""),
    "claim starts what is not pending": Mutant("claim_jobs", r"coalesce\(jobs\.delivery_id = due\.id.*?\)", "true"),
    "claim takes the worst first": Mutant("claim_jobs", r"ORDER BY -delivery\.priority", "ORDER BY delivery.priority"),
    "claim leaves the delivery": Mutant("claim_jobs", r"DELETE FROM procrastinate_jobs USING due WHERE", r"\g<0> false AND"),
    "claim needs no lease": Mutant("claim_jobs", r"lease_until > now\(\)", "lease_until IS NOT NULL"),
    "claim forgets jobs of unknown types": Mutant("claim_jobs", r"jobs\.delivery_id = left_over\.id", "false"),
    "claim does not count": Mutant("claim_jobs", r"attempt = jobs\.attempt \+ 1", "attempt = greatest(jobs.attempt, 1)"),
    "finish has no fence": Mutant("finish_jobs", r"\s+AND jobs\.attempt = \w+\.attempt", ""),
    "finish does not look whether it runs": Mutant("finish_jobs", r"jobs\.status = 'running' AND", ""),
    "finish does not lock": Mutant("finish_jobs", r"FOR UPDATE OF jobs", ""),
    "finish does not count failures": Mutant("finish_jobs", r"\(\w+\.outcome = 'failed'\)::integer", "0"),
    "finish forgets the delivery": Mutant("finish_jobs", _DELIVERY, _UNDELIVERED),
    "finish forgets the cancel": Mutant("finish_jobs", r"AND jobs\.cancel_requested_at IS NULL", ""),
    "rescue does not look at leases": Mutant("rescue_jobs", r"lease_until >= now\(\)", r"lease_until = 'infinity'"),
    "rescue forgets the delivery": Mutant("rescue_jobs", _DELIVERY, _UNDELIVERED),
    "rescue never gives up": Mutant("rescue_jobs", r">= 3\b", ">= 30"),
    "claim notes nothing": Mutant("claim_jobs", r"HAVING count\(\*\) > 0", "HAVING false"),
    "claims are forgotten too early": Mutant("forget_claims", r"jobs\.status = 'running'", "false"),
    "cancel does not lock": Mutant("cancel_job", r"FOR UPDATE\s+\)", ")"),
    "cancel by anybody": Mutant("cancel_job", r"jobs\.owner_id = \$\d+::uuid", "true"),
    "cancel is no new version": Mutant("cancel_job", _VERSION, "version = jobs.version"),
    "cancel leaves the delivery": Mutant(
        "cancel_job", r"delivery\.id = \(SELECT target\.delivery_id", r"delivery.id = (SELECT -target.delivery_id"
    ),
    "disabling an owner does not lock": Mutant("cancel_pending_jobs_of_user", r"FOR UPDATE\s+\)", ")"),
    "retry forgets the delivery": Mutant("retry_job", r"deliver_job\(.*?\)", "0::bigint"),
    "retry keeps the count": Mutant("retry_job", r"failed_attempts = 0", "failed_attempts = jobs.failed_attempts"),
    "retry does not lock": Mutant("retry_job", r"FOR UPDATE", ""),
    "force-complete does not lock": Mutant("force_complete_job", r"FOR UPDATE\s+\)", ")"),
    "force-complete forgets the attempt": Mutant("force_complete_job", r"WHERE target\.status = 'running'", "WHERE false"),
    "force-complete of a completed job": Mutant("force_complete_job", r"AND jobs\.status <> 'completed'", ""),
    "cancel is not counted": Mutant("cancel_job", r"WHERE target\.status = 'pending'", "WHERE false"),
    "finish counts each batch as one": Mutant("finish_jobs", r"finished\.outcome, count\(\*\)", "finished.outcome, 1"),
    "rescue of a job that fails is not counted": Mutant("rescue_jobs", r"IS NULL THEN 0 ELSE count\(\*\) END", "IS NULL THEN 0 ELSE 0 END"),
    "retry leaves the finish counted": Mutant("retry_job", r"THEN target\.error_code END, -1", "THEN target.error_code END, 0"),
    "force-complete counts twice": Mutant("force_complete_job", r"IN \('failed', 'cancelled'\)", "IN ('failed')"),
    "clean-up takes failed jobs": Mutant("clean_up_jobs", r"AND \(walked\.status <> 'failed' OR \$\d+::uuid IS NULL\)", ""),
    "clean-up takes young jobs": Mutant("clean_up_jobs", r"(completed|created)_at <= ", r"\1_at - interval '1 year' <= "),
    "clean-up takes pinned jobs": Mutant("clean_up_jobs", r"AND \w+\.pinned_at IS NULL", ""),
}

# What `make test` has time for: one of each kind, and of the races.
ESSENTIAL = (
    "submit ignores the key",
    "promote does not lock",
    "claim starts by any delivery",
    "claim starts what is not pending",
    "claim forgets jobs of unknown types",
    "finish has no fence",
    "finish does not lock",
    "rescue does not look at leases",
    "cancel does not lock",
    "retry forgets the delivery",
    "force-complete does not lock",
    "finish counts each batch as one",
    "retry leaves the finish counted",
)
