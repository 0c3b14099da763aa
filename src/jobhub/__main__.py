"""`jobhub` and `python -m jobhub`: the command line, with errors that the operator can mend printed as one sentence."""

import io
import sys

from jobhub.domain.errors import OperatorError, Refusal

# What `pip install jobhub` leaves out, by what brings it. Whatever else is missing is somebody's own handler.
_EXTRAS = {
    "cli": {"click", "httpx", "rich", "rich_click"},
    "server": {
        *("alembic", "argon2", "asyncpg", "httptools", "jinja2", "jwt", "litestar", "procrastinate", "prometheus_client", "psycopg"),
        *("sqlalchemy", "structlog", "swagger_ui_bundle", "uuid_utils", "uvicorn", "uvloop"),
    },
}


def main() -> None:
    """Run the command line; 1 for what the operator has to put right."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # titles may hold what the terminal's encoding hasn't
    try:
        from jobhub.cli.main import jobhub

        jobhub(prog_name="jobhub")
    except (OperatorError, Refusal) as error:
        print(f"jobhub: {error}", file=sys.stderr)
        sys.exit(1)
    except ModuleNotFoundError as error:
        extra = next((extra for extra, modules in _EXTRAS.items() if (error.name or "").partition(".")[0] in modules), None)
        if extra is None:
            raise
        print(f"jobhub: This needs a part of jobhub that is not installed here: pip install 'jobhub[{extra}]'", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
