"""How long a worker takes from being started to its first claim, and `jobhub up` from being started to `ready`.

    .venv/bin/python -m bench.worker_start [RUNS]

Starts `jobhub up` on a data directory of its own and, once it is ready, extra workers beside it; the figure of a worker is the start of
its first attempt less the start of the process, both by clocks of this machine.
"""

import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import psycopg

RUNS = int(sys.argv[1]) if len(sys.argv) > 1 else 5
PORT = 8742


def up(data_dir: Path) -> tuple[subprocess.Popen[str], float]:
    """A running `jobhub up` without workers, and the seconds it took to be ready."""
    started = time.time()
    command = [sys.executable, "-m", "jobhub", "up", "--port", str(PORT), "--data-dir", str(data_dir), "--workers", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("ready"):
            return process, time.time() - started
    raise SystemExit("jobhub up did not start")


def stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=60)


def first_claim(dsn: str) -> float:
    """Seconds from the start of a worker process to the start of the job that waits for it."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        job_id = connection.execute(
            "WITH new AS (SELECT gen_random_uuid() AS id)"
            " INSERT INTO jobs (id, owner_id, job_type, queue, title, parameters, due_at, delivery_id)"
            " SELECT id, (SELECT min(id::text)::uuid FROM users), 'demo.sleep', 'default', 'bench', '{\"seconds\": 0}', now(),"
            " deliver_job(id, 'demo.sleep', 'default', 0) FROM new RETURNING id"
        ).fetchone()[0]
        started = time.time()
        environ = os.environ | {"JOBHUB_DATABASE_URL": dsn, "JOBHUB_DEMO": "1"}
        worker = subprocess.Popen([sys.executable, "-m", "jobhub", "worker"], env=environ, stderr=subprocess.DEVNULL)
        claimed: datetime | None = None
        while claimed is None:
            claimed = connection.execute("SELECT started_at FROM jobs WHERE id = %s", [job_id]).fetchone()[0]
            time.sleep(0.005)
    worker.terminate()
    worker.wait(timeout=30)
    return claimed.timestamp() - started


def row(name: str, seconds: list[float]) -> str:
    return f"{name:<28} {statistics.median(seconds):6.2f} s   ({min(seconds):.2f}..{max(seconds):.2f}, {len(seconds)} runs)"


def main() -> None:
    directory = Path(tempfile.mkdtemp(prefix="jobhub-bench-"))
    directory.chmod(0o755)
    try:
        process, first = up(directory / "data")
        stop(process)
        again, claims = [], []
        for _ in range(RUNS):
            process, seconds = up(directory / "data")
            again.append(seconds)
            dsn = f"postgresql://postgres@/jobhub?host={directory / 'data' / 'postgres' / 'run'}"
            claims.append(first_claim(dsn))
            stop(process)
        print(row("up, first start", [first]))
        print(row("up, data directory exists", again))
        print(row("worker, start to first claim", claims))
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
