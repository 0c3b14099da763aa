"""`jobhub` and `python -m jobhub`: the command line, with errors that the operator can mend printed as one sentence."""

import sys

from jobhub.domain.errors import OperatorError, Refusal


def main() -> None:
    """Run the command line; 1 for what the operator has to put right."""
    from jobhub.cli.main import jobhub

    try:
        jobhub()
    except (OperatorError, Refusal) as error:
        print(f"jobhub: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
