"""`jobhub doctor`: is everything as the program assumes, and what to do about what isn't."""

from jobhub.cli.commands import thresholds, with_database
from jobhub.cli.state import database_url
from jobhub.domain.errors import OperatorError
from jobhub.services.checkup import Finding, examine
from jobhub.settings import Settings


def run_doctor(settings: Settings) -> list[Finding]:
    """Everything that was looked at."""
    try:
        dsn = database_url(settings)
        return with_database(dsn, lambda db: examine(db, dsn=dsn, healthy=thresholds(settings)))
    except OperatorError as error:
        return [Finding("database", False, str(error))]
