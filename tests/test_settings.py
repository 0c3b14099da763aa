"""Settings are read from the environment, and what makes no sense there is said with the variable's name."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from jobhub.domain.errors import OperatorError
from jobhub.domain.retention import read_rules
from jobhub.settings import Settings, read_settings


def test_an_empty_environment_means_the_defaults() -> None:
    assert read_settings({}) == Settings()


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("JOBHUB_DATABASE_URL", "postgresql://db/jobs", "database_url", "postgresql://db/jobs"),
        ("DATABASE_URL", "postgresql://db/jobs", "database_url", "postgresql://db/jobs"),
        ("JOBHUB_SECRET_KEY", "s", "secret_key", "s"),
        ("JOBHUB_SECRET_KEY_PREVIOUS", "s", "secret_key_previous", "s"),
        ("JOBHUB_JWKS_URL", "https://idp/keys", "jwks_url", "https://idp/keys"),
        ("JOBHUB_JWKS_ISSUER", "https://idp", "jwks_issuer", "https://idp"),
        ("JOBHUB_JWKS_AUDIENCE", "jobhub", "jwks_audience", "jobhub"),
        ("JOBHUB_JWKS_ALGORITHM", "EdDSA", "jwks_algorithm", "EdDSA"),
        ("JOBHUB_METRICS_TOKEN", " t ", "metrics_token", "t"),
        ("JOBHUB_HOST", "::1", "host", "::1"),
        ("JOBHUB_HEALTH_MAX_DUE_SECONDS", "0.5", "health_max_due_seconds", 0.5),
        ("JOBHUB_HEALTH_MAX_PROMOTION_SECONDS", "0", "health_max_promotion_seconds", 0.0),
        ("JOBHUB_HEALTH_MAX_RESCUE_SECONDS", "31536000", "health_max_rescue_seconds", 31_536_000.0),
        ("JOBHUB_HEALTH_MIN_WORKERS", "3", "health_min_workers", 3),
        ("JOBHUB_PORT", "0", "port", 0),
        ("JOBHUB_PORT", "65535", "port", 65535),
        ("JOBHUB_MAX_SUBMITS_PER_MINUTE", "0", "max_submits_per_minute", 0),
        ("JOBHUB_MAX_PENDING_JOBS", "1000000", "max_pending_jobs", 1_000_000),
        ("JOBHUB_MAX_RUNNING_JOBS", "1000000", "max_running_jobs", 1_000_000),
        ("JOBHUB_MAX_LOGIN_FAILURES_PER_ADDRESS", "0", "max_login_failures_per_address", 0),
        ("JOBHUB_DATA_DIR", "/var/lib/jobhub", "data_dir", Path("/var/lib/jobhub")),
        ("JOBHUB_HANDLERS", " a.b , c,", "handlers", ("a.b", "c")),
        ("JOBHUB_DEMO", "1", "demo", True),
        ("JOBHUB_DEMO", "0", "demo", False),
        ("JOBHUB_CONCURRENCY", "10000", "concurrency", 10_000),
        ("JOBHUB_QUEUES", "mail", "queues", ("mail",)),
        ("JOBHUB_SHUTDOWN_GRACE_SECONDS", "0.5", "shutdown_grace_seconds", 0.5),
        ("JOBHUB_RETENTION", " completed=90d ", "retention", read_rules("completed=90d")),
        ("JOBHUB_RETENTION_ATTEMPTS", "12h", "retention_attempts", timedelta(hours=12)),
        ("JOBHUB_RETENTION_AUDIT", "30d", "retention_audit", timedelta(days=30)),
        ("JOBHUB_LOG_LEVEL", "debug", "log_level", "DEBUG"),
        ("JOBHUB_PORT", "", "port", 8000),
    ],
)
def test_each_variable_sets_its_field(variable: str, text: str, field: str, value: Any) -> None:
    assert getattr(read_settings({variable: text}), field) == value


def test_our_own_name_for_the_database_wins() -> None:
    settings = read_settings({"DATABASE_URL": "postgresql://other/", "JOBHUB_DATABASE_URL": "postgresql://ours/"})

    assert settings.database_url == "postgresql://ours/"


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("JOBHUB_PORT", "65536"),
        ("JOBHUB_PORT", "-1"),
        ("JOBHUB_PORT", "http"),
        ("JOBHUB_PORT", "80.5"),
        ("JOBHUB_MAX_SUBMITS_PER_MINUTE", "-1"),
        ("JOBHUB_MAX_PENDING_JOBS", "1000001"),
        ("JOBHUB_MAX_RUNNING_JOBS", "1000001"),
        ("JOBHUB_CONCURRENCY", "0"),
        ("JOBHUB_CONCURRENCY", "10001"),
        ("JOBHUB_SHUTDOWN_GRACE_SECONDS", "-0.1"),
        ("JOBHUB_SHUTDOWN_GRACE_SECONDS", "nan"),
        ("JOBHUB_SHUTDOWN_GRACE_SECONDS", "inf"),
        ("JOBHUB_HEALTH_MAX_DUE_SECONDS", "-1"),
        ("JOBHUB_HEALTH_MAX_RESCUE_SECONDS", "a minute"),
        ("JOBHUB_HEALTH_MIN_WORKERS", "1.5"),
        ("JOBHUB_DEMO", "yes"),
        ("JOBHUB_LOG_LEVEL", "loud"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(variable: str, text: str) -> None:
    with pytest.raises(OperatorError, match=f"{variable} must be .*(?i:{text})"):
        read_settings({variable: text})


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        (
            "JOBHUB_RETENTION",
            "completed=90",
            "must be rules such as completed=90d, http.request:completed=7d: in 'completed=90', '90' is not a number of days or hours"
            " such as 90d or 12h, at most 36500d, or keep.",
        ),
        (
            "JOBHUB_RETENTION",
            "pending=1d",
            "must be rules such as completed=90d, http.request:completed=7d: 'pending' in 'pending=1d' is not completed, failed or"
            " cancelled.",
        ),
        (
            "JOBHUB_RETENTION_ATTEMPTS",
            "keep",
            "must be an age such as 90d: 'keep' is not a number of days or hours such as 90d or 12h, at most 36500d.",
        ),
        (
            "JOBHUB_RETENTION_AUDIT",
            "0d",
            "must be an age such as 400d: '0d' is not a number of days or hours such as 90d or 12h, at most 36500d.",
        ),
        ("JOBHUB_RETENTION_AUDIT", "719h", "must be at least 30d, not '719h'."),
    ],
)
def test_a_retention_that_makes_no_sense_is_refused_with_the_reason(variable: str, text: str, message: str) -> None:
    with pytest.raises(OperatorError) as caught:
        read_settings({variable: text})

    assert str(caught.value) == f"{variable} {message}"
