"""Every measurement on one server, one after the other.

    .venv/bin/python -m bench [--quick] [--only drain submit …] [--runs 5] [--peers jobhub,pgqueuer] [--markdown FILE]

FILE is written anew, a table at a time, with the machine and the versions at its top. A script that fails is named there, and the exit
status is 1; the others are measured all the same.
"""

import argparse
import sys
import time
import traceback
from types import ModuleType

from bench import (
    backlog,
    dashboard,
    drain,
    goals,
    history,
    latency,
    promote,
    reports_beside,
    retention,
    rollups,
    run,
    submit,
    waiting,
    worker_start,
)
from bench.goals import Goal
from bench.machine import describe
from bench.server import Server, running_server

SCRIPTS: dict[str, ModuleType] = {
    "drain": drain,
    "latency": latency,
    "submit": submit,
    "backlog": backlog,
    "reports_beside": reports_beside,
    "promote": promote,
    "waiting": waiting,
    "worker_start": worker_start,
    "history": history,
    "dashboard": dashboard,
    "rollups": rollups,
    "retention": retention,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    run.add_common_arguments(parser)
    parser.add_argument("--only", nargs="+", choices=SCRIPTS, default=list(SCRIPTS))
    options = parser.parse_args()
    run.end_on_sigterm()
    began_at = time.monotonic()
    if options.markdown:
        options.markdown.write_text("")
    failed: list[str] = []
    reached: list[Goal] = []
    with running_server() as server:
        run.write(describe(server), options.markdown)
        for name in options.only:
            try:
                reached += _measure(server, SCRIPTS[name], options)
            except Exception:
                traceback.print_exc()
                failed.append(name)
                run.write(f"**{name} failed.**\n", options.markdown)
    run.write(goals.markdown(reached), options.markdown)
    run.write(f"All of it took {(time.monotonic() - began_at) / 60:.0f} minutes.", options.markdown)
    return 1 if failed else 0


def _measure(server: Server, script: ModuleType, options: argparse.Namespace) -> list[Goal]:
    defaults = argparse.ArgumentParser()
    script.add_arguments(defaults)
    of_script = argparse.Namespace(**(vars(options) | vars(defaults.parse_args([]))))
    return run.report(script, server, run.with_quick(script, of_script), options.markdown)


if __name__ == "__main__":
    sys.exit(main())
