"""Starts one of PostgreSQL's programs so that it can't outlive us, disturb us or see our secrets.

Not here: which program, and what becomes of it (`postgres.cluster`, `postgres.embedded`).
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from jobhub.postgres.account import Account

PR_SET_PDEATHSIG = 1  # linux/prctl.h
INHERITED = ("PATH", "LD_LIBRARY_PATH")  # all else stays out: PG* changes settings, LC_* messages, JOBHUB_* may be secret


def spawn(
    command: Sequence[str], *, account: Account | None, environ: Mapping[str, str], directory: Path, output: int
) -> subprocess.Popen[bytes]:
    """Run a program as the account, in a session of its own: Ctrl-C in a terminal does not reach it.

    On Linux it gets SIGINT when we die, however we die. The kernel watches the *thread* that started it, so this works in the
    main thread alone. Raises RuntimeError: called from another thread. Raises OSError: it can't be run.
    Source: prctl(2), PR_SET_PDEATHSIG.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("The embedded PostgreSQL must be started from the main thread: it ends with the thread that started it.")
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        cwd=directory,
        env={name: environ[name] for name in INHERITED if name in environ} | {"LC_ALL": "C"},
        start_new_session=True,
        umask=0o077,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
        preexec_fn=die_with_parent(os.getpid(), signal.SIGINT),
    )


def die_with_parent(parent: int, number: signal.Signals) -> Callable[[], None] | None:
    """What the child does between fork and exec, so that it gets `number` when the thread that started it ends; None: not on this system.

    libc is opened here, before the fork: afterwards a lock may be held for ever.

    A change of the uid clears the signal, and CPython changes it before it calls this (`child_exec` in _posixsubprocess.c).
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl

    def in_the_child() -> None:
        signal.signal(number, signal.SIG_DFL)  # race: with Python's handler a signal before the exec would be lost
        prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:  # race: the parent died before prctl, and nobody will tell us
            os._exit(1)

    return in_the_child
