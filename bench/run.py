"""What all scripts share: their options, the server they run on, and where their tables go.

A script has TITLE, QUICK (what --quick changes), add_arguments(parser) and tables(server, options). Not here: what is measured.
"""

import argparse
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from bench import goals
from bench.goals import Goal
from bench.peers.everyone import present
from bench.processes import Unmeasured
from bench.server import Server, running_server

RUNS = 5


def alone(script: ModuleType) -> None:
    """One script on a server of its own, as its command line says."""
    parser = argparse.ArgumentParser(description=script.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common_arguments(parser)
    script.add_arguments(parser)
    options = parser.parse_args()
    end_on_sigterm()
    with running_server(getattr(options, "data_dir", None)) as server:
        write(goals.markdown(report(script, server, with_quick(script, options), options.markdown)), options.markdown)


def end_on_sigterm() -> None:
    """As Ctrl-C does: with every process ended and every directory removed."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", type=int, default=RUNS, help="how often each peer is measured, all of them in turn")
    parser.add_argument("--peers", help="only these, separated by commas, as the tables name them")
    parser.add_argument("--quick", action="store_true", help="small figures: to see that it works, not to quote")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="append the tables to a file too")


def add_data_dir(parser: argparse.ArgumentParser) -> None:
    """For scripts that fill for longer than they measure."""
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="keep the filled databases there, and use those that were kept")
    parser.add_argument("--fill", action="store_true", help="only fill them")


def with_quick(script: ModuleType, options: argparse.Namespace) -> argparse.Namespace:
    """The options, with the script's small figures in place of its defaults if they are asked for."""
    if not options.quick:
        return options
    return argparse.Namespace(**(vars(options) | {"runs": 1} | script.QUICK))


def report(script: ModuleType, server: Server, options: argparse.Namespace, file: Path | None) -> list[Goal]:
    """Measure, and print each table; append it to the file too. The goals that were measured."""
    say(f"{script.__name__}: {script.TITLE}")
    measured: list[Goal] = []
    for table in script.tables(server, options):
        write(table.markdown(), file)
        measured += table.goals
    return measured


def write(text: str, file: Path | None) -> None:
    print(text, flush=True)
    if file:
        with file.open("a") as output:
            output.write(text + "\n")


def say(text: str) -> None:
    """What goes on, beside the tables."""
    print(text, file=sys.stderr, flush=True)


def in_turn(options: argparse.Namespace, *, without: Sequence[str] = ()) -> Iterator[tuple[int, ModuleType]]:
    """(run, peer): every peer once, then every peer again, so that a slow quarter of an hour hits all alike."""
    peers = [peer for peer in present(options.peers) if peer.NAME not in without]
    for run in range(options.runs):
        yield from ((run, peer) for peer in peers)


@contextmanager
def noting_failure(peer: ModuleType, what: str, failures: list[str]) -> Iterator[None]:
    """One peer that does not do its part must not end the others' runs, nor pass unseen."""
    began_at = time.monotonic()
    try:
        yield
        say(f"{what}, {peer.NAME}: {time.monotonic() - began_at:.1f} s")
    except Unmeasured as error:
        failures.append(f"{peer.NAME}, {what}: {error}")
        say(failures[-1])


def failure_note(failures: list[str]) -> str:
    counted = {text: failures.count(text) for text in failures}
    return "".join(f" **{text} ({times} runs).**" for text, times in counted.items())
