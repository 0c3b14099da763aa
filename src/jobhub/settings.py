"""What the environment says about how to run. Read once, by the composition roots, and passed on from there.

Every name is listed with its default in .env.example; a test holds the two together.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

import msgspec

from jobhub.domain.errors import OperatorError
from jobhub.domain.retention import RetentionRule, read_age, read_rules


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """One field per variable, `JOBHUB_` and the field's name in capitals; `DATABASE_URL` is taken without the prefix too."""

    database_url: str | None = None
    secret_key: str | None = None
    secret_key_previous: str | None = None
    jwks_url: str | None = None
    jwks_issuer: str | None = None
    jwks_audience: str | None = None
    jwks_algorithm: str | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    max_submits_per_minute: int = 600
    max_pending_jobs: int = 10_000
    max_running_jobs: int = 0
    max_login_failures_per_address: int = 100
    streams_per_user: int = 10
    health_max_due_seconds: float = 60.0
    health_max_promotion_seconds: float = 10.0
    health_max_rescue_seconds: float = 20.0
    health_min_workers: int = 1
    metrics_token: str | None = None
    data_dir: Path = Path(".jobhub")
    handlers: tuple[str, ...] = ()
    demo: bool = False
    concurrency: int = 20
    queues: tuple[str, ...] = ()
    shutdown_grace_seconds: float = 10.0
    retention: tuple[RetentionRule, ...] = ()
    retention_attempts: timedelta | None = None
    retention_audit: timedelta | None = None
    reindex_hour: int = 3
    log_level: str = "INFO"


_RANGES = {
    "port": (0, 65535),
    "max_submits_per_minute": (0, 1_000_000),  # as many are counted at each submit
    "max_pending_jobs": (0, 1_000_000),
    "max_running_jobs": (0, 1_000_000),
    "max_login_failures_per_address": (0, 1_000_000),
    "streams_per_user": (0, 10_000),
    "health_max_due_seconds": (0, 31_536_000),
    "health_max_promotion_seconds": (0, 31_536_000),
    "health_max_rescue_seconds": (0, 31_536_000),
    "health_min_workers": (0, 10_000),
    "concurrency": (1, 10_000),
    "shutdown_grace_seconds": (0, 86_400),
    "reindex_hour": (-1, 23),
}
_MIN_AUDIT_AGE = timedelta(days=30)  # younger entries the database doesn't let go
_RETENTION = {
    "retention": "rules such as completed=90d, http.request:completed=7d",
    "retention_attempts": "an age such as 90d",
    "retention_audit": "an age such as 400d",
}
_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


def read_settings(environ: Mapping[str, str]) -> Settings:
    """The settings an environment stands for; an empty variable counts as unset.

    Raises:
        OperatorError: a value can't be understood; the message names the variable.
    """
    values: dict[str, object] = {}
    for field in msgspec.structs.fields(Settings):
        variable = f"JOBHUB_{field.name.upper()}"
        text = environ.get(variable) or (environ.get("DATABASE_URL") if field.name == "database_url" else None)
        if text:
            values[field.name] = _value(variable, field.name, field.type, text.strip())
    return Settings(**values)  # type: ignore[arg-type]


def _value(variable: str, name: str, kind: object, text: str) -> object:
    if kind is bool:
        if text not in ("0", "1"):
            raise OperatorError(f"{variable} must be 1 or 0, not {text!r}.")
        return text == "1"
    if kind == tuple[str, ...]:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if name.startswith("retention"):
        return _retention(variable, name, text)
    if kind in (int, float):
        return _number(variable, name, text, int if kind is int else float)
    text = text.upper() if name == "log_level" else text
    if name == "log_level" and text not in _LOG_LEVELS:
        raise OperatorError(f"{variable} must be one of {', '.join(_LOG_LEVELS)}, not {text!r}.")
    return Path(text) if kind is Path else text


def _retention(variable: str, name: str, text: str) -> object:
    read: Callable[[str], object] = read_rules if name == "retention" else read_age
    try:
        value = read(text)
    except ValueError as error:
        raise OperatorError(f"{variable} must be {_RETENTION[name]}: {error}.") from error
    if name == "retention_audit" and isinstance(value, timedelta) and value < _MIN_AUDIT_AGE:
        raise OperatorError(f"{variable} must be at least {_MIN_AUDIT_AGE.days}d, not {text!r}.")
    return value


def _number(variable: str, name: str, text: str, kind: type[int] | type[float]) -> float:
    low, high = _RANGES[name]
    try:
        value = kind(text)
    except ValueError:
        value = kind(low - 1)
    if not low <= value <= high:
        raise OperatorError(f"{variable} must be a number from {low} to {high}, not {text!r}.")
    return value
