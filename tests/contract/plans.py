"""What the tests of plans ask about: statements with values, and why some have none. Not here: what their plans must be (`test_plans`)."""

from datetime import UTC, datetime, timedelta

import psycopg

from jobhub.store.dispatch import FRONT
from tests import factories

NOW = datetime.now(UTC)
ONE = factories.new_id()
BY = {"actor_id": None, "reason": None, "request_id": None}
OUTCOMES = {
    "job_ids": [ONE],
    "attempts": [1],
    "outcomes": ["completed"],
    "statuses": ["completed"],
    "results": [None],
    "error_codes": [None],
    "error_messages": [None],
    "tracebacks": [None],
    "delays_seconds": [0.0],
}
SUBMITS = {
    "ids": [ONE],
    "owner_ids": [ONE],
    "job_types": ["test.echo"],
    "queues": ["default"],
    "titles": ["x"],
    "descriptions": [None],
    "parameters": ["{}"],
    "tags": ["[]"],
    "priorities": [0],
    "max_attempts": [1],
    "scheduled_for": [None],
    "keys": ["k"],
    "bodies_sha256": [b"1" * 32],
    "max_per_minute": 600,
    "max_pending": 10_000,
}
LONG_AGO = NOW - timedelta(days=365)
OLD = {
    "after_at": LONG_AGO,
    "after_id": ONE,
    "rule_types": [None],
    "rule_statuses": ["completed"],
    "cutoffs": [NOW - timedelta(hours=1)],
}
OF_NOBODY = {"actor_id": None, "request_id": None, "details": "{}"}
OF_WORKERS = {
    "promote_jobs",
    "claim_jobs",
    "claim_jobs_within_limit",
    "finish_jobs",
    "rescue_jobs",
    "forget_claims",
    "list_running_jobs",
    "repair_deliveries",
    "fold_job_stats",
    "fold_is_due",
    "remove_old_job_stats",
}
WINDOW = {
    "resolutions": ["minute", "hour", "day"],
    "begins": [NOW - timedelta(hours=1), NOW, NOW],
    "ends": [NOW, NOW, None],
    "signs": [-1, 1, 1],
    "since": NOW - timedelta(hours=1),
}
STATISTICS = {
    "count_finished": WINDOW,
    "measure_attempts": WINDOW,
    "throughput": {"resolution": "minute", "since": NOW - timedelta(hours=1), "bucket_seconds": 60.0},
    "first_counted_at": {},
    "count_failures": WINDOW,
    "count_failures_by_type": {},
    "count_kept_before": {"before": WINDOW["since"], **{name: WINDOW[name] for name in ("resolutions", "begins", "ends")}},
}
CLAIM = {"worker_id": ONE, "queues": ["default"], "known_types": ["test.echo"], "slots": 20, "after_rank": FRONT.rank, "after_id": 0}
HOT = {
    "submit_jobs": SUBMITS,
    "promote_jobs": {},
    "claim_jobs": CLAIM,
    "claim_jobs_within_limit": {**CLAIM, "max_running": 5},
    "finish_jobs": OUTCOMES,
    "report_progress": {"job_id": ONE, "attempt": 1, "percentage": 5, "message": None},
    "rescue_jobs": {},
    "forget_claims": {"worker_id": ONE},
    "repair_deliveries": {"before_id": ONE},
    "list_running_jobs": {"worker_id": ONE},
    "get_job": {"job_id": ONE, "owner_id": ONE},
    "changed_jobs": {"job_ids": [ONE], "versions": [1]},
    "newest_marks_of_owners": {"owner_ids": [ONE]},
    "newest_job_of_owners": {"owner_ids": [ONE]},
    "count_jobs_of_owner": {"owner_id": ONE, "at_most": 10_001, "at_most_others": 50_000},
    "get_jobs": {"job_ids": [ONE], "owner_ids": [ONE]},
    "list_attempts": {"job_id": ONE},
    "get_usage": {"owner_id": ONE},
    "get_usage_of_users": {"owner_ids": [ONE]},
    "list_audit_log": {"before_id": None, "limit": 51},
    "cancel_pending_jobs_of_user": {"owner_id": ONE, **BY},
    "queue_places": {"job_ids": [ONE]},
    "cancel_job": {"job_id": ONE, "owner_id": ONE, **BY},
    "retry_job": {"job_id": ONE, "owner_id": ONE, **BY},
    "force_complete_job": {"job_id": ONE, "result": None, **BY},
    "pin_job": {"job_id": ONE, **BY},
    "unpin_job": {"job_id": ONE, **BY},
    "clean_up_jobs": {**OLD, **OF_NOBODY},
    "count_jobs_to_clean_up": OLD,
    "remove_old_attempts": {"cutoff": NOW - timedelta(hours=1), "after_at": LONG_AGO, "after_id": ONE, "after_number": 0, "details": "{}"},
    "oldest_due": {},
    **STATISTICS,
    "fold_job_stats": {},
    "fold_is_due": {"seconds": 1.5},
    "remove_old_job_stats": {"resolution": "minute"},
    "count_ended_attempts": {"since": NOW - timedelta(seconds=15), "until": NOW},
    "count_finishes": {"since": NOW - timedelta(seconds=15), "until": NOW},
}
# The state of the queue: of small tables, or of all deliveries there are.
STATE = ("oldest_due", "count_unfinished", "dispatch_lags", "list_workers")
SHA256 = b"1" * 32
LOGIN = {"email_sha256": SHA256, "network": "192.0.2.0/24"}
# Who asks, and whether they may: each request runs one of these.
OF_ACCOUNTS = {
    "get_user": {"user_id": ONE},
    "get_users": {"user_ids": [ONE]},
    "get_user_by_email": {"email": "a@example.org"},
    "create_user": {"id": ONE, "email": "a@example.org", "password_hash": "x", "role": "user", "actor_id": None, "request_id": None},
    "lock_active_administrators": {},
    "change_user": {"user_id": ONE, "role": None, "password_hash": None, "disabled": True, "actor_id": None, "request_id": None},
    "lock_user_to_log_in": {"user_id": ONE, "password_hash": "x"},
    "replace_password_hash": {"user_id": ONE, "old_hash": "x", "new_hash": "y"},
    "add_refresh_token": {"id": ONE, "family_id": ONE, "user_id": ONE, "secret_sha256": SHA256, "lifetime_seconds": 1.0},
    "use_refresh_token": {"id": ONE, "secret_sha256": SHA256},
    "lock_user_of_refresh_token": {"id": ONE},
    "revoke_family_of_token": {"id": ONE, "secret_sha256": SHA256},
    "revoke_tokens_of_user": {"user_id": ONE},
    "add_session": {"id_sha256": SHA256, "user_id": ONE, "lifetime_seconds": 1.0},
    "use_session": {"id_sha256": SHA256, "idle_seconds": 1.0, "precision_seconds": 1.0},
    "end_session": {"id_sha256": SHA256},
    "end_sessions_of_user": {"user_id": ONE},
    "add_stream_ticket": {"secret_sha256": SHA256, "user_id": ONE, "lifetime_seconds": 1.0},
    "use_stream_ticket": {"secret_sha256": SHA256},
    "find_idempotency_key": {"owner_id": ONE, "key": "k"},
    "login_delay": LOGIN,
    "count_login": LOGIN,
    "forget_login_failures": LOGIN,
    "count_login_for_account": {"email_sha256": SHA256, "limit": 100},
    "account_login_delay": {"email_sha256": SHA256},
    "uncount_login_for_account": {"email_sha256": SHA256},
    "count_login_from_network": {"network": "192.0.2.0/24", "limit": 100},
    "network_login_delay": {"network": "192.0.2.0/24"},
    "uncount_login_from_network": {"network": "192.0.2.0/24"},
}
_CHORE = "a chore of the workers: no request waits for it"
_WORKERS = "run by workers, whose table is small"
_NO_TABLE = "reads no table"
_CATALOGUE = "reads what PostgreSQL says of itself"
NOT_PINNED = {
    "list_users": "all accounts, up to 10,000: there is nothing to find",
    "worker_figures": "workers is small",
    "list_worker_versions": "workers is small",
    "count_live_workers": "workers is small",
    "schema_revision": "a table of one row",
    "schema_revision_table": _CATALOGUE,
    "waits_for_lock": _CATALOGUE,
    "list_setup_faults": _CATALOGUE,
    "list_vacuum_faults": _CATALOGUE,
    "list_bloated_indexes": _CATALOGUE,
    "list_unfinished_indexes": _CATALOGUE,
    "limit_lock_waits": _NO_TABLE,
    "server_clock": _NO_TABLE,
    "database_now": _NO_TABLE,
    "try_clean_up_lock": _NO_TABLE,
    "clean_up_unlock": _NO_TABLE,
    "commit_without_waiting": _NO_TABLE,
    "commit_with_waiting": _NO_TABLE,
    "unhold_deliveries": _CHORE,
    "remove_expired_idempotency_keys": _CHORE,
    "remove_expired_sessions": _CHORE,
    "remove_expired_tickets": _CHORE,
    "remove_expired_tokens": _CHORE,
    "remove_old_account_failures": _CHORE,
    "remove_old_audit_entries": _CHORE,
    "remove_old_login_failures": _CHORE,
    "remove_old_network_failures": _CHORE,
    "is_chore_due": _CHORE,
    "begin_chore": _CHORE,
    "renew_lease": _WORKERS,
    "remove_worker": _WORKERS,
    "remove_dead_workers": _WORKERS,
    "publish_job_types": "run by workers, of which each knows some types",
}


def plan(sql, text: str, values: list) -> str:
    cursor = psycopg.RawCursor(sql, row_factory=psycopg.rows.tuple_row)
    return "\n".join(row[0] for row in cursor.execute(f"EXPLAIN {text}".encode(), values).fetchall())


def generic_plan(sql, text: str) -> str:
    cursor = sql.cursor(row_factory=psycopg.rows.tuple_row)
    return "\n".join(row[0] for row in cursor.execute(f"EXPLAIN (GENERIC_PLAN) {text}".encode()).fetchall())
